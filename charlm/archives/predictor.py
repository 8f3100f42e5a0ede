"""The integer model as the archive sees it: frequencies of the next symbol, for several lanes that step together.

symbols of each lane so far ──> frequencies, integers of sum 2**24 ──> range coder

Axes: L active lanes, V symbols of the vocabulary.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

UInt32Array = npt.NDArray[np.uint32]
SymbolArray = npt.NDArray[np.int64]

TOTAL_BITS = 24
TOTAL = 1 << TOTAL_BITS
"""The sum of all frequencies of a lane."""


class LanePredictor(Protocol):
    """Integer frequencies of the next symbol, equal to the bit on every machine.

    The active lanes of a step are always the first ones. A lane whose part has ended comes after them.
    """

    @property
    def vocab_size(self) -> int:
        """V, the number of symbols, which are the ids of the vocabulary; at most 2**16."""
        ...

    @property
    def digest(self) -> bytes:
        """The SHA-256 over all integers that decide a frequency, 32 bytes."""
        ...

    def start(self, num_lanes: int) -> None:
        """Reset the state: each lane has read one <eod> and nothing else."""
        ...

    def frequencies(self, active: int) -> UInt32Array:
        """Return the frequencies of the next symbol of the first `active` lanes, (active, V), without a step forward.

        Each is at least 1, and those of a lane sum to `TOTAL`. The array may be overwritten by the next call.
        """
        ...

    def advance(self, symbols_L: SymbolArray) -> None:
        """Step the first `len(symbols_L)` lanes forward with these symbols; the others keep their states.

        It follows a call of `frequencies` for as many lanes.
        """
        ...

    def intervals(self, symbols_L: SymbolArray) -> tuple[UInt32Array, UInt32Array]:
        """Return for each symbol the sum of the frequencies below it, and its own, (L,) each; then step forward."""
        ...
