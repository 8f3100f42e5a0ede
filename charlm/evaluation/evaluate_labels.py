"""The score of a model of labels or tags on examples.

examples ──predict_rows──> log-probabilities ──the best label, or the best sequence of tags──> LabelScore
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from charlm.data.examples import Examples
from charlm.device import Precision
from charlm.evaluation.label_score import LabelScore, SegmentCounts
from charlm.evaluation.predict_rows import Floats, Row, count_batches, predict_rows
from charlm.evaluation.segments import (
    SENTENCE_KIND,
    Segment,
    TagTransitions,
    find_segments,
    find_sentences,
    viterbi,
)
from charlm.nn.model import LanguageModel
from charlm.vocab.base import IGNORE_INDEX

Ids = npt.NDArray[np.int64]

_BLOCK_DOCUMENTS = 65_536  # rows that are sorted by length together

UNSEEN_TAG = "O"
"""The tag that stands for one that training has never seen, in segments."""


@dataclass(frozen=True)
class LabelDecoder:
    """Chooses labels from log-probabilities: the most probable ones, or with transitions the best sequence."""

    names: tuple[str, ...]
    transitions: TagTransitions | None = None

    def decode(self, log_p_NL: Floats) -> Ids:
        """Return the ids of the chosen labels, (N,)."""
        if self.transitions is None:
            return log_p_NL.argmax(-1).astype(np.int64)
        return viterbi(log_p_NL, self.transitions)

    @cached_property
    def marks_sentences(self) -> bool:
        """Whether the segments are words, and the tags say which of them begin sentences."""
        return self.transitions is not None and f"B-{SENTENCE_KIND}" in self.names

    def count_segments(self, gold: Ids, predicted: Ids) -> SegmentCounts:
        """Compare the segments of two sequences of tags; words without regard to sentences."""
        gold_segments, predicted_segments = self._find_segments(gold), self._find_segments(predicted)
        if self.marks_sentences:
            return _count(((start, end) for start, end, _ in found) for found in (gold_segments, predicted_segments))
        return _count((gold_segments, predicted_segments))

    def count_sentences(self, gold: Ids, predicted: Ids) -> SegmentCounts:
        """Compare the sentences of two sequences of tags, if the tags mark them."""
        if not self.marks_sentences:
            return SegmentCounts()
        return _count(find_sentences(self._find_segments(tags)) for tags in (gold, predicted))

    def _find_segments(self, tags: Ids) -> list[Segment]:
        if self.transitions is None:
            return []
        names = (*self.names, UNSEEN_TAG)  # an unseen tag is -1
        return find_segments([names[index] for index in tags])


def _count(found: Iterable[Iterable[Hashable]]) -> SegmentCounts:
    """Return how many items two collections have, and how many they share."""
    gold, predicted = map(set, found)
    return SegmentCounts(len(gold), len(predicted), len(gold & predicted))


@dataclass(frozen=True, slots=True)
class DocumentPrediction:
    """The labels of a document, (N,): the right ones and those that the model chooses; log-probabilities, (N, L)."""

    index: int
    targets: Ids
    chosen: Ids
    log_p_NL: Floats


def predict_examples(
    model: LanguageModel,
    examples: Examples,
    decoder: LabelDecoder,
    *,
    device: torch.device,
    precision: Precision = "fp32",
    documents: Sequence[int] | range | None = None,
    on_progress: Callable[[int], None] = lambda tokens: None,
) -> Iterator[DocumentPrediction]:
    """Yield a prediction for each document that asks for something, in any order.

    Args:
        documents: the indices of the documents; None: all.
    """
    starts, ends = examples.starts, examples.ends
    chosen = range(examples.num_documents) if documents is None else documents
    for first in range(0, len(chosen), _BLOCK_DOCUMENTS):
        indices = list(chosen[first : first + _BLOCK_DOCUMENTS])
        targets = [np.asarray(examples.targets[starts[index] : ends[index]], dtype=np.int64) for index in indices]
        rows = [
            Row(examples.stream.tokens[starts[index] : ends[index]], np.flatnonzero(own != IGNORE_INDEX))
            for index, own in zip(indices, targets, strict=True)
        ]
        for number, log_p_NL in predict_rows(model, rows, device=device, precision=precision, on_progress=on_progress):
            if len(log_p_NL):
                own = targets[number][rows[number].asked]
                yield DocumentPrediction(indices[number], own, decoder.decode(log_p_NL), log_p_NL)


def average_predictions(
    members: Sequence[Iterator[DocumentPrediction]], decoder: LabelDecoder
) -> Iterator[DocumentPrediction]:
    """Yield the predictions of an ensemble: the mean of the probabilities that its models give.

    Args:
        members: the predictions of each model, of the same documents in the same order.
    """
    if len(members) == 1:
        yield from members[0]
        return
    for found in zip(*members, strict=True):
        first = found[0]
        assert all(each.index == first.index for each in found), "the order does not depend on the model"
        log_p_NL = mean_log_probabilities([each.log_p_NL for each in found])
        yield DocumentPrediction(first.index, first.targets, decoder.decode(log_p_NL), log_p_NL)


def mean_log_probabilities(log_ps: Sequence[Floats]) -> Floats:
    """Return the logarithms of the mean of the probabilities that several models give."""
    if len(log_ps) == 1:
        return log_ps[0]
    return (np.logaddexp.reduce(np.stack(log_ps).astype(np.float64)) - np.log(len(log_ps))).astype(np.float32)


def score_predictions(predictions: Iterable[DocumentPrediction], decoder: LabelDecoder) -> LabelScore:
    """Return the score of some documents."""
    num_labels = len(decoder.names)
    nats, segments, sentences = 0.0, SegmentCounts(), SegmentCounts()
    confusion_KL = np.zeros((num_labels + 1, num_labels), dtype=np.int64)
    for prediction in predictions:
        targets = prediction.targets
        is_seen = targets >= 0
        nats -= float(prediction.log_p_NL[is_seen, targets[is_seen]].sum(dtype=np.float64))
        np.add.at(confusion_KL, (np.where(is_seen, targets, num_labels), prediction.chosen), 1)
        segments += decoder.count_segments(targets, prediction.chosen)
        sentences += decoder.count_sentences(targets, prediction.chosen)
    return LabelScore(nats, confusion_KL, segments, sentences)


def evaluate_labels(
    model: LanguageModel,
    examples: Examples,
    decoder: LabelDecoder,
    *,
    device: torch.device,
    precision: Precision = "fp32",
    on_progress: Callable[[int], None] = lambda tokens: None,
    shard: tuple[int, int] = (0, 1),
) -> LabelScore:
    """Return the score of the examples, or of every n-th of them for the shard (k, n).

    All shards call `on_progress` equally often, since several processes agree on the time and on signals there.
    """
    index, num_shards = shard
    shards = [range(each, examples.num_documents, num_shards) for each in range(num_shards)]
    predictions = predict_examples(
        model,
        examples,
        decoder,
        device=device,
        precision=precision,
        documents=shards[index],
        on_progress=on_progress,
    )
    score = score_predictions(predictions, decoder)
    num_batches = [_count_batches(examples, documents) for documents in shards]
    for _ in range(max(num_batches) - num_batches[index]):
        on_progress(0)
    return score


def _count_batches(examples: Examples, documents: range) -> int:
    lengths = (examples.ends - examples.starts)[documents.start : documents.stop : documents.step]
    return sum(
        count_batches(lengths[first : first + _BLOCK_DOCUMENTS].tolist())
        for first in range(0, len(lengths), _BLOCK_DOCUMENTS)
    )
