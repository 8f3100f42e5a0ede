"""A score: sums of nats and of units of text. Scores add; ratios are computed last.

perplexity           exp(nats / tokens) = 2**H = p(w)**(-1/N)
bits per character   nats / ln 2 / characters: nats include every <eod>, characters are those of the text alone
bits per byte        the same over UTF-8 bytes (enwik8's and text8's published "bits per character")
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.data.store import TokenStream

NOT_SCORED = -np.inf
"""The nats of a token that belongs to another shard. A model whose numbers overflow gives NaN, which must be seen."""


@dataclass(frozen=True, slots=True)
class Score:
    """The negative log-likelihood of a text in nats, and its size in every unit. A ratio that is not finite is None."""

    nats: float
    tokens: int
    characters: int
    words: int
    bytes: int

    @classmethod
    def from_nats(cls, nats_N: npt.NDArray[np.floating], stream: TokenStream) -> "Score":
        """The score of a stream from the nats of each of its tokens."""
        return cls.from_sum(float(nats_N.sum(dtype=np.float64)), len(nats_N), stream)

    @classmethod
    def from_sum(cls, nats: float, tokens: int, stream: TokenStream) -> "Score":
        """The score of a stream from the sum of the nats of its tokens."""
        return cls(nats, tokens, *(stream.count(unit) for unit in ("characters", "words", "bytes")))

    def __add__(self, other: object) -> "Score":
        if not isinstance(other, Score):
            return NotImplemented
        return Score(
            self.nats + other.nats,
            self.tokens + other.tokens,
            self.characters + other.characters,
            self.words + other.words,
            self.bytes + other.bytes,
        )

    @property
    def bits(self) -> float | None:
        """Bits per character."""
        return self.bits_per_character

    @property
    def details(self) -> str:
        """Further figures for the note of a validation: none."""
        return ""

    def figure(self, select: str) -> float | None:
        """Return the figure that validations compare."""
        assert select == "bits", "the task refuses others"
        return self.bits

    def sums(self) -> list[float]:
        """Return the numbers that add up over shards of a stream."""
        return [self.nats, float(self.tokens)]

    def with_sums(self, sums: Sequence[float]) -> "Score":
        """Return the score of the same stream whose `sums` these are."""
        return replace(self, nats=sums[0], tokens=int(sums[1]))

    @property
    def perplexity(self) -> float | None:
        return _exp(_ratio(self.nats, self.tokens))

    @property
    def character_perplexity(self) -> float | None:
        return _exp(_ratio(self.nats, self.characters))

    @property
    def word_perplexity(self) -> float | None:
        return _exp(_ratio(self.nats, self.words))

    @property
    def bits_per_character(self) -> float | None:
        return _ratio(self.nats / math.log(2), self.characters)

    @property
    def bits_per_byte(self) -> float | None:
        return _ratio(self.nats / math.log(2), self.bytes)

    def to_json(self) -> dict[str, Any]:
        """The sums, then the ratios. Nats that are not finite are None."""
        sums = asdict(self)
        sums["nats"] = self.nats if math.isfinite(self.nats) else None
        ordered = {name: sums[name] for name in ("tokens", "characters", "words", "bytes", "nats")}
        ratios = (
            "perplexity",
            "character_perplexity",
            "word_perplexity",
            "bits_per_character",
            "bits_per_byte",
        )
        return ordered | {name: getattr(self, name) for name in ratios}


def _ratio(numerator: float, denominator: int) -> float | None:
    return numerator / denominator if denominator and math.isfinite(numerator) else None


def _exp(exponent: float | None) -> float | None:
    try:
        return None if exponent is None else math.exp(exponent)
    except OverflowError:
        return None
