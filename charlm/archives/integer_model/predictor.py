"""An integer model as a `LanePredictor`: the C code where there is a compiler, numpy elsewhere, with the same bits.

    symbols_L ──network──> powers_LV ──> frequencies_LV        one array of frequencies serves encoder and decoder

L lanes, V vocabulary.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from charlm.archives.integer_model.compiled import CompiledNetwork, chosen_path, load_network_library
from charlm.archives.integer_model.compiled_counts import CompiledCounts, load_counts_library
from charlm.archives.integer_model.counts import ReferenceCounts
from charlm.archives.integer_model.fixed_point import Int64Array
from charlm.archives.integer_model.layout import IntegerModel
from charlm.archives.integer_model.power_reader import PowerReader
from charlm.archives.integer_model.reference import ReferenceNetwork
from charlm.archives.integer_model.training_tables import open_tables
from charlm.archives.predictor import SymbolArray, UInt32Array
from charlm.cores import count_cores


class Network(Protocol):
    """The states of all lanes, and their steps."""

    def start(self, num_lanes: int) -> None:
        """Forget all symbols; the lanes have read nothing."""
        ...

    def connect(self, reader: PowerReader) -> bool:
        """Let each step call a function for the lanes whose powers are there; return whether this network can."""
        ...

    def step(self, symbols_L: Int64Array) -> npt.NDArray[np.uint32] | Int64Array:
        """Let the first lanes read a symbol each; return powers of two in proportion to probabilities, (L, V)."""
        ...


class Mixer(Protocol):
    """Counts of the text so far, mixed with the network's probabilities."""

    def start(self, num_lanes: int) -> None:
        """Forget all symbols."""
        ...

    @property
    def power_reader(self) -> PowerReader | None:
        """What the network may call in place of `frequencies`; valid until the next start."""
        ...

    def frequencies(self, powers_LV: npt.NDArray[np.uint32]) -> UInt32Array:
        """Return the frequencies of the first lanes, (L, V), of sum 2**24."""
        ...

    def update(self, symbols_L: SymbolArray) -> None:
        """Learn from the symbols that followed the last frequencies of as many lanes."""
        ...

    def read(self, symbols_L: SymbolArray) -> None:
        """Let the first lanes go on to these symbols."""
        ...

    def intervals(self, symbols_L: SymbolArray) -> tuple[UInt32Array, UInt32Array]:
        """Return the sum of the last frequencies below each symbol, and its own, (L,) each."""
        ...


class IntegerPredictor:
    """The frequencies of an integer model."""

    def __init__(self, model: IntegerModel, threads: int | None = None) -> None:
        """
        Args:
            threads: at most so many share the lanes; None for one on each processor that this process may use.
        """
        self.model = model
        self.vocab_size = model.description.vocab_size
        self.digest = model.digest
        threads = threads or count_cores()
        self._network, self._mixer = open_network(model, threads), open_mixer(model, threads)
        self._powers_LV = np.zeros((0, self.vocab_size), dtype=np.uint32)
        self._reader: PowerReader | None = None
        self._num_known = 0

    def start(self, num_lanes: int) -> None:
        """Reset the state: each lane has read one <eod> and nothing else."""
        self._network.start(num_lanes)
        self._mixer.start(num_lanes)
        self._powers_LV = np.zeros((num_lanes, self.vocab_size), dtype=np.uint32)
        reader = self._mixer.power_reader
        self._reader = reader if reader is not None and self._network.connect(reader) else None
        self._step(np.full(num_lanes, self.model.description.eod_id, dtype=np.int64))

    def frequencies(self, active: int) -> UInt32Array:
        """Return the frequencies of the next symbol of the first `active` lanes, (active, V), of sum 2**24 each. The
        array may be overwritten by the next call."""
        if self._reader is not None and active <= self._num_known:
            return self._reader.frequencies_LV[:active]
        return self._mixer.frequencies(self._powers_LV[:active])

    def advance(self, symbols_L: SymbolArray) -> None:
        """Step the first `len(symbols_L)` lanes forward with these symbols, after `frequencies` of as many lanes."""
        self._mixer.update(symbols_L)
        self._step(symbols_L)

    def intervals(self, symbols_L: SymbolArray) -> tuple[UInt32Array, UInt32Array]:
        """Return for each symbol the sum of the frequencies below it, and its own, (L,) each; then step forward."""
        self.frequencies(len(symbols_L))
        found = self._mixer.intervals(symbols_L)
        self.advance(symbols_L)
        return found

    def _step(self, symbols_L: SymbolArray) -> None:
        self._mixer.read(symbols_L)
        self._num_known = len(symbols_L)  # of the lanes whose frequencies the reader has written
        self._powers_LV[: self._num_known] = self._network.step(symbols_L)


def open_network(model: IntegerModel, threads: int) -> Network:
    """Return the network of a model in C, or in numpy without a compiler."""
    library = load_network_library()
    if library is None:
        return ReferenceNetwork(model)
    return CompiledNetwork(model, library, chosen_path(library), threads)


def open_mixer(model: IntegerModel, threads: int) -> Mixer:
    """Return the counts of a model in C, or in Python without a compiler."""
    library = load_counts_library()
    description, vocab_size = model.description.counts, model.description.vocab_size
    tables = open_tables(model.arrays, 0 if description is None else len(description.table_sizes))
    if library is None:
        return ReferenceCounts(description, vocab_size, tables)
    return CompiledCounts(description, vocab_size, library, threads, tables)
