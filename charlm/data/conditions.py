"""The conditions of documents: a label or a text each, which a conditional language model is given.

training examples ──count──> LabelConditions ──save──> conditions.json, in the corpus and in checkpoints
documents of a split ──> SPLIT.conditions.npy: the id of the label of each document, -1 for one that training never had

Documents may have several labels, one of each of K columns: `language=Russian`, `gender=f`.

`source_texts.py` has the other kind of condition, a text.

D documents, K columns of labels.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import numpy as np
import numpy.typing as npt

from charlm import formats, storage
from charlm.data.array_files import ArrayWriter, open_memmap
from charlm.data.labels import UNKNOWN_LABEL, Labels, labels_damage, read_labels_file
from charlm.data.store import EncodedParts, encode_parts, write_stream
from charlm.errors import DataError, UsageError
from charlm.suggestions.words import suggest
from charlm.text.split import Part
from charlm.vocab.base import Vocab

CONDITIONS_FILE = "conditions.json"
CONDITION_DTYPE = np.dtype("<i4")

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelConditions:
    """The labels that a model can be given, and how many training documents have each."""

    labels: Labels
    counts: tuple[int, ...]
    columns: tuple[str, ...] = ()
    """The columns, if a document has a label of each of several; their names begin the labels."""

    @property
    def size(self) -> int:
        return self.labels.size

    def find_id(self, name: str) -> int:
        """Return the id of a label.

        Raises:
            UsageError: training has never seen it; the error names the nearest one.
        """
        found = self.labels.get_id(name)
        if found == UNKNOWN_LABEL:
            raise UsageError(f"there is no label {name!r}", suggest(name, self.labels.names, "the labels are"))
        return found

    def find_ids(self, names: Sequence[str]) -> list[int]:
        """Return the ids of the labels of a text: one, or one of each column.

        Raises:
            UsageError: training has never seen a label, a column has none, or it has several.
        """
        ids = [self.find_id(name) for name in names]
        if not self.columns:
            if len(names) != 1:
                raise UsageError(f"{len(names)} labels are given, and a text has one", "give one label")
            return ids
        by_column = {column: [i for i in ids if self._column_of(i) == column] for column in self.columns}
        for column, found in by_column.items():
            if len(found) != 1:
                example = next(name for i, name in enumerate(self.labels.names) if self._column_of(i) == column)
                how_many = f"{len(found)} are" if found else "none is"
                raise UsageError(
                    f"a text has one label of {column}, and {how_many} given", f"give one, such as {example}"
                )
        return [found[0] for found in by_column.values()]

    def ids_by_column(self) -> list[list[int]]:
        """Return the ids of the labels of each column; without columns, those of all labels as one."""
        ids = range(self.size)
        if not self.columns:
            return [list(ids)]
        return [[label for label in ids if self._column_of(label) == column] for column in self.columns]

    def most_frequent(self) -> list[int]:
        """Return the ids of the most frequent label, or of the most frequent one of each column."""
        order = sorted(range(self.size), key=lambda label: -self.counts[label])
        if not self.columns:
            return order[:1]
        return [next(label for label in order if self._column_of(label) == column) for column in self.columns]

    def _column_of(self, label: int) -> str:
        """Return the longest column whose name begins a label."""
        name = self.labels.names[label]
        return max((column for column in self.columns if name.startswith(f"{column}=")), key=len, default="")

    def ids_of(self, names: Sequence[str]) -> list[int]:
        """Return the ids of the labels of a document, one of each column; UNKNOWN_LABEL for one that it does not have,
        or that training has never seen."""
        known = [self.labels.get_id(name) for name in names]
        if not self.columns:
            return known
        by_column = {self._column_of(label): label for label in known if label != UNKNOWN_LABEL}
        return [by_column.get(column, UNKNOWN_LABEL) for column in self.columns]

    def save(self, directory: Path) -> None:
        content = {"format": formats.CONDITIONS, "labels": list(self.labels.names), "counts": list(self.counts)}
        if self.columns:
            content["columns"] = list(self.columns)
        storage.write_json(directory / CONDITIONS_FILE, content)

    @classmethod
    def from_counts(cls, counts: Mapping[str, int], columns: tuple[str, ...] = ()) -> "LabelConditions":
        names = tuple(sorted(counts))
        return cls(Labels(names), tuple(counts[name] for name in names), columns)


def load_conditions(directory: Path) -> LabelConditions:
    """Read conditions.json.

    Raises:
        DataError: it is missing, damaged, or written by a newer charlm.
    """
    path = directory / CONDITIONS_FILE
    labels, content = read_labels_file(path, formats.CONDITIONS)
    counts = content.get("counts")
    if not isinstance(counts, list) or len(counts) != labels.size:
        raise labels_damage(path, "the counts do not fit the labels")
    if not all(type(count) is int and count > 0 for count in cast("list[object]", counts)):
        raise labels_damage(path, "a count is not a whole number from 1 up")
    columns = content.get("columns", [])
    if not isinstance(columns, list) or not all(isinstance(each, str) for each in cast("list[object]", columns)):
        raise labels_damage(path, "the columns are not texts")
    return LabelConditions(labels, tuple(cast("list[int]", counts)), tuple(cast("list[str]", columns)))


class DocumentConditions(ABC):
    """The conditions of the documents of a split."""

    @abstractmethod
    def select(self, documents: Ids) -> tuple[Ids, ...]:
        """Return the conditions of some documents, as arrays with a row for each."""

    @property
    def lengths_D(self) -> Ids | None:
        """(D,): the number of tokens that are read before each document; None if there are none."""
        return None

    def cut(self, max_tokens: int) -> "DocumentConditions":
        """Return the conditions with at most so many tokens that are read before each document: the first ones."""
        del max_tokens
        return self

    @abstractmethod
    def take(self, documents: Ids) -> "DocumentConditions":
        """Return the conditions of some documents."""

    @abstractmethod
    def in_direction(self, direction: Literal["forward", "backward"]) -> "DocumentConditions":
        """Return the conditions in the order of `TokenStream.in_direction`."""


@dataclass(frozen=True)
class DocumentLabels(DocumentConditions):
    """The ids of the labels of the documents of a split."""

    labels_D: Ids
    """(D,), or (D, K) if documents have a label of each of K columns."""

    def select(self, documents: Ids) -> tuple[Ids, ...]:
        return (self.labels_D[documents].astype(np.int64),)

    def take(self, documents: Ids) -> "DocumentLabels":
        return DocumentLabels(self.labels_D[documents])

    def in_direction(self, direction: Literal["forward", "backward"]) -> "DocumentLabels":
        return DocumentLabels(self.labels_D[::-1]) if direction == "backward" else self


def encode_conditions(parts: Iterable[Part], vocab: Vocab, conditions: LabelConditions) -> EncodedParts:
    """Encode texts and the ids of their labels."""
    documents = list(parts)
    labels = [conditions.ids_of((part.label or "",) if part.labels is None else part.labels) for part in documents]
    return replace(encode_parts(documents, vocab), conditions=np.array(labels, dtype=CONDITION_DTYPE).reshape(-1))


def write_conditioned(directory: Path, split: str, blocks: Iterable[EncodedParts], vocab: Vocab) -> dict[str, int]:
    """Write the arrays of a split of labelled texts, block by block.

    Returns:
        The number of characters, words and bytes of its texts.
    """
    with ArrayWriter(directory / f"{split}.conditions.npy", CONDITION_DTYPE) as writer:

        def with_conditions_written() -> Iterator[EncodedParts]:
            for block in blocks:
                assert block.conditions is not None, "encode_conditions has made them"
                writer.append(block.conditions)
                yield block

        return write_stream(directory, split, with_conditions_written(), vocab)


def read_document_labels(
    directory: Path, split: str, num_documents: int, conditions: LabelConditions
) -> DocumentLabels:
    """Open the labels that the documents of a split belong to.

    Raises:
        DataError: the array is missing, truncated or invalid.
    """
    labels_D = open_memmap(directory / f"{split}.conditions.npy")
    num_columns = len(conditions.columns) or 1
    if (
        labels_D.dtype != CONDITION_DTYPE
        or labels_D.shape != (num_documents * num_columns,)
        or not ((labels_D >= UNKNOWN_LABEL) & (labels_D < conditions.size)).all()
    ):
        raise DataError(
            f"the conditions of {directory / split} do not match its documents and labels", "prepare the corpus again"
        )
    found = np.asarray(labels_D, dtype=np.int64)
    return DocumentLabels(found.reshape(num_documents, num_columns) if conditions.columns else found)
