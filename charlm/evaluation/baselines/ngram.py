"""Kneser-Ney as a baseline: n-grams of the training stream, scored on the split."""

import time
from collections.abc import Iterator

from charlm.data.corpus import Corpus
from charlm.evaluation.baselines.kneser_ney import KneserNey
from charlm.evaluation.baselines.result import BaselineResult, OnProgress, score_split
from charlm.evaluation.baselines.settings import MIB, KneserNeySettings


class KneserNeyBaseline:
    def __init__(self, settings: KneserNeySettings) -> None:
        self._settings = settings

    def results(self, corpus: Corpus, split: str, on_progress: OnProgress) -> Iterator[BaselineResult]:
        """Count the training text and score the split.

        Raises:
            OutOfMemoryError: the settings allow too little memory to begin counting.
        """
        started = time.monotonic()
        order, memory_mib = self._settings.order, self._settings.memory_mib
        train, stream = corpus.open("train"), corpus.open(split)
        total = 2 * (order - 1) * len(train.tokens) + stream.num_predictions
        done = 0

        def report_progress(tokens: int) -> None:
            nonlocal done
            done += tokens
            on_progress(f"kneser-ney-{order}", done, total)

        model = KneserNey.fit(
            train.tokens, corpus.vocab.size, order, memory=memory_mib * MIB, on_progress=report_progress
        )
        nats_P = -model.log_probabilities(stream.tokens, on_progress=report_progress)
        order_note = f"; order {order} does not fit in {memory_mib:,} MiB" if model.order < order else ""
        yield BaselineResult(
            name=f"kneser-ney-{model.order}",
            description=f"interpolated modified Kneser-Ney of order {model.order} over the vocabulary's ids, "
            f"{model.num_ngrams:,} n-grams{order_note}",
            score=score_split(float(nats_P.sum()), stream),
            seconds=time.monotonic() - started,
            uses_training_text=True,
            nats_P=nats_P,
        )
