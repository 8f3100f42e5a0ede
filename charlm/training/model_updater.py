"""One update of a model: its gradients, optimizers and carried state, and all tensors that a resumed run needs.

    batch ──micro-batches──> objective ──backward──> clip ──optimizers──> weights ──> average
                                 └── state, detached, for the next batch

Dropout masks are drawn from (seed, step, micro-batch), so an update is a pure function of the batch and of `tensors()`.
Each of several ranks works on its own rows, and all make the same update.
"""

import contextlib
import math
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from charlm.data.batches import Batch
from charlm.device import Precision, resolve_precision
from charlm.nn.model import ConditionalModel, LanguageModel
from charlm.nn.state import State, detach, reset_rows
from charlm.training.distributed import Distributed
from charlm.training.mixture_refit import MixtureRefit
from charlm.training.norm_statistics import has_batch_norm, reestimate_batch_norm
from charlm.training.objective import Objective
from charlm.training.optim.averaging import WeightAverage
from charlm.training.optim.build import build_optimizers
from charlm.training.optim.optimizers import clip_gradients, coalesce_gradient
from charlm.training.optim.schedules import ScheduleInput, lr_factor
from charlm.training.settings import TrainingSettings


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """The nats of a batch over its scored tokens, the gradient's norm before clipping, whether it was applied."""

    nats: float
    tokens: int
    gradient_norm: float
    applied: bool


class ModelUpdater:
    """A model in training, on one device of each rank."""

    def __init__(
        self, model: LanguageModel, settings: TrainingSettings, device: torch.device, ranks: Distributed
    ) -> None:
        self.model = model
        self.device = device
        self.precision: Precision = resolve_precision(settings.precision, device)
        self._settings = settings
        self._ranks = ranks
        self._objective = ranks.wrap_module(
            Objective(model, self.precision, settings.recompute_len), model.embedding.sparse_parameters
        )
        self._optimizers = build_optimizers(settings.optimizer, model)
        self._average = WeightAverage(settings.averaging, model)
        self._refit = MixtureRefit(model)
        self._carried_state: State | None = None

    @property
    def lr(self) -> float:
        return self._optimizers.lr

    @property
    def num_micro_batches(self) -> int:
        """The number of groups of rows that a batch is split into."""
        return self._settings.micro_batches

    @property
    def has_fitted_weights(self) -> bool:
        """Whether the scored model has mixture weights that were fitted since the last update."""
        return self._refit.exists

    def update(
        self, batch: Batch, schedule_input: ScheduleInput, *, num_scored: int, relative_length: float = 1.0
    ) -> UpdateResult:
        """Learn from one batch.

        A loss or gradient that is not finite changes no weight, and the next batch starts from the initial state.

        Args:
            batch: the rows of this rank.
            num_scored: the number of scored targets in the rows of all ranks.
            relative_length: the batch's length divided by seq_len; the learning rate is multiplied by it.
        """
        settings, model = self._settings, self.model
        self._refit.discard()
        old_buffers = [(buffer, buffer.clone()) for buffer in model.buffers() if buffer.is_floating_point()]
        has_condition = batch.condition is not None  # then the objective makes the state
        state: State = () if has_condition else model.initial_state(len(batch.inputs_BT))
        if self._carried_state is not None:
            state = reset_rows(self._carried_state, state, batch.reset_B.to(self.device))
        nats, new_state = self._backward(batch, state, schedule_input.step, num_scored)
        self._gather_sparse_gradients()
        norm = clip_gradients(model.parameters(), settings.clip_norm or math.inf).item()
        (nats,) = self._ranks.all_reduce_sum([nats])
        applied = math.isfinite(norm) and math.isfinite(nats)
        if applied:
            self._optimizers.scale_lr(lr_factor(settings.schedule, schedule_input) * relative_length)
            self._optimizers.step()
            self._average.update(schedule_input.history)
        else:
            for buffer, saved in old_buffers:
                buffer.copy_(saved)
        self._carried_state = new_state if applied and batch.lengths_B is None else None
        self._optimizers.zero_grad()
        return UpdateResult(nats, num_scored, norm, applied)

    def _backward(self, batch: Batch, state: State, step: int, num_scored: int) -> tuple[float, State]:
        """Compute gradients of the mean loss over all ranks' scored targets; return this rank's nats and new state."""
        ranks, seed = self._ranks, self._settings.seed
        lengths_B = None if batch.lengths_B is None else batch.lengths_B.to(self.device)
        condition = None if batch.condition is None else tuple(each.to(self.device) for each in batch.condition)
        micro_batches = torch.arange(len(batch.inputs_BT)).chunk(self.num_micro_batches)
        nats: list[Tensor] = []
        states: list[State] = []
        for index, rows in enumerate(micro_batches):
            first, end = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
            key = (seed, step, ranks.rank * self.num_micro_batches + index)
            with ranks.sync_gradients(self._objective, is_last=index == len(micro_batches) - 1):
                loss, micro_batch_nats, new_state = self._objective(
                    batch.inputs_BT[first:end].to(self.device),
                    batch.targets_BT[first:end].to(self.device),
                    tuple(tensor[first:end] for tensor in state),
                    key,
                    None if lengths_B is None else lengths_B[first:end],
                    None if condition is None else tuple(tensor[first:end] for tensor in condition),
                    None if batch.evidence_BTE is None else batch.evidence_BTE[first:end].to(self.device),
                )
                (loss * (ranks.world_size / max(1, num_scored))).backward()  # ranks' gradients are averaged, not summed
            nats.append(micro_batch_nats)
            states.append(detach(new_state))
        if condition is not None:
            return torch.stack(nats).sum().item(), ()
        new_state_all = (
            states[0] if len(states) == 1 else tuple(torch.cat(parts) for parts in zip(*states, strict=True))
        )
        return torch.stack(nats).sum().item(), new_state_all

    def _gather_sparse_gradients(self) -> None:
        for table in self.model.embedding.sparse_parameters:
            if table.grad is not None and self._ranks.world_size > 1:
                table.grad = self._ranks.all_reduce_sparse(coalesce_gradient(table.grad))

    def fit_scored_weights(self, fit: Callable[[], None], statistics_batches: Callable[[], Iterable[Batch]]) -> None:
        """Let `fit` change mixture weights in the model that is scored; until the next update, that model has them."""
        with self._averaged_weights(statistics_batches):
            self._ranks.broadcast(self._refit.make(fit))

    @contextlib.contextmanager
    def scored_weights(self, statistics_batches: Callable[[], Iterable[Batch]]) -> Generator[None, None, None]:
        """A context in which the model holds the weights that are scored and saved: averaged and fitted ones, if there
        are any.

        Args:
            statistics_batches: training text from which the batch-norm statistics of averaged weights are estimated.
        """
        with self._averaged_weights(statistics_batches), self._refit.swapped_in():
            yield

    @contextlib.contextmanager
    def _averaged_weights(self, statistics_batches: Callable[[], Iterable[Batch]]) -> Generator[None, None, None]:
        """A context in which the model holds averaged weights, if there are any."""
        if not self._average.exists:
            yield
            return
        with self._average.swapped_in():
            if not has_batch_norm(self.model):
                yield
                return
            raw = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
            try:
                reestimate_batch_norm(
                    self.model, statistics_batches(), self.device, self.precision, self._settings.seed
                )
                yield
            finally:
                for name, buffer in self.model.named_buffers():
                    buffer.copy_(raw[name])

    def tensors(self) -> dict[str, Tensor]:
        """Return, by name, optimizer state, random generator, carried state of all ranks, and the weights that training
        goes on with where others are scored."""
        state = () if self._carried_state is None else self._ranks.all_gather_rows(self._carried_state)
        tensors = {f"state.{index:03d}": tensor for index, tensor in enumerate(state)}
        for name, parameter in self.model.named_parameters():
            for key, value in self._optimizers.get_state(parameter).items():
                tensors[f"optimizer.{name}.{key}"] = value
        tensors |= self._average.tensors() | self._refit.tensors()
        if self._average.exists and has_batch_norm(self.model):
            tensors |= {f"statistics.{name}": buffer.clone() for name, buffer in self.model.named_buffers()}
        return tensors | {"rng": torch.get_rng_state()}

    def load_tensors(self, tensors: dict[str, Tensor], batch_size: int | None) -> None:
        """Load what `tensors` returned into a model that holds the scored weights.

        Args:
            batch_size: rows of all ranks; None if the checkpoint has another number: all rows start from the initial
                state then.

        Raises:
            KeyError, ValueError, RuntimeError: the tensors do not fit.
        """
        self._refit.load_tensors(tensors)
        self._average.load_tensors(tensors)
        for name, buffer in self.model.named_buffers():
            if f"statistics.{name}" in tensors:
                buffer.copy_(_check_like(tensors[f"statistics.{name}"], buffer))
        if batch_size is not None:
            self._load_state(tensors, batch_size)
        for name, parameter in self.model.named_parameters():
            prefix = f"optimizer.{name}."
            state = self._optimizers.get_state(parameter)
            for key, value in tensors.items():
                if key.startswith(prefix):
                    fitted = (
                        _check_step_like(value, parameter) if key == f"{prefix}step" else _check_like(value, parameter)
                    )
                    state[key.removeprefix(prefix)] = fitted
        if not self._optimizers.is_consistent():
            raise ValueError("the optimizer's state is incomplete")
        torch.set_rng_state(tensors["rng"])

    def _load_state(self, tensors: dict[str, Tensor], batch_size: int) -> None:
        if isinstance(self.model, ConditionalModel):
            return  # it reads whole documents, and carries nothing
        fresh = self.model.initial_state(batch_size)
        names = [f"state.{index:03d}" for index in range(len(fresh))]
        if any(name in tensors for name in names):
            rows = self._ranks.rows(batch_size)
            own_rows = slice(rows.start, rows.stop)
            self._carried_state = tuple(
                _check_like(tensors[name], old)[own_rows].clone() for name, old in zip(names, fresh, strict=True)
            )


def _check_step_like(step: Tensor, parameter: Tensor) -> Tensor:
    """Check a step count: one for the whole parameter, or one for each row of a table with sparse updates."""
    return _check_like(step, torch.empty(parameter.shape[: min(1, step.ndim)], device=parameter.device))


def _check_like(tensor: Tensor, model: Tensor) -> Tensor:
    if tensor.shape != model.shape or tensor.dtype != model.dtype:
        raise ValueError(f"{tuple(tensor.shape)} instead of {tuple(model.shape)}")
    return tensor.to(model.device)
