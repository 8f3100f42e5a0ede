"""No process of charlm outlives it: workers and compilers, whichever signal ends it, and whatever they are doing."""

import ast
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from charlm.child_processes import run_program, run_programs
from tests.processes import Commands, until
from tests.workspaces import furnish, texts, write_texts

PACKAGE = Path(__file__).parents[1] / "charlm"
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]
GRACE = 1.0  # seconds that a child may live longer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def session_of(pid: int) -> list[int]:
    """The living processes of a session."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session = (folder / "stat").read_text(encoding="utf-8").rpartition(") ")[2].split()[:4]
        except OSError:  # it has ended meanwhile
            continue
        if int(session) == pid and state != "Z":
            found.append(int(folder.name))
    return found


def children_of(pid: int) -> list[int]:
    """All living descendants."""
    direct = Path(f"/proc/{pid}/task/{pid}/children")
    children = [int(child) for child in direct.read_text(encoding="ascii").split()] if direct.exists() else []
    return children + [grandchild for child in children for grandchild in children_of(child)]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def assert_gone(pids: list[int], seconds: float) -> None:
    end = time.monotonic() + seconds
    while left := [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < end, f"{left} of {pids} still run"
        time.sleep(0.01)


def test_only_these_modules_start_processes() -> None:
    """A new one belongs into the tests below."""
    found = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if starts_processes(path)}
    assert found == {"child_processes.py", "data/worker_processes.py"}


def starts_processes(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_bytes())):
        match node:
            case ast.Name(id="Popen" | "ProcessPoolExecutor" | "Process"):
                return True
            case ast.Attribute(attr="Popen" | "ProcessPoolExecutor" | "Process" | "fork" | "forkpty" | "posix_spawn"):
                return True
            case ast.Attribute(value=ast.Name(id="subprocess"), attr="run" | "call" | "check_call" | "check_output"):
                return True
            case ast.Attribute(value=ast.Name(id="os"), attr="system" | "popen"):
                return True
            case _:
                pass
    return False


# ---- workers


POOL = """
import sys
from charlm.data.worker_processes import spawn_pool
BUSY = "import os, pathlib; pathlib.Path(folder, str(os.getpid())).touch(); sum(range(10**12))"
with spawn_pool(2) as pool:
    waits = [pool.start(exec, BUSY, {"folder": sys.argv[1]}) for _ in range(2)]
    print("started", flush=True)
    waits[0]()
"""
"""Workers in a call that keeps the interpreter's lock: no thread of theirs can watch for the end of the parent.

Each makes a file of its process identifier at the beginning of the call.
"""


@pytest.fixture
def busy_pool(tmp_path: Path) -> "Iterator[subprocess.Popen[bytes]]":
    command = [sys.executable, "-c", POOL, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


@pytest.mark.parametrize("number", SIGNALS)
def test_workers_end_with_their_parent(
    busy_pool: "subprocess.Popen[bytes]", tmp_path: Path, number: signal.Signals
) -> None:
    until(lambda: len(list(tmp_path.iterdir())) == 2)
    children = children_of(busy_pool.pid)
    assert {path.name for path in tmp_path.iterdir()} <= {str(child) for child in children}
    busy_pool.send_signal(number)
    assert busy_pool.wait(timeout=5) != 0
    assert_gone(children, GRACE)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_workers_that_are_starting_end_too(
    busy_pool: "subprocess.Popen[bytes]", number: signal.Signals, seconds: float
) -> None:
    """At the latest when they have started, which takes an eighth of a second on a machine that does nothing else."""
    time.sleep(seconds)
    children = children_of(busy_pool.pid)
    assert len(children) >= 2
    busy_pool.send_signal(number)
    assert busy_pool.wait(timeout=5) != 0
    assert_gone(children, 10)


@pytest.mark.parametrize("number", SIGNALS)
def test_prepare_leaves_no_process(commands: Commands, number: signal.Signals) -> None:
    furnish(commands)
    write_texts(commands.folder / "many", {f"{i}-{name}": text for i in range(300) for name, text in texts().items()})
    with commands.start("prepare", "--source", "text", "--input", "many", "--workers", "2") as process:
        until(lambda: list((commands.folder / "data").glob(".*/staged/*")))  # a worker writes
        started = session_of(process.pid)
        assert len(started) >= 3, "the command, a worker, and Python's resource tracker"
        process.send(number)
        process.wait(timeout=10)
        assert_gone(started, GRACE)
        assert session_of(process.pid) == []


# ---- compilers


SLOW_COMPILER = "#!/bin/sh\nsleep 60 &\necho $$ $! > {pids}\nwait\n"


@pytest.mark.parametrize("number", SIGNALS)
def test_a_compiler_ends_with_the_command(toured: Commands, tmp_path: Path, number: signal.Signals) -> None:
    """It has a child of its own, as compilers do."""
    pids = tmp_path / "pids"
    compiler = tmp_path / "cc"
    compiler.write_text(SLOW_COMPILER.format(pids=pids), encoding="utf-8")
    compiler.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CHARLM_CACHE": str(tmp_path / "cache")}
    commands = Commands(toured.address, toured.folder, environment)
    with commands.start("sample", "--length", "5") as process:
        until(lambda: pids.exists() and pids.read_text(encoding="ascii").endswith("\n"))
        compiling = [int(pid) for pid in pids.read_text(encoding="ascii").split()]
        assert all(map(is_alive, compiling))
        process.send(number)
        assert process.wait(timeout=5).code != 0
        assert_gone(compiling, GRACE)


def test_a_program_is_run_to_its_end_or_to_its_time_limit(tmp_path: Path) -> None:
    assert run_program(["true"], 10) == 0
    assert run_program(["sh", "-c", "exit 3"], 10) == 3
    assert run_program([str(tmp_path / "missing")], 10) != 0
    pids = tmp_path / "pids"
    with pytest.raises(subprocess.TimeoutExpired):
        run_program(["sh", "-c", f"sleep 60 & echo $! > {pids}; wait"], 0.5)
    assert_gone([int(pids.read_text(encoding="ascii"))], GRACE)


def test_several_programs_run_some_at_a_time(tmp_path: Path) -> None:
    """Each waits until the next one has started, so that they end only if two run at a time."""
    marks = [tmp_path / str(number) for number in range(5)]
    marks[4].touch()
    waiting = [
        ["sh", "-c", f"touch {mark}; until [ -e {after} ]; do sleep 0.01; done"]
        for mark, after in itertools.pairwise(marks)
    ]
    assert run_programs(waiting, 10, at_once=2)
    for mark in marks[:4]:
        mark.unlink()
    with pytest.raises(subprocess.TimeoutExpired):
        run_programs(waiting, 0.5, at_once=1)
    assert [mark.exists() for mark in marks[:4]] == [True, False, False, False]


def test_a_program_that_fails_ends_the_others(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    sleeps = ["sh", "-c", f"sleep 60 & echo $! > {pids}; wait"]
    fails = ["sh", "-c", f"until [ -s {pids} ]; do sleep 0.01; done; exit 3"]
    assert not run_programs([sleeps, fails, ["touch", str(tmp_path / "never")]], 10, at_once=2)
    assert_gone([int(pids.read_text(encoding="ascii"))], GRACE)
    assert not (tmp_path / "never").exists()
