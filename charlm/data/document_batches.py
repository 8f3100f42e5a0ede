"""Examples -> batches of whole documents. A document is a row and part of one update.

    documents   longer than max_document_tokens: cut into pieces, see `document_pieces`
    sources     longer than max_document_tokens: only their beginning is read
    epoch       a permutation of the pieces that depends on (seed, epoch)
    windows     each WINDOW consecutive pieces of the permutation, whatever the size of batches and the number of ranks
    batches     of a window: sorted by length, so that there is little padding; at most `batch_size` rows and, with
                padding, `max_tokens` tokens, but at least one row; then shuffled

Every piece is in exactly one batch of an epoch. If the number of rows changes in the middle of a window, the unread
pieces of this window are distributed over new batches. The order is a function of seed and cursor only.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from charlm.data.batches import Batch
from charlm.data.conditions import DocumentConditions
from charlm.data.document_cursor import DocumentCursor
from charlm.data.document_pieces import DocumentPieces, Indices
from charlm.data.examples import Examples
from charlm.errors import DataError
from charlm.vocab.base import IGNORE_INDEX

WINDOW = 4096


@dataclass(frozen=True)
class DocumentBatches:
    """The batches of a split of examples."""

    examples: Examples
    batch_size: int
    """The largest number of rows of all ranks together."""
    max_tokens: int
    """The largest number of tokens of a batch, padding included, over all ranks; a longer piece is a batch alone."""
    max_document_tokens: int
    seed: int
    conditions: DocumentConditions | None = None
    """Of the documents, if the model is a conditional one."""
    _cache: dict[DocumentCursor, list[Indices]] = field(
        default_factory=dict[DocumentCursor, list[Indices]], init=False, repr=False, compare=False
    )

    @property
    def start(self) -> DocumentCursor:
        return DocumentCursor()

    @property
    def seq_len(self) -> int:
        """The length of the longest row in tokens."""
        return int(self._pieces.lengths.max())

    @property
    def num_pieces(self) -> int:
        """The number of rows of an epoch."""
        return len(self._pieces)

    @property
    def num_cut(self) -> int:
        """The number of documents that are longer than max_document_tokens."""
        return int((self.examples.ends - self.examples.starts > self.max_document_tokens).sum())

    @property
    def num_cut_sources(self) -> int:
        """The number of sources that are longer than max_document_tokens."""
        lengths_D = self.conditions.lengths_D if self.conditions is not None else None
        return 0 if lengths_D is None else int((lengths_D > self.max_document_tokens).sum())

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches of the first epoch; later ones may differ a little."""
        return self._steps_per_epoch

    @property
    def notes(self) -> list[str]:
        """What a new run says about its batches: how many documents and sources are cut."""
        are_longer = f"are longer than {self.max_document_tokens:,} tokens (training.max_document_tokens)"
        num_documents = self.examples.num_documents
        found: list[str] = []
        if self.num_cut:
            rest = (
                "and those without a label are left out" if self.conditions is None else "each of which begins afresh"
            )
            found.append(f"{self.num_cut:,} of {num_documents:,} documents {are_longer}: cut into pieces, {rest}")
        if self.num_cut_sources:
            what = f"{self.num_cut_sources:,} of {num_documents:,} sources"
            found.append(f"{what} {are_longer}: only their beginning is read in training")
        return found

    def batch(self, cursor: DocumentCursor, rows: range | None = None) -> Batch:
        """Return the batch at `cursor`.

        Args:
            rows: the rows of a rank, of the batch_size rows of all ranks. A batch may have fewer: then each rank gets
                every n-th document, of similar lengths, and the last ranks may get one less.
        """
        pieces = self._batches(cursor)[cursor.batch]
        if rows is not None:
            pieces = pieces[rows.start // len(rows) :: self.batch_size // len(rows)]
        lengths = self._pieces.lengths[pieces]
        shape = len(pieces), int(self._pieces.lengths[self._batches(cursor)[cursor.batch]].max())
        inputs = np.full(shape, self.examples.stream.tokens[0], dtype=np.int64)
        targets = np.full(shape, IGNORE_INDEX, dtype=np.int64)
        for index, piece in enumerate(pieces):
            start, end = self._pieces.bounds[piece]
            inputs[index, : end - start] = self.examples.stream.tokens[start:end]
            targets[index, : end - start] = self._pieces.known_targets[start:end]
        return Batch(
            torch.from_numpy(inputs),
            torch.from_numpy(targets),
            torch.ones(len(pieces), dtype=torch.bool),
            torch.from_numpy(lengths),
            self._condition(pieces),
        )

    def check(self, cursor: DocumentCursor) -> None:
        """Raise ValueError, IndexError or OverflowError if there is no batch at `cursor`."""
        self.batch(cursor, range(1))

    def _condition(self, pieces: Indices) -> tuple[Tensor, ...] | None:
        if self._read_conditions is None:
            return None
        return tuple(map(torch.from_numpy, self._read_conditions.select(self._pieces.documents[pieces])))

    def num_scored(self, cursor: DocumentCursor) -> int:
        """Return the number of labels, tags or tokens that the batch at `cursor` asks for, over all ranks."""
        return int(self._pieces.num_targets[self._batches(cursor)[cursor.batch]].sum())

    def relative_length(self, cursor: DocumentCursor) -> float:
        """Return 1: the learning rate does not depend on the length of documents."""
        del cursor
        return 1.0

    def next_cursor(self, cursor: DocumentCursor) -> DocumentCursor:
        """Return the cursor of the next batch."""
        if cursor.batch + 1 < len(self._batches(cursor)):
            return DocumentCursor(cursor.epoch, cursor.window, cursor.batch + 1, cursor.pieces)
        if cursor.window + 1 < self._num_windows:
            return DocumentCursor(cursor.epoch, cursor.window + 1)
        return DocumentCursor(cursor.epoch + 1)

    def epochs_read(self, cursor: DocumentCursor) -> float:
        """Return the number of epochs read, including the fraction of the current one."""
        unread_here = sum(map(len, self._batches(cursor)[cursor.batch :]))
        unread_later = max(0, len(self._pieces) - (cursor.window + 1) * WINDOW)
        return cursor.epoch + 1 - (unread_here + unread_later) / len(self._pieces)

    def redistribute(self, cursor: DocumentCursor, previous: "DocumentBatches") -> DocumentCursor:
        """Return the cursor that continues `previous` at `cursor` with these batches."""
        unread = np.concatenate(previous._batches(cursor)[cursor.batch :])
        return DocumentCursor(cursor.epoch, cursor.window, 0, tuple(int(piece) for piece in unread))

    def with_batch_size(self, batch_size: int) -> "DocumentBatches":
        """Return the batches that another number of rows had; the largest number of tokens changes in proportion."""
        max_tokens = self.max_tokens // self.batch_size * batch_size
        return replace(self, batch_size=batch_size, max_tokens=max_tokens)

    @cached_property
    def _steps_per_epoch(self) -> int:
        return sum(len(self._pack(DocumentCursor(0, window))) for window in range(self._num_windows))

    @cached_property
    def _read_conditions(self) -> DocumentConditions | None:
        """The conditions, with the beginnings of long sources."""
        return None if self.conditions is None else self.conditions.cut(self.max_document_tokens)

    @cached_property
    def _pieces(self) -> DocumentPieces:
        return DocumentPieces(self.examples, self.max_document_tokens)

    @property
    def _num_windows(self) -> int:
        return -(-len(self._pieces) // WINDOW)

    def _batches(self, cursor: DocumentCursor) -> list[Indices]:
        """Return the pieces of each batch of the cursor's window."""
        key = DocumentCursor(cursor.epoch, cursor.window, 0, cursor.pieces)
        if key not in self._cache:
            self._cache.clear()  # only the current window is needed again
            self._cache[key] = self._pack(key)
        return self._cache[key]

    def _pack(self, window: DocumentCursor) -> list[Indices]:
        if window.pieces is None:
            order = _rng(self.seed, window.epoch).permutation(len(self._pieces))
            pieces = order[window.window * WINDOW : (window.window + 1) * WINDOW]
        else:
            pieces = np.array(window.pieces, dtype=np.int64)
        pieces = pieces[np.argsort(self._pieces.lengths[pieces], kind="stable")]
        batches = np.split(pieces, _boundaries(self._pieces.lengths[pieces].tolist(), self.batch_size, self.max_tokens))
        shuffled = _rng(self.seed, window.epoch, window.window).permutation(len(batches))
        return [batches[index] for index in shuffled]


def _boundaries(rising_lengths: Sequence[int], batch_size: int, max_tokens: int) -> list[int]:
    """Return where new batches begin."""
    boundaries: list[int] = []
    start = 0
    for index, length in enumerate(rising_lengths):
        rows = index - start + 1
        if index > start and (rows > batch_size or rows * length > max_tokens):
            boundaries.append(index)
            start = index
    return boundaries


def _rng(*key: int) -> np.random.Generator:
    digest = hashlib.sha256(f"documents {' '.join(map(str, key))}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def make_document_batches(
    examples: Examples,
    batch_size: int,
    seq_len: int,
    max_document_tokens: int,
    seed: int,
    *,
    num_ranks: int = 1,
    conditions: DocumentConditions | None = None,
) -> DocumentBatches:
    """Return the batches of a split.

    Args:
        batch_size: the largest number of rows of each rank.
        seq_len: batch_size * seq_len is the largest number of tokens of each rank's rows.
        conditions: of the documents, if the model is a conditional one.

    Raises:
        DataError: nothing is asked for.
    """
    batches = DocumentBatches(
        examples, batch_size * num_ranks, batch_size * seq_len * num_ranks, max_document_tokens, seed, conditions
    )
    if not batches.num_pieces:
        raise DataError("no training example has a label or tag", "prepare a corpus of labelled examples")
    return batches
