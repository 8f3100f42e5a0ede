"""The effect of each character on the label of a text: what its probability loses where the character is left out.

    effect = log2 p(label | text) - log2 p(label | text without the character)      in bits; above 0: it speaks for it

    TEXT ──leave out each piece──> shortened texts ──predict_rows──> log p(label) of each ──> LabelEffects

A character is a grapheme cluster, such as a letter with its accents. In a text of more than MAX_PIECES of them, k
neighbours are left out together, with the smallest k that suffices.

P pieces of the text, L labels.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import regex
import torch

from charlm.errors import DataError
from charlm.evaluation.predict_rows import Row, label_row, predict_rows
from charlm.nn.model import LanguageModel
from charlm.vocab.base import Vocab

MAX_PIECES = 1_000
_BLOCK_CHARACTERS = 1 << 20  # of shortened texts that are held at a time
_LN_2 = math.log(2)


@dataclass(frozen=True)
class LabelEffects:
    """The effects of the pieces of a text on the probability of one label.

    Attributes:
        names: of all labels.
        label: the id of the label.
        log_p_L: natural logarithms of the probabilities given the whole text.
        ends_P: the end of each piece in characters; each begins where the one before it ends.
        clusters_P: the number of grapheme clusters in each piece.
        without_P: the natural logarithm of the label's probability without each piece.
        top: the number of labels to show.
    """

    text: str
    names: tuple[str, ...]
    label: int
    log_p_L: npt.NDArray[np.float64]
    ends_P: npt.NDArray[np.int64]
    clusters_P: npt.NDArray[np.int64]
    without_P: npt.NDArray[np.float64]
    top: int

    @property
    def effects_P(self) -> npt.NDArray[np.float64]:
        """(P,) in bits."""
        return (self.log_p_L[self.label] - self.without_P) / _LN_2

    @property
    def cluster_size(self) -> int:
        """The number of grapheme clusters that are left out together."""
        return int(self.clusters_P.max(initial=1))

    @property
    def best(self) -> list[tuple[str, float]]:
        """The most probable labels with their probabilities, the best first."""
        order = np.argsort(-self.log_p_L, kind="stable")[: self.top].tolist()
        return [(self.names[index], self.probability(index)) for index in order]

    def probability(self, label: int) -> float:
        return math.exp(self.log_p_L[label])

    def span(self, piece: int) -> tuple[int, int]:
        """Return where a piece starts and ends, in characters."""
        return int(self.ends_P[piece - 1]) if piece else 0, int(self.ends_P[piece])

    def to_json(self) -> dict[str, Any]:
        """The labels, and the effect of each piece, which has the code points from `characters[0]` to before [1]."""
        return {
            "text": self.text,
            "label": self.names[self.label],
            "probability": self.probability(self.label),
            "labels": dict(self.best),
            "effects": [
                {"characters": list(self.span(piece)), "effect": effect, "probability_without": math.exp(without)}
                for piece, (effect, without) in enumerate(
                    zip(self.effects_P.tolist(), self.without_P.tolist(), strict=True)
                )
            ],
        }


def find_effects(
    model: LanguageModel,
    vocab: Vocab,
    names: tuple[str, ...],
    text: str,
    label: int | None,
    *,
    top: int,
    device: torch.device,
    on_progress: Callable[[int, int], None],
) -> LabelEffects:
    """Predict the label of a text, and of the text without each piece.

    Args:
        label: the id of the label to explain; None: the most probable one.
        on_progress: called with the tokens read since the last call, and about how many are to be read.

    Raises:
        DataError: the text has a character that the vocabulary cannot spell, or the model's numbers overflow.
    """
    ends_P, clusters_P = _cut(text)
    whole = label_row(text, vocab)
    num_tokens = len(whole.ids) * (len(ends_P) + 1)

    def predict(rows: Sequence[Row]) -> npt.NDArray[np.float64]:
        found = dict(
            predict_rows(model, rows, device=device, on_progress=lambda tokens: on_progress(tokens, num_tokens))
        )
        log_p_RL = np.stack([found[index][0] for index in range(len(rows))]).astype(np.float64)
        if not np.isfinite(log_p_RL).all():
            raise DataError("the model gives no probabilities: its numbers overflow", "use another checkpoint")
        return log_p_RL

    log_p_L = predict([whole])[0]
    chosen = int(log_p_L.argmax()) if label is None else label
    without = [predict(rows)[:, chosen] for rows in _shortened_rows(text, ends_P, vocab)]
    return LabelEffects(text, names, chosen, log_p_L, ends_P, clusters_P, np.concatenate([np.zeros(0), *without]), top)


def _cut(text: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the ends of the pieces, and their numbers of grapheme clusters."""
    cluster_ends = np.array([found.end() for found in regex.finditer(r"\X", text)], dtype=np.int64)
    size = max(1, math.ceil(len(cluster_ends) / MAX_PIECES))
    last = np.minimum(np.arange(size, len(cluster_ends) + size, size), len(cluster_ends))
    return cluster_ends[last - 1], np.diff(last, prepend=0)


def _shortened_rows(text: str, ends_P: npt.NDArray[np.int64], vocab: Vocab) -> Iterator[list[Row]]:
    """Yield the rows of the text without each piece, in blocks."""
    rows_per_block = max(1, _BLOCK_CHARACTERS // max(1, len(text)))
    bounds = list(zip([0, *ends_P[:-1].tolist()], ends_P.tolist(), strict=True)) if len(ends_P) else []
    for first in range(0, len(bounds), rows_per_block):
        yield [label_row(text[:start] + text[end:], vocab) for start, end in bounds[first : first + rows_per_block]]
