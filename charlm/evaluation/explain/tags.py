"""The tags that a model predicts for a text, and how uncertain each is: -log2 p(tag), in bits.

    log-probabilities where tags are asked for ──> chosen tags, ranks, alternatives ─┐
    TEXT, spans of the tags ──> the parts to point at: whole tags, whole characters ─┴──> TagExplanation

P tags, L kinds of tags, U units, K alternatives.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import regex

from charlm.errors import DataError
from charlm.evaluation.explain.surprisal import Surprisals

Span = tuple[int, int]
_LN_2 = math.log(2)


@dataclass(frozen=True)
class TagUnit:
    """A part of the text with whole grapheme clusters and whole spans: those of the tags `first` to `after_last`."""

    start: int
    end: int
    first: int
    after_last: int


@dataclass(frozen=True)
class TagExplanation:
    """A text with its tags.

    Attributes:
        names: of all kinds of tags.
        spans: the characters of each tag, in order.
        surprisals: of the chosen tags; ids are those of `names`.
    """

    text: str
    names: tuple[str, ...]
    spans: tuple[Span, ...]
    surprisals: Surprisals

    @cached_property
    def bits_P(self) -> npt.NDArray[np.float64]:
        return self.surprisals.nats_P / _LN_2

    @cached_property
    def units(self) -> list[TagUnit]:
        """The parts of the text in order, between tags too."""
        is_cut = np.zeros(len(self.text) + 1, dtype=np.bool_)
        is_cut[[found.end() for found in regex.finditer(r"\X", self.text)]] = True
        inside = np.zeros_like(is_cut)
        ends_with_tag = np.zeros_like(is_cut)
        for start, end in self.spans:
            inside[start + 1 : end] = True
            ends_with_tag[[start, end]] = True
        ends = np.flatnonzero(is_cut & ~inside & ends_with_tag).tolist()
        if self.text and ends[-1:] != [len(self.text)]:
            ends.append(len(self.text))
        found: list[TagUnit] = []
        start = tag = 0
        for end in ends:
            first = tag
            while tag < len(self.spans) and self.spans[tag][1] <= end:
                tag += 1
            found.append(TagUnit(start, end, first, tag))
            start = end
        return found

    def unit_bits(self, unit: TagUnit) -> float:
        """Return the bits of a unit's least certain tag; 0 without a tag."""
        return float(self.bits_P[unit.first : unit.after_last].max(initial=0))

    def alternatives(self, tag: int) -> list[tuple[str, float]]:
        """Return the most probable kinds with their probabilities, the best first."""
        ids, nats = self.surprisals.top_ids_PK[tag].tolist(), self.surprisals.top_nats_PK[tag].tolist()
        return [(self.names[index], math.exp(-each)) for index, each in zip(ids, nats, strict=True)]

    def name(self, tag: int) -> str:
        return self.names[int(self.surprisals.ids_P[tag])]

    def to_json(self) -> dict[str, Any]:
        """The text, and each tag with the code points from `characters[0]` to before [1]."""
        return {
            "text": self.text,
            "tags": [
                {
                    "characters": list(span),
                    "tag": self.name(tag),
                    "bits": bits,
                    "probability": 2**-bits,
                    "alternatives": [{"tag": name, "probability": p} for name, p in self.alternatives(tag)],
                }
                for tag, (span, bits) in enumerate(zip(self.spans, self.bits_P.tolist(), strict=True))
            ],
        }


def explain_tags(
    text: str,
    names: tuple[str, ...],
    spans: Sequence[Span],
    chosen: npt.NDArray[np.int64],
    log_p_PL: npt.NDArray[np.float32],
    *,
    top: int,
) -> TagExplanation:
    """Return the explanation of chosen tags.

    Args:
        chosen: (P,) the ids of the tags; each need not be the most probable one.
        log_p_PL: natural logarithms of the probabilities.
        top: number of alternatives of each tag.

    Raises:
        DataError: the model's numbers overflow, so that it gives no probabilities.
    """
    if not np.isfinite(log_p_PL).all():
        raise DataError("the model gives no probabilities: its numbers overflow", "use another checkpoint")
    chosen_P1 = np.take_along_axis(log_p_PL, chosen[:, None], -1)
    order_PK = np.argsort(-log_p_PL, axis=-1, kind="stable")[:, :top]
    surprisals = Surprisals(
        chosen,
        -chosen_P1[:, 0].astype(np.float64),
        1 + (log_p_PL > chosen_P1).sum(-1),
        order_PK.astype(np.int32),
        -np.take_along_axis(log_p_PL, order_PK, -1),
    )
    return TagExplanation(text, names, tuple(spans), surprisals)
