"""How much of a sample stands verbatim in the training text: what a model has by heart, and what it makes up.

samples ──> hashes of the spans that would be news: passages better than those found, n-grams not found yet
texts ──_chunks──> code points, behind the end of the chunk before ──> hashes of all spans as long
          in both ──the characters compared──> passages and n-grams found ──next chunk──> ... ──> Novelty

One pass over the texts. A hash only says where to look, so the answer is exact.
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
_FIRST_CHUNK = 1 << 12  # short: as long as nothing is found, all that it holds is news
_TEXT_SEPARATOR = np.array([0x110000], np.uint32)  # no code point
_PREFILTER_LEN = 16
"""Characters. Longer passages are looked for only where so many match: in Russian prose at one place in a hundred."""


@dataclass(frozen=True, slots=True)
class Novelty:
    """What of one sample stands verbatim in the training text."""

    longest: str
    """The longest passage that stands in one text, the first in the sample where several are equally long."""
    share: float | None
    """Of the sample's n-grams, each counted as often as the sample has it; None where it is too short for one."""


def measure_novelty(
    samples: Sequence[str], texts: Iterable[str | Iterable[str]], *, order: int = 10, chunk: int = _CHUNK
) -> list[Novelty]:
    """What of each sample stands in the texts, in memory that does not grow with them.

    Args:
        texts: Each a string, or its pieces in order. A passage may run on from piece to piece, not from text to text.
        order: Characters of an n-gram.
        chunk: Characters of text that are looked at together, give or take.

    Raises:
        DataError: a lone surrogate.
    """
    assert min(order, chunk) > 0
    search = _VerbatimSearch(samples, order)
    for codes in _chunks(texts, chunk):
        search.search_chunk(codes)
    found = [search.result(sample_index) for sample_index in range(len(samples))]
    return [Novelty(sample[passage], share) for sample, (passage, share) in zip(samples, found, strict=True)]


def training_texts(corpus: Corpus) -> Iterator[Iterator[str]]:
    """The documents of the train split, each in the pieces it is stored in, for `measure_novelty`.

    Where another split has the middle of a document, what stands before and behind it are two texts.

    Raises:
        DataError: the documents are missing or damaged.
    """
    parts = enumerate(read_parts(corpus.directory / "documents", "train"))
    for _, text in groupby(parts, key=lambda row: (row[1].document.id, row[1].part - row[0])):
        yield (part.document.text for _, part in text)


def _chunks(texts: Iterable[str | Iterable[str]], chunk: int) -> Iterator[Codes]:
    """The texts with a mark behind each, in arrays of at most 2 * chunk."""
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
    """Characters, and the hash of any span of them: sum(codes[start + k] * P**(k + 1)) modulo 2**64."""

    def __init__(self, codes: Codes) -> None:
        self.codes = codes
        powers, inverses = (
            np.cumprod(np.full(len(codes), base, np.uint64)) for base in (HASH_BASE, pow(HASH_BASE, -1, 1 << 64))
        )
        self._inverses = inverses * np.uint64(HASH_BASE)  # P**0, P**-1, ...
        self._sums = np.append(powers[:0], np.cumsum(np.append(np.uint64(0), codes * powers)))

    def hashes(self, length: int, starts: Starts | None = None) -> Hashes:
        """Of the spans at `starts`, which must rise, or everywhere; those too near to the end have none."""
        stop = max(0, len(self.codes) - length + 1)
        at = slice(stop) if starts is None else starts[: np.searchsorted(starts, stop)]
        return (self._sums[length:][at] - self._sums[at]) * self._inverses[at]


class _HashSet:
    """Finds which of many hashes are among its own. A table of their leading bits tells soon of most that are not."""

    def __init__(self, hashes: Hashes, many_queries: bool = True) -> None:
        self._sorted = np.sort(hashes)
        bits = min(len(hashes).bit_length() + (5 if many_queries else 2), 22)
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(1 << bits, np.bool_)
        self._table[self._sorted >> self._shift] = True

    def find(self, hashes: Hashes) -> Starts:
        """The indices, rising, of those that are."""
        maybe = np.flatnonzero(self._table.take((hashes >> self._shift).view(np.int64), mode="clip"))
        candidates = hashes[maybe]
        return maybe[self._sorted.take(np.searchsorted(self._sorted, candidates), mode="clip") == candidates]


class _VerbatimSearch:
    """What is found yet of the samples, and what would be news."""

    def __init__(self, samples: Sequence[str], order: int) -> None:
        self._order = order
        self._sample_text = _HashedText(code_points("".join(samples)))
        self._samples = list(pairwise(accumulate(map(len, samples), initial=0)))  # (start, end) of each
        self._passages = [(start, 0) for start, _ in self._samples]  # (start, length) of the longest found
        ngrams = [np.arange(start, end - order + 1) for start, end in self._samples]
        self._unfound_ngrams = np.concatenate([np.arange(0), *ngrams])  # where the n-grams start that are not found
        self._unfound_hashes = _HashSet(self._sample_text.hashes(order, self._unfound_ngrams))
        self._prefilter = _HashSet(self._sample_text.hashes(_PREFILTER_LEN))
        self._targets: dict[tuple[int, tuple[tuple[int, int, int], ...]], _HashSet] = {}
        self._update_targets()
        self._tail = self._sample_text.codes[:0]

    def result(self, sample_index: int) -> tuple[slice, float | None]:
        """Of one sample: where its longest passage is, and its share of n-grams."""
        (first, end), (start, length) = self._samples[sample_index], self._passages[sample_index]
        num_ngrams = max(0, end - first - self._order + 1)
        num_unfound = int(np.diff(np.searchsorted(self._unfound_ngrams, [first, end]))[0])
        share = (num_ngrams - num_unfound) / num_ngrams if num_ngrams else None
        return slice(start - first, start - first + length), share

    def search_chunk(self, codes: Codes) -> None:
        """Look in the next chunk. What runs into it is either found in part, so in the tail too, or begins there."""
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
        """A set for each length of which a span would be news: as long as what is found but earlier, or longer."""
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
        """Take the best that begins at `text_starts` in the text: a search in steps that grow, then by halves."""
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
        """Those of `sample_starts`, in order, where a span starts that stands in the text at one of `text_starts`."""
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
