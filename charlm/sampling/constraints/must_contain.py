"""Texts that contain given texts.

texts ──all their prefixes──> MustContainAutomaton
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache

from charlm.errors import OptionError
from charlm.sampling.constraints.utf8_automaton import CACHE_SIZE, Alphabet, TextAutomaton, set_bits

MAX_TEXTS = 64
MAX_CHARACTERS = 2_000
"""Of all texts that must be contained."""
_MAX_EXACT_TEXTS = 8
"""So many missing texts are put in the best order; of more, the first ones stay in the order in which they came."""


class MustContainAutomaton(TextAutomaton[tuple[str, int]]):
    """Texts that contain each of the given ones; these may overlap.

    Distances are the least ones while no more than 8 of them are missing, and else reachable ones.

    A state is the longest end of the text that begins one of them (Aho and Corasick, 1975), and which are missing, as
    the bits of a number.
    """

    def __init__(self, texts: Sequence[str], spellable: Iterable[str] | None = None) -> None:
        """
        Args:
            spellable: the characters that text can be made of; all there are if left out.

        Raises:
            UsageError: the texts are too many or too long, or hold a character that no text can be made of.
        """
        alphabet = Alphabet(spellable)
        _check_texts(texts, alphabet)
        self._texts = [text for text in dict.fromkeys(texts) if text and not _is_substring_of_another(text, texts)]
        self._prefixes: defaultdict[str, int] = defaultdict(int)
        for index, text in enumerate(self._texts):
            for size in range(1, len(text) + 1):
                self._prefixes[text[:size]] |= 1 << index
        self._failure_links: dict[str, str] = {}
        for prefix in sorted(self._prefixes, key=len):
            self._failure_links[prefix] = (
                self._next_prefix(self._failure_links[prefix[:-1]], prefix[-1]) if prefix[1:] else ""
            )
        self._characters = sorted(set("".join(self._texts)))
        self._index_of = {text: index for index, text in enumerate(self._texts)}
        self._overlaps = lru_cache(CACHE_SIZE)(self._compute_overlaps)
        self._min_remaining = lru_cache(CACHE_SIZE)(self._compute_min_remaining)
        super().__init__(("", (1 << len(self._texts)) - 1), alphabet)

    def restrict_to(self, spellable: Iterable[str]) -> "MustContainAutomaton":
        return MustContainAutomaton(self._texts, spellable)

    def _compute_next_state(self, char_state: tuple[str, int], character: str) -> tuple[str, int]:
        suffix, missing_mask = char_state
        suffix = self._next_prefix(suffix, character)
        if suffix in self._index_of:  # no other text can end here: it would hold this one, or be within it
            missing_mask &= ~(1 << self._index_of[suffix])
        return (suffix, missing_mask) if missing_mask else ("", 0)

    def _compute_min_completion(self, char_state: tuple[str, int]) -> int:
        suffix, missing_mask = char_state
        return min(
            (self._remaining_if_next(suffix, index, missing_mask) for index in set_bits(missing_mask)), default=0
        )

    def _compute_min_completion_via(self, char_state: tuple[str, int], first: str, last: str) -> int | None:
        if not self.alphabet.count(first, last):
            return None
        others = ("", char_state[1])  # of which there may be none, but then one of these is no further away
        found = [self.next_state(char_state, character) for character in self._characters if first <= character <= last]
        return 1 + min(map(self.min_completion, [others, *filter(None, found)]))

    def _next_prefix(self, suffix: str, character: str) -> str:
        """The longest end of `suffix + character` that begins a text."""
        while suffix + character not in self._prefixes:
            if not suffix:
                return ""
            suffix = self._failure_links[suffix]
        return suffix + character

    def _remaining_if_next(self, suffix: str, index: int, missing_mask: int) -> int:
        """Characters that are missing if this text comes first."""
        text = self._texts[index]
        return (
            len(text) - self._overlaps(suffix).get(index, 0) + self._min_remaining(text, missing_mask & ~(1 << index))
        )

    def _compute_min_remaining(self, suffix: str, missing_mask: int) -> int:
        """Characters that are missing after a text.

        The order of many is kept, since to try all takes too long: each of them that is found shortens the rest.
        """
        numbers = (
            set_bits(missing_mask) if missing_mask.bit_count() <= _MAX_EXACT_TEXTS else [next(set_bits(missing_mask))]
        )
        return min((self._remaining_if_next(suffix, index, missing_mask) for index in numbers), default=0)

    def _compute_overlaps(self, suffix: str) -> dict[int, int]:
        """Text -> how much of its beginning the end of the text is, if any."""
        overlaps: dict[int, int] = {}
        while suffix:
            for index in set_bits(self._prefixes[suffix]):
                overlaps.setdefault(index, len(suffix))
            suffix = self._failure_links[suffix]
        return overlaps


def _is_substring_of_another(text: str, others: Sequence[str]) -> bool:
    return any(text in other for other in others if other != text)


def _check_texts(texts: Sequence[str], alphabet: Alphabet) -> None:
    if len(texts) > MAX_TEXTS or sum(map(len, texts)) > MAX_CHARACTERS:
        raise OptionError(
            f"{{must_contain}} has {len(texts)} texts of {sum(map(len, texts)):,} characters in all",
            f"give at most {MAX_TEXTS} texts of at most {MAX_CHARACTERS:,} characters in all",
        )
    for character in sorted(set("".join(texts))):
        if not alphabet.count(character, character):
            raise OptionError(
                "{must_contain} has the character {character}, which the vocabulary cannot spell",
                "give another text, or prepare the corpus with corpus.vocab.byte_fallback = true",
                character=repr(character),
            )
