"""An integer model as a `LanePredictor`: the C code where there is a compiler, numpy elsewhere, with the same bits.

    symbols_L ──network──> powers_LV ──> frequencies_LV        one array of frequencies serves encoder and decoder

L lanes, V vocabulary.
"""

import os
from typing import Protocol

import numpy as np
import numpy.typing as npt

from charlm.compression.integer_model.compiled import CompiledNetwork, chosen_path, load_network_library
from charlm.compression.integer_model.fixed_point import Int64Array
from charlm.compression.integer_model.frequencies import share, to_frequencies
from charlm.compression.integer_model.layout import IntegerModel
from charlm.compression.integer_model.reference import ReferenceNetwork
from charlm.compression.predictor import TOTAL, SymbolArray, UInt32Array


class Network(Protocol):
    """The states of all lanes, and their steps."""

    def start(self, num_lanes: int) -> None:
        """Forget all symbols; the lanes have read nothing."""
        ...

    def step(self, symbols_L: Int64Array) -> npt.NDArray[np.uint32] | Int64Array:
        """Let the first lanes read a symbol each; return powers of two in proportion to probabilities, (L, V)."""
        ...


class IntegerPredictor:
    """The frequencies of an integer model."""

    def __init__(self, model: IntegerModel, network: Network | None = None) -> None:
        """
        Args:
            network: that of the model; None for the fastest that this machine has.
        """
        self.model = model
        self.vocab_size = model.description.vocab_size
        self.digest = model.digest
        self._network = fastest_network(model) if network is None else network
        self._powers_LV = np.zeros((0, self.vocab_size), dtype=np.int64)

    def start(self, num_lanes: int) -> None:
        """Forget all symbols: each lane stands behind one <eod>."""
        self._network.start(num_lanes)
        self._powers_LV = np.zeros((num_lanes, self.vocab_size), dtype=np.int64)
        self.advance(np.full(num_lanes, self.model.description.eod_id, dtype=np.int64))

    def frequencies(self, active: int) -> UInt32Array:
        """Return the frequencies of the next symbol of the first `active` lanes, (active, V), of sum 2**24 each."""
        return to_frequencies(share(self._powers_LV[:active], np.full(active, TOTAL - self.vocab_size, dtype=np.int64)))

    def advance(self, symbols_L: SymbolArray) -> None:
        """Step the first `len(symbols_L)` lanes forward with these symbols."""
        self._powers_LV[: len(symbols_L)] = self._network.step(symbols_L)

    def intervals(self, symbols_L: SymbolArray) -> tuple[UInt32Array, UInt32Array]:
        """Return for each symbol the sum of the frequencies below it, and its own, (L,) each; then step forward."""
        frequencies_LV = self.frequencies(len(symbols_L))
        lanes_L = np.arange(len(symbols_L))
        own_L = frequencies_LV[lanes_L, symbols_L]
        up_to_L = frequencies_LV.cumsum(axis=1, dtype=np.uint32)[lanes_L, symbols_L]
        self.advance(symbols_L)
        return up_to_L - own_L, own_L


def fastest_network(model: IntegerModel, threads: int | None = None) -> Network:
    """Return the network in C, or in numpy without a compiler.

    Args:
        threads: None for one on each processor that this process may use.
    """
    library = load_network_library()
    if library is None:
        return ReferenceNetwork(model)
    return CompiledNetwork(model, library, chosen_path(library), threads or num_processors())


def num_processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
