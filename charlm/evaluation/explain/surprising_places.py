"""The most surprising places of a text, each in a line of its surroundings."""

from dataclasses import dataclass

from charlm.evaluation.explain.explanation import Alternative, Explanation
from charlm.evaluation.explain.visible import named, percent, shown

_CONTEXT = 24  # characters on either side
_ALTERNATIVES = 3


@dataclass(frozen=True)
class Place:
    """A unit of the text, with what the model expected at its dearest token. All texts can be shown as they are."""

    unit: int
    before: str
    text: str
    after: str
    bits: float
    probability: str
    expected: str


def find_places(explanation: Explanation, number: int) -> list[Place]:
    """The units that cost most, the dearest first."""
    return [_place(explanation, unit) for unit in explanation.most_surprising(number)]


def _place(explanation: Explanation, unit: int) -> Place:
    dearest = max(explanation.costs_of(unit), key=lambda cost: cost.bits)
    before, after = explanation.around(unit, _CONTEXT)
    bits = float(explanation.bits_U[unit])
    expected = " · ".join(_expected(explanation, each) for each in dearest.alternatives[:_ALTERNATIVES])
    text = named(explanation.text_of(unit))
    return Place(unit, shown(before), text, shown(after), bits, percent(2**-bits), expected)


def _expected(explanation: Explanation, alternative: Alternative) -> str:
    return f"{explanation.name(alternative.token)} {percent(alternative.probability)}"
