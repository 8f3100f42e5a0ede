"""A compressor as a baseline, twice: the split's text by itself, and given the training text.

split          ──size──> alone
train, split   ──size(train + split) - size(train)──> given the training text
"""

import math
import time
from collections.abc import Iterable, Iterator
from itertools import chain

from charlm.data.corpus import Corpus
from charlm.errors import OutOfMemoryError
from charlm.evaluation.baselines.compressors import Compressor, Xz
from charlm.evaluation.baselines.result import BaselineResult, OnProgress, score_of
from charlm.evaluation.baselines.settings import MIB
from charlm.evaluation.baselines.split_text import split_bytes
from charlm.evaluation.score import Score


class Compressed:
    """
    Raises, in `results`:
        OutOfMemoryError: the compressor does not get the memory that it asks for.
        DataError: the documents are missing or damaged.
    """

    def __init__(self, compressor: Compressor) -> None:
        self._compressor = compressor

    def results(self, corpus: Corpus, split: str, on_progress: OnProgress) -> Iterator[BaselineResult]:
        stream = corpus.open(split)
        of_split, of_train = stream.count("bytes"), corpus.open("train").count("bytes")
        work = 2 * (of_split + of_train)
        done = 0

        def size(splits: Iterable[str], span: int) -> int:
            try:
                return self._compressor.size(watched(chain(*(split_bytes(corpus, name) for name in splits))), span)
            except MemoryError as error:
                raise OutOfMemoryError(
                    f"there is too little memory for {self._compressor.describe(span)}",
                    f"lower its settings, or leave {self._compressor.name} out of `baselines`",
                ) from error

        def watched(chunks: Iterable[bytes]) -> Iterator[bytes]:
            nonlocal done
            for chunk in chunks:
                yield chunk
                done += len(chunk)
                on_progress(self._compressor.name, min(done, work), work)

        def result(name: str, num_bytes: int, span: int, *, given: bool) -> BaselineResult:
            score = score_of(num_bytes * 8 * math.log(2), stream)
            text = "size of train and split less size of train" if given else "the split by itself"
            description = f"{self._compressor.describe(span)}: {text}"
            seconds = time.monotonic() - started
            return BaselineResult(
                name=name, description=description, score=score, seconds=seconds, reads_training=given
            )

        started = time.monotonic()
        yield result(self._compressor.name, size([split], of_split), of_split, given=False)
        started = time.monotonic()
        span = of_train + of_split
        num_bytes = size(["train", split], span) - size(["train"], span)
        yield result(f"{self._compressor.name}, given train", num_bytes, span, given=True)


class Missing:
    """A baseline that cannot be had here: no score, and how to get one."""

    def __init__(self, name: str, package: str) -> None:
        self._name = name
        self._package = package

    def results(self, corpus: Corpus, split: str, on_progress: OnProgress) -> Iterator[BaselineResult]:
        del on_progress
        yield BaselineResult(
            name=self._name,
            description=f"needs the package {self._package}: pip install 'charlm[baselines]'",
            score=score_of(math.nan, corpus.open(split)),
            seconds=0.0,
            reads_training=False,
        )


def xz_conditional(train: str, test: str) -> Score:
    """xz -9e on `test` given `train`, its tokens being its bytes: the size of both less the size of `train` alone."""
    first, then = train.encode("utf-8"), test.encode("utf-8")
    xz = Xz(max_dictionary=1536 * MIB)
    span = len(first) + len(then)
    nats = (xz.size([first, then], span) - xz.size([first], span)) * 8 * math.log(2)
    return Score(nats, len(then), len(test), len(test.split()), len(then))
