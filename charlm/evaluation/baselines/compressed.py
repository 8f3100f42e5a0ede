"""A compressor as a baseline, with two results: for the split's text alone, and given the training text.

split          ──size──> alone
train, split   ──size(train + split) - size(train)──> given the training text
"""

import math
import time
from collections.abc import Iterable, Iterator
from itertools import chain

from charlm.data.corpus import Corpus
from charlm.errors import OutOfMemoryError
from charlm.evaluation.baselines.compressors import Compressor
from charlm.evaluation.baselines.result import BaselineResult, OnProgress, score_split
from charlm.evaluation.baselines.split_text import split_bytes


class CompressorBaseline:
    """The compressed size of the split, alone and given the training text.

    Raises, in `results`:
        OutOfMemoryError: there is not enough memory for the compressor.
        DataError: the documents are missing or damaged.
    """

    def __init__(self, compressor: Compressor) -> None:
        self._compressor = compressor

    def results(self, corpus: Corpus, split: str, on_progress: OnProgress) -> Iterator[BaselineResult]:
        stream = corpus.open(split)
        num_split_bytes, num_train_bytes = stream.count("bytes"), corpus.open("train").count("bytes")
        work = 2 * (num_split_bytes + num_train_bytes)
        done = 0

        def size(splits: Iterable[str], window_bytes: int) -> int:
            try:
                return self._compressor.size(
                    report_progress(chain(*(split_bytes(corpus, name) for name in splits))), window_bytes
                )
            except MemoryError as error:
                raise OutOfMemoryError(
                    f"there is not enough memory for {self._compressor.describe(window_bytes)}",
                    f"lower its settings, or remove {self._compressor.name} from `baselines`",
                ) from error

        def report_progress(chunks: Iterable[bytes]) -> Iterator[bytes]:
            nonlocal done
            for chunk in chunks:
                yield chunk
                done += len(chunk)
                on_progress(self._compressor.name, min(done, work), work)

        def result(name: str, num_bytes: int, window_bytes: int, *, after_train: bool) -> BaselineResult:
            score = score_split(num_bytes * 8 * math.log(2), stream)
            text = "size of train and split minus size of train" if after_train else "the split alone"
            description = f"{self._compressor.describe(window_bytes)}: {text}"
            seconds = time.monotonic() - started
            return BaselineResult(
                name=name, description=description, score=score, seconds=seconds, uses_training_text=after_train
            )

        started = time.monotonic()
        yield result(self._compressor.name, size([split], num_split_bytes), num_split_bytes, after_train=False)
        started = time.monotonic()
        window_bytes = num_train_bytes + num_split_bytes
        num_bytes = size(["train", split], window_bytes) - size(["train"], window_bytes)
        yield result(f"{self._compressor.name}, given train", num_bytes, window_bytes, after_train=True)


class MissingBaseline:
    """A baseline whose package is not installed: a result without a score that says what to install."""

    def __init__(self, name: str, package: str) -> None:
        self._name = name
        self._package = package

    def results(self, corpus: Corpus, split: str, on_progress: OnProgress) -> Iterator[BaselineResult]:
        del on_progress
        yield BaselineResult(
            name=self._name,
            description=f"needs the package {self._package}: pip install {self._package}",
            score=score_split(math.nan, corpus.open(split)),
            seconds=0.0,
            uses_training_text=False,
        )
