"""The processes of a run. One alone, or as many as torchrun started: each holds the model and reads rows of its own.

    torchrun --nproc-per-node 2 -m charlm train ...      sets RANK, WORLD_SIZE, MASTER_ADDR, ...

Rank 0 writes, logs and decides; what it decides, and what any rank was told by a signal, is agreed on by all. On CPUs
the processes talk through gloo, on NVIDIA GPUs through NCCL.
"""

import contextlib
import datetime as dt
import importlib
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from charlm.errors import CharlmError, LostProcessError, SilentError
from charlm.nn.state import State

_TIMEOUT = dt.timedelta(minutes=30)  # rank 0 alone writes checkpoints, and a slow disk is no lost process


class Distributed(ABC):
    """Which process this is, and what it agrees on with the others."""

    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def rows(self, batch_size: int) -> range:
        """The rows of a batch that are this process's own; `batch_size` counts those of all."""
        own = batch_size // self.world_size
        return range(self.rank * own, (self.rank + 1) * own)

    @abstractmethod
    def wrap_module(self, module: nn.Module, sparse: Sequence[nn.Parameter]) -> nn.Module:
        """The module with gradients averaged over all ranks, but those of `sparse`, which are for
        `all_reduce_sparse`."""

    @abstractmethod
    def all_reduce_sum(self, numbers: Sequence[float]) -> list[float]:
        """The sum over all ranks of each number."""

    @abstractmethod
    def all_gather_rows(self, state: State) -> State:
        """The states of all ranks, in the order of their rows."""

    @abstractmethod
    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite the tensors with those of rank 0."""

    @abstractmethod
    def all_reduce_sparse(self, gradient: Tensor) -> Tensor:
        """The mean over all ranks of a coalesced sparse gradient."""

    @abstractmethod
    def run_on_main(self, action: Callable[[], None]) -> None:
        """Run `action` on rank 0 while the others wait; where it fails, all end."""

    @abstractmethod
    def sync_gradients(self, module: nn.Module, *, is_last: bool) -> contextlib.AbstractContextManager[None]:
        """The backward pass of a `wrap_module` module; only that of the last group of rows need average gradients."""

    @abstractmethod
    def connected(self) -> contextlib.AbstractContextManager[None]:
        """The block in which the ranks talk; a rank that is gone is told as such."""


class SingleProcess(Distributed):
    """One process."""

    def wrap_module(self, module: nn.Module, sparse: Sequence[nn.Parameter]) -> nn.Module:
        return module

    def all_reduce_sum(self, numbers: Sequence[float]) -> list[float]:
        return list(numbers)

    def all_gather_rows(self, state: State) -> State:
        return state

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        pass

    def all_reduce_sparse(self, gradient: Tensor) -> Tensor:
        return gradient

    def run_on_main(self, action: Callable[[], None]) -> None:
        action()

    def sync_gradients(self, module: nn.Module, *, is_last: bool) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def connected(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


class TorchDistributed(Distributed):
    """The processes that torchrun started."""

    def __init__(self, device: torch.device) -> None:
        """
        Raises:
            LostProcessError: the others cannot be reached.
        """
        self.rank, self.world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        self.device = device
        self._wrapped: list[DistributedDataParallel] = []
        if device.type == "cuda":
            torch.cuda.set_device(device)
        # Its default arguments are the group of the time of its import: later, they would hold this one for good.
        importlib.import_module("torch.distributed.nn.functional")
        with _convert_lost_process_errors():
            backend = "nccl" if device.type == "cuda" else "gloo"
            distributed.init_process_group(backend, timeout=_TIMEOUT)

    def wrap_module(self, module: nn.Module, sparse: Sequence[nn.Parameter]) -> nn.Module:
        ignored = [name for name, parameter in module.named_parameters() if any(parameter is each for each in sparse)]
        set_ignored = getattr(DistributedDataParallel, "_set_params_and_buffers_to_ignore_for_model")  # noqa: B009 - private
        set_ignored(module, ignored)
        self.broadcast([parameter.data for parameter in sparse])
        ids = [self.device.index] if self.device.type == "cuda" else None
        self._wrapped.append(DistributedDataParallel(module, device_ids=ids))
        return self._wrapped[-1]

    def all_reduce_sum(self, numbers: Sequence[float]) -> list[float]:
        sums = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        distributed.all_reduce(sums)
        return sums.tolist()

    def all_gather_rows(self, state: State) -> State:
        gathered: list[Tensor] = []
        for tensor in state:
            parts = [torch.empty_like(tensor) for _ in range(self.world_size)]
            distributed.all_gather(parts, tensor.contiguous())
            gathered.append(torch.cat(parts))
        return tuple(gathered)

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        for tensor in tensors:
            distributed.broadcast(tensor, 0)

    def all_reduce_sparse(self, gradient: Tensor) -> Tensor:
        """Padded to the longest, since ranks touch different numbers of rows."""
        rows_R, values_RD = gradient.indices()[0], gradient.values()
        counts = torch.zeros(self.world_size, dtype=torch.int64, device=self.device)
        counts[self.rank] = len(rows_R)
        distributed.all_reduce(counts)
        longest = int(counts.max())
        padding = longest - len(rows_R)
        padded = (
            nn.functional.pad(rows_R, (0, padding)),
            nn.functional.pad(values_RD, (0, 0, 0, padding)),
        )
        all_rows, all_values = self.all_gather_rows(padded)
        is_valid = torch.arange(longest, device=self.device).repeat(self.world_size) < counts.repeat_interleave(longest)
        return torch.sparse_coo_tensor(
            all_rows[is_valid][None], all_values[is_valid] / self.world_size, gradient.shape, check_invariants=False
        ).coalesce()

    def run_on_main(self, action: Callable[[], None]) -> None:
        failure: BaseException | None = None
        if self.is_main:
            try:
                action()
            except BaseException as error:  # noqa: BLE001 - raised again below, when the others know
                failure = error
        code = getattr(failure, "exit_code", 1) if failure is not None else 0
        (code,) = self.all_reduce_sum([float(code)])
        if failure is not None:
            raise failure
        if code:
            raise SilentError(int(code))

    def sync_gradients(self, module: nn.Module, *, is_last: bool) -> contextlib.AbstractContextManager[None]:
        assert isinstance(module, DistributedDataParallel)
        return contextlib.nullcontext() if is_last else module.no_sync()

    @contextlib.contextmanager
    def connected(self) -> Generator[None, None, None]:
        """A launcher ends all processes when one is gone: here that comes too late to stop the message."""
        try:
            with _convert_lost_process_errors():
                yield
                distributed.barrier()  # so that none leaves while another one still talks to it
        except LostProcessError:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if self.device.type == "cuda":
                raise  # NCCL would wait for the one that is gone
            self._destroy()
            raise
        except BaseException:
            self._destroy()
            raise
        self._destroy()

    def _destroy(self) -> None:
        """End the threads that talk, while Python runs.

        The last to hold the group must be `destroy_process_group`, which lets go of the interpreter's lock while it
        waits for those threads. A reducer that held it longer would wait with the lock, which the threads may need:
        the process then hangs, or is aborted when the interpreter ends.
        """
        for module in self._wrapped:
            del module.reducer, module.logger, module.process_group
        self._wrapped.clear()
        distributed.destroy_process_group()


@contextlib.contextmanager
def _convert_lost_process_errors() -> Generator[None, None, None]:
    """gloo and NCCL know no exception of their own: a peer that is gone is a RuntimeError with many names."""
    try:
        yield
    except CharlmError:
        raise
    except (distributed.DistBackendError, distributed.DistNetworkError, RuntimeError) as error:
        markers = ("connection", "gloo", "nccl", "socket", "timed out", "broken pipe", "peer", "recv", "store")
        if not any(sign in str(error).lower() for sign in markers):
            raise
        raise LostProcessError(
            "another process of this job has ended, or cannot be reached",
            "see its own message above; the same command goes on from the last checkpoint",
        ) from error


def init_distributed(device: torch.device) -> Distributed:
    """The group that torchrun started this process in, or this process alone."""
    return TorchDistributed(device) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else SingleProcess()
