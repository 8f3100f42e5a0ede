"""The symbols of a block in the order in which lanes that step together code them.

    symbols  a b c d e f g h     three lanes, those with a symbol more first:  a b c | d e f | g h
    steps    a d g, b e h, c f                the lanes of a step are always the first ones

N: symbols of a block; L: lanes.
"""

from collections.abc import Iterator

import numpy as np

from charlm.archives.predictor import SymbolArray

MAX_LANES = 256
"""So many that their frequencies take no more than 64 MiB with the largest vocabulary."""
_MIN_LANE_SYMBOLS = 1024
"""A lane with fewer symbols in a block saves little time, and costs a beginning without context."""
_LANE_SYMBOLS = 16_384
"""Of a file that fits into one block; longer ones have `_DEFAULT_LANES`."""
_DEFAULT_LANES = 64


def choose_lanes(num_symbols: int) -> int:
    """Return the lanes of a file whose first block has so many symbols."""
    return max(1, min(_DEFAULT_LANES, num_symbols // _LANE_SYMBOLS))


def block_lanes(num_lanes: int, num_symbols: int) -> int:
    """Return how many of the lanes a block uses."""
    return max(1, min(num_lanes, num_symbols // _MIN_LANE_SYMBOLS))


def step_sizes(num_lanes: int, num_symbols: int) -> Iterator[int]:
    """Yield the active lanes of each step."""
    steps, rest = divmod(num_symbols, num_lanes)
    for _ in range(steps):
        yield num_lanes
    if rest:
        yield rest


def step_order(num_lanes: int, num_symbols: int) -> SymbolArray:
    """Return the positions of the symbols in the order of the steps, (N,): steps = symbols[order]."""
    steps, rest = divmod(num_symbols, num_lanes)
    lanes_L = np.arange(num_lanes, dtype=np.int64)
    starts_L = lanes_L * steps + np.minimum(lanes_L, rest)
    full = (starts_L + np.arange(steps, dtype=np.int64)[:, None]).reshape(-1)
    return np.concatenate((full, starts_L[:rest] + steps))
