"""How the tags of a text are shown: in the colours of their uncertainty, with the least certain words."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from charlm.evaluation.explain.cards import surprisals_as_json
from charlm.evaluation.explain.colours import bits_to_level
from charlm.evaluation.explain.drawing import (
    MAX_PLACES,
    NUM_ALTERNATIVES,
    BitsDrawing,
    Part,
    Place,
    Places,
    context_of,
)
from charlm.evaluation.explain.tags import TagExplanation
from charlm.evaluation.explain.visible import display_name, escape_invisible, format_percent
from charlm.formatting import pluralize


class TagDrawing(BitsDrawing):
    """Words or characters in the colours of their tags' uncertainty. What has no tag has the colour of the page."""

    hint = "its tag, how probable that is, and the alternatives"

    def __init__(self, explanation: TagExplanation) -> None:
        self._explanation = explanation

    def parts(self) -> Iterator[Part]:
        found = self._explanation
        for unit in found.units:
            yield Part(found.text[unit.start : unit.end], bits_to_level(found.unit_bits(unit)))

    def places(self) -> list[Places]:
        found = self._explanation
        tagged = [index for index, unit in enumerate(found.units) if unit.after_last > unit.first]
        order = sorted(tagged, key=lambda index: -found.unit_bits(found.units[index]))[:MAX_PLACES]
        return [Places("least certain", [self._place(index) for index in order], detail="tagged")]

    def summary_lines(self) -> Iterator[str]:
        yield self._figures()

    def introduction(self) -> str:
        return (
            f"{self._figures()}. The colour shows how uncertain each predicted tag is: minus the base-2 logarithm of"
            " its probability."
        )

    def figures(self) -> tuple[str, dict[str, str]]:
        ids, counts = np.unique(self._explanation.surprisals.ids_P, return_counts=True)
        names = self._explanation.names
        return "Tags", {
            escape_invisible(names[index]): f"{count:,}"
            for index, count in sorted(zip(ids.tolist(), counts.tolist(), strict=True), key=lambda pair: -pair[1])
        }

    def cards(self) -> Iterator[str]:
        found = self._explanation
        sizes = np.array([unit.after_last - unit.first for unit in found.units], dtype=np.int64)
        return surprisals_as_json("tag", found.surprisals, sizes, lambda tag: escape_invisible(found.names[tag]))

    def to_json(self) -> dict[str, Any]:
        return self._explanation.to_json()

    def _figures(self) -> str:
        bits_P = self._explanation.bits_P
        mean = f"{bits_P.mean():.4f} bits per tag" if len(bits_P) else "no character has a tag"
        characters = pluralize(len(self._explanation.text), "character")
        return f"{mean}; {characters}, {pluralize(len(bits_P), 'tag')}"

    def _place(self, index: int) -> Place:
        found = self._explanation
        unit = found.units[index]
        worst = unit.first + int(found.bits_P[unit.first : unit.after_last].argmax())
        before, after = map(escape_invisible, context_of(found.text, unit.start, unit.end))
        bits = float(found.bits_P[worst])
        alternatives = " · ".join(
            f"{escape_invisible(name)} {format_percent(p)}"
            for name, p in found.alternatives(worst)[: NUM_ALTERNATIVES + 1]
            if name != found.name(worst)
        )
        detail = escape_invisible(found.name(worst)) + (f"; else {alternatives}" if alternatives else "")
        text = display_name(found.text[unit.start : unit.end])
        return Place(index, before, text, after, f"{bits:.2f}", format_percent(2**-bits), detail)
