"""Run the baselines of a corpus of labels or tags, one after the other."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

from charlm.data.corpus import Corpus
from charlm.data.labelled_text import LabelledText, read_texts
from charlm.data.task_settings import TaskSettings
from charlm.evaluation.document_counts import DocumentCounter, DocumentCounts
from charlm.evaluation.evaluate_labels import DocumentPrediction, LabelDecoder, score_predictions
from charlm.evaluation.label_baselines.base import LabelBaseline, LabelPredictor, OnProgress
from charlm.evaluation.label_baselines.frequencies import MostFrequent, WordTags
from charlm.evaluation.label_baselines.longest_match import LongestMatch
from charlm.evaluation.label_baselines.ngrams import NgramsPerClass
from charlm.evaluation.label_baselines.regression import TextRegression, WindowRegression
from charlm.evaluation.label_baselines.restorations import WordRestorations
from charlm.evaluation.label_score import LabelScore
from charlm.evaluation.restored_words import RestoredWords, find_carriers

_NGRAM_ORDER = 5


@dataclass(frozen=True, kw_only=True)
class LabelBaselineResult:
    """The score of a baseline; `score` and `documents` are None if it cannot run, and `description` says why."""

    name: str
    description: str
    score: LabelScore | None
    documents: DocumentCounts | None
    seconds: float


def default_baselines(decoder: LabelDecoder, task: TaskSettings) -> list[LabelBaseline]:
    """Return the baselines of a task, the simplest first."""
    if task.per_document:
        return [MostFrequent(), NgramsPerClass(_NGRAM_ORDER), TextRegression()]
    if decoder.transitions is not None:
        return [MostFrequent(), LongestMatch(), WindowRegression()]
    if task.restores_words:
        return [MostFrequent(), WordRestorations(), WindowRegression()]
    return [MostFrequent(), WordTags(), WindowRegression()]


def run_label_baselines(
    corpus: Corpus, split: str, decoder: LabelDecoder, baselines: Sequence[LabelBaseline], *, on_progress: OnProgress
) -> Iterator[LabelBaselineResult]:
    """Yield the score of each baseline on `split`, as soon as it is known.

    Args:
        on_progress: gets the name of the baseline, the number of texts scored, and the number of all. It may raise.

    Raises:
        UsageError: the corpus has no split of this name.
        DataError: its files are damaged.
    """
    train, texts = list(read_texts(corpus, "train")), list(read_texts(corpus, split))
    words = RestoredWords(find_carriers(train), texts.__getitem__) if corpus.task.restores_words else None
    for baseline in baselines:
        start = time.monotonic()
        if isinstance(baseline, TextRegression | WindowRegression) and find_spec("sklearn") is None:
            yield LabelBaselineResult(
                name=baseline.name,
                description="needs scikit-learn: pip install scikit-learn",
                score=None,
                documents=None,
                seconds=0.0,
            )
            continue
        on_progress(baseline.name, 0, len(texts))
        predictor = baseline.fit(train, decoder.names)
        counter = DocumentCounter(decoder, len(texts), words)
        report = partial(on_progress, baseline.name)
        score = score_predictions(_predict(predictor, texts, decoder, counter, report), decoder)
        yield LabelBaselineResult(
            name=baseline.name,
            description=baseline.description,
            score=score,
            documents=counter.counts,
            seconds=time.monotonic() - start,
        )


def _predict(
    predictor: LabelPredictor,
    texts: Sequence[LabelledText],
    decoder: LabelDecoder,
    counter: DocumentCounter,
    report: Callable[[int, int], None],
) -> Iterator[DocumentPrediction]:
    """Yield what a fitted baseline predicts of each text, and count it."""
    for index, text in enumerate(texts):
        log_p_NL = predictor.log_probabilities(text)
        prediction = DocumentPrediction(index, text.targets, decoder.decode(log_p_NL), log_p_NL)
        counter.add(prediction)
        yield prediction
        report(index + 1, len(texts))
