"""{{convert|5|km|mi}} -> "5 kilometres (3.1 mi)": quantities as Module:Convert shows them.

    "5", "km", "mi" ── values, units, rounding ──> × scale ── as precise as the input ──> numbers and unit names

The default precision follows https://en.wikipedia.org/wiki/Module:Convert (default_precision): the precision of the
input, scaled by the ratio of output to input, and at least two significant digits. Units are in `units.toml`.
"""

import math
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from charlm.text.wikitext.languages import Arguments, Language
from charlm.text.wikitext.small_digits import SUPERSCRIPT

_RANGE_SEPARATORS = {
    "-": "–", "–": "–", "to": " to ", "to(-)": " to ", "to about": " to about ", "and": " and ", "or": " or ",
    "and(-)": " and ", "x": " × ", "by": " by ", "×": " × ", "xx": " × ", "*": " × ", "+/-": " ± ", "±": " ± ",
    ",": ", ",
}  # fmt: skip
_NUMBER = re.compile(r"[-−+]?[\d.,\u2009\xa0 ]*\d(?:[eE][-+]?\d{1,3})?|[-−+]?(?:\d+\+)?\d+/\d+")
_POWERS = {"e3": 3, "e6": 6, "e9": 9, "e12": 12, "k": 3, "M": 6, "G": 9, "T": 12}
_MULTIPLES = {3: "thousand", 6: "million", 9: "billion", 12: "trillion"}
_MAX_DIGITS = 40
_MAX_VALUE = 1e100  # of which every conversion is finite


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of one `kind` (length, area, ...): value in the base unit = value * scale + offset."""

    kind: str
    symbol: str
    scale: float
    default: str
    """Code of the unit to which it is converted by default."""
    singular: str
    plural: str
    offset: float = 0.0


@cache
def load_units() -> dict[str, Unit]:
    """Return all units by their codes in {{convert}}."""
    table = tomllib.loads(files("charlm.text.wikitext").joinpath("units.toml").read_text("utf-8"))
    return {
        code: Unit(kind, str(symbol), float(scale), str(default), str(singular), str(plural), *map(float, offset))
        for kind, entries in table.items()
        for codes, (symbol, scale, default, singular, plural, *offset) in entries.items()
        for code in codes.split()
    }


def convert(arguments: Arguments, language: Language) -> str:
    """Return a quantity with its conversion in parentheses, or as it was entered if it cannot be converted."""
    parts = arguments.positional
    if not parts:
        return ""
    numbers, separators, rest = [parts[0]], list[str](), parts[1:]
    while len(rest) > 1 and rest[0] in _RANGE_SEPARATORS:
        separators.append(_RANGE_SEPARATORS[rest[0]])
        numbers.append(rest[1])
        rest = rest[2:]
    code, *rest = rest or [""]
    values = [_parse_number(number, language) for number in numbers]
    power, unit = _find_unit(code)
    if unit is None or None in values:
        rendered = "".join(number + separator for number, separator in zip(numbers, [*separators, ""], strict=True))
        return f"{rendered} {unit.symbol if unit else code}".strip()
    known = [value for value in values if value is not None]
    entered = [_format_entered(number, language) for number in numbers]
    subunit_text = ""
    if len(rest) > 1 and len(known) == 1:  # {{convert|5|ft|10|in|cm}}
        part, (_, subunit) = _parse_number(rest[0], language), _find_unit(rest[1])
        if part is not None and subunit and subunit.kind == unit.kind:
            known[0] += part * subunit.scale / unit.scale
            name = _unit_name(subunit, part, short=arguments.get("abbr") in ("on", "in") or not language.names_units)
            subunit_text = f" {_format_entered(rest[0], language)} {name}"
            rest = rest[2:]
    targets = [] if not rest or _NUMBER.fullmatch(rest[0]) else [t for t in re.split(r"[ +]+", rest.pop(0)) if t]
    precision = rest[0] if rest and re.fullmatch(r"-?\d", rest[0]) else ""
    outputs: list[str] = []
    flipped = "flip" in (arguments.get("disp"), arguments.get("order"))
    abbreviated = arguments.get("abbr", "out")
    first_short = abbreviated in ("on", "in", "~") or not language.names_units
    rest_short = abbreviated != "off"
    adjective = arguments.get("adj", "") in ("on", "mid")
    for target in targets or [unit.default]:
        target_power, target_unit = _find_unit(target)
        if target_unit is None or target_unit.kind != unit.kind or target_unit is unit:
            continue
        converted = [
            _format_rounded(
                (value * unit.scale * 10.0 ** (power - target_power) + unit.offset - target_unit.offset) /
                target_unit.scale, value, number, unit, target_unit, precision, arguments, language,
            )
            for value, number in zip(known, numbers, strict=True)
        ]  # fmt: skip
        outputs.append(
            _format_quantity(
                converted, separators, target_power, target_unit, first_short if flipped else rest_short, language,
                adjective=adjective and flipped,
            )
        )  # fmt: skip
    rendered = _format_quantity(
        entered, separators, power, unit, rest_short if flipped else first_short, language,
        adjective=adjective and not flipped, subunit_text=subunit_text,
    )  # fmt: skip
    if arguments.get("sp") == "us":
        rendered, outputs = _american(rendered), [_american(output) for output in outputs]
    return _arrange_quantities(rendered, "; ".join(outputs), arguments)


def _arrange_quantities(rendered: str, other: str, arguments: Arguments) -> str:
    display = arguments.get("disp", "")
    if not other:
        return rendered
    if "flip" in (display, arguments.get("order", "")):
        rendered, other = other, rendered
    if display in ("out", "output only", "output number only", "number"):
        return other
    if display == "or":
        return f"{rendered} or {other}"
    return f"{rendered} [{other}]" if display == "sqbr" else f"{rendered} ({other})"


def _find_unit(code: str) -> tuple[int, Unit | None]:
    """Return (power of ten, unit) of a code like km or e6acre; the unit is None if the code is unknown."""
    known = load_units()
    if code in known:
        return 0, known[code]
    prefix = re.match(r"e(?:3|6|9|12)(?=\D)|[kMGT](?=oilbbl|cuft|USgal)", code)
    if prefix and code[prefix.end() :] in known:
        return _POWERS[prefix[0]], known[code[prefix.end() :]]
    return 0, known.get(code.lower())


def _parse_number(number: str, language: Language) -> float | None:
    if len(number) > _MAX_DIGITS or not _NUMBER.fullmatch(number):
        return None
    number = number.replace("−", "-").translate(language.to_ascii_digits)
    if "/" in number:
        sign = -1.0 if number.startswith("-") else 1.0
        whole, _, fraction = number.lstrip("-+").rpartition("+")
        upper, _, lower = fraction.partition("/")
        return sign * (float(whole or 0) + float(upper) / float(lower)) if int(lower) else None
    try:
        value = float(_normalize_number(number, language))
    except ValueError:
        return None
    return value if abs(value) < _MAX_VALUE else None  # false for NaN too


def _normalize_number(number: str, language: Language) -> str:
    """Return a number without group separators and with a decimal point."""
    number = re.sub("[\u2009\xa0 ]", "", number)
    if language.decimal == ",":
        if language.group == "." and re.fullmatch(r"-?\d{1,3}(?:\.\d{3})+(?:,\d+)?", number):
            number = number.replace(".", "")
        return number.replace(",", ".")
    return number.replace(",", "")


def _format_entered(number: str, language: Language) -> str:
    """Format an entered number with the separators of the language."""
    if "/" in number or "e" in number.lower():
        return number.replace("-", "−")
    plain = _normalize_number(number.replace("−", "-").translate(language.to_ascii_digits), language)
    return language.format_number(plain)


def _format_rounded(
    result: float, value: float, number: str, unit: Unit, target_unit: Unit, precision: str, arguments: Arguments,
    language: Language,
) -> str:  # fmt: skip
    """Round `result` to the precision of `number` (see the docstring of the module) and format it."""
    size = abs(result)
    if precision:
        digits = int(precision)
    elif arguments.get("sigfig", "").isdecimal() and size:
        digits = int(arguments["sigfig"][:2]) - 1 - math.floor(math.log10(size))
    else:
        whole, dot, decimals = (
            _normalize_number(number.translate(language.to_ascii_digits), language).lstrip("-+").partition(".")
        )
        digits = len(decimals) if dot else -(len(whole) - len(whole.rstrip("0")))
        if unit.offset or target_unit.offset:  # temperatures: three figures in kelvins
            kelvin = abs(value * unit.scale + unit.offset)
            digits = max(digits, 2 - math.floor(math.log10(kelvin) + 1e-14) if kelvin > 1e-8 else 2)
        elif size and value:
            adjust = math.log10(abs(value) / size) + math.log10(2)
            digits = max(math.floor(digits + adjust), 1 - math.floor(math.log10(size) + 1e-14))
        else:
            digits = 0
    digits = max(-30, min(digits, 12))
    step = {"5": 5.0, "25": 25.0, "50": 50.0}.get(arguments.get("round", ""))
    if step:
        result, digits = math.floor(result / step + 0.5) * step, 0
    shift = 10.0**-digits
    rounded = math.copysign(math.floor(abs(result) / shift + 0.5) * shift, result)
    return language.format_number(f"{rounded + 0.0:.{max(digits, 0)}f}")


def _format_quantity(
    numbers: list[str], separators: list[str], power: int, unit: Unit, short: bool, language: Language, *,
    adjective: bool, subunit_text: str = "",
) -> str:  # fmt: skip
    rendered = "".join(number + separator for number, separator in zip(numbers, [*separators, ""], strict=True))
    if power:
        rendered += f" {_MULTIPLES[power]}" if language.names_units else f"×10{str(power).translate(SUPERSCRIPT)}"
    if short:
        separator = "" if unit.symbol[0] in "°/" and unit.symbol[:2] not in ("°C", "°F") else " "
        return f"{rendered}{separator}{unit.symbol}{subunit_text}"
    if adjective:
        return f"{rendered}-{unit.singular.replace(' ', '-')}{subunit_text}"
    return f"{rendered} {unit.singular if numbers == ['1'] and not power else unit.plural}{subunit_text}"


def _unit_name(unit: Unit, value: float, *, short: bool) -> str:
    return unit.symbol if short else unit.singular if value == 1 else unit.plural


def _american(text: str) -> str:
    return text.replace("metre", "meter").replace("litre", "liter")
