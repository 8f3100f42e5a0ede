"""Texts that consist of some characters only, or that avoid some. <eod> begins another document.

    only, never ──> CharacterAutomaton ──with a vocabulary──> CharacterConstraint

V vocabulary.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from charlm.errors import OptionError
from charlm.sampling.constraints.tokens import TokenConstraint, TokenState
from charlm.sampling.constraints.utf8_automaton import Alphabet, TextAutomaton
from charlm.sampling.detokenizer import DOCUMENT_BREAK
from charlm.vocab.base import Vocab


class CharacterAutomaton(TextAutomaton[int]):
    """Accepts texts of the allowed characters. It has one state."""

    def __init__(self, only: str | None, never: str = "", spellable: Iterable[str] | None = None) -> None:
        """
        Args:
            only: the allowed characters; all if left out.
            never: characters that are not allowed.
            spellable: the characters that the vocabulary can spell; all if left out.

        Raises:
            OptionError: no character is left.
        """
        self._only, self._never = only, never
        wanted = spellable if only is None else only if spellable is None else set(only) & set(spellable)
        super().__init__(0, Alphabet(None if wanted is None else set(wanted) - set(never)))
        self._excluded = sorted(set(never)) if wanted is None else []
        if self._compute_min_completion_via(0, "\0", "\U0010ffff") is None:
            raise OptionError("no character is left that could be written", "allow more with {only} or {never}")

    def restrict_to(self, spellable: Iterable[str]) -> "CharacterAutomaton":
        return CharacterAutomaton(self._only, self._never, spellable)

    def allows(self, character: str) -> bool:
        return self.alphabet.count(character, character) > 0 and character not in self._excluded

    def _compute_next_state(self, char_state: int, character: str) -> int | None:
        return char_state if self.allows(character) else None

    def _compute_min_completion(self, char_state: int) -> int:
        del char_state
        return 0

    def _compute_min_completion_via(self, char_state: int, first: str, last: str) -> int | None:
        del char_state
        excluded = sum(first <= character <= last for character in self._excluded)
        return 1 if self.alphabet.count(first, last) > excluded else None


class CharacterConstraint:
    """A character automaton over the ids of a vocabulary; <eod> is allowed if its text is."""

    ends_at_eod = False

    def __init__(self, automaton: CharacterAutomaton, vocab: Vocab) -> None:
        """
        Raises:
            UsageError: the vocabulary cannot spell any of the characters.
        """
        self._token_constraint = TokenConstraint(automaton, vocab)
        self._eod_id = vocab.eod_id
        self._allows_eod = all(map(automaton.allows, DOCUMENT_BREAK))
        self.start = self._token_constraint.start

    def mask(self, state: TokenState[int], remaining: int) -> npt.NDArray[np.bool_]:
        mask = self._token_constraint.mask(state, remaining)
        if not self._allows_eod:
            mask[self._eod_id] = False
        return mask

    def advance(self, state: TokenState[int], token: int) -> TokenState[int]:
        return self.start if token == self._eod_id else self._token_constraint.advance(state, token)
