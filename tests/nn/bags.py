"""Bags of n-grams built by hand, and n-grams by their definition, for tests."""

from collections.abc import Mapping

import numpy as np

from charlm.vocab.base import NgramBags, ngram_hash


def ngrams_of(word: bytes, n: int) -> list[bytes]:
    """Return the n-grams of `#word#`. A character is a byte and the UTF-8 continuation bytes after it."""
    characters: list[bytes] = []
    for byte in b"#" + word + b"#":
        if byte & 0xC0 == 0x80:
            characters[-1] += bytes([byte])
        else:
            characters.append(bytes([byte]))
    return [b"".join(characters[start : start + n]) for start in range(max(1, len(characters) - n + 1))]


def bags_of_words(
    vocab_size: int, words: Mapping[int, bytes], *, end_id: int, first_byte_id: int, n: int = 3
) -> NgramBags:
    """Return the bags of `words` by id; all other ids have empty bags."""
    known = dict.fromkeys(ngram for word in words.values() for ngram in ngrams_of(word, n))
    ids = {ngram: number for number, ngram in enumerate(known)}
    bags = [
        [ids[ngram] for ngram in ngrams_of(words[token], n)] if token in words else [] for token in range(vocab_size)
    ]
    return NgramBags(
        offsets=np.cumsum([0, *map(len, bags)]),
        ngrams=np.array([ngram for bag in bags for ngram in bag], dtype=np.int64),
        hashes=np.array([ngram_hash(ngram) for ngram in known], dtype=np.int64),
        n=n,
        spell_id=end_id - 1,
        end_id=end_id,
        first_byte_id=first_byte_id,
        boundary=b"#",
    )
