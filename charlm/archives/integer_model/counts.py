"""Counts of the text so far, and how they change the network's probabilities: the definition, in Python.

    last 1, 2, 3, ... symbols of a lane ──hash──> slot: symbols that came after them, and how often
    each symbol in a slot is a candidate ──features──> weights ──sum──> bonus in bits

    p_v  is proportional to  2**(logit_v + bonus_v)         the bonus of a symbol that no slot has is 0

The weights are learned from the text so far as well: after each symbol y, a weight of a candidate v moves by its rate
times (1 if v = y else 0) - p_v, which is the gradient of log p_y. So this is a log-linear model that learns online
(Rosenfeld, 1996). Slots and weights are shared by all lanes, and updated in their order, after each step.

A feature is the length of the context with how often it was followed by v and by other symbols; or the length of the
longest context that knows v, whether it is the longest that knows anything, and how probable the network finds v.

L lanes, V vocabulary, N lengths of contexts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from charlm.archives.integer_model.activation_tables import negative_power
from charlm.archives.integer_model.count_features import (
    COUNT_FEATURES,
    FIRST_RATE,
    HIGHEST_BONUS,
    LONGEST_FEATURES,
    LOWEST_BONUS,
    LOWEST_RATE,
    MAX_COUNT,
    MAX_UPDATES,
    NETWORK_SHIFTS,
    RATE_DECAY,
    SLOT_SYMBOLS,
    count_feature,
    longest_feature,
)
from charlm.archives.integer_model.description import CountsDescription
from charlm.archives.integer_model.fixed_point import Int64Array
from charlm.archives.integer_model.frequencies import SCALE_BITS, divide, to_frequencies
from charlm.archives.integer_model.training_tables import UNKNOWN, Table
from charlm.archives.predictor import TOTAL, TOTAL_BITS, SymbolArray, UInt32Array
from charlm.vocab.base import HASH_BASE

_MASK = (1 << 64) - 1
_FACTOR_SHIFT = 4


@dataclass
class _Candidate:
    symbol: int
    features: list[int] = field(default_factory=list[int])
    families: set[int] = field(default_factory=set[int])
    """The families of features, by their first number, that have one of it."""


class _Context(NamedTuple):
    """What is known of a context: the symbols that followed it, with their counts."""

    n: int
    followers: list[tuple[int, int]]


class _Place(NamedTuple):
    """Where the slot of a context is, if it is there: in one of two neighbours."""

    pair: int
    check: int


class ReferenceCounts:
    """The slots, the weights, and the last symbols of each lane."""

    def __init__(
        self,
        description: CountsDescription | None,
        weights: npt.NDArray[np.int32],
        powers: npt.NDArray[np.int32],
        vocab_size: int,
        tables: Sequence[Table] = (),
    ) -> None:
        """
        Args:
            description: None without counts; then the frequencies are those of the network.
            weights: those that every text starts with; (0,) without counts.
            powers: the table of 2**-t.
            tables: the n-grams of the training text, of 2, 3, ... tokens.
        """
        self._tables = tables
        self._table_orders = () if description is None else description.table_orders
        self._orders = () if description is None else description.orders
        self._slot_bits = 0 if description is None else description.slot_bits
        self._first_weights = weights
        self._powers, self._vocab_size = powers.astype(np.int64), vocab_size
        self.start(0)

    def start(self, num_lanes: int) -> None:
        """Forget all symbols."""
        shape = len(self._orders), 1 << self._slot_bits
        self._checks, self._totals = (np.zeros(shape, dtype=np.uint16) for _ in range(2))
        self._symbols, self._counts = (np.zeros((*shape, SLOT_SYMBOLS), dtype=np.uint16) for _ in range(2))
        self._weights, self._updates = self._first_weights.tolist(), [0] * len(self._first_weights)
        self._history = [[-1] * max(self._orders, default=0) for _ in range(num_lanes)]
        self._contexts = [[UNKNOWN] * len(self._tables) for _ in range(num_lanes)]
        self._candidates: list[list[_Candidate]] = [[] for _ in range(num_lanes)]
        self._places: list[list[_Place]] = [[] for _ in range(num_lanes)]
        self._frequencies_LV: UInt32Array = np.zeros((0, self._vocab_size), dtype=np.uint32)

    def frequencies(self, powers_LV: npt.NDArray[np.uint32]) -> UInt32Array:
        """Return the frequencies of the first lanes, (L, V), of sum 2**24 each.

        Args:
            powers_LV: the network's, in proportion to its probabilities.
        """
        whole_LV = powers_LV.astype(np.int64)
        scaled_LV = whole_LV << SCALE_BITS
        for lane, powers_V in enumerate(whole_LV if self._orders else ()):
            self._find_candidates(lane, powers_V)
            for candidate in self._candidates[lane]:
                symbol = candidate.symbol
                bonus = sum(self._weights[feature] for feature in candidate.features)
                t = HIGHEST_BONUS - min(max(bonus, LOWEST_BONUS), HIGHEST_BONUS)
                factor = int(negative_power(self._powers, np.array(t))) >> _FACTOR_SHIFT
                scaled_LV[lane, symbol] = int(powers_V[symbol]) * factor
        self._frequencies_LV = to_frequencies(divide(scaled_LV, TOTAL - self._vocab_size))
        return self._frequencies_LV

    def update(self, symbols_L: SymbolArray) -> None:
        """Learn from the symbols that followed the last frequencies."""
        for lane, symbol in enumerate(symbols_L.tolist()):
            for candidate in self._candidates[lane]:
                frequency = int(self._frequencies_LV[lane, candidate.symbol])
                gradient = (TOTAL if candidate.symbol == symbol else 0) - frequency
                for feature in candidate.features:
                    self._move_weight(feature, gradient)
            for n, place in enumerate(self._places[lane]):
                self._count(n, place, symbol)

    def read(self, symbols_L: SymbolArray) -> None:
        """Let the first lanes go on to these symbols."""
        for lane, symbol in enumerate(symbols_L.tolist()):
            self._history[lane] = [*self._history[lane], symbol][1:]
            before = self._contexts[lane]
            longer = [table.find(context, symbol) for table, context in zip(self._tables, before, strict=True)]
            self._contexts[lane] = [symbol, *longer][: len(self._tables)]

    def _find_candidates(self, lane: int, powers_V: Int64Array) -> None:
        self._places[lane] = self._find_places(self._history[lane])
        found: dict[int, _Candidate] = {}
        of_slots, of_tables = len(self._orders), len(self._table_orders)
        self._add_contexts(found, powers_V, self._contexts_of_slots(lane), 0, of_slots)
        first = of_slots * (COUNT_FEATURES + LONGEST_FEATURES)
        self._add_contexts(found, powers_V, self._contexts_of_tables(lane), first, of_tables)
        self._candidates[lane] = list(found.values())

    def _add_contexts(
        self,
        found: dict[int, _Candidate],
        powers_V: Int64Array,
        contexts: Iterator[_Context],
        first: int,
        num_orders: int,
    ) -> None:
        """Add the candidates of a family of contexts, the longest first, whose features begin at `first`."""
        total_power = int(powers_V.sum())
        for index, (n, followers) in enumerate(contexts):
            total = sum(count for _, count in followers)
            for symbol, count in followers:
                candidate = found.setdefault(symbol, _Candidate(symbol))
                if first not in candidate.families:
                    level = sum(int(powers_V[symbol]) << shift >= total_power for shift in NETWORK_SHIFTS)
                    candidate.features.append(first + longest_feature(num_orders, n, level, is_longest=index == 0))
                    candidate.families.add(first)
                candidate.features.append(first + count_feature(n, count, total - count))

    def _contexts_of_slots(self, lane: int) -> Iterator[_Context]:
        """Yield the contexts of the text so far that have a slot, the longest first."""
        for n in reversed(range(len(self._orders))):
            slot = self._find_slot(n, self._places[lane][n])
            if slot is not None:
                entries = zip(self._symbols[n, slot].tolist(), self._counts[n, slot].tolist(), strict=True)
                yield _Context(n, [(symbol, count) for symbol, count in entries if count])

    def _contexts_of_tables(self, lane: int) -> Iterator[_Context]:
        """Yield the contexts of the training text that few symbols followed, the longest first."""
        for n in reversed(range(len(self._table_orders))):
            length = self._table_orders[n]
            followers = self._tables[length - 1].followers(self._contexts[lane][length - 1])
            if followers:
                yield _Context(n, followers)

    def _find_places(self, history: Sequence[int]) -> list[_Place]:
        places: list[_Place] = []
        hashed = 0
        for length, symbol in enumerate(reversed(history), start=1):
            hashed = (hashed * HASH_BASE + symbol + 2) & _MASK
            if length in self._orders:
                mixed = ((hashed ^ (hashed >> 32)) * HASH_BASE) & _MASK
                index = mixed >> (64 - self._slot_bits)
                places.append(_Place(index & ~1, mixed & 0xFFFF))
        return places

    def _find_slot(self, n: int, place: _Place) -> int | None:
        """Return the slot of a context, or None if it has none."""
        for slot in (place.pair, place.pair + 1):
            if self._totals[n, slot] and self._checks[n, slot] == place.check:
                return slot
        return None

    def _count(self, n: int, place: _Place, symbol: int) -> None:
        """Count a symbol after a context; a context without a slot takes that of its neighbours with fewer counts."""
        slot = self._find_slot(n, place)
        if slot is None:
            slot = place.pair + int(self._totals[n, place.pair + 1] < self._totals[n, place.pair])
            self._checks[n, slot] = place.check
            self._counts[n, slot] = 0
        counts, symbols = self._counts[n, slot], self._symbols[n, slot]
        is_known = (symbols == symbol) & (counts > 0)
        entry = int(is_known.argmax()) if is_known.any() else int(counts.argmin())
        counts[entry] = counts[entry] + 1 if symbols[entry] == symbol and counts[entry] else 1
        symbols[entry] = symbol
        if counts[entry] > MAX_COUNT:
            counts >>= 1
        self._totals[n, slot] = counts.sum()

    def _move_weight(self, feature: int, gradient: int) -> None:
        """
        Args:
            gradient: 24 bits after the point.
        """
        updates = self._updates[feature]
        rate = LOWEST_RATE + FIRST_RATE * RATE_DECAY // (RATE_DECAY + updates)
        moved = self._weights[feature] + ((gradient * rate + (1 << (TOTAL_BITS - 1))) >> TOTAL_BITS)
        self._weights[feature] = min(max(moved, LOWEST_BONUS), HIGHEST_BONUS)
        self._updates[feature] = min(updates + 1, MAX_UPDATES)

    def intervals(self, symbols_L: SymbolArray) -> tuple[UInt32Array, UInt32Array]:
        """Return the sum of the last frequencies below each symbol, and its own, (L,) each."""
        lanes_L = np.arange(len(symbols_L))
        own_L = self._frequencies_LV[lanes_L, symbols_L]
        up_to_L = self._frequencies_LV.cumsum(axis=1, dtype=np.uint32)[lanes_L, symbols_L]
        return up_to_L - own_L, own_L
