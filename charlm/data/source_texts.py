"""The texts that a transducer is given: a source for each target.

    documents/SPLIT-*.parquet: text (the source), target, weight
    sources ──vocabulary of their own──> source/vocab.json, source/SPLIT.npy, source/SPLIT.documents.npy
    targets ──────────────────────────> vocab.json, SPLIT.npy, SPLIT.documents.npy, as in a corpus of text
    weights ──────────────────────────> source/SPLIT.weights.npy

Checkpoints have source/vocab.json too. Sources are stored as a stream like that of the targets, document by document.

D documents, N of them, S tokens of the longest source of these.
"""

import unicodedata
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from charlm import storage
from charlm.data.array_files import ArrayWriter, open_memmap
from charlm.data.conditions import DocumentConditions, Ids
from charlm.data.store import EncodedParts, StreamWriter, TokenStream, encode_parts, read_stream
from charlm.data.task_settings import TransduceTaskSettings
from charlm.errors import DataError
from charlm.text.split import Part
from charlm.vocab.base import IntArray, Vocab
from charlm.vocab.build import load_vocab

SOURCE_FOLDER = "source"
WEIGHT_DTYPE = np.dtype("<f8")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SourceConditions:
    """The vocabulary of sources, and their Unicode normalisation."""

    vocab: Vocab
    normalize: Literal["none", "nfc", "nfd"]

    @property
    def size(self) -> int:
        """The number of ids of sources."""
        return self.vocab.size

    def encode(self, text: str) -> IntArray:
        """Return the ids of a source, normalised as the sources of the training text.

        Raises:
            DataError: the text has a lone surrogate, or a character that the vocabulary cannot spell.
        """
        return self.vocab.encode(normalize_source(text, self.normalize))

    def copy_ids(self, targets: Vocab) -> tuple[int, ...] | None:
        """Return for each id of sources the id of targets with the same text or byte, or -1; None if there is none.

        A symbol between blanks has two ids, which depend on its place, so it cannot be copied.
        """
        if targets.type == "symbols":
            return None
        target_ids = {targets.symbol(token): token for token in range(targets.size) if token != targets.eod_id}
        is_text = [token != self.vocab.eod_id for token in range(self.size)]
        found = tuple(
            target_ids.get(self.vocab.symbol(token), -1) if is_text[token] else -1 for token in range(self.size)
        )
        return found if any(token >= 0 for token in found) else None

    def save(self, directory: Path) -> None:
        storage.make_directory(directory / SOURCE_FOLDER)
        self.vocab.save(directory / SOURCE_FOLDER)


def load_source_conditions(directory: Path, task: TransduceTaskSettings) -> SourceConditions:
    """Read the vocabulary of sources.

    Raises:
        DataError: it is missing, damaged, or written by a newer charlm.
    """
    return SourceConditions(load_vocab(directory / SOURCE_FOLDER), task.source_normalize)


def normalize_source(text: str, form: Literal["none", "nfc", "nfd"]) -> str:
    """Return a text in a Unicode normalisation form."""
    match form:
        case "none":
            return text
        case "nfc":
            return unicodedata.normalize("NFC", text)
        case "nfd":
            return unicodedata.normalize("NFD", text)


@dataclass(frozen=True)
class DocumentSources(DocumentConditions):
    """The sources of the documents of a split."""

    stream: TokenStream
    order: Ids | None = None
    """The documents of the stream that these are; None: all in order."""
    max_tokens: int | None = None
    """A longer source ends after so many tokens; None: all are whole."""

    def select(self, documents: Ids) -> tuple[Ids, ...]:
        """Return source_NS, with padding on the right, and lengths_N."""
        chosen = self._order[documents]
        return pad_sources([self._ids(index) for index in chosen])

    def cut(self, max_tokens: int) -> "DocumentSources":
        return replace(self, max_tokens=max_tokens)

    def take(self, documents: Ids) -> "DocumentSources":
        return replace(self, order=self._order[documents])

    def in_direction(self, direction: Literal["forward", "backward"]) -> "DocumentSources":
        return replace(self, order=self._order[::-1]) if direction == "backward" else self

    @property
    def lengths_D(self) -> Ids:
        return (self._ends - self._starts)[self._order]

    def split_ids(self) -> list[IntArray]:
        """Return the ids of each source."""
        return [self._ids(index) for index in self._order]

    @cached_property
    def _starts(self) -> Ids:
        return self.stream.documents["start"].astype(np.int64)

    @cached_property
    def _ends(self) -> Ids:
        """The index after the last token of each source that is read; of a whole one that of its <eod>."""
        ends = self.stream.ends.astype(np.int64) - 1
        return ends if self.max_tokens is None else np.minimum(ends, self._starts + self.max_tokens)

    @property
    def _order(self) -> Ids:
        return np.arange(len(self._starts)) if self.order is None else self.order

    def _ids(self, index: int) -> IntArray:
        return self.stream.tokens[self._starts[index] : self._ends[index]]


def pad_sources(sources: Iterable[IntArray]) -> tuple[Ids, ...]:
    """Return source_NS, with padding on the right, and lengths_N, as a transducer is given them."""
    rows = list(sources)
    lengths_N = np.array([len(row) for row in rows], dtype=np.int64)
    source_NS = np.zeros((len(rows), int(lengths_N.max(initial=0))), dtype=np.int64)
    for row, ids in enumerate(rows):
        source_NS[row, : len(ids)] = ids
    return source_NS, lengths_N


def encode_pairs(parts: Iterable[Part], vocab: Vocab, conditions: SourceConditions) -> EncodedParts:
    """Encode targets, and their sources and weights beside them."""
    pairs = list(parts)
    targets = [replace(pair, document=replace(pair.document, text=pair.target or "")) for pair in pairs]
    return replace(
        encode_parts(targets, vocab),
        sources=encode_parts(pairs, conditions.vocab),
        weights=np.array([pair.weight for pair in pairs], dtype=WEIGHT_DTYPE),
    )


def write_pairs(
    directory: Path, split: str, blocks: Iterable[EncodedParts], vocab: Vocab, conditions: SourceConditions
) -> dict[str, int]:
    """Write the arrays of a split of pairs, block by block.

    Returns:
        The number of characters, words and bytes of its targets.
    """
    folder = directory / SOURCE_FOLDER
    with ExitStack() as stack:
        targets = stack.enter_context(StreamWriter(directory, split, vocab))
        sources = stack.enter_context(StreamWriter(folder, split, conditions.vocab))
        weights = stack.enter_context(ArrayWriter(folder / f"{split}.weights.npy", WEIGHT_DTYPE))
        for block in blocks:
            assert block.sources is not None, "encode_pairs has made them"
            assert block.weights is not None, "encode_pairs has made them"
            targets.append(block)
            sources.append(block.sources)
            weights.append(block.weights)
    return targets.counts


def read_document_sources(
    directory: Path, split: str, num_documents: int, conditions: SourceConditions
) -> DocumentSources:
    """Open the sources of a split.

    Raises:
        DataError: an array is missing, truncated or invalid.
    """
    stream = read_stream(directory / SOURCE_FOLDER, split, conditions.vocab)
    ends = stream.ends
    if len(ends) != num_documents or not (stream.tokens[ends - 1] == conditions.vocab.eod_id).all():
        raise DataError(f"the sources of {directory / split} do not match its documents", "prepare the corpus again")
    return DocumentSources(stream)


def read_weights(directory: Path, split: str, num_documents: int) -> Floats:
    """Open the weights of the pairs of a split, (D,).

    Raises:
        DataError: the array is missing, truncated or invalid.
    """
    weights_D = open_memmap(directory / SOURCE_FOLDER / f"{split}.weights.npy")
    if weights_D.dtype != WEIGHT_DTYPE or weights_D.shape != (num_documents,) or not (weights_D >= 0).all():
        raise DataError(f"the weights of {directory / split} do not match its documents", "prepare the corpus again")
    return np.asarray(weights_D, dtype=np.float64)
