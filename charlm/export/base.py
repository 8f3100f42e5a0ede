"""The form of every export format. Importing a format imports no torch: its `write` does."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, ClassVar

from charlm import storage
from charlm.errors import UsageError

if TYPE_CHECKING:
    from charlm.export.exported_model import ExportedModel


class ExportFormat(ABC):
    """A form in which a model leaves charlm: a `FileFormat` or a `DirectoryFormat`."""

    name: ClassVar[str]
    description: ClassVar[str]
    """A noun phrase for the help of --format."""
    suffix: ClassVar[str]
    """The output is called after the run, with this suffix, if --out is left out."""
    packages: ClassVar[tuple[str, ...]] = ()
    """The packages that it needs and charlm does not, by the name that Python imports."""
    options: ClassVar[tuple[str, ...]] = ()
    """The fields of `ExportOptions` that it uses."""
    takes_any_task: ClassVar[bool] = False
    """Whether it takes every model, and not only language models that are given nothing but text."""

    @abstractmethod
    def check_output(self, out: Path, *, overwrite: bool) -> None:
        """Check, before the model is loaded, that `out` may be written.

        Raises:
            UsageError: there is an output already, and it must not be replaced.
        """

    @abstractmethod
    def export(self, model: "ExportedModel", out: Path) -> Sequence[str]:
        """Write the whole of `out` or nothing; return sentences about what was written.

        Raises:
            UsageError: the format cannot express this model.
        """


class FileFormat(ExportFormat):
    """A format of one file."""

    def check_output(self, out: Path, *, overwrite: bool) -> None:
        with storage.storage_errors(out, "read"):
            is_taken = out.exists() and not storage.is_special(out)
        if is_taken and not overwrite:
            raise UsageError(f"{out} exists", "choose another --out, or add --overwrite")

    def export(self, model: "ExportedModel", out: Path) -> Sequence[str]:
        with storage.atomic_file(out) as file:
            return self.write(model, file)

    @abstractmethod
    def write(self, model: "ExportedModel", file: IO[bytes]) -> Sequence[str]:
        """Write the content; return and raise what `export` does."""


class DirectoryFormat(ExportFormat):
    """A format of one directory, which `manifest.json` marks as written by charlm."""

    def check_output(self, out: Path, *, overwrite: bool) -> None:
        with storage.storage_errors(out, "read"):
            names = [path.name for path in out.iterdir()] if out.is_dir() else []
            if Path.cwd().is_relative_to(os.path.realpath(out)):
                raise UsageError(f"{out} holds the folder in which you work", "choose another --out")
        if out.exists() and not out.is_dir():
            raise UsageError(f"{out} is a file, and must be a folder", "choose another --out")
        if not names:
            return
        if not {*self.marks} <= {*names}:
            raise UsageError(f"{out} is not empty, and holds no earlier export", "choose another --out")
        if not overwrite:
            raise UsageError(f"{out} exists", "choose another --out, or add --overwrite")

    def export(self, model: "ExportedModel", out: Path) -> Sequence[str]:
        with storage.atomic_directory(out) as folder:
            return self.write(model, folder)

    marks: ClassVar[tuple[str, ...]]
    """Files that every directory of this format has, and no other directory of charlm."""

    @abstractmethod
    def write(self, model: "ExportedModel", folder: Path) -> Sequence[str]:
        """Fill an empty folder; return and raise what `export` does."""
