"""The kinds of predictions, each with its way from a text to a row of ids and from log-probabilities to a prediction.

    LabelPredictions     one label for the text
    BayesPredictions     the most likely label of the text, by a conditional language model
    TagPredictions       a tag for each character, or for each word
    SegmentPredictions   tags that cut the text into segments, such as words
    RestoredTexts        tags that restore marks, case or blanks

    Query ──row──> Row ──predict_rows──> log-probabilities ──to_prediction──> TextPrediction

A model that writes texts is a BlockPredictor without rows. `build_predictions` chooses the kind of a model.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol

import numpy as np

from charlm.checkpoint import LoadedModel
from charlm.data.conditions import LabelConditions
from charlm.data.store import encode_parts, stream_of
from charlm.device import choose_device
from charlm.errors import CheckpointError
from charlm.evaluation.bayes import label_log_probabilities
from charlm.evaluation.evaluate_labels import LabelDecoder, mean_log_probabilities
from charlm.evaluation.predict_rows import Floats, Row, label_row, predict_rows
from charlm.evaluation.segments import SENTENCE_KIND, find_segments
from charlm.text.document import Document
from charlm.text.examples.reversible_changes import CHANGES, ReversibleChange
from charlm.text.split import Part
from charlm.workflows.predict_options import PredictOptions
from charlm.workflows.prediction import LabelProbability, Query, TextPrediction, TextTag


class BlockPredictor(Protocol):
    """Predicts something of each text of a block that fits into memory."""

    def predict(self, block: Sequence[Query], check: Callable[[], None]) -> Iterator[TextPrediction]:
        """Yield a prediction for each text, in order.

        Args:
            check: called again and again, where the work takes long; it may raise to stop.

        Raises:
            DataError: a text has a character that the vocabulary cannot spell.
        """
        ...


class RowPredictions(ABC):
    """Predictions from the log-probabilities of one row of ids for each text."""

    def __init__(
        self, members: Sequence[LoadedModel], decoder: LabelDecoder, device: str, options: PredictOptions
    ) -> None:
        """
        Args:
            members: models that work as one, usually a single one.
        """
        self._models, self._vocab = [each.model for each in members], members[0].vocab
        self._decoder = decoder
        self._device = choose_device(device)
        self._options = options

    def predict(self, block: Sequence[Query], check: Callable[[], None]) -> Iterator[TextPrediction]:
        for query, log_p_NL in zip(block, self.log_probabilities(block, check), strict=True):
            if np.isnan(log_p_NL).any():
                raise CheckpointError(
                    "the model gives no probabilities: its numbers overflow", "use another checkpoint"
                )
            yield self.to_prediction(query, log_p_NL)

    def log_probabilities(self, block: Sequence[Query], check: Callable[[], None] = lambda: None) -> list[Floats]:
        """Return the log-probabilities (N, L) of each text's N predictions.

        Args:
            check: as for `predict`.
        """
        check()
        rows = [self.row(query) for query in block]
        found = [
            dict(predict_rows(model, rows, device=self._device, precision=self._options.precision))
            for model in self._models
        ]
        return [mean_log_probabilities([each[index] for each in found]) for index in range(len(block))]

    @abstractmethod
    def row(self, query: Query) -> Row:
        """Return the ids of a text, and where something is asked."""

    @abstractmethod
    def to_prediction(self, query: Query, log_p_NL: Floats) -> TextPrediction:
        """Return what the log-probabilities of a text's row say."""


class LabelPredictions(RowPredictions):
    """One label for each text."""

    def __init__(
        self, members: Sequence[LoadedModel], decoder: LabelDecoder, device: str, options: PredictOptions
    ) -> None:
        super().__init__(members, decoder, device, options)
        self._allowed = [decoder.names.index(label) for label in dict.fromkeys(options.labels)]

    def row(self, query: Query) -> Row:
        return label_row(query.text, self._vocab)

    def to_prediction(self, query: Query, log_p_NL: Floats) -> TextPrediction:
        options, names = self._options, self._decoder.names
        scaled_L = log_p_NL[0].astype(np.float64) / options.temperature
        if self._allowed:
            masked_L = np.full(len(names), -np.inf)
            masked_L[self._allowed] = scaled_L[self._allowed]
            scaled_L = masked_L
        p_L = np.exp(scaled_L - scaled_L.max())
        p_L /= p_L.sum()
        order = np.argsort(-p_L, kind="stable")[: min(options.top, len(self._allowed or names))]
        labels = tuple(LabelProbability(names[index], float(p_L[index])) for index in order)
        return TextPrediction(query.text, labels, is_rejected=labels[0].probability < options.threshold)


class BayesPredictions(LabelPredictions):
    """The most likely label of each text, by Bayes' rule."""

    def __init__(
        self, members: Sequence[LoadedModel], decoder: LabelDecoder, device: str, options: PredictOptions
    ) -> None:
        super().__init__(members, decoder, device, options)
        conditions = members[0].conditions
        assert isinstance(conditions, LabelConditions), "build_predictions has looked"
        self._labels = conditions
        self._direction: Literal["forward", "backward"] = members[0].settings.text_direction

    def log_probabilities(self, block: Sequence[Query], check: Callable[[], None] = lambda: None) -> list[Floats]:
        parts = [Part(Document(str(index), "", query.text)) for index, query in enumerate(block)]
        stream = stream_of(encode_parts(parts, self._vocab), self._vocab).in_direction(self._direction)
        log_p_DL = mean_log_probabilities(
            [
                label_log_probabilities(
                    model,
                    stream,
                    self._labels,
                    device=self._device,
                    precision=self._options.precision,
                    on_progress=lambda _: check(),
                ).astype(np.float32)
                for model in self._models
            ]
        )
        return list((log_p_DL if self._direction == "forward" else log_p_DL[::-1])[:, None])


class TagPredictions(RowPredictions):
    """A tag for each character, or each word, that has one."""

    def __init__(
        self, members: Sequence[LoadedModel], decoder: LabelDecoder, device: str, options: PredictOptions
    ) -> None:
        super().__init__(members, decoder, device, options)
        self._asks_words = members[0].task.asked_characters == "words"

    def row(self, query: Query) -> Row:
        ids = np.append(self._vocab.encode(query.text), self._vocab.eod_id)
        last_tokens = np.cumsum(self._vocab.tokens_per_character(query.text), dtype=np.int64) - 1
        return Row(ids, last_tokens[np.array(self.characters(query), dtype=np.int64)])

    def to_prediction(self, query: Query, log_p_NL: Floats) -> TextPrediction:
        spans, tags = self.spans(query), self.choose_tags(log_p_NL)
        found = tuple(TextTag(start, end, tag, p) for (start, end), (tag, p) in zip(spans, tags, strict=True))
        return TextPrediction(query.text, tags=found)

    def choose_tags(self, log_p_NL: Floats) -> list[tuple[str, float]]:
        """Return the chosen tags with their probabilities."""
        chosen = self._decoder.decode(log_p_NL)
        p_N = np.exp(log_p_NL[np.arange(len(chosen)), chosen])
        return [(self._decoder.names[index], float(p)) for index, p in zip(chosen, p_N, strict=True)]

    def characters(self, query: Query) -> Sequence[int]:
        """Return the characters whose tags are wanted."""
        return self._choose_characters(query.text) if query.asked is None else query.asked

    def spans(self, query: Query) -> list[tuple[int, int]]:
        """Return the start and the end of what each tag belongs to, in characters."""
        ends = self.characters(query)
        starts = _word_starts(query.text, ends) if self._asks_words else ends
        return [(start, end + 1) for start, end in zip(starts, ends, strict=True)]

    def _choose_characters(self, text: str) -> Sequence[int]:
        solid = [index for index, character in enumerate(text) if not character.isspace()]
        if not self._asks_words:
            return solid
        return [index for index in solid if index + 1 == len(text) or text[index + 1].isspace()]


class SegmentPredictions(TagPredictions):
    """Segments, with the probability of their least certain character."""

    def to_prediction(self, query: Query, log_p_NL: Floats) -> TextPrediction:
        text, characters = query.text, self.characters(query)
        tags = self.choose_tags(log_p_NL)
        found: list[TextTag] = []
        sentence_starts: list[int] = []
        for first, after_last, kind in find_segments([tag for tag, _ in tags]):
            start, end = characters[first], characters[after_last - 1] + 1
            if kind == SENTENCE_KIND:
                sentence_starts.append(start)
            found.append(TextTag(start, end, kind, min(p for _, p in tags[first:after_last])))
        if sentence_starts and found[0].start < sentence_starts[0]:  # the text begins within a sentence
            sentence_starts.insert(0, found[0].start)
        ends = [*sentence_starts[1:], len(text)] if sentence_starts else []
        sentences = tuple(
            (start, start + len(text[start:end].rstrip())) for start, end in zip(sentence_starts, ends, strict=True)
        )
        return TextPrediction(text, tags=tuple(found), sentences=sentences)


class RestoredTexts(TagPredictions):
    """Tags of characters, and the text that they restore."""

    def __init__(
        self,
        members: Sequence[LoadedModel],
        decoder: LabelDecoder,
        device: str,
        options: PredictOptions,
        change: ReversibleChange,
    ) -> None:
        super().__init__(members, decoder, device, options)
        self._change = change

    def to_prediction(self, query: Query, log_p_NL: Floats) -> TextPrediction:
        found = super().to_prediction(query, log_p_NL)
        tags: list[str | None] = [None] * len(query.text)
        for each in found.tags:
            tags[each.start] = each.tag
        return TextPrediction(query.text, tags=found.tags, restored=self._change.restore(query.text, tags))

    def _choose_characters(self, text: str) -> Sequence[int]:
        return [index for index, is_asked in enumerate(self._change.is_asked(text)) if is_asked]


def build_predictions(
    members: Sequence[LoadedModel], decoder: LabelDecoder, device: str, options: PredictOptions
) -> RowPredictions:
    """Return the predictions of a model of labels or tags, or of several that work as one.

    Raises:
        OptionError: an option does not fit the model.
    """
    loaded = members[0]
    options.check_model(decoder.names, per_document=loaded.task.per_document)
    if isinstance(loaded.conditions, LabelConditions):
        return BayesPredictions(members, decoder, device, options)
    if loaded.task.per_document:
        return LabelPredictions(members, decoder, device, options)
    return build_tag_predictions(members, decoder, device, options)


def build_tag_predictions(
    members: Sequence[LoadedModel], decoder: LabelDecoder, device: str, options: PredictOptions
) -> TagPredictions:
    """Return the predictions of a model of tags, or of several that work as one."""
    if decoder.transitions is not None:
        return SegmentPredictions(members, decoder, device, options)
    change = CHANGES.get(members[0].task.asked_characters or "")
    if change is not None:
        return RestoredTexts(members, decoder, device, options, change)
    return TagPredictions(members, decoder, device, options)


def _word_starts(text: str, ends: Sequence[int]) -> list[int]:
    """Return where the words start whose last characters are `ends`: after the word before, without blanks."""
    starts: list[int] = []
    previous = 0
    for end in ends:
        piece = text[previous : end + 1]
        starts.append(previous + len(piece) - len(piece.lstrip()))
        previous = end + 1
    return starts
