"""How effects on a label are shown: what speaks for it in blue, what speaks against it in orange.

The darkest blue and orange are those of the largest effect in the text, which is rounded up to a round number of bits.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from charlm.evaluation.explain.cards import columns_as_json, to_thousandths
from charlm.evaluation.explain.colours import EFFECT, NO_EFFECT, NUM_LEVELS, effect_to_level
from charlm.evaluation.explain.drawing import MAX_PLACES, Drawing, Legend, Part, Place, Places, context_of
from charlm.evaluation.explain.effects import LabelEffects
from charlm.evaluation.explain.visible import display_name, escape_invisible, format_percent
from charlm.formatting import pluralize, shorten

_MIN_EFFECT = 0.005  # bits; smaller ones are shown as 0.00
_MIN_REACH = 0.1  # bits
_MAX_NAME = 40  # characters of a label


class EffectDrawing(Drawing):
    """Characters in the colours of their effects."""

    scales = EFFECT
    card_script = "card_effects.js"
    hint = "its effect, and the probability of the label without it"

    def __init__(self, effects: LabelEffects) -> None:
        self._effects = effects
        self._label = _show(effects.names[effects.label])
        self._reach = _round_up(float(np.abs(effects.effects_P).max(initial=0)))

    @property
    def legend(self) -> Legend:
        reach = f"{self._reach:g}"
        return Legend(
            f"bits against -{reach}",
            tuple("0" if level == NO_EFFECT else "" for level in range(NUM_LEVELS)),
            f"+{reach} for",
            f"Colours from {reach} bits against {self._label} to {reach} bits for it",
        )

    def parts(self) -> Iterator[Part]:
        found = self._effects
        pairs = zip(found.effects_P.tolist(), found.clusters_P.tolist(), strict=True)
        for piece, (effect, clusters) in enumerate(pairs):
            start, end = found.span(piece)
            yield Part(found.text[start:end], effect_to_level(effect, self._reach), clusters)

    def places(self) -> list[Places]:
        return [self._strongest(f"for {self._label}", 1), self._strongest(f"against {self._label}", -1)]

    def summary_lines(self) -> Iterator[str]:
        found = self._effects
        labels = ", ".join(f"{_show(name)} {format_percent(p)}" for name, p in found.best)
        yield f"{labels}; {pluralize(len(found.text), 'character')}"
        if found.names[found.label] != found.best[0][0]:
            yield f"explained: {self._label} {format_percent(found.probability(found.label))}"
        if found.cluster_size > 1:
            yield f"{found.cluster_size} neighbouring characters are left out together"
        if not any(each.places for each in self.places()):
            yield f"no character changes the probability of {self._label} by 0.01 bits or more"

    def introduction(self) -> str:
        found = self._effects
        probability = format_percent(found.probability(found.label))
        pieces = ""
        if found.cluster_size > 1:
            pieces = f" In this long text {found.cluster_size} neighbouring characters are left out together."
        return (
            f"The probability of {self._label} is {probability}. The colour of each character shows its effect: the"
            f" base-2 logarithm of this probability, minus the same without the character. Blue speaks for"
            f" {self._label}, orange against it.{pieces}"
        )

    def figures(self) -> tuple[str, dict[str, str]]:
        return "Labels", {_show(name): format_percent(p) for name, p in self._effects.best}

    def cards(self) -> Iterator[str]:
        found = self._effects
        bits = -float(found.log_p_L[found.label]) / math.log(2)
        columns = {
            "effects": to_thousandths(found.effects_P),
            "bits_without": to_thousandths(-found.without_P / math.log(2)),
        }
        return columns_as_json({"label": self._label, "bits": round(bits, 6)}, columns)

    def to_json(self) -> dict[str, Any]:
        return self._effects.to_json()

    def _strongest(self, heading: str, sign: int) -> Places:
        signed_P = sign * self._effects.effects_P
        order = np.argsort(-signed_P, kind="stable")[:MAX_PLACES].tolist()
        places = [self._place(piece) for piece in order if signed_P[piece] >= _MIN_EFFECT]
        return Places(heading, places, probability="without it")

    def _place(self, piece: int) -> Place:
        found = self._effects
        start, end = found.span(piece)
        before, after = map(escape_invisible, context_of(found.text, start, end))
        text = display_name(found.text[start:end])
        without = format_percent(math.exp(found.without_P[piece]))
        return Place(piece, before, text, after, f"{found.effects_P[piece]:+.2f}", without, "")


def _show(label: str) -> str:
    return shorten(escape_invisible(label), _MAX_NAME)


def _round_up(bits: float) -> float:
    """Return the next number of the series 1, 2, 5, 10, ..., at least _MIN_REACH."""
    if bits <= _MIN_REACH:
        return _MIN_REACH
    unit = 10 ** math.floor(math.log10(bits))
    return next(step * unit for step in (1, 2, 5, 10) if bits <= step * unit * (1 + 1e-9))
