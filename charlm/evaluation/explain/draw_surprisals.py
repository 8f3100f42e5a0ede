"""How the surprisals of a text are shown: its colours, and its most surprising places with what the model expected."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from charlm.evaluation.explain.cards import surprisals_as_json
from charlm.evaluation.explain.colours import bits_to_level
from charlm.evaluation.explain.drawing import (
    END,
    MAX_PLACES,
    NUM_ALTERNATIVES,
    BitsDrawing,
    Part,
    Place,
    Places,
    context_of,
)
from charlm.evaluation.explain.explanation import Alternative, Explanation
from charlm.evaluation.explain.visible import display_name, escape_invisible, format_percent
from charlm.formatting import format_number, pluralize


class SurprisalDrawing(BitsDrawing):
    """Characters in the colours of their surprisals, with <eod> where it is predicted."""

    hint = "its bits, its probability, and what the model expected"

    def __init__(self, explanation: Explanation) -> None:
        self._explanation = explanation

    def parts(self) -> Iterator[Part]:
        found = self._explanation
        end = Part(END, bits_to_level(found.eod.bits), is_end=True)
        if found.is_backward:
            yield end
        pairs = zip(found.bits_per_cluster_U.tolist(), found.units.clusters_U.tolist(), strict=True)
        for unit, (bits, clusters) in enumerate(pairs):
            yield Part(found.unit_text(unit), bits_to_level(bits), clusters)
        if not found.is_backward:
            yield end

    def places(self) -> list[Places]:
        units = self._explanation.most_surprising(MAX_PLACES)
        return [Places("most surprising", [self._place(unit) for unit in units], detail="expected")]

    def summary_lines(self) -> Iterator[str]:
        score = self._explanation.score
        ratios = (score.bits_per_character, score.perplexity)
        bits, perplexity = ("-" if ratio is None else f"{ratio:,.4f}" for ratio in ratios)
        sizes = f"{pluralize(score.characters, 'character')}, {pluralize(score.tokens, 'token')}"
        yield f"{bits} bits per character, perplexity {perplexity} per token; {sizes}"

    def introduction(self) -> str:
        bits = format_number(self._explanation.score.bits_per_character)
        text = (
            f"{bits} bits per character. The colour of each character shows its surprisal: minus the base-2 logarithm"
            " of the probability that the model gave it."
        )
        if self._explanation.is_backward:
            text += " This model reads from the end: each character is predicted from the text after it."
        return text

    def figures(self) -> tuple[str, dict[str, str]]:
        score = self._explanation.score
        figures = {**score.to_json(), "bits": score.nats / math.log(2)}
        return "Score", {name.replace("_", " "): format_number(value) for name, value in figures.items()}

    def cards(self) -> Iterator[str]:
        found = self._explanation
        sizes = np.diff(found.units.token_ends_U, prepend=0)
        sizes = np.concatenate([[1], sizes] if found.is_backward else [sizes, [1]])
        return surprisals_as_json("token", found.surprisals, sizes, found.name)

    def to_json(self) -> dict[str, Any]:
        return self._explanation.to_json()

    def _place(self, unit: int) -> Place:
        found = self._explanation
        worst = max(found.unit_surprisals(unit), key=lambda surprisal: surprisal.bits)
        before, after = map(escape_invisible, context_of(found.text, *found.unit_span(unit)))
        bits = float(found.bits_U[unit])
        return Place(
            unit + int(found.is_backward),
            before,
            display_name(found.unit_text(unit)),
            after,
            f"{bits:.2f}",
            format_percent(2**-bits),
            " · ".join(map(self._describe, worst.alternatives[:NUM_ALTERNATIVES])),
        )

    def _describe(self, alternative: Alternative) -> str:
        return f"{self._explanation.name(alternative.token)} {format_percent(alternative.probability)}"
