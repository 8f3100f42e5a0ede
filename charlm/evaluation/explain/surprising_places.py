"""The most surprising units of a text, each with a line of context."""

from dataclasses import dataclass

from charlm.evaluation.explain.explanation import Alternative, Explanation
from charlm.evaluation.explain.visible import display_name, escape_invisible, format_percent

_CONTEXT = 24  # characters on either side
_ALTERNATIVES = 3


@dataclass(frozen=True)
class SurprisingUnit:
    """A unit of the text, with what the model expected at its most surprising token. All fields are safe to show."""

    unit: int
    before: str
    text: str
    after: str
    bits: float
    probability: str
    expected: str


def find_surprising_units(explanation: Explanation, number: int) -> list[SurprisingUnit]:
    """Return the units with the most bits, in falling order."""
    return [_describe_unit(explanation, unit) for unit in explanation.most_surprising(number)]


def _describe_unit(explanation: Explanation, unit: int) -> SurprisingUnit:
    most_surprising_token = max(explanation.unit_surprisals(unit), key=lambda surprisal: surprisal.bits)
    before, after = explanation.unit_context(unit, _CONTEXT)
    bits = float(explanation.bits_U[unit])
    expected = " · ".join(
        _format_alternative(explanation, each) for each in most_surprising_token.alternatives[:_ALTERNATIVES]
    )
    text = display_name(explanation.unit_text(unit))
    return SurprisingUnit(
        unit, escape_invisible(before), text, escape_invisible(after), bits, format_percent(2**-bits), expected
    )


def _format_alternative(explanation: Explanation, alternative: Alternative) -> str:
    return f"{explanation.name(alternative.token)} {format_percent(alternative.probability)}"
