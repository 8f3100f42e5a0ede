"""A block of a file <-> its code, by a predictor that has read the blocks before it.

    bytes ──SymbolCodec──> symbols ──step_order──> steps of the lanes ──LanePredictor──> intervals ──range coder──> code

The predictor keeps its state from block to block. After a stored block it starts again, because the decoder does not
turn such a block into symbols.
"""

from collections.abc import Callable

import numpy as np

from charlm.archives import range_coder
from charlm.archives.archive import Block, CodedBlock, StoredBlock
from charlm.archives.lanes import block_lanes, step_order, step_sizes
from charlm.archives.predictor import TOTAL_BITS, LanePredictor, SymbolArray, UInt32Array
from charlm.archives.symbols import SymbolCodec

OnSymbols = Callable[[int], None]
"""Called with the number of symbols that were coded since the last call."""

_STEPS_PER_CALL = 64
_BLOCK_OVERHEAD = 6
"""Bytes of the two numbers that a coded block has more than a stored one."""


class BlockCoder:
    """What the two directions share: a predictor, its lanes, and when it starts."""

    def __init__(self, predictor: LanePredictor, num_lanes: int) -> None:
        self._predictor = predictor
        self._num_lanes = num_lanes
        self._starts = True

    def _start_if_needed(self) -> None:
        if self._starts:
            self._predictor.start(self._num_lanes)
        self._starts = False


class BlockEncoder(BlockCoder):
    """Bytes -> blocks, in the order of the file."""

    def encode(self, content: bytes, symbols_N: SymbolArray, on_symbols: OnSymbols) -> Block:
        """Return the block of a content, whose symbols are given."""
        self._start_if_needed()
        code = range_coder.encode(*find_intervals(self._predictor, symbols_N, self._num_lanes, on_symbols))
        if len(code) + _BLOCK_OVERHEAD >= len(content):
            self._starts = True
            return StoredBlock(content)
        return CodedBlock(len(symbols_N), len(content), code)


class BlockDecoder(BlockCoder):
    """Blocks -> bytes, in the order of the file."""

    def __init__(self, predictor: LanePredictor, num_lanes: int, codec: SymbolCodec) -> None:
        super().__init__(predictor, num_lanes)
        self._codec = codec

    def decode(self, block: Block, on_symbols: OnSymbols) -> bytes | None:
        """Return the content of a block; None if no content has this code."""
        if isinstance(block, StoredBlock):
            self._starts = True
            return block.content
        self._start_if_needed()
        lanes = block_lanes(self._num_lanes, block.num_symbols)
        decoder = range_coder.open_decoder(block.code)
        steps_N = np.empty(block.num_symbols, dtype=np.int64)
        done = reported = 0
        for step, active in enumerate(step_sizes(lanes, block.num_symbols)):
            try:
                symbols_L = decoder.step(self._predictor.frequencies(active))
            except ValueError:
                return None
            self._predictor.advance(symbols_L)
            steps_N[done : done + active] = symbols_L
            done += active
            if step % _STEPS_PER_CALL == 0:
                on_symbols(done - reported)
                reported = done
        on_symbols(done - reported)
        if not decoder.is_at_end:
            return None
        symbols_N = np.empty_like(steps_N)
        symbols_N[step_order(lanes, block.num_symbols)] = steps_N
        return self._codec.decode(symbols_N) if self._codec.count_bytes(symbols_N) == block.num_bytes else None


def find_intervals(
    predictor: LanePredictor, symbols_N: SymbolArray, num_lanes: int, on_symbols: OnSymbols
) -> tuple[UInt32Array, UInt32Array]:
    """Return the interval of each symbol of a block, in the order of the steps: (N,) each, as `encode` wants them."""
    lanes = block_lanes(num_lanes, len(symbols_N))
    steps_N = symbols_N[step_order(lanes, len(symbols_N))]
    low_N, frequency_N = np.empty((2, len(symbols_N)), dtype=np.uint32)
    done = reported = 0
    for step, active in enumerate(step_sizes(lanes, len(symbols_N))):
        span = slice(done, done + active)
        low_N[span], frequency_N[span] = predictor.intervals(steps_N[span])
        done += active
        if step % _STEPS_PER_CALL == 0:
            on_symbols(done - reported)
            reported = done
    on_symbols(done - reported)
    return low_N, frequency_N


def count_bits(frequency_N: UInt32Array) -> float:
    """Return the bits that symbols of these frequencies cost: the sum of -log2(frequency / 2**24)."""
    return float(TOTAL_BITS * len(frequency_N) - np.log2(frequency_N.astype(np.float64)).sum())
