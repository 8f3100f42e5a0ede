"""The form of a baseline of labels or tags, and the texts that it reads.

N asked positions of a text, L labels.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.data.corpus import Corpus
from charlm.data.examples import Examples
from charlm.vocab.base import IGNORE_INDEX

OnProgress = Callable[[str, int, int], None]
"""Gets a baseline's name, the amount of work done, and the whole amount. It may raise to stop."""

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text, the characters after which something is asked, and what is right there."""

    text: str
    positions: Ids
    """(N,) the index of the last character before the question; of a label, that of the last character."""
    targets: Ids
    """(N,) the ids of the right labels; -1 for one that training has never seen."""


class LabelPredictor(ABC):
    """A fitted baseline."""

    @abstractmethod
    def log_probabilities(self, text: LabelledText) -> Floats:
        """Return (N, L); the targets are not read."""


class LabelBaseline(ABC):
    """A baseline before it is fitted."""

    name: str
    description: str

    @abstractmethod
    def fit(self, train: Sequence[LabelledText], labels: Sequence[str]) -> LabelPredictor:
        """Learn from training texts.

        Args:
            labels: the names of the labels, by id.
        """


def read_texts(corpus: Corpus, split: str) -> Iterator[LabelledText]:
    """Yield the texts of a split that ask for something."""
    examples: Examples = corpus.open_examples(split)
    vocab = corpus.vocab
    for start, end in zip(examples.starts, examples.ends, strict=True):
        targets = np.asarray(examples.targets[start:end], dtype=np.int64)
        asked = np.flatnonzero(targets != IGNORE_INDEX)
        if not len(asked):
            continue
        ids = examples.stream.tokens[start:end]
        has_eod = int(ids[-1] == vocab.eod_id)
        decoder = vocab.stream_decoder()
        ends_T = np.cumsum([len(decoder.push(int(token))) for token in ids[: len(ids) - has_eod]])
        text = vocab.decode(ids[: len(ids) - has_eod])
        lengths_T = np.append(ends_T, len(text)) if has_eod else ends_T
        yield LabelledText(text, np.maximum(lengths_T[asked] - 1, 0), targets[asked])


def smoothed_log_probabilities(counts_L: npt.NDArray[np.floating], floor: float = 0.5) -> Floats:
    """Return the logarithms of relative frequencies, with `floor` added to every count."""
    smoothed_L = counts_L.astype(np.float64) + floor
    return np.log(smoothed_L / smoothed_L.sum()).astype(np.float32)
