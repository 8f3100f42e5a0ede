"""One update: the model, its optimizer and the carried state, and everything of them that a resumed run needs.

    batch ──forward──> nats ──backward──> clip ──optimizer──> weights
               └── state, detached, for the next batch

Masks are drawn from (seed, step), so an update is a pure function of what `tensors()` holds and the batch.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from charlm.data.batches import Batch
from charlm.device import Precision, autocast, resolve_precision
from charlm.nn.head import IGNORED
from charlm.nn.model import LanguageModel
from charlm.nn.state import State, detach, reset_rows
from charlm.training.optimizers import clip_gradients
from charlm.training.settings import TrainingSettings


@dataclass(frozen=True, slots=True)
class Update:
    """What one batch cost: nats over its scored tokens, the gradient's norm before clipping, whether it was applied."""

    nats: float
    tokens: int
    gradient_norm: float
    applied: bool


class Learner:
    """A model in training on one device."""

    def __init__(self, model: LanguageModel, settings: TrainingSettings, device: torch.device) -> None:
        self.model = model
        self.device = device
        self.precision: Precision = resolve_precision(settings.precision, device)
        self._settings = settings
        self._optimizer = settings.optimizer.build(model)
        self._carried: State | None = None
        self.lr = 0.0

    def update(self, batch: Batch, step: int, progress: float) -> Update:
        """Learn from one batch. A loss or gradient that is not finite changes nothing, and the next rows start afresh.

        Args:
            step: number of the update, from 0.
            progress: share of the budget that is spent, for the schedule.
        """
        settings, model = self._settings, self.model
        inputs_BT, targets_BT, reset_B = (tensor.to(self.device) for tensor in batch)
        averages = [(buffer, buffer.clone()) for buffer in model.buffers() if buffer.is_floating_point()]
        fresh = model.initial_state(len(inputs_BT))
        state = fresh if self._carried is None else reset_rows(self._carried, fresh, reset_B)
        model.masks.seed(settings.seed, step)
        with autocast(self.precision, self.device):
            features_BTH, after = model(inputs_BT, state)
            loss_BT, nll_BT = model.head.loss(features_BTH, targets_BT)
        nats = nll_BT.detach().sum()
        tokens = int((batch.targets_BT != IGNORED).sum())
        (loss_BT.sum() / max(1, tokens)).backward()
        norm = clip_gradients(model.parameters(), settings.clip_norm or math.inf).item()
        applied = math.isfinite(norm) and math.isfinite(nats.item())
        if applied:
            self.lr = settings.optimizer.lr * settings.schedule.scale(step, progress)
            for group in self._optimizer.param_groups:
                group["lr"] = self.lr
            self._optimizer.step()
        else:
            for buffer, before in averages:
                buffer.copy_(before)
        self._carried = detach(after) if applied else None
        self._optimizer.zero_grad(set_to_none=True)
        return Update(nats.item(), tokens, norm, applied)

    def tensors(self) -> dict[str, Tensor]:
        """Optimizer, random generator and carried state, by name."""
        tensors = {f"state.{index:03d}": tensor for index, tensor in enumerate(self._carried or ())}
        for name, parameter in self.model.named_parameters():
            for key, value in self._optimizer.state[parameter].items():
                tensors[f"optimizer.{name}.{key}"] = value
        return tensors | {"rng": torch.get_rng_state()}

    def load_tensors(self, tensors: dict[str, Tensor], batch_size: int) -> None:
        """The inverse of `tensors`. KeyError, ValueError or RuntimeError where they do not fit."""
        fresh = self.model.initial_state(batch_size)
        names = [f"state.{index:03d}" for index in range(len(fresh))]
        if any(name in tensors for name in names):
            self._carried = tuple(_like(tensors[name], old) for name, old in zip(names, fresh, strict=True))
        kinds: set[frozenset[str]] = set()
        for name, parameter in self.model.named_parameters():
            prefix = f"optimizer.{name}."
            for key, value in tensors.items():
                if key.startswith(prefix):
                    fitted = _step_like(value, parameter) if key == f"{prefix}step" else _like(value, parameter)
                    self._optimizer.state[parameter][key.removeprefix(prefix)] = fitted
            kinds.add(frozenset(self._optimizer.state[parameter]))
        if len(kinds) > 1:
            raise ValueError("the optimizer's state is not whole")
        torch.set_rng_state(tensors["rng"])


def _step_like(step: Tensor, parameter: Tensor) -> Tensor:
    """One count for the whole parameter, or one for each row of a table that is updated sparsely."""
    return _like(step, torch.empty(parameter.shape[: min(1, step.ndim)], device=parameter.device))


def _like(tensor: Tensor, model: Tensor) -> Tensor:
    if tensor.shape != model.shape or tensor.dtype != model.dtype:
        raise ValueError(f"{tuple(tensor.shape)} instead of {tuple(model.shape)}")
    return tensor.to(model.device)
