"""Which ids may come next, so that the text can still be completed to one that is wanted.

vocabulary ──> the bytes, a trie of the texts ┐
automaton ──> where each of them leads ───────┴──> characters that each id takes to the end ── <= remaining ──> mask

Nothing that is allowed ever leads where no id is: what an id takes, itself included, is known before it is allowed.
"""

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Generic, NamedTuple

import numpy as np
import numpy.typing as npt

from charlm.errors import UsageError
from charlm.sampling.constraints.utf8_automaton import Live, TextAutomaton, TextState
from charlm.vocab.base import NUM_BYTES, IntArray, Vocab, code_points
from charlm.vocab.byte import ByteVocab
from charlm.vocab.ngram import NgramVocab

_NEVER = np.iinfo(np.int32).max
_REMEMBERED_BYTES = 1 << 26
_POINT_BITS = 21
_POINT_MASK = (1 << _POINT_BITS) - 1
_BYTES = [bytes([byte]) for byte in range(NUM_BYTES)]

Needs = npt.NDArray[np.int32]
"""(vocab.size,): the fewest characters to a wanted text by way of each id, its own included, or _NEVER."""


class Spelling(Enum):
    """Where a text is in the spelling of an unknown word, for vocabularies that mark its beginning and its end."""

    NONE = 0
    OPENED = 1
    WITHIN = 2
    """At least one byte of it is there."""


@dataclass(frozen=True, slots=True)
class TokenState(TextState[Live]):
    """Where ids have led."""

    spelling: Spelling = Spelling.NONE


class TokenConstraint(Generic[Live]):
    """An automaton over the ids of a vocabulary.

    Where `automaton.distance(start)` is no more than what remains, some id is allowed until <eod> is drawn or nothing
    remains, and the text is then as wanted, whichever of the allowed ids are drawn. Where it is more, none is.

    Between the marks of a spelled word there is at least one character, and bytes alone. Other ids without text are
    never allowed. So each id brings some text with it, and none stands still for ever.
    """

    ends_at_eod = True
    """<eod> ends the text, instead of beginning another document."""

    def __init__(self, automaton: TextAutomaton[Live], vocab: Vocab) -> None:
        """
        Raises:
            UsageError: no text that the vocabulary can spell is as wanted; or it has no bytes to spell with but ids
                of several characters, so that what it can spell is not known.
        """
        self.vocab = vocab
        texts = texts_of(vocab)
        self._data = [text.encode("utf-8") for text in texts]
        self._first_byte_id = _first_byte_id(vocab)
        if self._first_byte_id is None:
            automaton = automaton.spelled_with(_spellable(texts))
        else:
            self._data[self._first_byte_id : self._first_byte_id + NUM_BYTES] = _BYTES
        self._marks = (vocab.spell_id, vocab.end_id) if isinstance(vocab, NgramVocab) else None
        self.automaton = automaton
        self.start = TokenState(automaton.start.live, b"")
        self._trie = _Trie(texts)
        self._needs = lru_cache(max(4, _REMEMBERED_BYTES // (4 * vocab.size)))(self._find_needs)

    def mask(self, state: TokenState[Live], remaining: int) -> npt.NDArray[np.bool_]:
        """Which ids may come next, (vocab.size,), if at most `remaining` more characters are written.

        An unfinished character counts when it is finished. <eod> is allowed exactly where the text is as wanted.
        """
        return self._needs(state) <= min(remaining, _NEVER - 1)

    def advance(self, state: TokenState[Live], token: int) -> TokenState[Live]:
        """The state after an id that the mask allows, other than <eod>."""
        if self._marks is not None and token in self._marks:
            spelling = Spelling.OPENED if token == self._marks[0] else Spelling.NONE
            return TokenState(state.live, state.pending, spelling)
        after = self.automaton.step(state, self._data[token])
        assert after is not None, "an id that the mask does not allow"
        spelling = Spelling.NONE if state.spelling is Spelling.NONE else Spelling.WITHIN
        return TokenState(after.live, after.pending, spelling)

    def _find_needs(self, state: TokenState[Live]) -> Needs:
        needs = np.full(self.vocab.size, _NEVER, dtype=np.int32)
        distance = self.automaton.distance(state)
        outside = state.spelling is Spelling.NONE
        if outside and not state.pending:
            self._trie.walk(self.automaton, state.live, needs)
        if self._first_byte_id is not None:
            bytes_needs = needs[self._first_byte_id :][:NUM_BYTES]
            bytes_needs[:] = [self._byte_need(state, byte) for byte in _BYTES]
            if self._marks is not None and not state.pending:
                if outside:
                    needs[self._marks[0]] = bytes_needs.min()
                elif state.spelling is Spelling.WITHIN:
                    needs[self._marks[1]] = distance
        if outside and distance == 0:
            needs[self.vocab.eod_id] = 0
        return needs

    def _byte_need(self, state: TextState[Live], byte: bytes) -> int:
        after = self.automaton.step(state, byte)
        return _NEVER if after is None else self.automaton.distance(after) + (not after.pending)


def texts_of(vocab: Vocab) -> list[str]:
    """What each id writes, whatever stands before it; nothing for <eod>, marks, and bytes."""
    first = _first_byte_id(vocab)
    byte_ids = range(0) if first is None else range(first, first + NUM_BYTES)
    decoder = vocab.stream_decoder()
    return ["" if token == vocab.eod_id or token in byte_ids else decoder.push(token) for token in range(vocab.size)]


def _first_byte_id(vocab: Vocab) -> int | None:
    return 0 if isinstance(vocab, ByteVocab) else vocab.first_byte_id


def _spellable(texts: list[str]) -> str:
    """The characters that ids write.

    Raises:
        UsageError: an id writes several: it is not known which of them can be written apart.
    """
    longer = next((text for text in texts if len(text) > 1), None)
    if longer is not None:
        raise UsageError(
            f"the vocabulary has {longer!r} in one piece, and no bytes to spell its characters with",
            "prepare the corpus with corpus.vocab.byte_fallback = true",
        )
    return "".join(texts)


class _Level(NamedTuple):
    """The nodes N of one depth, and the ids T whose texts end there."""

    parent_N: IntArray
    """Among the nodes of the level above."""
    point_N: IntArray
    """The code points that lead to them from there."""
    id_T: IntArray
    node_T: IntArray


class _Trie:
    """The texts of ids, as a tree in which those that begin alike share their beginning: a node is a beginning."""

    def __init__(self, texts: list[str]) -> None:
        sizes = np.array([len(text) for text in texts])
        starts = sizes.cumsum() - sizes
        codes = code_points("".join(texts)).astype(np.int64)
        node_of = np.zeros(len(texts), dtype=np.int64)
        self._levels: list[_Level] = []
        for depth in range(1, int(sizes.max()) + 1):
            ids = np.flatnonzero(sizes >= depth)
            keys = node_of[ids] << _POINT_BITS | codes[starts[ids] + depth - 1]
            nodes, node_of[ids] = np.unique(keys, return_inverse=True)
            ends = ids[sizes[ids] == depth]
            parents, points = nodes >> _POINT_BITS, nodes & _POINT_MASK
            self._levels.append(_Level(parents, points, ends, node_of[ends]))

    def walk(self, automaton: TextAutomaton[Live], start: Live, needs: Needs) -> None:
        """Write into `needs` what the ids of all texts need from `start`.

        All nodes of a level at once: few states are met, and each takes each character once.
        """
        states = [start]
        number_of = {start: 0}
        targets: dict[int, int] = {}
        distances = [automaton.missing(start)]
        state_N = np.zeros(1, dtype=np.int64)
        for depth, level in enumerate(self._levels, start=1):
            before_N = state_N[level.parent_N]
            alive = np.flatnonzero(before_N >= 0)
            if not alive.size:
                break
            keys, inverse = np.unique(before_N[alive] << _POINT_BITS | level.point_N[alive], return_inverse=True)
            for key in keys.tolist():
                if key not in targets:
                    after = automaton.after(states[key >> _POINT_BITS], chr(key & _POINT_MASK))
                    if after is not None and after not in number_of:
                        number_of[after] = len(states)
                        states.append(after)
                        distances.append(automaton.missing(after))
                    targets[key] = -1 if after is None else number_of[after]
            state_N = np.full(len(level.parent_N), -1, dtype=np.int64)
            state_N[alive] = np.array([targets[key] for key in keys.tolist()])[inverse]
            end_T = state_N[level.node_T]
            needs[level.id_T] = np.where(end_T < 0, _NEVER, depth + np.array(distances)[end_T])
