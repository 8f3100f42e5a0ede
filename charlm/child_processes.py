"""No process that charlm starts outlives charlm, however it ends: by itself, by a signal, or by SIGKILL.

worker (Python)    ── end_with_parent ──> the kernel kills it when its parent has ended
program            ── run_program ──> a guard watches a pipe; at its end it kills the program and its children
several            ── run_programs ──> a guard for each, some at a time
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # of Linux's prctl
_ORPHAN_CHECK = 0.5  # seconds between checks whether the parent lives, where the kernel does not tell
_PROGRAM_CHECK = 0.01  # seconds between checks whether one of several programs has ended
_GUARD = """
import os, signal, subprocess, sys, threading
program = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
def watch():
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
os._exit(program.wait() & 255)
"""
"""The guard and its program share a process group of their own, which no Ctrl-C of a terminal reaches."""


def end_with_parent(parent: int) -> None:
    """Let this process end when its parent ends, even in a call that keeps the interpreter's lock.

    Args:
        parent: the parent's process id; if it has ended already, this process ends at once.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_ORPHAN_CHECK)
        os._exit(1)

    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(1)
    threading.Thread(target=watch, daemon=True).start()


def kill_workers() -> None:
    """Kill the worker processes that are still running, whatever they are doing."""
    if "multiprocessing" in sys.modules:  # otherwise there are none
        from multiprocessing import active_children

        for worker in active_children():
            worker.kill()


def run_program(command: Sequence[str], timeout: float) -> int:
    """Run a program without input and output (on POSIX only); return its exit code, which is not 0 if it is missing.

    Raises:
        OSError: the guard could not be started.
        subprocess.TimeoutExpired: it took longer than `timeout` seconds, and was killed.
    """
    guard = _start(command)
    try:
        return guard.wait(timeout)
    finally:
        _end(guard)


def run_programs(commands: Sequence[Sequence[str]], timeout: float, at_once: int) -> bool:
    """Run programs as `run_program` does, some at a time; return whether all ended with the exit code 0.

    After the first failure the others are killed.

    Raises:
        OSError: a guard could not be started.
        subprocess.TimeoutExpired: they took longer than `timeout` seconds together, and were killed.
    """
    waiting, running = list(reversed(commands)), list[subprocess.Popen[bytes]]()
    end = time.monotonic() + timeout
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                running.append(_start(waiting.pop()))
            ended = [guard for guard in running if guard.poll() is not None]
            for guard in ended:
                running.remove(guard)
                _end(guard)
                if guard.returncode != 0:
                    return False
            if not ended:
                if time.monotonic() > end:
                    raise subprocess.TimeoutExpired(running[0].args, timeout)
                time.sleep(_PROGRAM_CHECK)
        return True
    finally:
        for guard in running:
            _end(guard)


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable or "python3", "-I", "-S", "-c", _GUARD, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _end(guard: subprocess.Popen[bytes]) -> None:
    """Let the guard kill its program, if that still runs, and wait for it."""
    assert guard.stdin is not None
    guard.stdin.close()
    guard.wait()
