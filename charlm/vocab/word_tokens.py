"""Text -> tokens whose concatenation is the text again: words, signs, space. What word-like vocabularies count.

    "Café l'été: 3.14!"  ->  Café| |l'été|:| |3|.|14|!

A word is a run of letters, marks and digits, with apostrophes and joiners inside it (as Unicode's word boundaries have
it). Scripts that write no spaces are cut at every character, since only a dictionary could do better. One space is a
token, other white space in a run is one, and so is every other character. No token but " " holds a space: text can be
cut at its spaces, and each piece seen on its own.
"""

from collections import Counter

import regex

MAX_TOKEN_LENGTH = 64
"""Characters of a token that a vocabulary may know: what is longer is noise, and spelled."""

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
_LETTERS = rf"[[\p{{L}}\p{{M}}\p{{N}}]--[{_UNSPACED}]]++"
_INNER = r"['’·״׳\u00ad\u200c\u200d]"
_WORD = rf"(?:{_LETTERS}(?:{_INNER}{_LETTERS})*+|[{_UNSPACED}]\p{{M}}*+)"
_TOKEN = regex.compile(rf"(?V1){_WORD}| |[^\S ]++|.", regex.DOTALL)
_IS_WORD = regex.compile(rf"(?V1){_WORD}")

_MAX_TYPES = 4_000_000  # different tokens held while counting: some 500 MB
_MAX_PENDING_CHARACTERS = 16_000_000  # characters of text whose pieces are not split yet


def split_tokens(text: str) -> list[str]:
    return _TOKEN.findall(text)


def is_word(token: str) -> bool:
    """Whether a token is a word, not a sign or white space."""
    return _IS_WORD.match(token) is not None


class TokenCounts:
    """How often each token stands in the texts added so far.

    Beyond some millions of different tokens the rarest are forgotten, which a vocabulary of thousands never notices.
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
        """Count the tokens of the pieces: each different one is split once."""
        for piece, count in self._pieces.items():
            for token in split_tokens(piece):
                self._tokens[token] += count
        self._pieces.clear()
        self._num_pending_characters = 0
        least = 1
        while len(self._tokens) > _MAX_TYPES:
            least += 1
            self._tokens = Counter({token: count for token, count in self._tokens.items() if count >= least})

    def __getstate__(self) -> dict[str, object]:
        self.flush()  # before it goes to another process: there it would be that one's work
        return self.__dict__

    def merge(self, other: "TokenCounts") -> None:
        """Add what another counter has seen."""
        other.flush()
        self._tokens.update(other._tokens)
        self.flush()

    def most_frequent(self, *, min_count: int = 1) -> list[tuple[str, int]]:
        """Tokens with their counts, by falling count, then by code points."""
        self.flush()
        kept = [item for item in self._tokens.items() if item[1] >= min_count]
        return sorted(kept, key=lambda item: (-item[1], item[0]))

    @property
    def distinct_characters(self) -> int:
        self.flush()
        return len(set[str]().union(*self._tokens))
