"""Segments of a text from the tags of its characters, and the best sequence of tags that means something.

    B-X begins a segment of kind X, I-X continues a segment of kind X, O is outside of all segments.

I-X may follow B-X and I-X only (the scheme IOB2 of Tjong Kim Sang & Veenstra, 1999).

Where a kind is `sent`, the segments are words, and those of this kind begin a sentence. Blanks have no tags in such
corpora, so positions are counted in characters without blanks, as conll18_ud_eval does.

N tags of a text, L kinds of tags.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Ids = npt.NDArray[np.int64]
Segment = tuple[int, int, str]
"""The index of the first tag, the index after the last one, and the kind."""
SENTENCE_KIND = "sent"
"""The kind of a word that begins a sentence."""


@dataclass(frozen=True)
class TagTransitions:
    """Which tag may begin a text, and which may follow which."""

    first_L: npt.NDArray[np.bool_]
    allowed_LL: npt.NDArray[np.bool_]
    """allowed_LL[i, j]: whether tag j may follow tag i."""

    @classmethod
    def of_segments(cls, names: Sequence[str]) -> "TagTransitions":
        """The transitions of the tags `names`, in the order of their ids."""
        continues = np.array([name.startswith("I-") for name in names], dtype=np.bool_)
        kinds = [name[2:] if name[:2] in ("B-", "I-") else None for name in names]
        same = np.array([[one is not None and one == other for other in kinds] for one in kinds], dtype=np.bool_)
        return cls(~continues, ~continues[None, :] | same.reshape(len(names), len(names)))


def viterbi(log_p_NL: Floats, transitions: TagTransitions) -> Ids:
    """Return the allowed sequence of tags with the highest sum of log-probabilities (Viterbi, 1967)."""
    if len(log_p_NL) == 0:
        return np.zeros(0, dtype=np.int64)
    penalty_LL = np.where(transitions.allowed_LL, 0.0, -np.inf)
    best_L = np.where(transitions.first_L, log_p_NL[0].astype(np.float64), -np.inf)
    back_NL = np.zeros(log_p_NL.shape, dtype=np.int64)
    for index in range(1, len(log_p_NL)):
        scores_LL = best_L[:, None] + penalty_LL
        back_NL[index] = scores_LL.argmax(0)
        best_L = scores_LL.max(0) + log_p_NL[index]
    path = np.zeros(len(log_p_NL), dtype=np.int64)
    path[-1] = best_L.argmax()
    for index in range(len(log_p_NL) - 1, 0, -1):
        path[index - 1] = back_NL[index, path[index]]
    return path


def find_segments(tags: Sequence[str]) -> list[Segment]:
    """Return the segments of a sequence of tags; an I-X that continues nothing begins a segment."""
    segments: list[Segment] = []
    start, kind = 0, ""
    for index, tag in enumerate([*tags, "O"]):
        prefix, own_kind = tag[:2], tag[2:]
        if kind and not (prefix == "I-" and own_kind == kind):
            segments.append((start, index, kind))
            kind = ""
        if not kind and prefix in ("B-", "I-"):
            start, kind = index, own_kind
    return segments


def find_sentences(segments: Sequence[Segment]) -> list[tuple[int, int]]:
    """Return the sentences of words in order: from a word that begins one to the last word before the next.

    Words before the first such word belong to a sentence that began in an earlier document; they are left out.
    """
    starts = [index for index, (_, _, kind) in enumerate(segments) if kind == SENTENCE_KIND]
    ends = [*starts[1:], len(segments)]
    return [(segments[start][0], segments[end - 1][1]) for start, end in zip(starts, ends, strict=False)]
