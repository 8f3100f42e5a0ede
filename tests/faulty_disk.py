"""A disk whose n-th operation fails: every write of charlm goes through `storage`, whose modules are patched here."""

import builtins
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from charlm import storage
from charlm.errors import StorageError

STORAGE_MODULES = [module for name, module in sys.modules.items() if name.startswith(f"{storage.__name__}.")]


class Faults:
    """Counts the file operations of `storage`, and makes the n-th one fail."""

    def __init__(self, fail_at: int | None, number: int) -> None:
        self.count = 0
        self._fail_at = fail_at
        self._number = number

    def tick(self) -> None:
        self.count += 1
        if self.count == self._fail_at:
            raise OSError(self._number, os.strerror(self._number))

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def failing(*arguments: Any, **keywords: Any) -> Any:
            self.tick()
            return function(*arguments, **keywords)

        return failing

    def open(self, path: Path, mode: str = "r", **keywords: Any) -> Any:
        self.tick()
        if mode != "w+b":
            return builtins.open(path, mode, **keywords)
        faults = self

        class File(io.FileIO):
            def write(self, content: Any, /) -> int:
                faults.tick()
                return super().write(content)

        return io.BufferedRandom(File(path, mode))

    def install(self, patch: pytest.MonkeyPatch) -> None:
        for module in STORAGE_MODULES:
            patch.setattr(module, "open", self.open, raising=False)
        for name in ("fsync", "replace", "open"):
            patch.setattr(os, name, self.wrap(getattr(os, name)))


def every_fault(number: int, attempt: Callable[[], object]) -> Iterator[StorageError | None]:
    """Run `attempt` with its first, second, ... operation failing, until it runs clean (None)."""
    for fail_at in range(1, 500):
        with pytest.MonkeyPatch.context() as patch:
            Faults(fail_at, number).install(patch)
            try:
                attempt()
            except StorageError as error:
                failed = error
            else:
                failed = None
        yield failed
        if failed is None:
            assert fail_at > 4, "open, write, fsync and replace were not all intercepted"
            return
    raise AssertionError("never ran clean")
