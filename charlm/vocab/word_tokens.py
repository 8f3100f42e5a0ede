"""Text -> tokens (words, punctuation, white space) whose concatenation is the text.

    "Café l'été: 3.14!"  ->  Café| |l'été|:| |3|.|14|!

A word is a run of letters, marks and digits, with apostrophes and joiners inside (like Unicode's word boundaries, UAX
29). Scripts without spaces are cut at every character, since finding their words needs a dictionary. A single space is
a token, and so are a run of other white space and every other character. Only the token " " contains a space, so text
can be cut at its spaces and each piece split on its own.
"""

from collections import Counter

import regex

MAX_TOKEN_LENGTH = 64
"""Characters; longer tokens are noise and never get an id."""

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
_LETTERS = rf"[[\p{{L}}\p{{M}}\p{{N}}]--[{_UNSPACED}]]++"
_INNER = r"['’·״׳\u00ad\u200c\u200d]"
_WORD = rf"(?:{_LETTERS}(?:{_INNER}{_LETTERS})*+|[{_UNSPACED}]\p{{M}}*+)"
_TOKEN = regex.compile(rf"(?V1){_WORD}| |[^\S ]++|.", regex.DOTALL)
_IS_WORD = regex.compile(rf"(?V1){_WORD}")

_MAX_TYPES = 4_000_000  # different tokens in memory while counting: about 500 MB
_MAX_PENDING_CHARACTERS = 16_000_000  # characters of text whose pieces are not yet split into tokens


def split_tokens(text: str) -> list[str]:
    return _TOKEN.findall(text)


def is_word(token: str) -> bool:
    """Return whether a token is a word, not punctuation or white space."""
    return _IS_WORD.match(token) is not None


def drop_rarest(counts: Counter[str]) -> Counter[str]:
    """Return counts of at most 4 million different tokens: without the rarest, if there are more."""
    least = 1
    while len(counts) > _MAX_TYPES:
        least += 1
        counts = Counter({token: count for token, count in counts.items() if count >= least})
    return counts


class TokenCounts:
    """The number of occurrences of each token in the texts added so far.

    Above 4 million different tokens the rarest are dropped, which does not change a vocabulary of thousands.
    """

    def __init__(self) -> None:
        self._pieces: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()
        self._num_pending_characters = 0

    def add(self, text: str) -> None:
        pieces = text.split(" ")
        self._pieces.update(pieces)
        if len(pieces) > 1:
            self._tokens[" "] += len(pieces) - 1
        self._num_pending_characters += len(text)
        if self._num_pending_characters >= _MAX_PENDING_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        """Count the tokens of the pending pieces; each different piece is split once."""
        for piece, count in self._pieces.items():
            for token in split_tokens(piece):
                self._tokens[token] += count
        self._pieces.clear()
        self._num_pending_characters = 0
        self._tokens = drop_rarest(self._tokens)

    def __getstate__(self) -> dict[str, object]:
        self.flush()  # so that the process that merges the counters need not split the pieces
        return self.__dict__

    def merge(self, other: "TokenCounts") -> None:
        """Add the counts of another counter."""
        other.flush()
        self._tokens.update(other._tokens)
        self.flush()

    def most_frequent(self, *, min_count: int = 1) -> list[tuple[str, int]]:
        """Return tokens with their counts, by decreasing count, then by code points."""
        self.flush()
        kept = [item for item in self._tokens.items() if item[1] >= min_count]
        return sorted(kept, key=lambda item: (-item[1], item[0]))

    @property
    def distinct_characters(self) -> int:
        self.flush()
        return len(set[str]().union(*self._tokens))
