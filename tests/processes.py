"""charlm as a process, forked from one that has imported torch: real in all but imports, the syncing of files, and the
number of cores that it finds.

    test ──unix socket: arguments, folder, fds──> server ──fork──> charlm
         <──────────── pid, then wait status ────────┘

The process has its own pid, signals, limits, files and exit status. What depends on the start of an interpreter (the
locale, the speed of --help, its last flush) is tested with `subprocess` instead.
"""

import contextlib
import ctypes
import fcntl
import gc
import importlib
import json
import os
import pty
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import tempfile
import termios
import threading
import time
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn, Self

TIMEOUT = 120.0  # seconds; only a hang takes that long
NOBODY = 54_321
"""A user id that is not in the list of users."""


@dataclass(frozen=True)
class Ended:
    """How a process ended. `code` is negative where a signal ended it."""

    code: int
    stdout: str
    stderr: str

    @property
    def error(self) -> str:
        """The line that says what went wrong."""
        return self.stderr.rstrip("\n").rpartition("\n")[2]


class Channel:
    """A pipe, or a terminal of some columns, and all that was written into it."""

    def __init__(self, columns: int | None = None) -> None:
        self._reading, self.writing = os.pipe() if columns is None else pty.openpty()
        if columns is not None:
            fcntl.ioctl(self.writing, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.content = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: nobody has the terminal open any more
            while piece := os.read(self._reading, 1 << 16):
                self.content += piece

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", errors="replace")

    def finish(self) -> str:
        """All of it, once every writer is gone."""
        self._thread.join(TIMEOUT)
        return self.text

    def close(self) -> None:
        os.close(self._reading)


@dataclass
class Running:
    """A process that has been started; used in a `with`: it is killed at the end if it still runs."""

    pid: int
    connection: socket.socket
    out: Channel
    err: Channel
    code: int | None = None

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float = TIMEOUT) -> Ended:
        """Raises TimeoutError: it did not end in time."""
        if self.code is None:
            self.connection.settimeout(timeout)
            self.code = os.waitstatus_to_exitcode(_receive(self.connection))
        return Ended(self.code, self.out.finish(), self.err.finish())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                self.send(signal.SIGKILL)
            self.wait()
        for resource_ in (self.connection, self.out, self.err):
            resource_.close()


@dataclass(frozen=True)
class Commands:
    """Starts charlm in `folder`."""

    address: str
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Beside that of the tests."""
    is_nobody: bool = False
    """As a user who is in no list, and who owns the files of the tests, but has no further rights."""
    library: Path | None = None
    """Python's standard library, whose documentation is the sample corpus: the real one (slow) if None."""
    has_one_core: bool = True
    """So that `prepare` does all work itself unless `--workers` is given: processes take longer to start than the texts
    of the tests to read."""

    def within(self, folder: Path) -> "Commands":
        return replace(self, folder=folder)

    def start(
        self,
        *arguments: str,
        file_size: int | None = None,
        out: Channel | None = None,
        err: Channel | None = None,
        stdin: bytes = b"",
        closed: Sequence[int] = (),
    ) -> Running:
        """
        Args:
            file_size: bytes that a file may have (RLIMIT_FSIZE): beyond them a write fails.
            closed: those of the descriptors 0, 1 and 2 that are closed.
        """
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.address)
        out, err = out or Channel(), err or Channel()
        request = {
            "arguments": arguments,
            "folder": str(self.folder),
            "environment": dict(self.environment),
            "file_size": file_size,
            "closed": closed,
            "is_nobody": self.is_nobody,
            "library": None if self.library is None else str(self.library),
            "has_one_core": self.has_one_core,
        }
        with tempfile.TemporaryFile() as content:
            content.write(stdin)
            content.seek(0)
            fds = [content.fileno(), out.writing, err.writing]
            socket.send_fds(connection, [json.dumps(request).encode() + b"\n"], fds)
        for channel in (out, err):
            os.close(channel.writing)
        connection.settimeout(TIMEOUT)
        return Running(_receive(connection), connection, out, err)

    def __call__(
        self,
        *arguments: str,
        file_size: int | None = None,
        out: Channel | None = None,
        err: Channel | None = None,
        stdin: bytes = b"",
        closed: Sequence[int] = (),
    ) -> Ended:
        with self.start(*arguments, file_size=file_size, out=out, err=err, stdin=stdin, closed=closed) as process:
            return process.wait()

    def succeed(self, *arguments: str) -> Ended:
        """Run, and expect exit code 0."""
        ended = self(*arguments)
        assert ended.code == 0, f"charlm {' '.join(arguments)}: {ended}"
        return ended

    def json(self, *arguments: str) -> Any:
        """The one object that `--json` prints; nothing else may stand on stdout."""
        ended = self.succeed(*arguments, "--json")
        assert ended.stdout.count("\n") == 1
        return json.loads(ended.stdout)

    def fail(self, code: int, *arguments: str, file_size: int | None = None) -> str:
        """Run, and expect this exit code with one line on stderr and nothing on stdout; gives the line."""
        ended = self(*arguments, file_size=file_size)
        assert ended.code == code, f"charlm {' '.join(arguments)}: {ended}"
        assert ended.stdout == ""
        assert_one_error(ended.stderr)
        return ended.error


def assert_one_error(stderr: str) -> None:
    """Nothing but one line, `charlm: error: WHAT; WHAT TO DO`; no traceback, and no bug in disguise."""
    lines = stderr.splitlines()
    assert len(lines) == 1, stderr
    start, _, message = lines[0].partition("charlm: error: ")
    what, _, cure = message.partition("; ")
    assert not start, stderr
    assert what.strip(), stderr
    assert cure.strip(), stderr
    assert "a bug in charlm" not in what, stderr


def leave_syncing_to_the_kernel() -> None:
    """Make os.fsync do nothing: what the kernel has survives a process, and no test takes the power away.

    A disk needs milliseconds for each of the dozens of files of a corpus or a run. Interpreters that tests start sync.
    """
    os.fsync = _not_synced


def _not_synced(file: object) -> None:
    del file


def _one_core(pid: int) -> set[int]:
    del pid
    return {0}


def _find_library_at(folder: str) -> None:
    find = sysconfig.get_path

    def find_path(name: str, *arguments: Any, **keywords: Any) -> str:
        return folder if name == "stdlib" else find(name, *arguments, **keywords)

    sysconfig.get_path = find_path


def until(condition: Callable[[], object], timeout: float = TIMEOUT) -> None:
    """Wait for something to be true."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


@contextlib.contextmanager
def serving() -> Generator[str, None, None]:
    """A server for the time of the block; gives its address."""
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/socket"
        with subprocess.Popen(
            [sys.executable, "-m", "tests.processes", address],
            cwd=Path(__file__).parents[1],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            yield address
            assert server.stdin is not None
            server.stdin.close()  # its sign to end


# ---- the server


_IMPORTED = (
    "torch._dynamo pandas pyarrow.dataset pyarrow.parquet matplotlib.figure matplotlib.backends.backend_agg"
    " charlm.workflows.demo charlm.workflows.prepare charlm.workflows.evaluate_labels charlm.workflows.explain"
    " charlm.workflows.compress charlm.workflows.predict_files charlm.report.confusion charlm.report.listing"
    " charlm.report.write_report"
    " charlm.text.examples.table charlm.text.sources.text_files charlm.text.sources.wikipedia"
    " charlm.serving.server charlm.vocab.char charlm.vocab.sentencepiece"
).split()
"""What most commands import; some of it is optional."""


def _serve(address: str) -> None:
    """Import what the commands import, then fork for every request, until stdin ends."""
    for name in ("charlm.cli", *_IMPORTED):
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a process would write to, and so copy, all memory that it shares with the server
    _use_huge_pages()
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler, nothing is written to `waker`
    running: dict[int, socket.socket] = {}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)  # noqa: T201
        while True:
            ready, _, _ = select.select([listener, sys.stdin, woken], [], [])
            if woken in ready:
                woken.recv(1 << 16)
                _report_ended(running)
            if sys.stdin in ready:
                return
            if listener in ready:
                connection, _ = listener.accept()
                content, fds, _, _ = socket.recv_fds(connection, 1 << 20, 3)
                while not content.endswith(b"\n"):
                    content += connection.recv(1 << 20)
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for each in (listener, woken, waker, connection, *running.values()):
                        each.close()
                    _become(json.loads(content), fds)
                for fd in fds:
                    os.close(fd)
                running[pid] = connection
                _send(connection, pid)


def _use_huge_pages() -> None:
    """Ask the kernel for pages of 2 MiB: a fork copies an entry for each page, which of small ones takes longest."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return
    libc, size = ctypes.CDLL(None), 2 << 20
    for line in maps.read_text(encoding="utf-8").splitlines():
        span, rights, _, _, inode, *name = line.split()
        if "w" in rights and inode == "0" and name != ["[stack]"]:
            start, end = (int(address, 16) for address in span.split("-"))
            start, end = -(-start // size) * size, end // size * size
            if start < end:
                libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), 25)  # MADV_COLLAPSE; may be refused


def _report_ended(running: dict[int, socket.socket]) -> None:
    """Send the wait statuses of processes that have ended."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with running.pop(pid) as connection:
            _send(connection, status)


def _send(connection: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # the test has ended already
        connection.sendall(struct.pack("<q", number))


def _receive(connection: socket.socket) -> int:
    (number,) = struct.unpack("<q", connection.recv(8, socket.MSG_WAITALL))
    return number


def _lose_rights() -> None:
    """Do what `unshare --user` does, which would start another interpreter."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(0x10000000) != 0:  # CLONE_NEWUSER
        raise OSError(ctypes.get_errno(), "cannot make a user namespace")
    for name, content in (("setgroups", "deny"), ("uid_map", f"{NOBODY} {user} 1"), ("gid_map", f"{NOBODY} {group} 1")):
        Path(f"/proc/self/{name}").write_text(content, encoding="ascii")
    version_3, no_capabilities = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if libc.capset(version_3, no_capabilities) != 0:
        raise OSError(ctypes.get_errno(), "cannot drop capabilities")
    assert os.geteuid() == os.getegid() == NOBODY


def _become(request: dict[str, Any], fds: Sequence[int]) -> NoReturn:
    """Be `charlm ARGUMENTS`."""
    code: object = 0
    try:
        os.setsid()
        for target, fd in enumerate(fds):
            os.dup2(fd, target)
            os.close(fd)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
        for fd in request["closed"]:  # as an interpreter finds it
            os.close(fd)
            setattr(sys, ("stdin", "stdout", "stderr")[fd], None)
        if request["is_nobody"]:
            _lose_rights()
        os.chdir(request["folder"])
        os.environ.update(request["environment"])
        if request["file_size"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_size"], resource.RLIM_INFINITY))
        leave_syncing_to_the_kernel()
        if request["has_one_core"]:
            os.sched_getaffinity = _one_core
        if request["library"] is not None:
            _find_library_at(request["library"])
        sys.argv = ["charlm", *request["arguments"]]
        from charlm import cli
        from charlm.commands import options

        options.restart_clock()
        cli.main()
    except SystemExit as exit_:
        code = exit_.code
    except BaseException:  # noqa: BLE001 - what an interpreter does at its end
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, AttributeError):
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    _serve(sys.argv[1])
