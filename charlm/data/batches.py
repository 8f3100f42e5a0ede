"""A token stream as batches for truncated back-propagation through time, contiguous in every row.

    stream  <eod> a b c d e f g h i j k ...            num_predictions = P
    rows    B lanes of ceil(P / B) predictions each; step k of an epoch is their k-th chunk of seq_len predictions
    next    row b of the next batch goes on where row b of this one ended, so state can be carried

Every prediction stands in exactly one batch of an epoch: the ragged tail is filled with targets that are not scored.
The epochs differ by a rotation of the stream drawn from (seed, epoch), so that chunk borders fall elsewhere each time;
the order is a pure function of seed and cursor.
"""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from charlm.data.store import TokenStream
from charlm.errors import DataError
from charlm.nn.head import IGNORED


class Batch(NamedTuple):
    """inputs_BT and targets_BT, int64 (a target of -100 is not scored); reset_B: rows whose state starts afresh."""

    inputs_BT: Tensor
    targets_BT: Tensor
    reset_B: Tensor


@dataclass(frozen=True)
class Batches:
    """The batches of one split, by their number since the start of training."""

    stream: TokenStream
    batch_size: int
    seq_len: int
    seed: int
    reset_tokens: int | None = None
    """Rows start afresh after so many tokens; None: at each epoch alone."""

    @property
    def lane_length(self) -> int:
        return -(-self.stream.num_predictions // self.batch_size)

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.lane_length // self.seq_len)

    def batch(self, step: int) -> Batch:
        """Batch number `step`, counted from 0 over all epochs."""
        epoch, chunk = divmod(step, self.steps_per_epoch)
        num_predictions = self.stream.num_predictions
        offset = self._rotation(epoch)
        tokens = self.stream.tokens
        inputs = np.empty((self.batch_size, self.seq_len), dtype=np.int64)
        targets = np.full((self.batch_size, self.seq_len), IGNORED, dtype=np.int64)
        for row in range(self.batch_size):
            start = row * self.lane_length + chunk * self.seq_len
            end = min((row + 1) * self.lane_length, num_predictions)
            length = max(0, min(self.seq_len, end - start))
            circle = (offset + start + np.arange(self.seq_len)) % num_predictions  # the stream is one
            inputs[row] = tokens[circle]  # beyond the row's end as well: statistics of a batch are those of text
            targets[row, :length] = tokens[circle[:length] + 1]
        every = self.steps_per_epoch if self.reset_tokens is None else max(1, self.reset_tokens // self.seq_len)
        reset = torch.full((self.batch_size,), chunk % every == 0)
        return Batch(torch.from_numpy(inputs), torch.from_numpy(targets), reset)

    def _rotation(self, epoch: int) -> int:
        if epoch == 0:
            return 0
        digest = hashlib.sha256(f"{self.seed} epoch {epoch}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.stream.num_predictions


def fit_batches(
    stream: TokenStream, batch_size: int, seq_len: int, seed: int, reset_tokens: int | None = None
) -> Batches:
    """The batches of a split; fewer rows than `batch_size` where the text does not fill one chunk of each.

    Raises:
        DataError: there is nothing to predict.
    """
    if stream.num_predictions < 2:
        raise DataError(f"the training split has {len(stream.tokens)} tokens", "prepare a longer text; 3 are the least")
    seq_len = min(seq_len, stream.num_predictions)
    rows = max(1, min(batch_size, stream.num_predictions // seq_len))
    return Batches(stream, rows, seq_len, seed, reset_tokens)
