"""charlm, stopped in the middle: at its n-th file operation it is killed, gets a signal, or finds a disk that fails.

    test ──a line of JSON──> server (has imported torch) ──fork──> charlm, its operations below a folder counted
         <── exit code, stderr, the operations by name ──┘

Counted is everything that touches the disk, whoever in the process does it: making, opening, reading, writing, syncing,
renaming, linking, removing. A write that is killed has written half of what it should. Syncing is counted and left out,
for speed: what the kernel has survives the process.
"""

import builtins
import contextlib
import gc
import importlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

ANY = ""
WRITING = "^(?!read)"
"""Operations that a full or read-only disk refuses."""
_TIMEOUT = 120  # seconds; only a hang takes that long
_open, _os_open, _os_write = builtins.open, os.open, os.write


@dataclass(frozen=True)
class Fault:
    """What happens at the `at`-th operation (from 1) whose name matches the regular expression `where`."""

    at: int
    where: str = ANY
    error: int | None = None
    """The operation fails with this errno."""
    signal: int = signal.SIGKILL
    """Else the process sends itself this signal."""


@dataclass(frozen=True)
class Attempt:
    """How a command ended. `code` is negative where a signal ended it; an operation is named `write metrics.jsonl`."""

    code: int
    stderr: str
    operations: list[str]

    @property
    def error(self) -> str:
        """The line that says what went wrong."""
        return self.stderr.rstrip("\n").rpartition("\n")[2]


@dataclass(frozen=True)
class Interruptions:
    """Runs charlm in forks of one server."""

    server: "subprocess.Popen[str]"

    def __call__(self, folder: Path, arguments: tuple[str, ...], fault: Fault | None, below: Path) -> Attempt:
        """`charlm ARGUMENTS` in `folder`, the operations on files below `below` counted."""
        request = {"folder": str(folder), "arguments": arguments, "below": str(below), "fault": fault and asdict(fault)}
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps(request) + "\n")
        self.server.stdin.flush()
        return Attempt(**json.loads(self.server.stdout.readline()))


@contextlib.contextmanager
def interrupting() -> Generator[Interruptions, None, None]:
    """A server for the time of the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.interrupted"],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        yield Interruptions(server)
        assert server.stdin is not None
        server.stdin.close()  # its sign to end


# ---- the server


_IMPORTED = ("charlm.cli", "charlm.workflows.train", "torch._dynamo", "charlm.vocab.char")


def _serve() -> None:
    for name in _IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a process would write to, and so copy, all memory that it shares with the server
    for line in sys.stdin:
        print(json.dumps(_attempt(json.loads(line))), flush=True)  # noqa: T201 - the protocol


def _attempt(request: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as stderr, tempfile.TemporaryFile() as names:
        child = os.fork()
        if child == 0:
            _become(request, stderr.fileno(), names.fileno())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        stderr.seek(0)
        names.seek(0)
        return {"code": code, "stderr": stderr.read().decode(), "operations": names.read().decode().splitlines()}


def _become(request: dict[str, Any], stderr: int, names: int) -> NoReturn:
    """Be `charlm ARGUMENTS` on a disk of the request's kind."""
    code: object = 0
    try:
        os.setsid()
        signal.alarm(_TIMEOUT)
        nothing = os.open(os.devnull, os.O_RDWR)
        for target, fd in enumerate((nothing, nothing, stderr)):
            os.dup2(fd, target)
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
        os.chdir(request["folder"])
        fault = Fault(**request["fault"]) if request["fault"] else None
        _Disk(os.path.realpath(request["below"]), names, fault).install()
        sys.argv = ["charlm", *request["arguments"]]
        importlib.import_module("charlm.commands.options").restart_clock()
        importlib.import_module("charlm.cli").main()
    except SystemExit as exit_:
        code = exit_.code
    except BaseException:  # noqa: BLE001 - what an interpreter does at its end
        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


class _Disk:
    """Names the operations below `folder`, one line each, and lets the fault happen."""

    def __init__(self, folder: str, names: int, fault: Fault | None) -> None:
        self._folder = folder
        self._names = names
        self._fault = fault
        self._met = 0

    def install(self) -> None:
        builtins.open = io.open = self._opened  # type: ignore[assignment]
        writing = ("mkdir", "unlink", "remove", "rmdir", "replace", "rename", "link", "truncate")
        for kind, name in (("read", "scandir"), *((name, name) for name in writing)):
            setattr(os, name, self._counted(kind, getattr(os, name)))
        os.fsync = self._counted("fsync", _not_synced)
        os.open = self._opened_by_number

    def is_due(self, kind: str, path: Any, dir_fd: int | None = None) -> bool:
        """Write down an operation; whether it is the one that meets the fault."""
        place = f"/proc/self/fd/{path}" if isinstance(path, int) else os.fsdecode(path)
        if dir_fd is not None:
            place = os.path.join(f"/proc/self/fd/{dir_fd}", place)
        folder, base = os.path.split(place)
        place = os.path.realpath(place) if isinstance(path, int) else os.path.join(os.path.realpath(folder), base)
        if not f"{place}/".startswith(f"{self._folder}/"):
            return False
        name = f"{kind} {os.path.relpath(place, self._folder)}"
        _os_write(self._names, f"{name}\n".encode())
        if self._fault is None or re.search(self._fault.where, name) is None:
            return False
        self._met += 1
        return self._met == self._fault.at

    def strike(self) -> None:
        """The fault."""
        assert self._fault is not None
        if self._fault.error is not None:
            raise OSError(self._fault.error, os.strerror(self._fault.error))
        os.kill(os.getpid(), self._fault.signal)

    def strike_writing(self, write: Callable[[Any], int], content: memoryview) -> None:
        if self._fault is not None and self._fault.error is None and self._fault.signal == signal.SIGKILL:
            write(content[: len(content) // 2])
        self.strike()

    def _counted(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def operation(path: Any = ".", *arguments: Any, **keywords: Any) -> Any:
            if self.is_due(kind, path, keywords.get("dir_fd")):
                self.strike()
            return function(path, *arguments, **keywords)

        return operation

    def _opened_by_number(self, path: Any, flags: int, *arguments: Any, **keywords: Any) -> int:
        is_writing = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if self.is_due("open" if is_writing else "read", path, keywords.get("dir_fd")):
            self.strike()
        return _os_open(path, flags, *arguments, **keywords)

    def _opened(
        self,
        path: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        if isinstance(path, int) or opener is not None:
            return _open(path, mode, buffering, encoding, errors, newline, closefd, opener)
        is_reading = mode.strip("bt") == "r"
        if self.is_due("read" if is_reading else "open", path):
            self.strike()
        raw = _File(self, path, mode.replace("b", "").replace("t", ""))
        file: Any = (
            io.BufferedRandom(raw) if "+" in mode else (io.BufferedReader if is_reading else io.BufferedWriter)(raw)
        )
        return file if "b" in mode else io.TextIOWrapper(file, encoding, errors, newline, write_through=not is_reading)


def _not_synced(number: int) -> None:
    del number


class _File(io.FileIO):
    def __init__(self, disk: _Disk, path: Any, mode: str) -> None:
        super().__init__(path, mode)
        self._disk = disk

    def write(self, content: Any, /) -> int:
        if self._disk.is_due("write", self.fileno()):
            self._disk.strike_writing(super().write, memoryview(content).cast("B"))
        return super().write(content)

    def readinto(self, buffer: Any, /) -> int | None:
        if self._disk.is_due("read", self.fileno()):
            self._disk.strike()
        return super().readinto(buffer)

    def readall(self) -> bytes:
        if self._disk.is_due("read", self.fileno()):
            self._disk.strike()
        return super().readall()


if __name__ == "__main__":
    _serve()
