"""The processes of a run: one, or as many as torchrun started, each with the whole model and its own rows.

    torchrun --nproc-per-node 2 -m charlm train ...      sets RANK, WORLD_SIZE, MASTER_ADDR, ...

Rank 0 writes, logs and decides; its decisions and the signals that any rank received are shared with all ranks. The
processes communicate through gloo on CPUs and through NCCL on NVIDIA GPUs.
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

from charlm.errors import CharlmError, LostProcessError, SilentError, UsageError
from charlm.nn.state import State

_TIMEOUT = dt.timedelta(minutes=30)  # only rank 0 writes checkpoints, and a slow disk must not look like a lost process


class Distributed(ABC):
    """The rank of this process, and the operations that all ranks of a run perform together."""

    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def rows(self, batch_size: int) -> range:
        """Return the rows of a batch that belong to this rank; `batch_size` counts the rows of all ranks."""
        num_rows = batch_size // self.world_size
        return range(self.rank * num_rows, (self.rank + 1) * num_rows)

    @abstractmethod
    def wrap_module(self, module: nn.Module, sparse: Sequence[nn.Parameter]) -> nn.Module:
        """Return the module with gradients averaged over all ranks, except those of `sparse`, which
        `all_reduce_sparse` averages."""

    @abstractmethod
    def all_reduce_sum(self, numbers: Sequence[float]) -> list[float]:
        """Return the sum of each number over all ranks."""

    @abstractmethod
    def all_gather_rows(self, state: State) -> State:
        """Return the states of all ranks, concatenated in the order of their rows."""

    @abstractmethod
    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite the tensors with those of rank 0."""

    @abstractmethod
    def all_reduce_sparse(self, gradient: Tensor) -> Tensor:
        """Return the mean of a coalesced sparse gradient over all ranks."""

    @abstractmethod
    def run_on_main(self, action: Callable[[], None]) -> None:
        """Run `action` on rank 0 while the other ranks wait; if it fails, all ranks raise an error."""

    @abstractmethod
    def sync_gradients(self, module: nn.Module, *, is_last: bool) -> contextlib.AbstractContextManager[None]:
        """Return a context for one backward pass of a wrapped module; only the last micro-batch averages gradients."""

    @abstractmethod
    def connected(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which the ranks communicate; a lost rank raises LostProcessError there."""


class SingleProcess(Distributed):
    """A run of one process."""

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
            LostProcessError: the other processes cannot be reached.
        """
        self.rank, self.world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        self.device = device
        self._wrapped: list[DistributedDataParallel] = []
        if device.type == "cuda":
            torch.cuda.set_device(device)
        # Its functions take the default group at import as default arguments: imported later, they would keep this one.
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
        """Gather the rows of all ranks, padded to the longest gradient, since ranks touch different numbers of rows."""
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
            except BaseException as error:  # noqa: BLE001 - raised again below, when the other ranks know
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
        """A launcher sends SIGTERM to all processes when one is lost: ignored, so that the error is still printed."""
        try:
            with _convert_lost_process_errors():
                yield
                distributed.barrier()  # no rank may leave while another one still communicates with it
        except LostProcessError:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if self.device.type == "cuda":
                raise  # NCCL would wait for the lost process
            self._destroy()
            raise
        except BaseException:
            self._destroy()
            raise
        self._destroy()

    def _destroy(self) -> None:
        """End the group's threads while Python still runs.

        `destroy_process_group` must hold the last reference to the group: it releases the interpreter's lock while it
        waits for the threads. A reducer with a later reference would wait without releasing the lock, which the
        threads may need: the process then hangs, or is aborted when the interpreter ends.
        """
        for module in self._wrapped:
            del module.reducer, module.logger, module.process_group
        self._wrapped.clear()
        distributed.destroy_process_group()


@contextlib.contextmanager
def _convert_lost_process_errors() -> Generator[None, None, None]:
    """gloo and NCCL have no exception for a lost process: they raise RuntimeErrors with many messages."""
    try:
        yield
    except CharlmError:
        raise
    except (distributed.DistBackendError, distributed.DistNetworkError, RuntimeError) as error:
        markers = ("connection", "gloo", "nccl", "socket", "timed out", "broken pipe", "peer", "recv", "store")
        if not any(marker in str(error).lower() for marker in markers):
            raise
        raise LostProcessError(
            "another process of this job has ended, or cannot be reached",
            "see its message above, then run the same command again to resume from the last checkpoint",
        ) from error


def init_distributed(device: torch.device) -> Distributed:
    """Return the group that torchrun started this process in, or a single process.

    Raises:
        UsageError: the variables that torchrun sets are incomplete or not numbers; another program may have set some.
    """
    return SingleProcess() if count_processes() == 1 else TorchDistributed(device)


def count_processes() -> int:
    """Return how many processes torchrun started together; 1 without it.

    Raises:
        UsageError: as `init_distributed`.
    """
    if os.environ.get("WORLD_SIZE", "1") in ("", "0", "1"):
        return 1
    for name in ("WORLD_SIZE", "RANK", "MASTER_PORT", "MASTER_ADDR"):
        value = os.environ.get(name, "")
        if not value or (name != "MASTER_ADDR" and not (value.isascii() and value.isdecimal())):
            raise UsageError(
                f"the variable {name} is {value!r}, but WORLD_SIZE says that this is one of several processes",
                "start several processes with torchrun, or unset WORLD_SIZE",
            )
    return int(os.environ["WORLD_SIZE"])
