"""Examples of a source -> rows on disk, the split of each, and which are repeats.

source ── drop empty, too short ──> staged.parquet, and 17 bytes of memory for each example:
          a hash of the text, a hash of text and target, the given split
       ── drop repeats ── split: as given, or by the hash of the text ──> SelectedExample, in order
"""

import hashlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from charlm.data.documents import EXAMPLE_COST, RowWriter, read_rows
from charlm.data.source_texts import normalize_source
from charlm.errors import DataError
from charlm.text.document import Document
from charlm.text.examples.example import Example, ExampleCounts, ExampleSource
from charlm.text.split import SPLITS, Part, split_by_hash
from charlm.vocab.base import code_points

_SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "title": pa.string(),
        "text": pa.large_string(),
        "label": pa.string(),
        "tags": pa.list_(pa.string()),
        "labels": pa.list_(pa.string()),
        "target": pa.large_string(),
        "weight": pa.float64(),
    }
)
_NO_SPLIT = -1

Hashes = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ExampleOptions:
    """How examples are changed and filtered before they are stored."""

    normalize: Literal["none", "nfc", "nfd"]
    """Of texts."""
    min_characters: int
    normalize_target: Literal["none", "nfc"] = "none"
    """Of the texts that are asked for."""


@dataclass(frozen=True, slots=True)
class SelectedExample:
    """An example that is kept."""

    split: str
    part: Part
    text_digest: int
    is_repeated: bool
    """Whether another kept example of its split has the same text."""


@dataclass(frozen=True)
class StagedExamples:
    """All examples of a source, on disk."""

    path: Path
    counts: ExampleCounts
    text_digests: Hashes
    digests: Hashes
    """Of texts with their labels, tags or targets."""
    given: npt.NDArray[np.int8]
    """The index of the given split in SPLITS; -1: the text decides."""

    @property
    def gives_splits(self) -> bool:
        return bool((self.given != _NO_SPLIT).any())

    def find_repeats(self) -> Mask:
        """Return whether each example repeats the text and the target of an earlier one of its split."""
        is_repeat = np.ones(len(self.digests), dtype=np.bool_)
        for split in np.unique(self.given):
            places = np.flatnonzero(self.given == split)
            is_repeat[places[np.unique(self.digests[places], return_index=True)[1]]] = False
        return is_repeat

    def count_texts_in_train(self, kept: Mask) -> dict[str, int]:
        """Return for each given held-out split how many of its kept examples have a text of the training split."""
        in_train = kept & (self.given == 0)
        return {
            name: int(np.isin(self.text_digests[kept & (self.given == index)], self.text_digests[in_train]).sum())
            for index, name in enumerate(SPLITS)
            if index and (self.given == index).any()
        }

    def select(self, kept: Mask, percentages: dict[str, int]) -> Iterator[SelectedExample]:
        """Yield the examples that are kept, in the order of the source.

        Args:
            percentages: of the splits; where splits are given they do not matter.
        """
        repeated = self._find_repeated_texts(kept)
        for row, keep, digest, given, is_repeated in zip(
            read_rows(self.path), kept, self.text_digests, self.given, repeated, strict=True
        ):
            if keep:
                split = split_by_hash(row["text"], percentages) if given == _NO_SPLIT else SPLITS[given]
                tags: list[str | None] | None = row["tags"]
                labels: list[str] | None = row["labels"]
                document = Document(row["id"], row["title"], row["text"])
                part = Part(
                    document,
                    label=row["label"],
                    tags=None if tags is None else tuple(tags),
                    labels=None if labels is None else tuple(labels),
                    target=row["target"],
                    weight=row["weight"],
                )
                yield SelectedExample(split, part, int(digest), bool(is_repeated))

    def _find_repeated_texts(self, kept: Mask) -> Mask:
        repeated = np.zeros(len(kept), dtype=np.bool_)
        for split in np.unique(self.given):
            places = np.flatnonzero(kept & (self.given == split))
            _, inverse, counts = np.unique(self.text_digests[places], return_inverse=True, return_counts=True)
            repeated[places] = counts[inverse] > 1
        return repeated


def stage_examples(
    source: ExampleSource, path: Path, options: ExampleOptions, on_progress: Callable[[int], None]
) -> StagedExamples:
    """Write all examples to a file.

    Args:
        on_progress: called with the number of characters read so far.

    Raises:
        DataError: the source is damaged.
        StorageError: the disk is full or cannot be written.
    """
    counts = ExampleCounts()
    text_digests, digests, given = array("q"), array("q"), array("b")
    characters = 0
    with RowWriter(path, _SCHEMA, EXAMPLE_COST) as writer:
        for example in source.read(counts):
            checked = _check(example, options)
            if len(checked.text) < options.min_characters:
                counts.dropped["short"] += 1
                continue
            writer.add(_to_row(checked))
            text_digests.append(_hash(checked.text))
            digests.append(_hash_target(checked))
            given.append(_NO_SPLIT if checked.split is None else SPLITS.index(checked.split))
            characters += len(checked.text)
            on_progress(characters)
    return StagedExamples(
        path,
        counts,
        np.array(text_digests, dtype=np.int64),
        np.array(digests, dtype=np.int64),
        np.array(given, dtype=np.int8),
    )


def _check(example: Example, options: ExampleOptions) -> Example:
    try:
        code_points(example.text)
        code_points(example.target or "")
    except DataError as error:
        raise DataError(f"{example.id}: {error.what}", error.cure) from error
    if options.normalize != "none":
        example = replace(example, text=normalize_source(example.text, options.normalize))
    if example.target is not None:
        return replace(example, target=normalize_source(example.target, options.normalize_target))
    assert example.tags is None or len(example.tags) == len(example.text), "a source gives a tag for each character"
    return example


def _to_row(example: Example) -> dict[str, Any]:
    return {
        "id": example.id,
        "title": example.title,
        "text": example.text,
        "label": example.label,
        "tags": example.tags,
        "labels": example.labels,
        "target": example.target,
        "weight": example.weight,
    }


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "big", signed=True)


def _hash_target(example: Example) -> int:
    """Return a hash of the text and its target; the bytes 0xFE and 0xFF are in no UTF-8 text."""
    one = example.label if example.target is None else example.target
    names: Sequence[str | None] = example.tags or example.labels or [one]
    target = b"\xff".join(b"\xfe" if name is None else name.encode("utf-8") for name in names)
    content = example.text.encode("utf-8") + b"\xff" + target
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big", signed=True)
