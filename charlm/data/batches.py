"""A token stream -> batches for truncated back-propagation through time, contiguous in every row.

    stream  <eod> a b c d e f g h i j k ...            num_predictions = P
    epoch   a rotation of the stream that depends on (seed, epoch), so that chunk boundaries differ between epochs
    rows    B lanes, each with ceil(U / B) of the U unread predictions; U = P at the beginning of an epoch
    next    row b of the next batch continues row b of this batch, so that state can be carried

Every prediction is in exactly one batch of an epoch; the ragged end is padded with targets that are not scored. If the
number of rows changes in the middle of an epoch, the unread parts of the old rows are concatenated and redistributed
over the new rows, so that no prediction is lost or repeated. The order is a function of seed and cursor only.
"""

import functools
import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charlm.data.spans import PositionMap, Spans, slice_spans, total_length
from charlm.data.store import TokenStream
from charlm.errors import DataError
from charlm.nn.ngrams.training_counts import EvidenceSpan, TrainingEvidence
from charlm.vocab.base import IGNORE_INDEX

_FULL_LENGTH_PROBABILITY = 0.95
_LENGTH_STD = 5.0
_MIN_LENGTH = 5
_DRAW_SIZE = 1024


class Batch(NamedTuple):
    """inputs_BT and targets_BT: int64, a target of -100 is not scored. reset_B: rows that begin with initial state.

    lengths_B: the number of tokens of each row, if the rows are whole documents with padding after them; None if they
    continue the rows of the batch before. condition: the tensors that a conditional model is given, with a row for
    each row; None for other models. evidence_BTE: what n-grams say of each target; None for models without them.
    """

    inputs_BT: Tensor
    targets_BT: Tensor
    reset_B: Tensor
    lengths_B: Tensor | None = None
    condition: tuple[Tensor, ...] | None = None
    evidence_BTE: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of a run in its data: batch number `chunk` of those that `spans` of `epoch` are cut into.

    `spans` is None if that is the whole epoch.
    """

    epoch: int = 0
    chunk: int = 0
    spans: Spans | None = None

    def to_json(self) -> dict[str, Any]:
        spans = None if self.spans is None else [list(span) for span in self.spans]
        return {"epoch": self.epoch, "chunk": self.chunk, "spans": spans}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Cursor":
        """Invert `to_json`; raise KeyError, TypeError or ValueError for invalid content."""
        spans = content["spans"]
        cursor = cls(
            int(content["epoch"]),
            int(content["chunk"]),
            None if spans is None else tuple((int(start), int(length)) for start, length in spans),
        )
        if min(cursor.epoch, cursor.chunk, *(number for span in cursor.spans or () for number in span)) < 0:
            raise ValueError("a cursor has a negative number")
        return cursor


@dataclass(frozen=True)
class Batches:
    """The batches of one split."""

    stream: TokenStream
    batch_size: int
    """Number of rows of all ranks together."""
    seq_len: int
    seed: int
    reset_tokens: int | None = None
    """Rows begin with initial state after this many tokens; None: only at the beginning of an epoch."""
    seq_len_varies: bool = False
    """Whether the lengths of chunks are random, as in AWD-LSTM (Merity et al., 2018, section 5)."""
    evidence: Callable[[], TrainingEvidence] | None = None
    """Returns what n-grams say of each prediction of the stream, which may count them; None for models without."""

    @property
    def start(self) -> Cursor:
        """The cursor of the first batch."""
        return Cursor()

    @property
    def steps_per_epoch(self) -> int:
        return self._num_chunks(Cursor())

    @property
    def notes(self) -> list[str]:
        """What a new run says about its batches: nothing."""
        return []

    def batch(self, cursor: Cursor, rows: range | None = None) -> Batch:
        """Return the batch at `cursor`, of all rows or of the given ones."""
        rows = range(self.batch_size) if rows is None else rows
        spans, row_length = self._spans(cursor), self._row_length(cursor)
        positions = PositionMap(spans, self._rotation(cursor.epoch), self.stream.num_predictions)
        start, end = self._chunk(cursor)
        inputs = np.empty((len(rows), end - start), dtype=np.int64)
        targets = np.full(inputs.shape, IGNORE_INDEX, dtype=np.int64)
        stream_inputs, stream_targets = self.stream.inputs, self.stream.targets
        target_spans: list[EvidenceSpan] = []
        for index, row in enumerate(rows):
            first = row * row_length + start
            scored = max(0, min(end, row_length, positions.total - row * row_length) - start)
            stream_start = positions.contiguous_start(first, end - start)
            if stream_start is not None:  # nearly always; indexing single positions is ten times slower
                inputs[index] = stream_inputs[stream_start : stream_start + end - start]
                targets[index, :scored] = stream_targets[stream_start : stream_start + scored]
                target_spans.append(EvidenceSpan(index, 0, stream_start, scored))
                continue
            indices = positions.to_indices(np.arange(first, first + end - start))
            # inputs after the end of the row are text too: batch normalisation averages over all inputs
            inputs[index] = stream_inputs[indices]
            targets[index, :scored] = stream_targets[indices[:scored]]
            target_spans.extend(_find_spans(index, indices[:scored]))
        reset_interval = max(1, self.reset_tokens // self.seq_len) if self.reset_tokens is not None else None
        is_reset = cursor.chunk == 0 if reset_interval is None else cursor.chunk % reset_interval == 0
        return Batch(
            torch.from_numpy(inputs),
            torch.from_numpy(targets),
            torch.full((len(rows),), is_reset),
            evidence_BTE=None if self.evidence is None else self.evidence().read(inputs.shape, target_spans),
        )

    def check(self, cursor: Cursor) -> None:
        """Raise ValueError, IndexError or OverflowError if there is no batch at `cursor`; this counts no n-grams."""
        replace(self, evidence=None).batch(cursor, range(1))

    def num_scored(self, cursor: Cursor) -> int:
        """Return the number of scored targets in the batch at `cursor`, over all rows."""
        return self._num_predictions_between(cursor, *self._chunk(cursor))

    def relative_length(self, cursor: Cursor) -> float:
        """Return the length of the chunk at `cursor` divided by seq_len."""
        start, end = self._chunk(cursor)
        return (end - start) / self.seq_len

    def next_cursor(self, cursor: Cursor) -> Cursor:
        """Return the cursor of the next batch."""
        if cursor.chunk + 1 < self._num_chunks(cursor):
            return Cursor(cursor.epoch, cursor.chunk + 1, cursor.spans)
        return Cursor(cursor.epoch + 1)

    def epochs_read(self, cursor: Cursor) -> float:
        """Return the number of epochs read, including the fraction of the current one."""
        num_unread = self._num_predictions_between(cursor, self._chunk(cursor)[0], self._row_length(cursor))
        return cursor.epoch + 1 - num_unread / self.stream.num_predictions

    def unread_spans(self, cursor: Cursor) -> Spans:
        """Return the unread parts of the epoch, row by row."""
        spans, row_length = self._spans(cursor), self._row_length(cursor)
        read, total = self._chunk(cursor)[0], total_length(spans)
        remaining: list[tuple[int, int]] = []
        for row in range(self.batch_size):
            first, end = row * row_length + read, min((row + 1) * row_length, total)
            remaining.extend(slice_spans(spans, first, end))
        return tuple(remaining)

    def redistribute(self, cursor: Cursor, previous_batches: "Batches") -> Cursor:
        """Return the cursor that continues `previous_batches` at `cursor` with these rows."""
        spans = previous_batches.unread_spans(cursor)
        return Cursor(cursor.epoch, 0, spans) if spans else Cursor(cursor.epoch + 1)

    def with_batch_size(self, batch_size: int) -> "Batches":
        """Return the batches that another number of rows had."""
        return replace(self, batch_size=batch_size)

    def _num_predictions_between(self, cursor: Cursor, start: int, end: int) -> int:
        """Return the number of predictions between two positions of all lanes; the last lanes may be shorter."""
        row_length, total = self._row_length(cursor), total_length(self._spans(cursor))
        lengths = np.minimum(row_length, total - np.arange(self.batch_size) * row_length)
        return int(np.clip(np.minimum(lengths, end) - start, 0, None).sum())

    def _spans(self, cursor: Cursor) -> Spans:
        return ((0, self.stream.num_predictions),) if cursor.spans is None else cursor.spans

    def _row_length(self, cursor: Cursor) -> int:
        return -(-total_length(self._spans(cursor)) // self.batch_size)

    def _num_chunks(self, cursor: Cursor) -> int:
        return len(self._chunk_boundaries(cursor)) - 1

    def _chunk(self, cursor: Cursor) -> tuple[int, int]:
        """Return the start and end of the chunk in its lane; the last chunk may end after the lane."""
        boundaries = self._chunk_boundaries(cursor)
        return int(boundaries[cursor.chunk]), int(boundaries[cursor.chunk + 1])

    def _chunk_boundaries(self, cursor: Cursor) -> npt.NDArray[np.int64]:
        length = self._row_length(cursor)
        return (
            _random_boundaries(length, self.seq_len, self.seed, cursor.epoch)
            if self.seq_len_varies
            else _fixed_boundaries(length, self.seq_len)
        )

    def _rotation(self, epoch: int) -> int:
        if epoch == 0:
            return 0
        return _hash_to_int(f"{self.seed} epoch {epoch}") % self.stream.num_predictions


def _find_spans(row: int, indices: npt.NDArray[np.int64]) -> Iterator[EvidenceSpan]:
    """Yield the runs of consecutive predictions in a row."""
    bounds = np.append(np.flatnonzero(np.diff(indices, prepend=-2) != 1), len(indices))
    for start, end in itertools.pairwise(bounds.tolist()):
        yield EvidenceSpan(row, start, int(indices[start]), end - start)


def _hash_to_int(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


@functools.lru_cache(maxsize=4)
def _fixed_boundaries(row_length: int, seq_len: int) -> npt.NDArray[np.int64]:
    return np.arange(0, row_length + seq_len, seq_len)


@functools.lru_cache(maxsize=4)
def _random_boundaries(row_length: int, seq_len: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Draw lengths from N(seq_len, 5), or for one chunk in twenty from N(seq_len / 2, 5); at least 5 tokens."""
    rng = np.random.default_rng(_hash_to_int(f"{seed} lengths {epoch}"))
    boundaries = np.zeros(1, dtype=np.int64)
    while boundaries[-1] < row_length:
        means = np.where(rng.random(_DRAW_SIZE) < _FULL_LENGTH_PROBABILITY, seq_len, seq_len / 2)
        lengths = np.maximum(_MIN_LENGTH, rng.normal(means, _LENGTH_STD).astype(np.int64))
        boundaries = np.append(boundaries, boundaries[-1] + np.cumsum(lengths))
    return np.append(boundaries[boundaries < row_length], row_length)


def make_batches(
    stream: TokenStream,
    batch_size: int,
    seq_len: int,
    seed: int,
    reset_tokens: int | None = None,
    *,
    seq_len_varies: bool = False,
    multiple_of: int = 1,
    evidence: Callable[[], TrainingEvidence] | None = None,
) -> Batches:
    """Return the batches of a split, with fewer rows if the text is too short for one chunk in each row.

    Args:
        multiple_of: the number of rows is a multiple of this.
        evidence: returns what n-grams say of each prediction, for a model with an n-gram component.

    Raises:
        DataError: the stream has fewer than 3 tokens.
    """
    if stream.num_predictions < 2:
        raise DataError(
            f"the training split has {len(stream.tokens)} tokens", "prepare a longer text; at least 3 tokens are needed"
        )
    seq_len = min(seq_len, stream.num_predictions)
    rows = min(batch_size, stream.num_predictions // seq_len) // multiple_of * multiple_of
    return Batches(stream, max(multiple_of, rows), seq_len, seed, reset_tokens, seq_len_varies, evidence)
