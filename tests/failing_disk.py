"""charlm on a disk whose n-th operation fails, in any of its processes: python failing_disk.py ERRNO STEP ARGUMENTS.

For n = 1, 1 + STEP, ... until nothing fails any more, charlm runs in a fork of this process (which imports once); then
one line of JSON says {"fail_at", "code", "stderr"}, and the test answers with a line on stdin once it has looked.
CHARLM_DISK = {"folder": ..., "counter": ..., "fail_at": n, "errno": ...}: operations on files below `folder` are
counted in the file `counter`, one byte each, by charlm and its workers together (a spawned worker imports the main
module again, and so is patched too). What fails: making, opening, reading, writing, syncing, renaming, removing.
"""

import builtins
import fcntl
import gc
import importlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from charlm.cli import main
from charlm.text.dump import plan

_DISK = json.loads(os.environ.get("CHARLM_DISK", '{"folder": "/nowhere"}'))
_FOLDER = os.path.realpath(_DISK["folder"])
_open, _os_open, _os_write, _os_close = builtins.open, os.open, os.write, os.close


def _tick() -> None:
    counter = _os_open(_DISK["counter"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        fcntl.flock(counter, fcntl.LOCK_EX)
        _os_write(counter, b".")
        if os.fstat(counter).st_size == _DISK["fail_at"]:
            raise OSError(_DISK["errno"], os.strerror(_DISK["errno"]))
    finally:
        _os_close(counter)


def _below(path: Any) -> bool:
    if isinstance(path, int):
        path = f"/proc/self/fd/{path}"
    return os.path.realpath(os.fspath(path)).startswith(_FOLDER)


def _failing(function: Callable[..., Any]) -> Callable[..., Any]:
    def operation(path: Any, *arguments: Any, **keywords: Any) -> Any:
        if _below(path):
            _tick()
        return function(path, *arguments, **keywords)

    return operation


class _File(io.FileIO):
    def write(self, content: Any, /) -> int:
        _tick()
        return super().write(content)

    def readinto(self, buffer: Any, /) -> int | None:
        _tick()
        return super().readinto(buffer)

    def readall(self) -> bytes:
        _tick()
        return super().readall()


def _opened(path: Any, mode: str = "r", *arguments: Any, **keywords: Any) -> Any:
    if isinstance(path, int) or not _below(path):
        return _open(path, mode, *arguments, **keywords)
    _tick()
    raw = _File(path, mode.replace("b", "").replace("t", ""))
    if "+" in mode:
        file: Any = io.BufferedRandom(raw)
    else:
        file = io.BufferedReader(raw) if mode.startswith("r") else io.BufferedWriter(raw)
    if "b" in mode:
        return file
    return io.TextIOWrapper(file, encoding=keywords.get("encoding"), write_through=True)


def _patch() -> None:
    builtins.open = io.open = _opened  # type: ignore[assignment]
    for name in ("fsync", "replace", "open", "mkdir", "unlink", "rmdir", "remove"):
        setattr(os, name, _failing(getattr(os, name)))


def _attempt(fail_at: int, arguments: list[str]) -> tuple[int, str]:
    """Exit code and stderr of charlm whose n-th operation fails."""
    _DISK["fail_at"] = fail_at
    os.environ["CHARLM_DISK"] = json.dumps(_DISK)
    with tempfile.TemporaryFile() as stderr:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            os.dup2(stderr.fileno(), 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            _patch()
            sys.argv = ["charlm", *arguments]
            main()
            sys.exit()  # it returns where nothing failed
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        stderr.seek(0)
        return code, stderr.read().decode()


def _attempts() -> None:
    for module in ("charlm.workflows.prepare", "charlm.text.sources.wikipedia", "charlm.vocab.char", "pandas"):
        importlib.import_module(module)  # once, not in every fork
    gc.collect()
    gc.freeze()
    plan._MIN_TASK_BYTES = 5_000  # pyright: ignore[reportPrivateUsage] - several tasks in a small dump
    _DISK["errno"], step = int(sys.argv[1]), int(sys.argv[2])
    counter = Path(_DISK["counter"])
    for fail_at in range(1, 100_000, step):
        counter.unlink(missing_ok=True)
        code, stderr = _attempt(fail_at, sys.argv[3:])
        print(json.dumps({"fail_at": fail_at, "code": code, "stderr": stderr}), flush=True)  # noqa: T201
        sys.stdin.readline()
        if counter.stat().st_size < fail_at:
            return


if __name__ == "__main__":
    _attempts()
elif __name__ == "__mp_main__":  # a worker of it
    _patch()
