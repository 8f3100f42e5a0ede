"""Text files or folders of a class each -> examples.

names/Russian.txt      label Russian (the file), a document a line
reviews/good/1.txt     label good (the folder), a document a file
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Any, Literal

from charlm.errors import SettingsError
from charlm.text.document import PageCounts
from charlm.text.examples.example import Example, ExampleCounts, ExampleSource
from charlm.text.examples.example_files import ExampleFile, describe_files, list_example_files
from charlm.text.examples.settings import ClassesSettings
from charlm.text.reading.documents import DocumentUnit, read_documents
from charlm.text.reading.inputs import strip_compression_suffix

_LabelPlace = Literal["file", "folder"]


class ClassesSource(ExampleSource):
    """The documents of all files, in order, each with the label of its file."""

    def __init__(self, settings: ClassesSettings) -> None:
        """
        Raises:
            SettingsError: some files are in folders and some are not; or as `list_example_files`.
            UsageError, DataError: as `list_example_files`.
        """
        self._settings = settings
        self._files = list_example_files(settings, settings.type)
        self._label: _LabelPlace = _label_place(settings, self._files)
        by_label: DocumentUnit = "line" if self._label == "file" else "file"
        self._unit: DocumentUnit = by_label if settings.documents == "auto" else settings.documents

    def local_files(self) -> list[dict[str, Any]]:
        return [file.entry() for file in self._files]

    def origin(self) -> dict[str, Any]:
        how = {"label": self._label, "documents": self._unit}
        return {"source": "classes", **how, **describe_files(self.local_files())}

    def read(self, counts: ExampleCounts) -> Iterator[Example]:
        """
        Raises:
            DataError: a file is not in the encoding, is not text, or changed after it was hashed.
            StorageError: a file cannot be read.
        """
        for file in self._files:
            label = _label_of(file, self._label)
            page_counts = PageCounts()
            texts = file.texts(self._settings.encoding, self._settings.errors, counts)
            pieces = read_documents(file.name, label, texts, self._unit, page_counts)
            for identifier, group in groupby(pieces, lambda piece: piece.id):
                yield Example(identifier, "".join(piece.text for piece in group), label, split=file.split)
            counts.read += page_counts.pages
            counts.dropped.update(page_counts.dropped)


def _label_place(settings: ClassesSettings, files: list[ExampleFile]) -> _LabelPlace:
    if settings.label != "auto":
        outside = next((file for file in files if not file.relative.parts[:-1]), None)
        if settings.label == "folder" and outside is not None:
            raise SettingsError(
                f"{outside.path} is in no folder below its input, so it has no label",
                "give the folder that holds the folders of all classes, or set corpus.source.label=file",
            )
        return settings.label
    in_folders = [len(file.relative.parts) > 1 for file in files]
    if any(in_folders) and not all(in_folders):
        raise SettingsError(
            f"{files[in_folders.index(False)].path} is in no folder of a class, and other files are",
            "set corpus.source.label=file or corpus.source.label=folder",
        )
    return "folder" if all(in_folders) else "file"


def _label_of(file: ExampleFile, place: _LabelPlace) -> str:
    if place == "folder":
        return file.relative.parts[0]
    name = strip_compression_suffix(file.relative.name)
    return name.rpartition(".")[0] or name
