"""Logistic regression (scikit-learn): over the character n-grams of a text, or over a window around each tag.

    label   counts of all 1- to 4-grams of the text with a mark at both ends
    tag     the characters around the question, the prefixes and suffixes of its word, the words beside it; where most
            characters have tags, the runs of non-blanks around them

Fan et al. (2008), LIBLINEAR's problem, solved by lbfgs. Needs the package scikit-learn.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from charlm.data.labelled_text import LabelledText
from charlm.evaluation.label_baselines.base import Floats, LabelBaseline, LabelPredictor

_MAX_NGRAM = 4
_START, _STOP = "\x02", "\x03"
_WINDOW = 4
_MAX_AFFIX = 5
_MIN_PROBABILITY = 1e-6
_MAX_QUESTIONS = 500_000  # of the training text: some minutes, and 2 GB
_DENSE = 0.5  # questions for each character from which on the runs of non-blanks give features


class TextRegression(LabelBaseline):
    """Logistic regression over the n-grams of a text."""

    name = "logistic-regression"
    description = "logistic regression over counts of the text's 1- to 4-grams of characters"

    def __init__(self, inverse_penalty: float = 10.0) -> None:
        self._inverse_penalty = inverse_penalty

    def fit(self, train: Sequence[LabelledText], labels: Sequence[str]) -> "RegressionPredictor":
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.linear_model import LogisticRegression

        vectorizer = CountVectorizer(analyzer="char", ngram_range=(1, _MAX_NGRAM), lowercase=False, binary=False)
        features = vectorizer.fit_transform([_marked(text.text) for text in train])
        model = LogisticRegression(C=self._inverse_penalty, max_iter=1000)
        model.fit(features, [int(text.targets[-1]) for text in train])
        return RegressionPredictor(vectorizer, model, len(labels), is_tagger=False)


class WindowRegression(LabelBaseline):
    """Logistic regression over a window around each tag."""

    name = "window-tagger"
    description = (
        "logistic regression over the characters around a tag, its word's affixes and the words beside it; of at most"
        f" {_MAX_QUESTIONS:,} training tags"
    )

    def __init__(self, penalty: float = 1e-6) -> None:
        self._penalty = penalty

    def fit(self, train: Sequence[LabelledText], labels: Sequence[str]) -> "RegressionPredictor":
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.feature_extraction import FeatureHasher
        from sklearn.linear_model import SGDClassifier

        hasher = FeatureHasher(n_features=1 << 22, input_type="string", alternate_sign=False)
        used = list(_first_texts(train))
        rows = (features for text in used for features in _window_features(text))
        targets = [target for text in used for target in text.targets.tolist()]
        model = SGDClassifier(loss="log_loss", alpha=self._penalty, max_iter=20, tol=1e-4, average=True, random_state=0)
        with warnings.catch_warnings():  # the averaged weights of 20 epochs are meant, converged or not
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(hasher.transform(rows), targets)
        return RegressionPredictor(hasher, model, len(labels), is_tagger=True)


class RegressionPredictor(LabelPredictor):
    def __init__(self, vectorizer: Any, model: Any, num_labels: int, *, is_tagger: bool) -> None:
        self._vectorizer = vectorizer
        self._model = model
        self._num_labels = num_labels
        self._is_tagger = is_tagger

    def log_probabilities(self, text: LabelledText) -> Floats:
        rows: Any = list(_window_features(text)) if self._is_tagger else [_marked(text.text)]
        p_NC = self._model.predict_proba(self._vectorizer.transform(rows))
        p_NL = np.full((len(rows), self._num_labels), _MIN_PROBABILITY)
        p_NL[:, self._model.classes_] = np.maximum(p_NC, _MIN_PROBABILITY)
        log_p_NL = np.log(p_NL / p_NL.sum(1, keepdims=True)).astype(np.float32)
        return log_p_NL if self._is_tagger else np.repeat(log_p_NL, len(text.positions), axis=0)


def _first_texts(train: Sequence[LabelledText]) -> Iterator[LabelledText]:
    """Yield the first texts, at least one, with at most _MAX_QUESTIONS tags together."""
    num_questions = 0
    for text in train:
        num_questions += len(text.positions)
        if num_questions > _MAX_QUESTIONS and num_questions > len(text.positions):
            return
        yield text


def _marked(text: str) -> str:
    return f"{_START}{text}{_STOP}"


def _window_features(text: LabelledText) -> Iterator[list[str]]:
    """Yield the features of each question."""
    padded = _START * (_WINDOW + 1) + text.text + _STOP * (_WINDOW + 1)
    words = _words_at_questions(text)
    is_dense = len(text.positions) >= _DENSE * len(text.text)
    runs = [*_run_features(text)] if is_dense else []
    for index, position in enumerate(text.positions.tolist()):
        centre = position + _WINDOW + 1
        features = [f"c{offset}:{padded[centre + offset]}" for offset in range(-_WINDOW, _WINDOW + 1)]
        features += [
            f"b{offset}:{padded[centre + offset : centre + offset + 2]}" for offset in range(-_WINDOW, _WINDOW)
        ]
        features += [f"t{offset}:{padded[centre + offset : centre + offset + 3]}" for offset in range(-3, 2)]
        word = words[index]
        features += ["bias", f"w:{word}", f"l:{word.lower()}", f"s:{_shape(word)}"]
        features += [f"p{size}:{word[:size]}" for size in range(1, _MAX_AFFIX + 1) if len(word) > size]
        features += [f"e{size}:{word[-size:]}" for size in range(1, _MAX_AFFIX + 1) if len(word) > size]
        for distance in (-2, -1, 1, 2):
            beside = words[index + distance] if 0 <= index + distance < len(words) else _START
            features += [f"n{distance}:{beside}", f"ne{distance}:{beside[-3:]}"]
        if 0 < index < len(words) - 1:
            features.append(f"both:{words[index - 1]}|{words[index + 1]}")
        yield features + (runs[index] if is_dense else [])


def _run_features(text: LabelledText) -> Iterator[list[str]]:
    """Yield the features of each question that the runs of non-blanks around it give, where most characters are asked:
    the run with the place in it, the runs beside it, and pairs of runs."""
    runs = [*re.finditer(r"\S+", text.text)]
    padded = [_START, *(run.group() for run in runs), _STOP]
    number_of = np.searchsorted([run.start() for run in runs], text.positions, side="right")
    for position, number in zip(text.positions.tolist(), number_of.tolist(), strict=True):
        before, own, after = padded[number - 1 : number + 2]
        place = position - runs[number - 1].start()
        yield [
            *(f"r:{own}", f"{place}r:{own}", f"{place}rb:{before}", f"{place}ra:{after}"),
            *(f"{place}rr:{before}|{own}", f"{place}ro:{own}|{after}"),
        ]


def _words_at_questions(text: LabelledText) -> list[str]:
    """Return the text between one question and the one before, without blanks."""
    starts = np.concatenate([[-1], text.positions[:-1]]) + 1
    pairs = zip(starts.tolist(), text.positions.tolist(), strict=True)
    return [text.text[start : end + 1].strip() for start, end in pairs]


def _shape(word: str) -> str:
    """Return the kinds of the word's characters, without repetitions: "Xx", "0-0"."""
    kinds = ["X" if c.isupper() else "x" if c.isalpha() else "0" if c.isdigit() else c for c in word]
    return "".join(kind for index, kind in enumerate(kinds) if index == 0 or kind != kinds[index - 1])
