"""Words of a segmenter as CoNLL-U: every word is in a sentence, and a segment is no part of speech. NaN is refused."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from charlm.data.task_settings import TagTaskSettings
from charlm.errors import CheckpointError
from charlm.evaluation.predict_rows import Floats
from charlm.workflows.predict_files import formatter
from charlm.workflows.prediction import Query, TextPrediction
from charlm.workflows.prediction_kinds import SegmentPredictions

SEGMENTS = TagTaskSettings(asks="solid")


class GivenTags(SegmentPredictions):
    """Predicts the tags that it is given."""

    def __init__(self, tags: Sequence[str]) -> None:
        self._tags = tags

    def characters(self, query: Query) -> Sequence[int]:
        return [index for index, character in enumerate(query.text) if not character.isspace()]

    def choose_tags(self, log_p_NL: Floats) -> list[tuple[str, float]]:
        del log_p_NL
        return [(tag, 0.9) for tag in self._tags]


def predict(text: str, tags: str) -> TextPrediction:
    return GivenTags(tags.split()).to_prediction(Query(text), np.zeros((0, 0), np.float32))


@pytest.mark.parametrize(
    ("tags", "sentences"),
    [
        ("B-word I-word B-word B-sent I-sent", [(0, 4), (5, 7)]),
        ("B-sent I-sent B-word B-sent I-sent", [(0, 4), (5, 7)]),
        ("B-word I-word B-word B-word I-word", [(0, 7)]),
    ],
)
def test_words_before_the_first_start_of_a_sentence_are_kept(tags: str, sentences: list[tuple[int, int]]) -> None:
    written = formatter("conllu", SEGMENTS)(predict("ab c de", tags))
    rows = [line.split("\t") for line in written.splitlines() if line and not line.startswith("#")]
    assert [row[1] for row in rows] == ["ab", "c", "de"]
    assert {row[3] for row in rows} == {"_"}
    texts = [line.removeprefix("# text = ") for line in written.splitlines() if line.startswith("#")]
    assert texts == ["ab c de"[start:end] for start, end in sentences]


class Overflowing(GivenTags):
    """The predictions of a model whose numbers overflow."""

    def log_probabilities(self, block: Sequence[Query], check: Callable[[], None] = lambda: None) -> list[Floats]:
        del check
        return [np.full((1, 2), np.nan, np.float32) for _ in block]


def test_numbers_that_overflow_are_no_prediction() -> None:
    with pytest.raises(CheckpointError, match="its numbers overflow"):
        list(Overflowing(["B-word"]).predict([Query("ab")], lambda: None))
