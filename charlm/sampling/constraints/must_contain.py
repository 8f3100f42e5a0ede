"""Texts that contain given texts (Aho and Corasick, 1975).

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
"""Up to this many missing texts, the shortest order is found; of more texts, the first keep the order given."""


class MustContainAutomaton(TextAutomaton[tuple[str, int]]):
    """Texts that contain each of the given texts, which may overlap.

    Distances are exact minima while at most 8 texts are missing, otherwise upper bounds that can be reached.

    A state is the longest end of the text that is a prefix of a given text, and the set of missing texts, as the bits
    of a number.
    """

    def __init__(self, texts: Sequence[str], spellable: Iterable[str] | None = None) -> None:
        """
        Args:
            spellable: the characters that the vocabulary can spell; all if left out.

        Raises:
            OptionError: there are too many texts, they are too long, or have a character that cannot be spelled.
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
        if suffix in self._index_of:  # no other text ends here: one of both would contain the other
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
        others = ("", char_state[1])  # all other characters; if there are none, one of `found` is as near
        found = [self.next_state(char_state, character) for character in self._characters if first <= character <= last]
        return 1 + min(map(self.min_completion, [others, *filter(None, found)]))

    def _next_prefix(self, suffix: str, character: str) -> str:
        """The longest end of `suffix + character` that is a prefix of a text."""
        while suffix + character not in self._prefixes:
            if not suffix:
                return ""
            suffix = self._failure_links[suffix]
        return suffix + character

    def _remaining_if_next(self, suffix: str, index: int, missing_mask: int) -> int:
        """Missing characters if this text comes next."""
        text = self._texts[index]
        return (
            len(text) - self._overlaps(suffix).get(index, 0) + self._min_remaining(text, missing_mask & ~(1 << index))
        )

    def _compute_min_remaining(self, suffix: str, missing_mask: int) -> int:
        """Missing characters after a text.

        Of many texts only the first is tried next, because trying every order takes too long.
        """
        numbers = (
            set_bits(missing_mask) if missing_mask.bit_count() <= _MAX_EXACT_TEXTS else [next(set_bits(missing_mask))]
        )
        return min((self._remaining_if_next(suffix, index, missing_mask) for index in numbers), default=0)

    def _compute_overlaps(self, suffix: str) -> dict[int, int]:
        """Index of a text -> the length of its longest prefix at the end of `suffix`, if any."""
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
