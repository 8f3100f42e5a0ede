"""The names that a model of labels or tags predicts, by their ids, in labels.json.

training examples ──count──> Labels ──save──> labels.json ──load──> Labels
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from charlm import formats, storage
from charlm.errors import DataError

LABELS_FILE = "labels.json"

UNKNOWN_LABEL = -1
"""The target of a label that no training example has. It counts as wrong, and has no finite likelihood."""


@dataclass(frozen=True)
class Labels:
    """Labels or tags of the training examples, sorted; the id of a name is its index."""

    names: tuple[str, ...]

    @classmethod
    def from_names(cls, names: Iterable[str]) -> "Labels":
        return cls(tuple(sorted(set(names))))

    @property
    def size(self) -> int:
        return len(self.names)

    def get_id(self, name: str) -> int:
        """Return the id of a name, or UNKNOWN_LABEL."""
        return self._ids.get(name, UNKNOWN_LABEL)

    def save(self, directory: Path) -> None:
        storage.write_json(directory / LABELS_FILE, {"format": formats.LABELS, "labels": list(self.names)})

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.names)}


def load_labels(directory: Path) -> Labels:
    """Read labels.json.

    Raises:
        DataError: it is missing, damaged, or written by a newer charlm.
    """
    return read_labels_file(directory / LABELS_FILE, formats.LABELS)[0]


def read_labels_file(path: Path, newest: int) -> tuple[Labels, dict[str, Any]]:
    """Read the labels of a JSON file, and return all its content beside them.

    Args:
        newest: the newest format that this charlm reads.

    Raises:
        DataError: the file is missing, damaged, or written by a newer charlm.
    """
    try:
        content = storage.read_json(path)
        version, names = content["format"], content["labels"]
        if isinstance(version, int) and version > newest:
            raise DataError(f"{path} has format {version}; this charlm reads up to {newest}", "upgrade charlm")
        if not all(isinstance(name, str) for name in names) or list(names) != sorted(set(names)):
            raise ValueError("the labels are not sorted strings")
        return Labels(tuple(names)), content
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise labels_damage(path, error) from error


def labels_damage(path: Path, reason: object) -> DataError:
    return DataError(f"{path} is damaged: {reason}", "prepare the corpus again, or copy the run again")
