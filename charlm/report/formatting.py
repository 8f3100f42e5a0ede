"""How figures and names read in a report and in the list of runs. What is not known is a dash."""

import math

UNKNOWN = "–"
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_LONGEST_NAME = 26


def format_count(number: float | None) -> str:
    """Three digits and a unit: 950, 12.3k, 4.56M."""
    if number is None:
        return UNKNOWN
    for limit, unit in _UNITS:
        if abs(number) >= 0.9995 * limit:  # which three digits round up to the limit
            return f"{_three_digits(number / limit)}{unit}"
    return _three_digits(number)


def _three_digits(number: float) -> str:
    if abs(number) >= 999.5:
        return f"{number:.0f}"
    return f"{number:.3g}"


def format_bits(number: float | None) -> str:
    return UNKNOWN if number is None else f"{number:.4f}"


def format_duration(seconds: float | None, num_units: int = 2) -> str:
    """By the largest units: 8 s, 12 min 5 s, 3 h 20 min, 2 d 4 h."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    total_seconds = max(0, round(seconds))
    units = (
        ("d", total_seconds // 86_400),
        ("h", total_seconds // 3600 % 24),
        ("min", total_seconds // 60 % 60),
        ("s", total_seconds % 60),
    )
    first = next((index for index, (_, amount) in enumerate(units) if amount), 0)
    return " ".join(f"{amount} {unit}" for unit, amount in units[first : first + num_units] if amount) or "0 s"


def one_line(text: str) -> str:
    """The text with what cannot be shown (line ends, control characters, half characters) replaced by �."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def shorten(name: str) -> str:
    """A name that fits beside a plot: of long ones the beginning and the end, by which runs differ."""
    if len(name) <= _LONGEST_NAME:
        return name
    half = (_LONGEST_NAME - 1) // 2
    return f"{name[: _LONGEST_NAME - 1 - half]}…{name[-half:]}"
