"""A text with the surprisal of each of its characters, for `terminal` and `page`.

U units, P predictions, K alternatives.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from charlm.data.store import TokenStream
from charlm.evaluation.explain.surprisal import Surprisals, find_surprisals
from charlm.evaluation.explain.text_units import TextUnits, find_text_units
from charlm.evaluation.explain.visible import display_name
from charlm.evaluation.score import Score
from charlm.nn.model import LanguageModel
from charlm.vocab.base import Vocab

_LN_2 = math.log(2)


@dataclass(frozen=True)
class Alternative:
    """One of the model's likeliest tokens at a position."""

    token: int
    probability: float


@dataclass(frozen=True)
class TokenSurprisal:
    """One token of the text. `rank` is 1 for the likeliest token; `alternatives` begins with the likeliest."""

    token: int
    bits: float
    rank: int
    alternatives: tuple[Alternative, ...]

    @property
    def probability(self) -> float:
        return 2**-self.bits


@dataclass(frozen=True)
class Explanation:
    """Tokens and units in reading order, for models of both directions.

    Attributes:
        surprisals: of every token of the text and of one <eod>: after the text, or before it for a backward model.
        is_backward: the model read the text from its end, so that each token was predicted from the text after it.
    """

    text: str
    vocab: Vocab
    surprisals: Surprisals
    units: TextUnits
    score: Score
    is_backward: bool

    @cached_property
    def bits_U(self) -> npt.NDArray[np.float64]:
        """(U,) the sum over the tokens of each unit. The <eod> belongs to no unit."""
        cumulative_nats = np.concatenate([[0.0], np.cumsum(self._text_nats_P)])[self.units.token_ends_U]
        return np.diff(cumulative_nats, prepend=0.0) / _LN_2

    @cached_property
    def bits_per_cluster_U(self) -> npt.NDArray[np.float64]:
        """(U,) the bits of each unit divided by its characters as a reader counts them: grapheme clusters."""
        return self.bits_U / self.units.clusters_U

    @property
    def eod(self) -> TokenSurprisal:
        """The surprisal of the predicted <eod>."""
        return self.surprisal(0 if self.is_backward else len(self.surprisals.ids_P) - 1)

    def name(self, token: int) -> str:
        """Return the displayed name of a token. In a vocabulary of bytes, ASCII bytes are shown as characters."""
        text = self.vocab.decode([token]) if self.vocab.first_byte_id is None else ""
        return display_name(self.vocab.symbol(token) if text in ("", "\ufffd") else text)

    def unit_span(self, unit: int) -> tuple[int, int]:
        """Return where a unit starts and ends, in characters."""
        return self._start(self.units.text_ends_U, unit), int(self.units.text_ends_U[unit])

    def unit_text(self, unit: int) -> str:
        start, end = self.unit_span(unit)
        return self.text[start:end]

    def unit_surprisals(self, unit: int) -> list[TokenSurprisal]:
        """Return the surprisals of the tokens of a unit."""
        offset = int(self.is_backward)
        positions = range(self._start(self.units.token_ends_U, unit), int(self.units.token_ends_U[unit]))
        return [self.surprisal(position + offset) for position in positions]

    def surprisal(self, position: int) -> TokenSurprisal:
        """Return the surprisal of one prediction, by its index in reading order."""
        surprisals = self.surprisals
        likeliest = zip(
            surprisals.top_ids_PK[position].tolist(), np.exp(-surprisals.top_nats_PK[position]).tolist(), strict=True
        )
        alternatives = tuple(Alternative(token, probability) for token, probability in likeliest)
        bits = float(surprisals.nats_P[position]) / _LN_2
        return TokenSurprisal(int(surprisals.ids_P[position]), bits, int(surprisals.ranks_P[position]), alternatives)

    def most_surprising(self, number: int) -> list[int]:
        """Return the units with the most bits, in falling order; of equal ones the earlier first."""
        return np.argsort(-self.bits_U, kind="stable")[:number].tolist()

    def to_json(self) -> dict[str, Any]:
        """The score in every unit, and each token with the characters of the text that its unit covers."""
        return {
            **self.score.to_json(),
            "direction": "backward" if self.is_backward else "forward",
            "text": self.text,
            "surprisals": list(self._token_rows()),
        }

    def _token_rows(self) -> Iterator[dict[str, Any]]:
        edge = len(self.text)
        end = self._row(self.eod, (0, 0) if self.is_backward else (edge, edge))
        if self.is_backward:
            yield end
        for unit in range(len(self.bits_U)):
            span = self.unit_span(unit)
            yield from (self._row(surprisal, span) for surprisal in self.unit_surprisals(unit))
        if not self.is_backward:
            yield end

    def _row(self, surprisal: TokenSurprisal, span: tuple[int, int]) -> dict[str, Any]:
        symbol = self.vocab.symbol
        return {
            "token": symbol(surprisal.token),
            "characters": list(span),
            "bits": surprisal.bits,
            "probability": surprisal.probability,
            "rank": surprisal.rank,
            "alternatives": [
                {"token": symbol(each.token), "probability": each.probability} for each in surprisal.alternatives
            ],
        }

    @property
    def _text_nats_P(self) -> npt.NDArray[np.float64]:
        return self.surprisals.nats_P[1:] if self.is_backward else self.surprisals.nats_P[:-1]

    @staticmethod
    def _start(ends_U: npt.NDArray[np.int64], unit: int) -> int:
        return int(ends_U[unit - 1]) if unit else 0


def explain(
    model: LanguageModel,
    vocab: Vocab,
    text: str,
    stream: TokenStream,
    *,
    direction: Literal["forward", "backward"],
    top: int,
    device: torch.device,
    on_progress: Callable[[int], None] | None = None,
) -> Explanation:
    """Find the surprisal of each token of a text.

    Args:
        stream: `<eod> text <eod>`, in reading order.
        top: number of alternatives for each token.

    Raises:
        DataError: the model's numbers overflow, so that it gives no probabilities.
    """
    is_backward = direction == "backward"
    surprisals = find_surprisals(model, stream.in_direction(direction), top=top, device=device, on_progress=on_progress)
    score = Score.from_nats(surprisals.nats_P, stream)
    units = find_text_units(text, stream.tokens[1:-1], vocab)
    return Explanation(text, vocab, surprisals.reversed() if is_backward else surprisals, units, score, is_backward)
