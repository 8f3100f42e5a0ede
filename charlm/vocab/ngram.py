"""The n-gram vocabulary: words whose input embedding is the sum over their character n-grams.

    #слово# -> #сл сло лов ово во#

    id 0           <eod>
    id 1..256      the bytes 0x00..0xFF
    id 257, 258    <spell>, </spell>
    then           words, punctuation and space, most frequent first, as in `charlm.vocab.word`

An unknown word is encoded as <spell>, its bytes, </spell>; at </spell> the network has read the whole word and can use
its n-grams. Other unknown characters are encoded as bytes only. `bags` returns the n-grams of each token.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from charlm.errors import DataError
from charlm.vocab.base import NgramBags, Vocab, ngram_hash
from charlm.vocab.cached_encoder import pack_ids
from charlm.vocab.checks import check_strings
from charlm.vocab.settings import NgramSettings
from charlm.vocab.word import WordLearner, WordVocab
from charlm.vocab.word_tokens import is_word

BOUNDARY = "#"


def ngrams_of(token: str, n: int) -> list[str]:
    """Return the n-grams of a token with its boundary marks; if that is shorter than n, it is the only n-gram."""
    marked = f"{BOUNDARY}{token}{BOUNDARY}"
    return [marked[start : start + n] for start in range(max(1, len(marked) - n + 1))]


class NgramVocab(WordVocab):
    """The word vocabulary with the n-grams of its words."""

    type: ClassVar[str] = "ngram"
    specials = ("<spell>", "</spell>")
    spell_id = 257
    end_id = 258

    def __init__(self, tokens: Sequence[str], ngrams: Sequence[str], n: int) -> None:
        """
        Args:
            ngrams: the known n-grams, each once, with different hashes.
            n: length of an n-gram in characters.
        """
        super().__init__(tokens)
        if n < 1 or not all(1 <= len(ngram) <= n for ngram in ngrams):
            raise ValueError("an n-gram is longer than n")
        self.ngrams = tuple(ngrams)
        self.n = n
        if len({ngram_hash(ngram.encode("utf-8")) for ngram in ngrams}) != len(ngrams):
            raise ValueError("two n-grams have the same hash")

    def spell(self, token: str) -> bytes:
        spelled = super().spell(token)
        return pack_ids([self.spell_id]) + spelled + pack_ids([self.end_id]) if is_word(token) else spelled

    def bags(self) -> NgramBags | None:
        if not self.ngrams:  # `NgramLearner` makes no such vocabulary any more
            return None
        id_of = {ngram: number for number, ngram in enumerate(self.ngrams)}
        bags: list[list[int]] = [[] for _ in range(self.first_token_id)]
        bags += ([id_of[ngram] for ngram in ngrams_of(token, self.n) if ngram in id_of] for token in self.tokens)
        return NgramBags(
            offsets=np.cumsum([0, *map(len, bags)], dtype=np.int64),
            ngrams=np.array([ngram for bag in bags for ngram in bag], dtype=np.int64),
            hashes=np.array([ngram_hash(ngram.encode("utf-8")) for ngram in self.ngrams], dtype=np.int64),
            n=self.n,
            spell_id=self.spell_id,
            end_id=self.end_id,
            first_byte_id=self.first_byte_id,
            boundary=BOUNDARY.encode(),
        )

    def to_json(self) -> dict[str, Any]:
        return {"n": self.n, "ngrams": list(self.ngrams), "tokens": list(self.tokens)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "NgramVocab":
        if type(content["n"]) is not int:
            raise TypeError("n must be a number")
        return cls(check_strings(content["tokens"]), check_strings(content["ngrams"]), content["n"])


class NgramLearner(WordLearner):
    """Learns words, and the n-grams of all words in the texts, including those that are too rare to be known."""

    def __init__(self, settings: NgramSettings) -> None:
        super().__init__(settings)
        self._ngram_settings = settings

    def finish(self) -> Vocab:
        """
        Raises:
            DataError: the texts have fewer than two different characters, or no n-gram is frequent enough.
        """
        settings, frequent_tokens = self._ngram_settings, self.frequent_tokens()
        counts = count_ngrams(self.counts.most_frequent(), settings.n)
        frequent = sorted(
            (item for item in counts.items() if item[1] >= settings.min_ngram_count),
            key=lambda item: (-item[1], item[0]),
        )
        ngrams = _drop_hash_collisions(ngram for ngram, _ in frequent)[: settings.max_ngrams]
        if not ngrams:
            most = max(counts.values(), default=0)
            raise DataError(
                f"no {settings.n}-gram of the training text occurs {settings.min_ngram_count:,} times, as"
                f" corpus.vocab.min_ngram_count asks; the most frequent one occurs {most:,} times",
                f"give more text, or --set corpus.vocab.min_ngram_count={most} or less",
            )
        return NgramVocab(frequent_tokens, ngrams, settings.n)


def count_ngrams(tokens: Iterable[tuple[str, int]], n: int) -> Counter[str]:
    """Return the number of occurrences of each n-gram, given (token, number of occurrences) pairs."""
    counts: Counter[str] = Counter()
    for token, count in tokens:
        for ngram in ngrams_of(token, n):
            counts[ngram] += count
    return counts


def _drop_hash_collisions(ngrams: Iterable[str]) -> list[str]:
    """Return the n-grams, most frequent first, without those that have the hash of an earlier one."""
    first: dict[int, str] = {}
    for ngram in ngrams:
        first.setdefault(ngram_hash(ngram.encode("utf-8")), ngram)
    return list(first.values())
