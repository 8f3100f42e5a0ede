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
    assert order > 0
    assert chunk > 0
    search = _Search(samples, order)
    tail = np.array([], np.uint32)
    for codes in _chunks(texts, chunk):
        text = _Hashed(np.concatenate([tail, codes]))
        search.look_in(text)
        tail = text.codes[-search.num_carried :]
    return [search.result(number) for number in range(len(samples))]


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
    size, waiting, num_waiting = min(chunk, _FIRST_CHUNK), [_BETWEEN_TEXTS], 1
    for text in texts:
        for codes in chain(_codes(text, size), [_BETWEEN_TEXTS]):
            waiting.append(codes)
            num_waiting += len(codes)
            if num_waiting >= size:
                yield np.concatenate(waiting)
                size, waiting, num_waiting = min(2 * size, chunk), waiting[:0], 0
    yield np.concatenate([*waiting, _BETWEEN_TEXTS])


def _codes(text: str | Iterable[str], most: int) -> Iterator[Codes]:
    for piece in (text,) if isinstance(text, str) else text:
        for start in range(0, len(piece), most):
            yield code_points(piece[start : start + most])


class _Hashed:
    """Characters, and the hash of any span of them: sum(codes[start + k] * P**(k + 1)) modulo 2**64."""

    def __init__(self, codes: Codes) -> None:
        self.codes = codes
        powers, inverses = (
            np.cumprod(np.full(len(codes), base, np.uint64)) for base in (HASH_BASE, pow(HASH_BASE, -1, 1 << 64))
        )
        self._inverses = inverses * np.uint64(HASH_BASE)  # P**0, P**-1, ...
        self._sums = np.append(powers[:0], np.cumsum(np.append(np.uint64(0), codes * powers)))

    def hashes(self, length: int) -> Hashes:
        """Of all spans of `length` characters."""
        stop = max(0, len(self.codes) - length + 1)
        return (self._sums[length:] - self._sums[:stop]) * self._inverses[:stop]

    def hashes_at(self, starts: Starts, length: int) -> Hashes:
        """Of those that start at `starts`, rising; the last ones may be too near to the end to have one."""
        starts = starts[: np.searchsorted(starts, len(self.codes) - length, side="right")]
        return (self._sums[starts + length] - self._sums[starts]) * self._inverses[starts]


class _HashSet:
    """Finds which of many hashes are among its own. A table of their leading bits tells soon of most that are not."""

    def __init__(self, hashes: Hashes, *, spare_bits: int = 5) -> None:
        self._sorted = np.sort(hashes)
        bits = min(len(hashes).bit_length() + spare_bits, 22)
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(1 << bits, np.bool_)
        self._table[self._sorted >> self._shift] = True

    def find(self, hashes: Hashes) -> Starts:
        """The indices, rising, of those that are."""
        maybe = np.flatnonzero(self._table.take((hashes >> self._shift).view(np.int64), mode="clip"))
        candidates = hashes[maybe]
        return maybe[self._sorted.take(np.searchsorted(self._sorted, candidates), mode="clip") == candidates]


@dataclass(slots=True)
class _Passage:
    """The longest passage found yet of the sample at first:end, and of such the first."""

    first: int
    end: int
    start: int
    length: int = 0


class _Search:
    """What is found yet of the samples, and what would be news."""

    def __init__(self, samples: Sequence[str], order: int) -> None:
        self._samples = samples
        self._order = min(order, max(map(len, samples), default=0) + 1)
        self._inside = _Hashed(code_points("".join(samples)))
        ends = accumulate(map(len, samples), initial=0)
        self._passages = [_Passage(first, end, first) for first, end in pairwise(ends)]
        ngrams = [np.arange(passage.first, passage.end - order + 1) for passage in self._passages]
        self._missing = np.concatenate([np.arange(0), *ngrams])  # where the n-grams start that are not found
        self._missing_set = _HashSet(self._inside.hashes_at(self._missing, order))
        self._gate = _HashSet(self._inside.hashes(_GATE))
        self._wanted: dict[tuple[int, ...], tuple[_HashSet, list[_Passage]]] = {}
        self._want()

    @property
    def num_carried(self) -> int:
        """Characters to look in again: what goes on into the next chunk has no more of them than is found yet."""
        return max(self._order, *(passage.length for passage in self._passages), 1)

    def result(self, number: int) -> Novelty:
        sample, passage = self._samples[number], self._passages[number]
        longest = sample[passage.start - passage.first :][: passage.length]
        num_ngrams = len(sample) - self._order + 1
        low, high = np.searchsorted(self._missing, [passage.first, passage.end]).tolist()
        return Novelty(longest, (num_ngrams - (high - low)) / num_ngrams if num_ngrams > 0 else None)

    def look_in(self, text: _Hashed) -> None:
        starts = self._missing_set.find(text.hashes(self._order))
        if len(starts):
            found = np.fromiter(self._matches(self._missing, text, starts, self._order), np.int64)
            self._missing = np.setdiff1d(self._missing, found, assume_unique=True)
            self._missing_set = _HashSet(self._inside.hashes_at(self._missing, self._order))
        gated = self._gate.find(text.hashes(_GATE))
        is_news = False
        for (length, *_), (wanted, passages) in self._wanted.items():
            if length < _GATE:
                starts = wanted.find(text.hashes(length))
            else:
                starts = gated[wanted.find(text.hashes_at(gated, length))]
            for passage in passages if len(starts) else ():
                self._improve(passage, text, starts)
                is_news = True
        if is_news:
            self._want()

    def _want(self) -> None:
        """A set for each length of which a span would be news: as long as what is found but earlier, or longer."""
        spans: defaultdict[int, list[int]] = defaultdict(list)
        passages: defaultdict[int, list[_Passage]] = defaultdict(list)
        for p in self._passages:
            for length, first, stop in ((p.length, p.first, p.start), (p.length + 1, p.start, p.end - p.length)):
                if first < stop:
                    spans[length] += first, stop
                    passages[length].append(p)
        before, self._wanted = self._wanted, {}
        for length, borders in spans.items():
            key = (length, *borders)
            if key in before:
                self._wanted[key] = before[key]
            else:
                starts = np.concatenate([np.arange(*span) for span in zip(borders[::2], borders[1::2], strict=True)])
                wanted = _HashSet(self._inside.hashes_at(starts, length), spare_bits=5 if length < _GATE else 2)
                self._wanted[key] = wanted, passages[length]

    def _improve(self, passage: _Passage, text: _Hashed, starts: Starts) -> None:
        """Take the best that begins at `starts` in the text, searching in steps that grow, then by halves."""
        earlier = np.arange(passage.first, passage.start)
        passage.start = next(self._matches(earlier, text, starts, passage.length), passage.start)
        step, too_long = 1, passage.end - passage.first + 1
        while passage.length + 1 < too_long:
            length = min(passage.length + step, (passage.length + too_long) // 2)
            ours = np.arange(passage.first, passage.end - length + 1)
            match = next(self._matches(ours, text, starts, length), None)
            if match is None:
                too_long = length
            else:
                passage.start, passage.length, step = match, length, 2 * step

    def _matches(self, ours: Starts, text: _Hashed, theirs: Starts, length: int) -> Iterator[int]:
        """Those of `ours`, in order, that start a span which in the text stands at one of `theirs`."""
        hashes = text.hashes_at(theirs, length)
        order = np.argsort(hashes)
        hashes, theirs = hashes[order], theirs[order]
        wanted = self._inside.hashes_at(ours, length)
        hits = _HashSet(hashes).find(wanted)
        first, stop = (np.searchsorted(hashes, wanted[hits], side=side) for side in ("left", "right"))
        for start, candidates in zip(ours[hits].tolist(), map(slice, first, stop), strict=True):
            span = self._inside.codes[start : start + length].tobytes()
            if any(text.codes[at : at + length].tobytes() == span for at in theirs[candidates]):
                yield start
