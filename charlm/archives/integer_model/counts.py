"""Counts of the text so far and of the training text, and how they change the network's probabilities, in Python.

    last 1, 2, 3, ... symbols of a lane ──hash──> slot: symbols that came after them, and how often
    n-grams of the training text ──look-up──> the same
    symbols that one of these knows, and the network's likeliest ──score──> candidates, the most promising first

A candidate is the next symbol or not, and `mixing` says how likely, given that it is none of those before it. What no
candidate has is shared out as the network says. Slots and all that is learned belong to all lanes, and are updated in
their order, after each step.

L lanes, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from charlm.archives.integer_model.description import CountsDescription
from charlm.archives.integer_model.frequencies import share_out
from charlm.archives.integer_model.mixing import NO_STATE, Candidate, ReferenceMixing
from charlm.archives.integer_model.mixing_tables import NUM_RANKS, P_BITS, num_sources, state_of
from charlm.archives.integer_model.training_tables import UNKNOWN, Table
from charlm.archives.predictor import SymbolArray, UInt32Array
from charlm.vocab.base import HASH_BASE

SLOT_SYMBOLS = 9
MAX_COUNT = 255
NUM_TOPS, TOP_SHIFT = 4, 6
"""So many symbols are candidates because the network finds them at least 2**-TOP_SHIFT probable."""
MAX_CANDIDATES = 12
_SLOT_SCORE_BITS, _TABLE_SCORE_BITS = 13, 12
_MASK = (1 << 64) - 1


@dataclass
class _Found:
    """A symbol that may become a candidate."""

    symbol: int
    score: int
    counts: dict[int, int] = field(default_factory=dict[int, int])
    """How often it followed, by source."""
    last: set[int] = field(default_factory=set[int])
    """The sources in which it was the last to follow."""


class _Place(NamedTuple):
    """Where the slot of a context is, if it is there: in one of two neighbours."""

    pair: int
    check: int


class ReferenceCounts:
    """The slots, what is learned, and the last symbols of each lane."""

    def __init__(
        self,
        description: CountsDescription | None,
        vocab_size: int,
        tables: Sequence[Table] = (),
    ) -> None:
        """
        Args:
            description: None without counts; then the frequencies are those of the network.
            tables: the n-grams of the training text, of 2, 3, ... tokens.
        """
        self._description, self._tables = description, tables
        self._table_orders = () if description is None else description.table_orders
        self._orders = () if description is None else description.orders
        self._num_sources = 0 if description is None else num_sources(description)
        self._slot_bits = 0 if description is None else description.slot_bits
        self._vocab_size = vocab_size
        self.start(0)

    def start(self, num_lanes: int) -> None:
        """Forget all symbols."""
        shape = len(self._orders), 1 << self._slot_bits
        self._checks, self._totals, self._last = (np.zeros(shape, dtype=np.uint16) for _ in range(3))
        self._symbols, self._counts = (np.zeros((*shape, SLOT_SYMBOLS), dtype=np.uint16) for _ in range(2))
        self._mixing = None if self._description is None else ReferenceMixing(self._description)
        self._history = [[-1] * max([2, *self._orders]) for _ in range(num_lanes)]
        self._contexts = [[UNKNOWN] * len(self._tables) for _ in range(num_lanes)]
        self._candidates: list[list[Candidate]] = [[] for _ in range(num_lanes)]
        self._places: list[list[_Place]] = [[] for _ in range(num_lanes)]
        self._frequencies_LV: UInt32Array = np.zeros((0, self._vocab_size), dtype=np.uint32)

    @property
    def power_reader(self) -> None:
        """None: only `frequencies` reads powers."""

    def frequencies(self, powers_LV: npt.NDArray[np.uint32]) -> UInt32Array:
        """Return the frequencies of the first lanes, (L, V), of sum 2**24 each.

        Args:
            powers_LV: the network's, in proportion to its probabilities.
        """
        rows: list[UInt32Array] = []
        for lane, powers_V in enumerate(powers_LV.astype(np.int64) + 1):
            left_power, remaining = int(powers_V.sum()), 1 << 32
            shares: dict[int, int] = {}
            if self._mixing is not None:
                self._candidates[lane] = self._find_candidates(lane, powers_V.tolist())
                before, last = self._history[lane][-2:]
                for candidate in self._candidates[lane]:
                    share = remaining * self._mixing.predict(candidate, (before, last)) >> P_BITS
                    shares[candidate.symbol] = share
                    remaining -= share
                    left_power -= candidate.power
            rows.append(share_out(powers_V, left_power, remaining, shares))
        self._frequencies_LV = np.stack(rows) if rows else self._frequencies_LV[:0]
        return self._frequencies_LV

    def update(self, symbols_L: SymbolArray) -> None:
        """Learn from the symbols that followed the last frequencies."""
        if self._mixing is None:
            return
        for lane, symbol in enumerate(symbols_L.tolist()):
            for candidate in self._candidates[lane]:
                self._mixing.learn(candidate, is_next=candidate.symbol == symbol)
                if candidate.symbol == symbol:
                    break
            for n, place in enumerate(self._places[lane]):
                self._count(n, place, symbol)

    def read(self, symbols_L: SymbolArray) -> None:
        """Let the first lanes go on to these symbols."""
        for lane, symbol in enumerate(symbols_L.tolist()):
            self._history[lane] = [*self._history[lane], symbol][1:]
            before = self._contexts[lane]
            longer = [table.find(context, symbol) for table, context in zip(self._tables, before, strict=True)]
            self._contexts[lane] = [symbol, *longer][: len(self._tables)]

    def intervals(self, symbols_L: SymbolArray) -> tuple[UInt32Array, UInt32Array]:
        """Return the sum of the last frequencies below each symbol, and its own, (L,) each."""
        lanes_L = np.arange(len(symbols_L))
        own_L = self._frequencies_LV[lanes_L, symbols_L]
        up_to_L = self._frequencies_LV.cumsum(axis=1, dtype=np.uint32)[lanes_L, symbols_L]
        return up_to_L - own_L, own_L

    def _find_candidates(self, lane: int, powers: list[int]) -> list[Candidate]:
        """Return the candidates in their order, with the states of their sources.

        Args:
            powers: (V,), each at least 1.
        """
        self._places[lane] = self._find_places(self._history[lane])
        total = sum(powers)
        found: dict[int, _Found] = {}

        def find(symbol: int) -> _Found:
            return found.setdefault(symbol, _Found(symbol, ((powers[symbol] - 1) << 16) // total))

        left = [0] * self._num_sources
        for source, (followers, last, factor) in enumerate(self._sources(lane)):
            left[source] = sum(count for _, count in followers)
            for symbol, count in followers:
                each = find(symbol)
                each.counts[source] = count
                each.score += factor // (left[source] + 1) * count
                if symbol == last:
                    each.last.add(source)
        likely = [symbol for symbol, power in enumerate(powers) if (power - 1) << TOP_SHIFT >= total]
        for symbol in sorted(likely, key=lambda symbol: -powers[symbol])[:NUM_TOPS]:
            find(symbol)
        ranked = sorted(found.values(), key=lambda each: (-each.score, each.symbol))[:MAX_CANDIDATES]
        candidates: list[Candidate] = []
        for rank, each in enumerate(ranked):
            candidates.append(self._candidate(each, min(rank, NUM_RANKS - 1), left, powers[each.symbol], total))
            total -= powers[each.symbol]
            left = [count - each.counts.get(source, 0) for source, count in enumerate(left)]
        return candidates

    def _candidate(self, found: _Found, rank: int, left: Sequence[int], power: int, left_power: int) -> Candidate:
        """
        Args:
            left: the counts of each source without those of the candidates before.
        """
        states: list[int] = []
        longest = knows = longest_table = 0
        for source, total in enumerate(left):
            count = found.counts.get(source, 0)
            states.append(state_of(count, total - count, is_last=source in found.last) if total else NO_STATE)
            if source >= len(self._orders):
                longest_table = source - len(self._orders) + 1 if total else longest_table
            else:
                longest = source + 1 if total else longest
                knows = source + 1 if count else knows
        return Candidate(found.symbol, rank, power, left_power, states, (longest, knows, longest_table))

    def _sources(self, lane: int) -> list[tuple[list[tuple[int, int]], int | None, int]]:
        """Return for each source: the symbols that followed, with counts; the last of them; the factor of scores."""
        found: list[tuple[list[tuple[int, int]], int | None, int]] = []
        for n, place in enumerate(self._places[lane]):
            slot = self._find_slot(n, place)
            factor = (n + 1) ** 2 << _SLOT_SCORE_BITS
            if slot is None:
                found.append(([], None, factor))
                continue
            entries = zip(self._symbols[n, slot].tolist(), self._counts[n, slot].tolist(), strict=True)
            followers = [(symbol, count) for symbol, count in entries if count]
            found.append((followers, int(self._symbols[n, slot, self._last[n, slot]]), factor))
        for n, length in enumerate(self._table_orders):
            followers = self._tables[length - 1].followers(self._contexts[lane][length - 1])
            found.append((followers, None, (n + 1) ** 2 << _TABLE_SCORE_BITS))
        return found

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
        if not is_known.any():
            counts[entry] = 0
        symbols[entry] = symbol
        if counts[entry] == MAX_COUNT:
            counts >>= 1
        counts[entry] += 1
        self._last[n, slot] = entry
        self._totals[n, slot] = counts.sum()
