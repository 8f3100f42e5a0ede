"""How much of a sample occurs verbatim in the training text: what a model has memorised, and what it makes up.

    samples ──> hashes of the spans still wanted: passages longer than those found, n-grams not found yet
    texts ──_chunks──> code points, after the end of the last chunk ──> hashes of all spans of the same lengths
        equal hashes ──compare the characters──> passages and n-grams found ──next chunk──> ... ──> Novelty

The texts are read once. Equal hashes are always checked character by character, so the answer is exact.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, groupby, pairwise

import numpy as np
import numpy.typing as npt

from charlm.data.corpus import Corpus
from charlm.data.documents import read_parts
from charlm.vocab.base import HASH_BASE, code_points

Codes = npt.NDArray[np.uint32]
Hashes = npt.NDArray[np.uint64]
Starts = npt.NDArray[np.int64]

_CHUNK = 1 << 17
_FIRST_CHUNK = 1 << 12  # short: while nothing is found yet, every span is wanted
_TEXT_SEPARATOR = np.array([0x110000], np.uint32)  # not a code point
_PREFILTER_LEN = 16
"""Characters. Longer passages are searched only where this many match: in Russian prose at 1 % of the positions."""


@dataclass(frozen=True, slots=True)
class Novelty:
    """The part of one sample that occurs verbatim in the training text."""

    longest: str
    """The longest passage of the sample that occurs in one text; of several equally long ones, the first."""
    share: float | None
    """The fraction of the sample's n-grams that occur, counted with repetitions; None if the sample has no n-gram."""


def measure_novelty(
    samples: Sequence[str], texts: Iterable[str | Iterable[str]], *, order: int = 10, chunk: int = _CHUNK
) -> list[Novelty]:
    """Find how much of each sample occurs in the texts, in memory independent of their length.

    Args:
        texts: each a string, or its pieces in order. A passage may continue from piece to piece, not from text to text.
        order: the characters of an n-gram.
        chunk: about how many characters of text are searched together.

    Raises:
        DataError: a text has a lone surrogate.
    """
    assert min(order, chunk) > 0
    search = _VerbatimSearch(samples, order)
    for codes in _chunks(texts, chunk):
        search.search_chunk(codes)
    found = [search.result(sample_index) for sample_index in range(len(samples))]
    return [Novelty(sample[passage], share) for sample, (passage, share) in zip(samples, found, strict=True)]


def training_texts(corpus: Corpus) -> Iterator[Iterator[str]]:
    """The documents of the train split, each in the pieces in which it is stored, for `measure_novelty`.

    If the middle of a document belongs to another split, the parts before and after it are two texts.

    Raises:
        DataError: the documents are missing or damaged.
    """
    parts = enumerate(read_parts(corpus.directory / "documents", "train"))
    for _, text in groupby(parts, key=lambda row: (row[1].document.id, row[1].part - row[0])):
        yield (part.document.text for _, part in text)


def _chunks(texts: Iterable[str | Iterable[str]], chunk: int) -> Iterator[Codes]:
    """The texts, a separator after each, in arrays of at most 2 * chunk code points."""
    max_piece_len = size = min(chunk, _FIRST_CHUNK)
    buffered, num_buffered = [_TEXT_SEPARATOR], 1
    for text in texts:
        pieces = (text,) if isinstance(text, str) else text
        slices = (
            piece[start : start + max_piece_len] for piece in pieces for start in range(0, len(piece), max_piece_len)
        )
        for codes in chain(map(code_points, slices), [_TEXT_SEPARATOR]):
            buffered.append(codes)
            num_buffered += len(codes)
            if num_buffered >= size:
                yield np.concatenate(buffered)
                size, buffered, num_buffered = min(2 * size, chunk), buffered[:0], 0
    yield np.concatenate([*buffered, _TEXT_SEPARATOR])


class _HashedText:
    """Code points, and the hash of any span of them: sum(codes[start + k] * P**(k + 1)) modulo 2**64."""

    def __init__(self, codes: Codes) -> None:
        self.codes = codes
        powers, inverses = (
            np.cumprod(np.full(len(codes), base, np.uint64)) for base in (HASH_BASE, pow(HASH_BASE, -1, 1 << 64))
        )
        self._inverses = inverses * np.uint64(HASH_BASE)  # P**0, P**-1, ...
        self._sums = np.append(powers[:0], np.cumsum(np.append(np.uint64(0), codes * powers)))

    def hashes(self, length: int, starts: Starts | None = None) -> Hashes:
        """The hashes of the spans that begin at `starts` (ascending; all if left out) and end within the text."""
        stop = max(0, len(self.codes) - length + 1)
        at = slice(stop) if starts is None else starts[: np.searchsorted(starts, stop)]
        return (self._sums[length:][at] - self._sums[at]) * self._inverses[at]


class _HashSet:
    """A set of hashes that looks up many at once. A table of leading bits quickly rejects most that are not in it."""

    def __init__(self, hashes: Hashes, many_queries: bool = True) -> None:
        self._sorted = np.sort(hashes)
        bits = min(len(hashes).bit_length() + (5 if many_queries else 2), 22)
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(1 << bits, np.bool_)
        self._table[self._sorted >> self._shift] = True

    def find(self, hashes: Hashes) -> Starts:
        """The indices, ascending, of the hashes that are in the set."""
        maybe = np.flatnonzero(self._table.take((hashes >> self._shift).view(np.int64), mode="clip"))
        candidates = hashes[maybe]
        return maybe[self._sorted.take(np.searchsorted(self._sorted, candidates), mode="clip") == candidates]


class _VerbatimSearch:
    """What was found of the samples so far, and what is still wanted."""

    def __init__(self, samples: Sequence[str], order: int) -> None:
        self._order = order
        self._sample_text = _HashedText(code_points("".join(samples)))
        self._samples = list(pairwise(accumulate(map(len, samples), initial=0)))  # (start, end) of each
        self._passages = [(start, 0) for start, _ in self._samples]  # (start, length) of the longest found so far
        ngrams = [np.arange(start, end - order + 1) for start, end in self._samples]
        self._unfound_ngrams = np.concatenate([np.arange(0), *ngrams])  # starts of the n-grams not found yet
        self._unfound_hashes = _HashSet(self._sample_text.hashes(order, self._unfound_ngrams))
        self._prefilter = _HashSet(self._sample_text.hashes(_PREFILTER_LEN))
        self._targets: dict[tuple[int, tuple[tuple[int, int, int], ...]], _HashSet] = {}
        self._update_targets()
        self._tail = self._sample_text.codes[:0]

    def result(self, sample_index: int) -> tuple[slice, float | None]:
        """The longest passage of one sample, and the fraction of its n-grams that was found."""
        (first, end), (start, length) = self._samples[sample_index], self._passages[sample_index]
        num_ngrams = max(0, end - first - self._order + 1)
        num_unfound = int(np.diff(np.searchsorted(self._unfound_ngrams, [first, end]))[0])
        share = (num_ngrams - num_unfound) / num_ngrams if num_ngrams else None
        return slice(start - first, start - first + length), share

    def search_chunk(self, codes: Codes) -> None:
        """Search the next chunk, after the tail of the last one, which holds every match that may continue."""
        text = _HashedText(np.concatenate([self._tail, codes]))
        self._find_ngrams(text)
        self._find_passages(text)
        longest = max((length for _, length in self._passages), default=0)
        self._tail = text.codes[-max(longest, self._order if self._unfound_ngrams.size else 1) :]

    def _find_ngrams(self, text: _HashedText) -> None:
        starts = self._unfound_hashes.find(text.hashes(self._order))
        if starts.size:
            found = np.fromiter(self._matches(self._unfound_ngrams, text, starts, self._order), np.int64)
            self._unfound_ngrams = np.setdiff1d(self._unfound_ngrams, found, assume_unique=True)
            self._unfound_hashes = _HashSet(self._sample_text.hashes(self._order, self._unfound_ngrams))

    def _find_passages(self, text: _HashedText) -> None:
        prefiltered = self._prefilter.find(text.hashes(_PREFILTER_LEN))
        has_improved = False
        for (length, spans), wanted in self._targets.items():
            hits = wanted.find(text.hashes(length, prefiltered if length >= _PREFILTER_LEN else None))
            starts = prefiltered[hits] if length >= _PREFILTER_LEN else hits
            for sample_index, _, _ in spans if starts.size else ():
                self._extend_passage(sample_index, text, starts)
                has_improved = True
        if has_improved:
            self._update_targets()

    def _update_targets(self) -> None:
        """Build a set for each length of the spans still wanted: longer than those found, or as long but earlier."""
        by_length: defaultdict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for sample_index, ((first, end), (start, length)) in enumerate(zip(self._samples, self._passages, strict=True)):
            if first < start:
                by_length[length].append((sample_index, first, start))
            if start < end - length:
                by_length[length + 1].append((sample_index, start, end - length))
        before, self._targets = self._targets, {}
        for length, spans in by_length.items():
            key = length, tuple(spans)
            starts = np.concatenate([np.arange(first, stop) for _, first, stop in spans])
            self._targets[key] = before.get(key) or _HashSet(
                self._sample_text.hashes(length, starts), length < _PREFILTER_LEN
            )

    def _extend_passage(self, sample_index: int, text: _HashedText, text_starts: Starts) -> None:
        """Take the longest passage that begins at `text_starts` in the text: growing steps, then bisection."""
        (first, end), (start, length) = self._samples[sample_index], self._passages[sample_index]
        start = next(self._matches(np.arange(first, start), text, text_starts, length), start)
        step, too_long = 1, end - first + 1
        while length + 1 < too_long:
            longer = min(length + step, (length + too_long) // 2)
            match = next(self._matches(np.arange(first, end - longer + 1), text, text_starts, longer), None)
            if match is None:
                too_long = longer
            else:
                start, length, step = match, longer, 2 * step
        self._passages[sample_index] = start, length

    def _matches(self, sample_starts: Starts, text: _HashedText, text_starts: Starts, length: int) -> Iterator[int]:
        """Yield the `sample_starts`, in order, whose span occurs in the text at one of `text_starts`."""
        hashes = text.hashes(length, text_starts)
        by_hash = np.argsort(hashes)
        hashes, text_starts = hashes[by_hash], text_starts[by_hash]
        wanted = self._sample_text.hashes(length, sample_starts)
        hits = _HashSet(hashes, many_queries=False).find(wanted)
        first, stop = (np.searchsorted(hashes, wanted[hits], side=side) for side in ("left", "right"))
        for start, candidates in zip(sample_starts[hits], map(slice, first, stop), strict=True):
            span = self._sample_text.codes[start : start + length].tobytes()
            if any(text.codes[at : at + length].tobytes() == span for at in text_starts[candidates]):
                yield int(start)
