"""Measures how a vocabulary fits a corpus, for `charlm inspect`: coverage, frequent and rare symbols, n-grams.

SPLIT.npy ──count ids──> per split: tokens per character, fraction of known characters, fraction of byte ids
documents/*.parquet ──words──> for n-grams: bag sizes, words with equal bags, unseen words whose n-grams are known
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.data.corpus import Corpus
from charlm.data.documents import read_parts
from charlm.data.store import count_ids
from charlm.vocab.base import NUM_BYTES, Vocab
from charlm.vocab.ngram import NgramVocab, count_ngrams, ngrams_of
from charlm.vocab.word_tokens import TokenCounts, is_word

_NUM_SHOWN = 20
_MAX_WORD_LENGTH = 16  # characters of a word in the table of activation levels
_NUM_DIMENSIONS = 64
_CONTINUATION_BYTES = (0x80, 0xC0)  # UTF-8 bytes that do not begin a character


def describe_vocabulary(corpus: Corpus) -> dict[str, Any]:
    """Return the report on the vocabulary of a corpus.

    Raises:
        DataError: the corpus is damaged.
    """
    vocab = corpus.vocab
    streams = {split: corpus.open(split) for split in corpus.splits}
    counts = {split: count_ids(stream, vocab.size) for split, stream in streams.items()}
    report: dict[str, Any] = {"size": vocab.size, "splits": {}}
    for split, stream in streams.items():
        report["splits"][split] = measure_usage(vocab, counts[split], stream.count("characters"))
    seen = np.flatnonzero(counts["train"])
    ranked = seen[np.lexsort((seen, -counts["train"][seen]))]
    for name, ids in (("most_frequent", ranked[:_NUM_SHOWN]), ("rarest", ranked[::-1][:_NUM_SHOWN])):
        report[name] = {_printable(vocab.symbol(int(token))): int(counts["train"][token]) for token in ids}
    if isinstance(vocab, NgramVocab):
        report["ngrams"] = _describe_ngrams(corpus, vocab)
    return report


def _printable(symbol: str) -> str:
    """Return the symbol; as a Python literal if it contains a space or an unprintable character."""
    return symbol if symbol.isprintable() and " " not in symbol else repr(symbol)


def measure_usage(vocab: Vocab, counts: npt.NDArray[np.int64], characters: int) -> dict[str, float | None]:
    """Return tokens per character, coverage and fraction of byte ids of a split, from the counts of its ids.

    `coverage` is the fraction of characters that are not encoded as bytes.
    """
    tokens = int(counts.sum() - counts[vocab.eod_id])
    result: dict[str, float | None] = {"tokens_per_character": tokens / characters if characters else None}
    if vocab.first_byte_id is not None:
        spelled = counts[vocab.first_byte_id : vocab.first_byte_id + NUM_BYTES]
        num_spelled = int(spelled.sum() - spelled[slice(*_CONTINUATION_BYTES)].sum())
        result["coverage"] = 1 - num_spelled / characters if characters else None
        result["bytes_share"] = int(spelled.sum()) / tokens if tokens else None
    return result


def _describe_ngrams(corpus: Corpus, vocab: NgramVocab) -> dict[str, Any]:
    """Measure the lecture's claims about n-grams over the different words of the training text."""
    words = _distinct_words(corpus, "train")
    sizes = np.array([len(ngrams_of(word, vocab.n)) for word in words])
    known = set(vocab.ngrams)
    vocabulary = [token for token in vocab.tokens if is_word(token)]
    report: dict[str, Any] = {
        "distinct_words": len(words),
        "distinct_ngrams": len(count_ngrams(((word, 1) for word in words), vocab.n)),
        "words_known": len(vocabulary),
        "ngrams_known": len(vocab.ngrams),
        "ngrams_per_word": {"mean": float(sizes.mean()), "deviation": float(sizes.std())} if len(sizes) else None,
        "colliding_words": {
            "of_all_with_all_ngrams": _count_colliding(words, vocab.n, None),
            "of_known_with_known_ngrams": _count_colliding(vocabulary, vocab.n, known),
        },
    }
    if "test" in corpus.splits:
        unseen = _distinct_words(corpus, "test") - words
        num_covered = sum(known.issuperset(ngrams_of(word, vocab.n)) for word in unseen)
        report["unseen_test_words"] = {
            "words": len(unseen),
            "all_ngrams_known": num_covered / len(unseen) if unseen else None,
        }
    report["activation_level"] = _activation_levels(vocabulary, vocab)
    return report


def _distinct_words(corpus: Corpus, split: str) -> set[str]:
    counts = TokenCounts()
    for part in read_parts(corpus.directory / "documents", split):
        counts.add(part.document.text)
    return {token for token, _ in counts.most_frequent() if is_word(token)}


def _count_colliding(words: Iterable[str], n: int, known: set[str] | None) -> int:
    """Return the number of words with the same bag as another word, ignoring n-grams that are not `known`."""
    bags = Counter(
        tuple(sorted(ngram for ngram in ngrams_of(word, n) if known is None or ngram in known)) for word in words
    )
    return sum(count for count in bags.values() if count > 1)


def _activation_levels(words: list[str], vocab: NgramVocab) -> dict[str, dict[str, float]]:
    """Return the RMS of the embedding by combiner and word length, for random n-gram vectors of variance 1.

    Each value is a mean over the words of a length; an embedding of whole words would give 1.
    """
    id_of = {ngram: number for number, ngram in enumerate(vocab.ngrams)}
    vectors = np.random.default_rng(0).standard_normal((len(id_of), _NUM_DIMENSIONS), dtype=np.float32)
    levels: dict[int, list[tuple[float, int]]] = {}
    for word in words:
        bag = [id_of[ngram] for ngram in ngrams_of(word, vocab.n) if ngram in id_of]
        if bag and len(word) <= _MAX_WORD_LENGTH:
            level = float(np.sqrt(np.mean(np.square(vectors[bag].sum(axis=0)))))
            levels.setdefault(len(word), []).append((level, len(bag)))
    table: dict[str, dict[str, float]] = {"sum": {}, "mean": {}, "sqrt": {}}
    for length, found in sorted(levels.items()):
        level, size = np.array(found, dtype=np.float64).T
        for combiner, divisor in (("sum", 1.0), ("mean", size), ("sqrt", np.sqrt(size))):
            table[combiner][str(length)] = float(np.mean(level / divisor))
    return table
