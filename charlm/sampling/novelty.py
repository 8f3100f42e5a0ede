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
_BETWEEN_TEXTS = np.array([0x110000], np.uint32)  # no code point
_GATE = 16
"""Characters. Longer passages are looked for only where so many match: in Russian prose at one place in a hundred."""


@dataclass(frozen=True, slots=True)
class Novelty:
    """What of one sample stands verbatim in the training text."""

    longest: str
    """The longest passage that stands in one text, the first in the sample where several are equally long."""
    share: float | None
    """Of the sample's n-grams, each counted as often as the sample has it; None where it is too short for one."""


def novelty(
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
    search = _Search(samples, order)
    for codes in _chunks(texts, chunk):
        search.look_in(codes)
    found = [search.result(number) for number in range(len(samples))]
    return [Novelty(sample[passage], share) for sample, (passage, share) in zip(samples, found, strict=True)]


def training_texts(corpus: Corpus) -> Iterator[Iterator[str]]:
    """The documents of the train split, each in the pieces it is stored in, for `novelty`.

    Where another split has the middle of a document, what stands before and behind it are two texts.

    Raises:
        DataError: the documents are missing or damaged.
    """
    parts = enumerate(read_parts(corpus.directory / "documents", "train"))
    for _, text in groupby(parts, key=lambda row: (row[1].document.id, row[1].part - row[0])):
        yield (part.document.text for _, part in text)


def _chunks(texts: Iterable[str | Iterable[str]], chunk: int) -> Iterator[Codes]:
    """The texts with a mark behind each, in arrays of at most 2 * chunk."""
    most = size = min(chunk, _FIRST_CHUNK)
    waiting, num_waiting = [_BETWEEN_TEXTS], 1
    for text in texts:
        pieces = (text,) if isinstance(text, str) else text
        slices = (piece[start : start + most] for piece in pieces for start in range(0, len(piece), most))
        for codes in chain(map(code_points, slices), [_BETWEEN_TEXTS]):
            waiting.append(codes)
            num_waiting += len(codes)
            if num_waiting >= size:
                yield np.concatenate(waiting)
                size, waiting, num_waiting = min(2 * size, chunk), waiting[:0], 0
    yield np.concatenate([*waiting, _BETWEEN_TEXTS])


class _Hashed:
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

    def __init__(self, hashes: Hashes, for_many: bool = True) -> None:
        self._sorted = np.sort(hashes)
        bits = min(len(hashes).bit_length() + (5 if for_many else 2), 22)
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(1 << bits, np.bool_)
        self._table[self._sorted >> self._shift] = True

    def find(self, hashes: Hashes) -> Starts:
        """The indices, rising, of those that are."""
        maybe = np.flatnonzero(self._table.take((hashes >> self._shift).view(np.int64), mode="clip"))
        candidates = hashes[maybe]
        return maybe[self._sorted.take(np.searchsorted(self._sorted, candidates), mode="clip") == candidates]


class _Search:
    """What is found yet of the samples, and what would be news."""

    def __init__(self, samples: Sequence[str], order: int) -> None:
        self._order = order
        self._inside = _Hashed(code_points("".join(samples)))
        self._samples = list(pairwise(accumulate(map(len, samples), initial=0)))  # (start, end) of each
        self._passages = [(start, 0) for start, _ in self._samples]  # (start, length) of the longest found
        ngrams = [np.arange(start, end - order + 1) for start, end in self._samples]
        self._missing = np.concatenate([np.arange(0), *ngrams])  # where the n-grams start that are not found
        self._missing_set = _HashSet(self._inside.hashes(order, self._missing))
        self._gate = _HashSet(self._inside.hashes(_GATE))
        self._wanted: dict[tuple[int, tuple[tuple[int, int, int], ...]], _HashSet] = {}
        self._want()
        self._tail = self._inside.codes[:0]

    def result(self, number: int) -> tuple[slice, float | None]:
        """Of one sample: where its longest passage is, and its share of n-grams."""
        (first, end), (start, length) = self._samples[number], self._passages[number]
        num_ngrams = max(0, end - first - self._order + 1)
        num_missing = int(np.diff(np.searchsorted(self._missing, [first, end]))[0])
        share = (num_ngrams - num_missing) / num_ngrams if num_ngrams else None
        return slice(start - first, start - first + length), share

    def look_in(self, codes: Codes) -> None:
        """Look in the next chunk. What runs into it is either found in part, so in the tail too, or begins there."""
        text = _Hashed(np.concatenate([self._tail, codes]))
        self._look_for_ngrams(text)
        self._look_for_passages(text)
        longest = max((length for _, length in self._passages), default=0)
        self._tail = text.codes[-max(longest, self._order if self._missing.size else 1) :]

    def _look_for_ngrams(self, text: _Hashed) -> None:
        starts = self._missing_set.find(text.hashes(self._order))
        if starts.size:
            found = np.fromiter(self._matches(self._missing, text, starts, self._order), np.int64)
            self._missing = np.setdiff1d(self._missing, found, assume_unique=True)
            self._missing_set = _HashSet(self._inside.hashes(self._order, self._missing))

    def _look_for_passages(self, text: _Hashed) -> None:
        gated = self._gate.find(text.hashes(_GATE))
        is_news = False
        for (length, spans), wanted in self._wanted.items():
            hits = wanted.find(text.hashes(length, gated if length >= _GATE else None))
            starts = gated[hits] if length >= _GATE else hits
            for number, _, _ in spans if starts.size else ():
                self._improve(number, text, starts)
                is_news = True
        if is_news:
            self._want()

    def _want(self) -> None:
        """A set for each length of which a span would be news: as long as what is found but earlier, or longer."""
        by_length: defaultdict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for number, ((first, end), (start, length)) in enumerate(zip(self._samples, self._passages, strict=True)):
            if first < start:
                by_length[length].append((number, first, start))
            if start < end - length:
                by_length[length + 1].append((number, start, end - length))
        before, self._wanted = self._wanted, {}
        for length, spans in by_length.items():
            key = length, tuple(spans)
            starts = np.concatenate([np.arange(first, stop) for _, first, stop in spans])
            self._wanted[key] = before.get(key) or _HashSet(self._inside.hashes(length, starts), length < _GATE)

    def _improve(self, number: int, text: _Hashed, theirs: Starts) -> None:
        """Take the best that begins at `theirs` in the text: a search in steps that grow, then by halves."""
        (first, end), (start, length) = self._samples[number], self._passages[number]
        start = next(self._matches(np.arange(first, start), text, theirs, length), start)
        step, too_long = 1, end - first + 1
        while length + 1 < too_long:
            longer = min(length + step, (length + too_long) // 2)
            match = next(self._matches(np.arange(first, end - longer + 1), text, theirs, longer), None)
            if match is None:
                too_long = longer
            else:
                start, length, step = match, longer, 2 * step
        self._passages[number] = start, length

    def _matches(self, ours: Starts, text: _Hashed, theirs: Starts, length: int) -> Iterator[int]:
        """Those of `ours`, in order, where a span starts that stands in the text at one of `theirs`."""
        hashes = text.hashes(length, theirs)
        order = np.argsort(hashes)
        hashes, theirs = hashes[order], theirs[order]
        wanted = self._inside.hashes(length, ours)
        hits = _HashSet(hashes, for_many=False).find(wanted)
        first, stop = (np.searchsorted(hashes, wanted[hits], side=side) for side in ("left", "right"))
        for start, candidates in zip(ours[hits], map(slice, first, stop), strict=True):
            span = self._inside.codes[start : start + length].tobytes()
            if any(text.codes[at : at + length].tobytes() == span for at in theirs[candidates]):
                yield int(start)
