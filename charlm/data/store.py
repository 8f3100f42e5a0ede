"""A split as one stream of token ids, memory-mapped: `<eod> doc1 <eod> doc2 ... <eod>`.

    SPLIT.npy             ids, in the smallest unsigned type that holds the vocabulary
    SPLIT.documents.npy   for each part of a document: start (index of its first id), characters, words, bytes

The first <eod> is only context; every later id is predicted exactly once. A part that is not the last of its document
(a text cut by a split, or longer than a million characters) has no <eod> after it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Self, cast

import numpy as np
import numpy.typing as npt

from charlm import storage
from charlm.data.array_files import ArrayWriter, open_memmap
from charlm.errors import DataError
from charlm.text.split import Part
from charlm.vocab.base import IntArray, Vocab, cast_ids, encode_utf8

DOCUMENT_DTYPE = np.dtype([("start", "<i8"), ("characters", "<i8"), ("words", "<i8"), ("bytes", "<i8")])
_UNITS = ("characters", "words", "bytes")
_BLOCK_TOKENS = 1 << 24


@dataclass(frozen=True)
class TokenStream:
    """A split that is open for reading. `tokens` is memory-mapped."""

    tokens: IntArray
    documents: npt.NDArray[np.void]

    @property
    def inputs(self) -> IntArray:
        """(num_predictions,): the ids that a model reads. After `inputs[: i + 1]` it predicts `targets[i]`."""
        return self.tokens[:-1]

    @property
    def targets(self) -> IntArray:
        """(num_predictions,): the ids to predict. Here, and only here, the task is defined: the next token."""
        return self.tokens[1:]

    @property
    def num_predictions(self) -> int:
        """The number of predicted ids: all but the first <eod>."""
        return max(0, len(self.tokens) - 1)

    @property
    def ends(self) -> npt.NDArray[np.int64]:
        """The index after the last id of each part of a document, including the <eod> after it."""
        return np.append(self.documents["start"], len(self.tokens))[1:]

    def head(self, max_tokens: int) -> "TokenStream":
        """Return the first documents with at most `max_tokens` ids together, but at least one document."""
        ends = self.ends
        num_kept = max(1, int(np.searchsorted(ends, max_tokens, side="right")))
        if num_kept >= len(ends):
            return self
        return TokenStream(self.tokens[: ends[num_kept - 1]], self.documents[:num_kept])

    def choose_documents(self, max_tokens: int) -> npt.NDArray[np.int64]:
        """Return the indices of documents from all over the split with at most `max_tokens` ids together.

        They are all documents if these have no more ids. Otherwise they are a random part, always the same, in the
        order of the split, and at least one. The first documents may have one label, where they are sorted by labels.
        """
        lengths = self.ends - self.documents["start"]
        if lengths.sum() < max_tokens:  # the first <eod> counts too
            return np.arange(len(lengths))
        shuffled = np.random.default_rng(0).permutation(len(lengths))
        num_chosen = max(1, int(np.searchsorted(1 + lengths[shuffled].cumsum(), max_tokens, side="right")))
        return np.sort(shuffled[:num_chosen])

    def take(self, documents: npt.NDArray[np.int64]) -> "TokenStream":
        """Return a stream of some whole documents, in memory unless they are all."""
        if len(documents) == len(self.documents):
            return self
        starts, ends = self.documents["start"], self.ends
        tokens = [self.tokens[:1], *(self.tokens[starts[index] : ends[index]] for index in documents)]
        table = self.documents[documents].copy()
        table["start"] = np.cumsum([len(each) for each in tokens[:-1]])
        return TokenStream(np.concatenate(tokens), table)

    def halves(self) -> tuple["TokenStream", "TokenStream"] | None:
        """Cut the stream after the document that ends nearest to its middle; None if none ends in its middle half."""
        ends = self.ends[:-1]
        ends = ends[self.tokens[ends - 1] == self.tokens[0]]  # by an <eod>
        num_tokens = len(self.tokens)
        ends = ends[(ends > max(1, num_tokens // 4)) & (ends < num_tokens - num_tokens // 4)]
        if len(ends) == 0:
            return None
        end = int(ends[np.argmin(abs(ends - num_tokens // 2))])
        index = int(np.searchsorted(self.documents["start"], end))
        second = self.documents[index:].copy()
        second["start"] -= end - 1
        return TokenStream(self.tokens[:end], self.documents[:index]), TokenStream(self.tokens[end - 1 :], second)

    def reversed(self) -> "TokenStream":
        """Return the text from its end to its beginning, as a view: `<eod> 2cod <eod> 1cod <eod>`.

        The documents are in reverse order too. Each starts at its last id, and the <eod> that preceded it follows it,
        so a reversed stream has the properties of a stream. The last <eod> is now the first and only context, and the
        first one is predicted. Take the `head` before reversing, so that models of both directions are scored on the
        same text. If that ends inside a document, its last id is the context (do not reverse such a stream twice).
        """
        starts, ends = self.documents["start"], self.ends
        ends_with_eod = (ends > starts) & (self.tokens[ends - 1] == self.tokens[:1])  # by an <eod>
        documents = self.documents[::-1].copy()
        documents["start"] = len(self.tokens) - (ends - ends_with_eod)[::-1]
        return TokenStream(self.tokens[::-1], documents)

    def in_direction(self, direction: Literal["forward", "backward"]) -> "TokenStream":
        """Return the stream in the order in which a model of this direction reads it."""
        return self.reversed() if direction == "backward" else self

    def count(self, unit: str) -> int:
        """Return the number of `characters`, `words` or `bytes` of the split's text."""
        return int(self.documents[unit].sum())

    @property
    def tokens_per_character(self) -> float:
        """Predictions per character of the text; predictions include the ends of documents."""
        return self.num_predictions / max(1, self.count("characters"))


@dataclass(frozen=True)
class EncodedParts:
    """Encoded parts of a split and their rows of SPLIT.documents.npy, with `start` relative to `ids`."""

    ids: IntArray
    documents: npt.NDArray[np.void]
    targets: IntArray | None = None
    """Of examples: what is asked for after each id, or -100."""
    conditions: IntArray | None = None
    """Of texts with a given label: its id, one for each part."""
    sources: "EncodedParts | None" = None
    """Of targets: the texts that they are made from, one for each part."""
    weights: npt.NDArray[np.float64] | None = None
    """Of targets: how much each counts."""

    @property
    def ends(self) -> npt.NDArray[np.int64]:
        """The index after the last id of each part, including the <eod> after it."""
        return np.append(self.documents["start"], len(self.ids))[1:]


def encode_parts(parts: Iterable[Part], vocab: Vocab) -> EncodedParts:
    """Encode parts, with an <eod> after each document, and count their characters, words and bytes.

    Raises:
        DataError: a text has a lone surrogate, or a character that the vocabulary cannot spell.
    """
    end_of_document = np.array([vocab.eod_id])
    pieces: list[IntArray] = [cast_ids(end_of_document[:0], vocab)]
    rows: list[tuple[int, int, int, int]] = []
    size = 0
    for part in parts:
        text = part.document.text
        num_words = len(text.split())  # words are maximal runs of non-whitespace
        rows.append((size, len(text), num_words, len(encode_utf8(text))))
        for ids in (vocab.encode(text), end_of_document[: int(part.is_last_part)]):
            pieces.append(cast_ids(ids, vocab))
            size += len(ids)
    return EncodedParts(np.concatenate(pieces), np.array(rows, dtype=DOCUMENT_DTYPE))


def stream_of(encoded: EncodedParts, vocab: Vocab) -> TokenStream:
    """Return encoded parts as a stream in memory, with the <eod> before them."""
    table = encoded.documents.copy()
    table["start"] += 1
    return TokenStream(np.concatenate([cast_ids(np.array([vocab.eod_id]), vocab), encoded.ids]), table)


class StreamWriter:
    """Writes the two arrays of a split, block by block; the files appear when they are complete."""

    def __init__(self, directory: Path, split: str, vocab: Vocab) -> None:
        self._documents_path = directory / f"{split}.documents.npy"
        self._writer = ArrayWriter(directory / f"{split}.npy", vocab.id_dtype)
        self._first = cast_ids(np.array([vocab.eod_id]), vocab)
        self._tables: list[npt.NDArray[np.void]] = [np.array([], dtype=DOCUMENT_DTYPE)]
        self.counts: dict[str, int] = {}
        """The number of characters, words and bytes, when all is written."""

    def __enter__(self) -> Self:
        self._writer.__enter__()
        self._writer.append(self._first)
        return self

    def append(self, block: EncodedParts) -> None:
        table = block.documents.copy()
        table["start"] += self._writer.size
        self._tables.append(table)
        self._writer.append(block.ids)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)
        documents = np.concatenate(self._tables)
        with storage.atomic_file(self._documents_path) as file:
            np.save(cast("BinaryIO", file), documents)
        self.counts = {unit: int(documents[unit].sum()) for unit in _UNITS}


def write_stream(directory: Path, split: str, blocks: Iterable[EncodedParts], vocab: Vocab) -> dict[str, int]:
    """Write the two arrays of a split, block by block; return its number of characters, words and bytes."""
    with StreamWriter(directory, split, vocab) as writer:
        for block in blocks:
            writer.append(block)
    return writer.counts


def count_ids(stream: TokenStream, vocab_size: int) -> npt.NDArray[np.int64]:
    """Return how often each id is a target, (vocab_size,), in bounded memory."""
    counts = np.zeros(vocab_size, dtype=np.int64)
    for start in range(0, stream.num_predictions, _BLOCK_TOKENS):
        counts += np.bincount(stream.targets[start : start + _BLOCK_TOKENS], minlength=vocab_size)
    return counts


def read_stream(directory: Path, split: str, vocab: Vocab) -> TokenStream:
    """Open a split.

    Raises:
        DataError: an array is missing, truncated (its memory map would crash the process), or invalid.
    """
    tokens = open_memmap(directory / f"{split}.npy")
    documents = open_memmap(directory / f"{split}.documents.npy")
    if tokens.dtype != vocab.id_dtype or tokens.ndim != 1 or documents.dtype != DOCUMENT_DTYPE or documents.ndim != 1:
        raise DataError(f"the arrays of {directory / split} do not match its vocabulary", "prepare the corpus again")
    table = np.array(documents)
    if not _is_valid_stream(tokens, table, vocab):
        raise DataError(f"the arrays of {directory / split} contain invalid ids or offsets", "prepare the corpus again")
    return TokenStream(tokens, table)


def _is_valid_stream(tokens: IntArray, table: npt.NDArray[np.void], vocab: Vocab) -> bool:
    """Return whether all ids are in the vocabulary, the first is <eod>, and the documents are in order."""
    if len(tokens) == 0 or tokens[0] != vocab.eod_id or any((table[unit] < 0).any() for unit in _UNITS):
        return False
    boundaries = np.concatenate([[1], table["start"], [len(tokens)]])
    if (np.diff(boundaries) < 0).any():
        return False
    is_full = vocab.size > np.iinfo(tokens.dtype).max  # then every value of the type is an id
    return is_full or all(
        int(tokens[start : start + _BLOCK_TOKENS].max()) < vocab.size for start in range(0, len(tokens), _BLOCK_TOKENS)
    )
