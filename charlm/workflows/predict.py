"""Labels or tags of texts: what `charlm predict` and `model.predict` do.

    texts ──blocks──> ids, asked positions ──predict_rows──> log-probabilities ──> predictions, in order

Memory holds one block of texts. The result of a text does not depend on the others.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from charlm.checkpoint import LoadedModel
from charlm.data.task_settings import TagTaskSettings
from charlm.device import Precision, choose_device
from charlm.errors import DataError, UsageError
from charlm.evaluation.evaluate_labels import LabelDecoder
from charlm.evaluation.predict_rows import Floats, Row, predict_rows
from charlm.evaluation.segments import SENTENCE_KIND, find_segments
from charlm.suggestions.words import suggest
from charlm.text.examples.reversible_changes import CHANGES
from charlm.vocab.base import Vocab
from charlm.workflows.evaluate_labels import decoder_of
from charlm.workflows.prediction import LabelProbability, Query, TextPrediction, TextTag

_BLOCK_TEXTS = 1024
_BLOCK_CHARACTERS = 1 << 20


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """How labels are predicted."""

    top: int = 1
    """The number of labels given for each text."""
    threshold: float = 0.0
    """A best label with a lower probability is rejected."""
    labels: tuple[str, ...] = ()
    """The labels that may be chosen; their probabilities add up to 1. Empty: all."""
    temperature: float = 1.0
    """The temperature that probabilities are calibrated with, as `charlm eval` reports it."""
    precision: Precision = "fp32"


class Predictor:
    """Predicts labels or tags with a loaded model."""

    def __init__(self, loaded: LoadedModel, name: str, device: str, options: PredictOptions) -> None:
        """
        Args:
            name: of the run, for messages.

        Raises:
            UsageError: it is a language model; or an option does not fit the model or is out of range.
        """
        self._loaded = loaded
        self._device = choose_device(device)
        self._options = options
        self._decoder: LabelDecoder = decoder_of(loaded, name)
        _check_options(options, self._decoder.names, is_tagger=isinstance(loaded.task, TagTaskSettings))
        self._allowed = [self._decoder.names.index(name) for name in options.labels]

    def predict(self, queries: Iterable[Query]) -> Iterator[TextPrediction]:
        """Yield a prediction for each text, in order.

        Raises:
            DataError: a text has a character that the vocabulary cannot spell.
        """
        for block in _blocks(queries):
            rows = [self._to_row(query) for query in block]
            found: dict[int, Floats] = dict(
                predict_rows(self._loaded.model, rows, device=self._device, precision=self._options.precision)
            )
            for index, query in enumerate(block):
                yield self._to_prediction(query, self._characters(query), found[index])

    def _to_row(self, query: Query) -> Row:
        vocab = self._loaded.vocab
        ids = np.append(vocab.encode(query.text), vocab.eod_id)
        if not isinstance(self._loaded.task, TagTaskSettings):
            return Row(ids, np.array([len(ids) - 1]))
        characters = self._characters(query)
        last_tokens = _last_tokens(query.text, vocab)
        return Row(ids, last_tokens[list(characters)] if characters else np.zeros(0, dtype=np.int64))

    def _characters(self, query: Query) -> Sequence[int]:
        """Return the characters whose tags are wanted."""
        task, text = self._loaded.task, query.text
        if not isinstance(task, TagTaskSettings):
            return ()
        if query.asked is not None:
            return query.asked
        if task.asks in CHANGES:
            return [index for index, is_asked in enumerate(CHANGES[task.asks].is_asked(text)) if is_asked]
        solid = [index for index, character in enumerate(text) if not character.isspace()]
        if task.asks != "words":
            return solid
        return [index for index in solid if index + 1 == len(text) or text[index + 1].isspace()]

    def _to_prediction(self, query: Query, characters: Sequence[int], log_p_NL: Floats) -> TextPrediction:
        if not isinstance(self._loaded.task, TagTaskSettings):
            return self._to_labels(query.text, log_p_NL[0])
        chosen = self._decoder.decode(log_p_NL)
        tags = [self._decoder.names[index] for index in chosen]
        p_N = np.exp(log_p_NL[np.arange(len(chosen)), chosen])
        if self._decoder.transitions is not None:
            return _to_segments(query.text, characters, tags, p_N)
        starts = _word_starts(query.text, characters) if self._loaded.task.asks == "words" else characters
        found = tuple(
            TextTag(start, end + 1, tag, float(p))
            for start, end, tag, p in zip(starts, characters, tags, p_N, strict=True)
        )
        restored = None
        if self._loaded.task.asks in CHANGES:
            all_tags: list[str | None] = [None] * len(query.text)
            for character, tag in zip(characters, tags, strict=True):
                all_tags[character] = tag
            restored = CHANGES[self._loaded.task.asks].restore(query.text, all_tags)
        return TextPrediction(query.text, tags=found, restored=restored)

    def _to_labels(self, text: str, log_p_L: Floats) -> TextPrediction:
        options, names = self._options, self._decoder.names
        scaled_L = log_p_L.astype(np.float64) / options.temperature
        if self._allowed:
            masked_L = np.full(len(names), -np.inf)
            masked_L[self._allowed] = scaled_L[self._allowed]
            scaled_L = masked_L
        p_L = np.exp(scaled_L - scaled_L.max())
        p_L /= p_L.sum()
        order = np.argsort(-p_L, kind="stable")[: min(options.top, len(self._allowed or names))]
        labels = tuple(LabelProbability(names[index], float(p_L[index])) for index in order)
        return TextPrediction(text, labels, is_rejected=labels[0].probability < options.threshold)


def _check_options(options: PredictOptions, names: Sequence[str], *, is_tagger: bool) -> None:
    given = {"top": options.top != 1, "threshold": options.threshold > 0, "labels": bool(options.labels)}
    given["temperature"] = options.temperature != 1
    for name, is_given in given.items():
        if is_tagger and is_given:
            raise UsageError(f"{name} is for labels of documents, and this model predicts tags", "leave it out")
    if options.top < 1:
        raise UsageError(f"top is {options.top}", "give a number of at least 1")
    if not 0 <= options.threshold <= 1:
        raise UsageError(f"threshold {options.threshold} is no probability", "give a number from 0 to 1")
    if not 0 < options.temperature <= 100:
        raise UsageError(f"temperature {options.temperature} is out of range", "give a number above 0, up to 100")
    for label in options.labels:
        if label not in names:
            raise UsageError(f"the model has no label {label!r}", suggest(label, list(names), "it has"))


def _blocks(queries: Iterable[Query]) -> Iterator[Sequence[Query]]:
    """Yield the queries in blocks of bounded numbers of texts and of characters, with at least one text."""
    block: list[Query] = []
    size = 0
    for query in queries:
        if block and (len(block) == _BLOCK_TEXTS or size + len(query.text) > _BLOCK_CHARACTERS):
            yield block
            block, size = [], 0
        block.append(query)
        size += len(query.text)
    if block:
        yield block


def _last_tokens(text: str, vocab: Vocab) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the index of the last token of each character."""
    return np.cumsum(vocab.tokens_per_character(text), dtype=np.int64) - 1


def _to_segments(text: str, characters: Sequence[int], tags: Sequence[str], p_N: Floats) -> TextPrediction:
    """Return the segments as tags, with the probability of their least certain character."""
    found: list[TextTag] = []
    sentence_starts: list[int] = []
    for first, after_last, kind in find_segments(tags):
        start, end = characters[first], characters[after_last - 1] + 1
        if kind == SENTENCE_KIND:
            sentence_starts.append(start)
        found.append(TextTag(start, end, kind, float(p_N[first:after_last].min())))
    ends = [*sentence_starts[1:], len(text)]
    sentences = tuple(
        (start, start + len(text[start:end].rstrip())) for start, end in zip(sentence_starts, ends, strict=True)
    )
    return TextPrediction(text, tags=tuple(found), sentences=sentences)


def _word_starts(text: str, ends: Sequence[int]) -> list[int]:
    """Return where the words start whose last characters are `ends`: after the word before, without blanks."""
    starts: list[int] = []
    previous = 0
    for end in ends:
        piece = text[previous : end + 1]
        starts.append(previous + len(piece) - len(piece.lstrip()))
        previous = end + 1
    return starts


def as_queries(texts: Iterable[str]) -> Iterator[Query]:
    """Yield a query for each text.

    Raises:
        DataError: a text has a lone surrogate.
    """
    for text in texts:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(f"a text has a lone surrogate at character {error.start:,}", "repair the text") from error
        yield Query(text)
