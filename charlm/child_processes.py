"""No process that charlm starts outlives charlm, however it ends: by itself, by a signal, or by SIGKILL.

worker (Python)    ── end_with_parent ──> the kernel kills it when its parent has ended
program            ── run_program ──> a guard watches a pipe; at its end it kills the program and its children
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
    with subprocess.Popen(
        [sys.executable or "python3", "-I", "-S", "-c", _GUARD, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as guard:
        assert guard.stdin is not None
        try:
            return guard.wait(timeout)
        finally:
            guard.stdin.close()  # the guard kills the program, if it still runs
