"""The ids that may come next, so that the text can still be completed to an accepted one.

    vocabulary ──> bytes, and a trie of the ids' texts ─┐
    automaton ──> the state after each of them ─────────┴──> characters to the end by way of each id ── <= remaining
                                                                                                            └──> mask

An id is allowed only if the text can be completed after it, so that no allowed id leads to a dead end.
"""

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Generic, NamedTuple

import numpy as np
import numpy.typing as npt

from charlm.errors import UsageError
from charlm.sampling.constraints.utf8_automaton import CharStateT, TextAutomaton, TextState
from charlm.vocab.base import NUM_BYTES, IntArray, Vocab, code_points
from charlm.vocab.byte import ByteVocab
from charlm.vocab.ngram import NgramVocab

_UNREACHABLE = np.iinfo(np.int32).max
_CACHE_BYTES = 1 << 26
_POINT_BITS = 21
_POINT_MASK = (1 << _POINT_BITS) - 1
_BYTES = [bytes([byte]) for byte in range(NUM_BYTES)]

MinChars = npt.NDArray[np.int32]
"""(V,): the fewest characters to an accepted text by way of each id, its own included, or _UNREACHABLE."""


class SpellingPhase(Enum):
    """The position within the spelling of an unknown word, for vocabularies that mark its start and its end."""

    NONE = 0
    OPENED = 1
    WITHIN = 2
    """At least one byte of the word was written."""


@dataclass(frozen=True, slots=True)
class TokenState(TextState[CharStateT]):
    """The state after some ids."""

    spelling: SpellingPhase = SpellingPhase.NONE


class TokenConstraint(Generic[CharStateT]):
    """A text automaton over the ids of a vocabulary.

    If `automaton.distance(start)` is at most the remaining length, some id is allowed until <eod> is drawn or the
    length is reached, and the text is then accepted, whichever of the allowed ids were drawn. Otherwise no id is.

    Between the marks of a spelled word there is at least one character, in bytes only. Other ids without text are
    never allowed, so that every id makes progress.
    """

    ends_at_eod = True
    """<eod> ends the text, instead of beginning another document."""

    def __init__(self, automaton: TextAutomaton[CharStateT], vocab: Vocab) -> None:
        """
        Raises:
            UsageError: the vocabulary can spell no accepted text; or it has ids of several characters and no byte
                fallback, so that the texts that it can spell are not known.
        """
        self.vocab = vocab
        texts = token_texts(vocab)
        self._token_bytes = [text.encode("utf-8") for text in texts]
        self._first_byte_id = first_byte_id(vocab)
        if self._first_byte_id is None:
            automaton = automaton.restrict_to(_single_characters(texts))
        else:
            self._token_bytes[self._first_byte_id : self._first_byte_id + NUM_BYTES] = _BYTES
        self._spelling_marks = (vocab.spell_id, vocab.end_id) if isinstance(vocab, NgramVocab) else None
        self.automaton = automaton
        self.start = TokenState(automaton.start.char_state, b"")
        self._trie = _Trie(texts)
        self._min_chars = lru_cache(max(4, _CACHE_BYTES // (4 * vocab.size)))(self._compute_min_chars)

    def mask(self, state: TokenState[CharStateT], remaining: int) -> npt.NDArray[np.bool_]:
        """The ids that may come next, (V,), if at most `remaining` more characters are written.

        An unfinished character counts when it is finished. <eod> is allowed exactly if the text is accepted.
        """
        return self._min_chars(state) <= min(remaining, _UNREACHABLE - 1)

    def advance(self, state: TokenState[CharStateT], token: int) -> TokenState[CharStateT]:
        """The state after an id that the mask allows and that is not <eod>."""
        if self._spelling_marks is not None and token in self._spelling_marks:
            spelling = SpellingPhase.OPENED if token == self._spelling_marks[0] else SpellingPhase.NONE
            return TokenState(state.char_state, state.pending, spelling)
        next_state = self.automaton.step(state, self._token_bytes[token])
        assert next_state is not None, "an id that the mask does not allow"
        spelling = SpellingPhase.NONE if state.spelling is SpellingPhase.NONE else SpellingPhase.WITHIN
        return TokenState(next_state.char_state, next_state.pending, spelling)

    def _compute_min_chars(self, state: TokenState[CharStateT]) -> MinChars:
        min_chars = np.full(self.vocab.size, _UNREACHABLE, dtype=np.int32)
        distance = self.automaton.distance(state)
        is_outside_spelling = state.spelling is SpellingPhase.NONE
        if is_outside_spelling and not state.pending:
            self._trie.walk(self.automaton, state.char_state, min_chars)
        if self._first_byte_id is not None:
            byte_min_chars = min_chars[self._first_byte_id :][:NUM_BYTES]
            byte_min_chars[:] = [self._min_chars_via_byte(state, byte) for byte in _BYTES]
            if self._spelling_marks is not None and not state.pending:
                if is_outside_spelling:
                    min_chars[self._spelling_marks[0]] = byte_min_chars.min()
                elif state.spelling is SpellingPhase.WITHIN:
                    min_chars[self._spelling_marks[1]] = distance
        if is_outside_spelling and distance == 0:
            min_chars[self.vocab.eod_id] = 0
        return min_chars

    def _min_chars_via_byte(self, state: TextState[CharStateT], byte: bytes) -> int:
        next_state = self.automaton.step(state, byte)
        return _UNREACHABLE if next_state is None else self.automaton.distance(next_state) + (not next_state.pending)


def token_texts(vocab: Vocab) -> list[str]:
    """The text of each id, independent of its context; empty for <eod>, marks and bytes."""
    first = first_byte_id(vocab)
    byte_ids = range(0) if first is None else range(first, first + NUM_BYTES)
    decoder = vocab.stream_decoder()
    return ["" if token == vocab.eod_id or token in byte_ids else decoder.push(token) for token in range(vocab.size)]


def first_byte_id(vocab: Vocab) -> int | None:
    """The id of byte 0; byte b has the id b more. None if the vocabulary has no bytes."""
    return 0 if isinstance(vocab, ByteVocab) else vocab.first_byte_id


def _single_characters(texts: list[str]) -> str:
    """The characters that ids write, each by itself.

    Raises:
        UsageError: an id writes several, so that it is not known which characters can be written by themselves.
    """
    longer = next((text for text in texts if len(text) > 1), None)
    if longer is not None:
        raise UsageError(
            f"the vocabulary has {longer!r} as one token, and no byte fallback to spell its characters",
            "prepare the corpus with corpus.vocab.byte_fallback = true",
        )
    return "".join(texts)


class _TrieLevel(NamedTuple):
    """The nodes N of one depth, and the ids T whose texts end at them."""

    parent_N: IntArray
    """The parents, as indices into the level above."""
    point_N: IntArray
    """The code points from the parents to the nodes."""
    id_T: IntArray
    node_T: IntArray


class _Trie:
    """The texts of the ids as a prefix tree."""

    def __init__(self, texts: list[str]) -> None:
        sizes = np.array([len(text) for text in texts])
        starts = sizes.cumsum() - sizes
        codes = code_points("".join(texts)).astype(np.int64)
        node_of = np.zeros(len(texts), dtype=np.int64)
        self._levels: list[_TrieLevel] = []
        for depth in range(1, int(sizes.max()) + 1):
            ids = np.flatnonzero(sizes >= depth)
            keys = node_of[ids] << _POINT_BITS | codes[starts[ids] + depth - 1]
            nodes, node_of[ids] = np.unique(keys, return_inverse=True)
            ends = ids[sizes[ids] == depth]
            parents, points = nodes >> _POINT_BITS, nodes & _POINT_MASK
            self._levels.append(_TrieLevel(parents, points, ends, node_of[ends]))

    def walk(self, automaton: TextAutomaton[CharStateT], start: CharStateT, min_chars: MinChars) -> None:
        """Write into `min_chars` the characters to the end by way of each id with a text, from state `start`.

        All nodes of a level are processed at once. Few states occur, and each reads each character once.
        """
        states = [start]
        state_index = {start: 0}
        transitions: dict[int, int] = {}
        distances = [automaton.min_completion(start)]
        state_N = np.zeros(1, dtype=np.int64)
        for depth, level in enumerate(self._levels, start=1):
            before_N = state_N[level.parent_N]
            alive = np.flatnonzero(before_N >= 0)
            if not alive.size:
                break
            keys, inverse = np.unique(before_N[alive] << _POINT_BITS | level.point_N[alive], return_inverse=True)
            for key in keys.tolist():
                if key not in transitions:
                    next_state = automaton.next_state(states[key >> _POINT_BITS], chr(key & _POINT_MASK))
                    if next_state is not None and next_state not in state_index:
                        state_index[next_state] = len(states)
                        states.append(next_state)
                        distances.append(automaton.min_completion(next_state))
                    transitions[key] = -1 if next_state is None else state_index[next_state]
            state_N = np.full(len(level.parent_N), -1, dtype=np.int64)
            state_N[alive] = np.array([transitions[key] for key in keys.tolist()])[inverse]
            end_T = state_N[level.node_T]
            min_chars[level.id_T] = np.where(end_T < 0, _UNREACHABLE, depth + np.array(distances)[end_T])
