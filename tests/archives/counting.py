"""A predictor for tests: counts of the last two symbols of each lane, shared by the lanes, in integers."""

import hashlib

import numpy as np

from charlm.archives.model import CompressionModel
from charlm.archives.predictor import TOTAL, LanePredictor, SymbolArray, UInt32Array
from charlm.vocab.base import Vocab
from charlm.vocab.byte import ByteVocab

_WEIGHT = 64
"""Of an occurrence, beside 1 for each symbol."""


class CountingPredictor:
    """Two symbols of context; each symbol of it was followed by a symbol so often."""

    def __init__(self, vocab_size: int, eod_id: int) -> None:
        self.vocab_size = vocab_size
        self.digest = hashlib.sha256(f"counting {vocab_size} {eod_id}".encode()).digest()
        self._eod_id = eod_id

    def start(self, num_lanes: int) -> None:
        self._context_L = [(self._eod_id, self._eod_id)] * num_lanes
        self._counts: dict[tuple[int, int], UInt32Array] = {}

    def frequencies(self, active: int) -> UInt32Array:
        return np.stack([self._frequency_V(context) for context in self._context_L[:active]])

    def _frequency_V(self, context: tuple[int, int]) -> UInt32Array:
        counts_V = self._counts.get(context)
        weights_V = np.ones(self.vocab_size, dtype=np.int64) if counts_V is None else 1 + _WEIGHT * counts_V.astype(int)
        frequency_V = 1 + weights_V * (TOTAL - self.vocab_size) // weights_V.sum()
        frequency_V[frequency_V.argmax()] += TOTAL - frequency_V.sum()
        return frequency_V.astype(np.uint32)

    def advance(self, symbols_L: SymbolArray) -> None:
        for lane, symbol in enumerate(symbols_L.tolist()):
            context = self._context_L[lane]
            counts_V = self._counts.setdefault(context, np.zeros(self.vocab_size, dtype=np.uint32))
            counts_V[symbol] += 1
            self._context_L[lane] = (context[1], symbol)

    def intervals(self, symbols_L: SymbolArray) -> tuple[UInt32Array, UInt32Array]:
        frequencies_LV = self.frequencies(len(symbols_L))
        lanes_L = np.arange(len(symbols_L))
        frequency_L = frequencies_LV[lanes_L, symbols_L]
        low_L = frequencies_LV.cumsum(axis=1, dtype=np.uint32)[lanes_L, symbols_L] - frequency_L
        self.advance(symbols_L)
        return low_L, frequency_L


def counting_model(vocab: Vocab | None = None) -> CompressionModel:
    """A model of `vocab`, or of bytes, that knows nothing before it reads."""
    vocab = vocab or ByteVocab()

    def open_another() -> LanePredictor:
        return CountingPredictor(vocab.size, vocab.eod_id)

    return CompressionModel(open_another(), vocab, "counting", open_another)
