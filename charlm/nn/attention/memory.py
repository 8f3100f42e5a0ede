"""What is kept of the sources, and which of them each row reads.

    N sources ──encoder──> memory_NSM, lengths_N ──rows_B──> memory_BSM, is_padding_BS

The state of a row holds the number of its source only. Beams of one source share its memory.

N sources, B rows, S positions of a source, M features of a position.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

LOG_ZERO = -1e30
"""The logarithm of a probability of zero. It is finite, so that sums and gradients are, and any number of usual size
that is added to it is lost in fp32 and fp64."""


@dataclass(frozen=True, slots=True)
class Memory:
    """How long the sources are, and which of them a row reads."""

    lengths_N: Tensor
    num_positions: int
    """The number of positions of each source, padding included."""

    @property
    def num_sources(self) -> int:
        return len(self.lengths_N)

    def of_rows(self, tensor_NS: Tensor, rows_B: Tensor) -> Tensor:
        """Return the part of a tensor (N, ...) that each row reads: (B, ...)."""
        if self.num_sources == 1:
            return tensor_NS.expand(len(rows_B), *tensor_NS.shape[1:])
        # on an accelerator, the comparison would wait for the device
        if rows_B.device.type == "cpu" and torch.equal(rows_B, torch.arange(self.num_sources)):
            return tensor_NS
        return tensor_NS[rows_B]

    def is_padding(self, rows_B: Tensor) -> Tensor:
        """Return B, S: whether a position is behind the end of the row's source."""
        positions_S = torch.arange(self.num_positions, device=rows_B.device)
        return positions_S >= self.of_rows(self.lengths_N, rows_B)[:, None]
