"""A Kneser-Ney n-gram model for each class: p(label | text) is proportional to p(label) p(text | label).

The texts of a class are one stream, `<end> text <end> text ... <end>`. The vocabulary is the characters of all training
texts, and one id for all others.
"""

from collections.abc import Sequence

import numpy as np

from charlm.data.labelled_text import Ids, LabelledText
from charlm.evaluation.baselines.kneser_ney import KneserNey
from charlm.evaluation.label_baselines.base import (
    Floats,
    LabelBaseline,
    LabelPredictor,
    smoothed_log_probabilities,
)

_END, _UNKNOWN, _FIRST = 0, 1, 2


class NgramsPerClass(LabelBaseline):
    """An n-gram model for each class."""

    def __init__(self, order: int) -> None:
        self.name = f"{order}-grams-per-class"
        self.description = f"a Kneser-Ney model of order {order} over the characters of each class, by Bayes' rule"
        self._order = order

    def fit(self, train: Sequence[LabelledText], labels: Sequence[str]) -> "NgramPredictor":
        characters = sorted({character for text in train for character in text.text})
        ids = {character: index for index, character in enumerate(characters, start=_FIRST)}
        size = _FIRST + len(characters)
        counts_L = np.zeros(len(labels))
        streams: list[list[Ids]] = [[np.array([_END])] for _ in labels]
        for text in train:
            label = int(text.targets[-1])
            counts_L[label] += 1
            streams[label] += [_encode(text.text, ids), np.array([_END])]
        models = [KneserNey.fit(np.concatenate(stream), size, self._order) for stream in streams]
        return NgramPredictor(models, ids, smoothed_log_probabilities(counts_L))


class NgramPredictor(LabelPredictor):
    def __init__(self, models: Sequence[KneserNey], ids: dict[str, int], log_prior_L: Floats) -> None:
        self._models = models
        self._ids = ids
        self._log_prior_L = log_prior_L

    def log_probabilities(self, text: LabelledText) -> Floats:
        tokens = np.concatenate([[_END], _encode(text.text, self._ids), [_END]])
        joint_L = self._log_prior_L + [float(model.log_probabilities(tokens).sum()) for model in self._models]
        joint_L = joint_L - joint_L.max()
        return np.tile((joint_L - np.log(np.exp(joint_L).sum())).astype(np.float32), (len(text.positions), 1))


def _encode(text: str, ids: dict[str, int]) -> Ids:
    return np.array([ids.get(character, _UNKNOWN) for character in text], dtype=np.int64)
