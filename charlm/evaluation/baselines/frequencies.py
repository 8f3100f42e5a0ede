"""The two baselines without context: uniform, and the frequencies of ids in the training text."""

import math
import time
from collections.abc import Iterator

import numpy as np

from charlm.data.corpus import Corpus
from charlm.data.store import count_ids
from charlm.evaluation.baselines.result import BaselineResult, OnProgress, score_split


class UniformBaseline:
    """p = 1 / V for each of the V ids of the vocabulary, including <eod> and the byte tokens of unknown characters."""

    def results(self, corpus: Corpus, split: str, on_progress: OnProgress) -> Iterator[BaselineResult]:
        started = time.monotonic()
        stream = corpus.open(split)
        size = corpus.vocab.size
        nats = stream.num_predictions * math.log(size)
        on_progress("uniform", stream.num_predictions, stream.num_predictions)
        yield BaselineResult(
            name="uniform",
            description=f"each of the vocabulary's {size:,} ids equally likely",
            score=score_split(nats, stream),
            seconds=time.monotonic() - started,
            uses_training_text=False,
            nats_P=np.broadcast_to(math.log(size), stream.num_predictions),
        )


class UnigramBaseline:
    """p(w) = (c(w) + 1) / (N + V), where w is c(w) of the N predictions of the training text (Laplace's rule)."""

    def results(self, corpus: Corpus, split: str, on_progress: OnProgress) -> Iterator[BaselineResult]:
        started = time.monotonic()
        stream = corpus.open(split)
        counts = count_ids(corpus.open("train"), corpus.vocab.size) + 1
        nll_V = np.log(counts.sum()) - np.log(counts)
        nats = float(count_ids(stream, corpus.vocab.size) @ nll_V)
        on_progress("unigram", stream.num_predictions, stream.num_predictions)
        yield BaselineResult(
            name="unigram",
            description="frequencies of ids in the training text, with one added to every count",
            score=score_split(nats, stream),
            seconds=time.monotonic() - started,
            uses_training_text=True,
            nats_P=nll_V.astype(np.float32)[stream.targets],
        )
