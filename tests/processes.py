"""charlm as a process, forked from one that has imported torch already: real in all but the seconds of imports.

    test ──unix socket: arguments, folder, fds──> server ──fork──> keeper ──fork──> charlm
         <──────────── pid, then wait status ────────────────────────┘

The process is real: its own pid, signals, limits, files and exit status. What depends on the start of an interpreter
(locale, the speed of --help) is tested with `subprocess` instead.
"""

import contextlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn

TIMEOUT = 120.0  # seconds; only a hang takes that long


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


@dataclass
class Running:
    """A process that has been started; used in a `with`, it is killed at the end if it still runs."""

    pid: int
    connection: socket.socket
    out: IO[bytes]
    err: IO[bytes]
    code: int | None = None

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def stderr(self) -> str:
        """What it has said so far."""
        return os.pread(self.err.fileno(), 1 << 24, 0).decode("utf-8", errors="replace")

    def wait(self, timeout: float = TIMEOUT) -> Ended:
        """Raises TimeoutError: it did not end in time."""
        if self.code is None:
            self.connection.settimeout(timeout)
            status = self.connection.recv(64)
            self.code = os.waitstatus_to_exitcode(int(status))
        out = os.pread(self.out.fileno(), 1 << 28, 0).decode("utf-8", errors="replace")
        return Ended(self.code, out, self.stderr())

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *error: object) -> None:
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                self.send(signal.SIGKILL)
            self.wait()
        for file in (self.connection, self.out, self.err):
            file.close()


@dataclass(frozen=True)
class Commands:
    """Starts charlm in `directory`, with the server behind `address`."""

    address: str
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    def within(self, directory: Path) -> "Commands":
        return Commands(self.address, directory, self.environment)

    def start(self, *arguments: str, file_size: int | None = None, niceness: int = 0) -> Running:
        """
        Args:
            file_size: bytes that a file may have (RLIMIT_FSIZE): beyond them a write fails, as on a full disk.
        """
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.address)
        out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - closed by Running
        request = {
            "arguments": arguments,
            "directory": str(self.directory),
            "environment": dict(self.environment),
            "file_size": file_size,
            "niceness": niceness,
        }
        with open(os.devnull, "rb") as nothing:
            fds = [nothing.fileno(), out.fileno(), err.fileno()]
            socket.send_fds(connection, [json.dumps(request).encode() + b"\n"], fds)
        connection.settimeout(TIMEOUT)
        return Running(int(connection.recv(64)), connection, out, err)

    def __call__(self, *arguments: str, timeout: float = TIMEOUT, file_size: int | None = None) -> Ended:
        with self.start(*arguments, file_size=file_size) as process:
            return process.wait(timeout)

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
        """Run, and expect this exit code with its one line on stderr, and nothing on stdout; gives the line."""
        ended = self(*arguments, file_size=file_size)
        assert ended.code == code, f"charlm {' '.join(arguments)}: {ended}"
        assert ended.stdout == ""
        assert_error(ended.stderr)
        return ended.error


def assert_error(stderr: str) -> None:
    """Nothing but one line, `charlm: error: WHAT; WHAT TO DO`; no traceback, and no bug in disguise."""
    lines = stderr.splitlines()
    assert len(lines) == 1, stderr
    start, _, rest = lines[0].partition("charlm: error: ")
    what, _, cure = rest.partition("; ")
    assert not start
    assert what.strip(), stderr
    assert cure.strip(), stderr
    assert "a bug in charlm" not in stderr, stderr


def until(condition: Any, timeout: float = TIMEOUT, pause: float = 0.002) -> None:
    """Wait for `condition()`."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(pause)


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


def _serve(address: str) -> None:
    """Import what the commands import, then fork for every request, until stdin ends."""
    import pyarrow.parquet  # noqa: F401  # pyright: ignore[reportUnusedImport]

    import charlm.cli
    import charlm.demo  # pyright: ignore[reportUnusedImport]
    import charlm.prepare
    import charlm.text.files
    import charlm.text.wikipedia
    import charlm.vocab.char  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers are reaped by the kernel
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)  # noqa: T201
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _keep(connection)
            connection.close()


def _keep(connection: socket.socket) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    content, fds, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    while not content.endswith(b"\n"):
        content += connection.recv(1 << 20)
    request = json.loads(content)
    pid = os.fork()
    if pid == 0:
        connection.close()
        _become(request, fds)
    connection.send(b"%d" % pid)
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(OSError):
        connection.send(b"%d" % status)
    os._exit(0)


def _become(request: dict[str, Any], fds: Sequence[int]) -> NoReturn:
    """Be `charlm ARGUMENTS`."""
    code: object = 1
    try:
        os.setsid()
        for target, fd in enumerate(fds):
            os.dup2(fd, target)
            os.close(fd)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
        os.chdir(request["directory"])
        os.environ.update(request["environment"])
        os.nice(request["niceness"])
        if request["file_size"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_size"], resource.RLIM_INFINITY))
        sys.argv = ["charlm", *request["arguments"]]
        from charlm import cli

        cli._STARTED = time.monotonic()  # pyright: ignore[reportPrivateUsage]
        cli.main()
        code = 0
    except SystemExit as exit_:
        code = exit_.code
    except BaseException:  # noqa: BLE001 - what an interpreter does at its end
        traceback.print_exc()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    _serve(sys.argv[1])
