"""Numbers, durations and names as people read them, in tables, plots, pages and messages.

count 12345 -> 12.3k     number 1234.5 -> 1,234.5000     seconds 725 -> 12 min 5 s     long name -> begin…end
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path

UNKNOWN = "–"
"""Shown for a value that is not known."""
BLOCKS = "▏▎▍▌▋▊▉█"
"""Blocks of one to eight eighths of a column."""
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_TOO_SMALL, _TOO_LARGE = 0.001, 1e15


def format_count(number: float | None) -> str:
    """Three digits and a unit: 950, 12.3k, 4.56M."""
    if number is None:
        return UNKNOWN
    for limit, unit in _UNITS:
        if abs(number) >= 0.9995 * limit:  # three digits round it up to the limit
            return f"{_three_digits(number / limit)}{unit}"
    return _three_digits(number)


def _three_digits(number: float) -> str:
    return f"{number:.0f}" if abs(number) >= 999.5 else f"{number:.3g}"


def format_number(number: float | None) -> str:
    """Thousands separators and four decimals; four digits and a power of ten beyond 0.001 to 1e15."""
    if number is None:
        return UNKNOWN
    if isinstance(number, int) or (number.is_integer() and abs(number) < _TOO_LARGE):
        return f"{int(number):,}"
    return f"{number:,.4f}" if _TOO_SMALL <= abs(number) < _TOO_LARGE else f"{number:.4g}"


def format_bits(bits: float | None) -> str:
    return UNKNOWN if bits is None else f"{bits:.4f}"


def format_duration(seconds: float | None, num_units: int = 2) -> str:
    """The largest units that are not zero: 8 s, 12 min 5 s, 3 h 20 min, 2 d 4 h."""
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


def format_bar(fraction: float, width: int, *, has_blocks: bool) -> str:
    """Return a bar over `fraction` of `width` columns, filled up with blanks.

    Args:
        fraction: between 0 and 1.
        has_blocks: whether to use block characters, of which each has eight widths; otherwise the bar is made of `#`.
    """
    if not has_blocks:
        return ("#" * round(fraction * width)).ljust(width)
    eighths = round(fraction * width * len(BLOCKS))
    whole, rest = divmod(eighths, len(BLOCKS))
    return (BLOCKS[-1] * whole + (BLOCKS[rest - 1] if rest else "")).ljust(width)


def pluralize(number: int, unit: str) -> str:
    """1 token, 1,234 tokens."""
    return f"{number:,} {unit}" if number == 1 else f"{number:,} {unit}s"


def shorten(text: str, max_length: int) -> str:
    """At most `max_length` characters: the middle of a longer text becomes an ellipsis."""
    if len(text) <= max_length:
        return text
    end = (max_length - 1) // 2
    return f"{text[: max_length - 1 - end]}…{text[-end:]}"


def short_names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, or RUN/CHECKPOINT for a checkpoint; the whole path where two would be equal.

    A link has its own name, not that of its target.
    """
    names = [_short_name(Path(os.path.abspath(path))) for path in paths]  # noqa: PTH100 - `resolve` follows links
    return [str(path) if names.count(name) > 1 else name for path, name in zip(paths, names, strict=True)]


def _short_name(path: Path) -> str:
    return f"{path.parents[1].name}/{path.name}" if path.parent.name == "checkpoints" else path.name
