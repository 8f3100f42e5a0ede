"""charlm on a disk whose n-th operation fails, in whatever process it is: python failing_disk.py ARGUMENTS.

CHARLM_DISK = {"folder": ..., "counter": ..., "fail_at": n, "errno": ...}: operations on files below `folder` are
counted in the file `counter`, one byte each, by this process and its workers together (a spawned worker imports the
main module again, and so is patched too). What fails: making, opening, reading, writing, syncing, renaming, removing.
"""

import builtins
import fcntl
import io
import json
import os
import sys
from collections.abc import Callable
from typing import Any

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


if "CHARLM_DISK" in os.environ:  # not when a test imports this file for its name
    builtins.open = io.open = _opened  # type: ignore[assignment]
    for name in ("fsync", "replace", "open", "mkdir", "unlink", "rmdir", "remove"):
        setattr(os, name, _failing(getattr(os, name)))

if __name__ == "__main__":
    from charlm.cli import main

    sys.argv = ["charlm", *sys.argv[1:]]
    main()
