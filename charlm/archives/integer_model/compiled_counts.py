"""Frequencies from powers and counts of the text so far in C: `counts.c`; like `counts.ReferenceCounts`.

L lanes, V vocabulary.
"""

import ctypes
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.archives.integer_model.counts import SLOT_SYMBOLS
from charlm.archives.integer_model.description import CountsDescription
from charlm.archives.integer_model.mixing import FIRST_STATE_UPDATES
from charlm.archives.integer_model.mixing_tables import (
    CORRECTION_BITS,
    LARGEST_LOGIT,
    MAX_ORDERS,
    NUM_CHOICES,
    NUM_CONTEXTS,
    NUM_CORRECTIONS,
    NUM_KNOTS,
    NUM_OTHER_INPUTS,
    NUM_STATES,
    ONE_WEIGHT,
    first_final_weights,
    first_states,
    first_weights,
    make_lookups,
    num_sources,
)
from charlm.archives.integer_model.power_reader import PowerReader
from charlm.archives.integer_model.training_tables import UNKNOWN, Table
from charlm.archives.predictor import SymbolArray, UInt32Array
from charlm.c_library import load_c_library

_SOURCE = Path(__file__).with_name("counts.c")
_HEADERS = tuple(_SOURCE.with_name(f"{name}.h") for name in ("counts", "candidates", "mixing"))
_FLAGS = ("-O3", "-march=native", "-fPIC", "-shared")
_SLOT_BYTES = 5 + 3 * SLOT_SYMBOLS
_NUM_INPUTS = NUM_OTHER_INPUTS + 2 * MAX_ORDERS
_pointer, _int = ctypes.c_void_p, ctypes.c_int64


class _Table(ctypes.Structure):
    _fields_ = [(name, _pointer) for name in ("tokens", "counts", "starts")]


class _Counts(ctypes.Structure):
    _fields_ = [
        *(
            (name, _pointer)
            for name in (
                *("logarithms", "logits", "squashed", "orders", "states", "weights", "final", "corrections"),
                *("history", "contexts", "tables", "slots", "lanes", "frequencies", "marks"),
            )
        ),
        *((name, _int) for name in ("num_orders", "slot_bits", "vocab_size", "num_tables", "num_table_orders")),
        ("history_size", _int),
    ]


@functools.cache
def load_counts_library() -> ctypes.CDLL | None:
    """Return the compiled library, or None if it cannot be compiled or CHARLM_COMPILE is 0."""
    library = load_c_library([_SOURCE], _FLAGS, headers=_HEADERS)
    if library is None:
        return None
    assert library.counts_size() == ctypes.sizeof(_Counts), "the structure of counts.c has other fields"
    declare(library)
    return library


def declare(library: ctypes.CDLL) -> None:
    """Name the types of the functions' arguments."""
    library.predict.argtypes = [_pointer, _pointer, ctypes.c_long]
    library.update.argtypes = library.read_symbols.argtypes = [_pointer, _pointer, ctypes.c_long]
    library.find_intervals.argtypes = [_pointer, _pointer, ctypes.c_long, _pointer, _pointer]
    for function in (library.predict, library.update, library.read_symbols, library.find_intervals):
        function.restype = None


class CompiledCounts:
    """The slots, what is learned, and the last symbols of each lane."""

    def __init__(
        self,
        description: CountsDescription | None,
        vocab_size: int,
        library: ctypes.CDLL,
        threads: int,
        tables: Sequence[Table] = (),
    ) -> None:
        """
        Args:
            description: None without counts; then the frequencies are those of the network.
            threads: at most so many threads of a network call the `power_reader`.
            tables: the n-grams of the training text, of 2, 3, ... tokens.
        """
        self._table_arrays = [Table(*map(np.ascontiguousarray, table)) for table in tables]
        self._tables = (_Table * len(tables))(
            *(_Table(*(array.ctypes.data for array in table)) for table in self._table_arrays)
        )
        self._library, self._vocab_size = library, vocab_size
        self._orders = np.array(() if description is None else description.orders, dtype=np.int64)
        self._slot_bits = 0 if description is None else description.slot_bits
        self._num_table_orders = 0 if description is None else len(description.table_orders)
        self._num_sources = 0 if description is None else num_sources(description)
        self._description = description
        self._marks = np.zeros((threads, vocab_size), dtype=np.uint16)
        self.start(0)

    def start(self, num_lanes: int) -> None:
        """Forget all symbols."""
        self._num_lanes = num_lanes
        self._frequencies_LV: UInt32Array = np.zeros((num_lanes, self._vocab_size), dtype=np.uint32)
        arrays = self._learned() | {
            "history": np.full((num_lanes, int(self._orders.max(initial=2))), -1, dtype=np.int64),
            "contexts": np.full((num_lanes, len(self._tables)), UNKNOWN, dtype=np.int64),
            "slots": np.zeros((len(self._orders), 1 << self._slot_bits, _SLOT_BYTES), dtype=np.uint8),
            "lanes": np.zeros((num_lanes, self._library.lane_size()), dtype=np.uint8),
            "frequencies": self._frequencies_LV,
            "marks": self._marks,
            "orders": self._orders,
            **make_lookups()._asdict(),
        }
        self._arrays = arrays  # what the structure points to
        self._counts = _Counts(
            **{name: array.ctypes.data for name, array in arrays.items()},
            tables=ctypes.addressof(self._tables),
            num_orders=len(self._orders),
            slot_bits=self._slot_bits,
            vocab_size=self._vocab_size,
            num_tables=len(self._tables),
            num_table_orders=self._num_table_orders,
            history_size=arrays["history"].shape[1],
        )

    def _learned(self) -> dict[str, npt.NDArray[Any]]:
        """Return what every text starts with; nothing without counts."""
        if self._description is None:
            return {name: np.zeros(0, dtype=np.int32) for name in ("states", "weights", "final", "corrections")}
        first_input_weights = first_weights(self._description)
        states = np.full((self._num_sources, NUM_STATES, 2), FIRST_STATE_UPDATES, dtype=np.uint32)
        states[..., 0] = first_states(self._description)
        weights = np.zeros((NUM_CHOICES, NUM_CONTEXTS, _NUM_INPUTS + 1), dtype=np.int32)
        weights[..., : len(first_input_weights)] = first_input_weights
        weights[0, 0, 0] = ONE_WEIGHT
        squashed = make_lookups().squashed[:: 2 * LARGEST_LOGIT // (NUM_KNOTS - 1)].astype(np.uint16)
        shape = (NUM_CORRECTIONS, 1 << CORRECTION_BITS, NUM_KNOTS)
        return {
            "states": states,
            "weights": weights,
            "final": np.array(first_final_weights(), dtype=np.int32),
            "corrections": np.tile(squashed, (*shape[:2], 1)),
        }

    @property
    def power_reader(self) -> PowerReader:
        """What computes the frequencies of lanes whose powers are there, on as many threads as this has."""
        function = ctypes.cast(self._library.predict_lanes, ctypes.c_void_p).value
        assert function is not None, "counts.c has this function"
        return PowerReader(function, ctypes.addressof(self._counts), self._frequencies_LV)

    def frequencies(self, powers_LV: npt.NDArray[np.uint32]) -> UInt32Array:
        """Return the frequencies of the first lanes, (L, V), of sum 2**24; overwritten by the next call.

        Args:
            powers_LV: the network's, in proportion to its probabilities.
        """
        num_lanes = len(powers_LV)
        assert num_lanes <= self._num_lanes, "more lanes than were started"
        assert powers_LV.flags.c_contiguous, "the powers of the first lanes"
        self._library.predict(ctypes.byref(self._counts), powers_LV.ctypes.data, num_lanes)
        return self._frequencies_LV[:num_lanes]

    def update(self, symbols_L: SymbolArray) -> None:
        """Learn from the symbols that followed the last frequencies of as many lanes."""
        symbols_L = _check(symbols_L)
        self._library.update(ctypes.byref(self._counts), symbols_L.ctypes.data, len(symbols_L))

    def read(self, symbols_L: SymbolArray) -> None:
        """Let the first lanes go on to these symbols."""
        symbols_L = _check(symbols_L)
        self._library.read_symbols(ctypes.byref(self._counts), symbols_L.ctypes.data, len(symbols_L))

    def intervals(self, symbols_L: SymbolArray) -> tuple[UInt32Array, UInt32Array]:
        """Return the sum of the last frequencies below each symbol, and its own, (L,) each."""
        symbols_L = _check(symbols_L)
        low_L, own_L = np.empty((2, len(symbols_L)), dtype=np.uint32)
        self._library.find_intervals(
            ctypes.byref(self._counts), symbols_L.ctypes.data, len(symbols_L), low_L.ctypes.data, own_L.ctypes.data
        )
        return low_L, own_L


def _check(symbols_L: SymbolArray) -> SymbolArray:
    return np.ascontiguousarray(symbols_L, dtype=np.int64)
