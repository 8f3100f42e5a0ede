"""Checks of the values that a Python caller gives: each returns a plain Python value, or raises an OptionError.

    5, np.int64(5) ──whole_number──> 5           "5", 5.5, True, None ──> OptionError that names the keyword
    "a", np.str_("a") ──text──> "a"              b"a", Path("a"), 5   ──> OptionError that says what to give

Values of the command line have their types already; the same checks return them unchanged.
"""

import numbers
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar, cast

from charlm.errors import OptionError

_MAX_SHOWN = 60
Word = TypeVar("Word", bound=str)


def whole_number(keyword: str, value: object) -> int:
    """Return a whole number; a truth value and a float are none."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise _wrong_type(keyword, value, "a whole number", "give an int, such as 5")
    return int(value)


def number(keyword: str, value: object) -> float:
    """Return a number as a float; one that is too large for a float is infinite."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise _wrong_type(keyword, value, "a number", "give an int or a float, such as 0.5")
    try:
        return float(value)
    except OverflowError:
        return float("-inf") if value < 0 else float("inf")


def text(keyword: str, value: object) -> str:
    """Return a text. A lone surrogate in it is left to the encoding, which names its position."""
    if isinstance(value, str):
        return str(value)
    raise _wrong_type(keyword, value, "a text", _text_cure(value))


def unicode_text(keyword: str, value: object) -> str:
    """Return a text without lone surrogates, which no text of a model contains."""
    checked = text(keyword, value)
    try:
        checked.encode("utf-8")
    except UnicodeEncodeError as error:
        what = f"{{{keyword}}} has the lone surrogate U+{ord(checked[error.start]):04X}"
        raise OptionError(what, "fix the encoding of that text") from None
    return checked


def texts(keyword: str, value: object) -> tuple[str, ...]:
    """Return several texts; a single text is one of them, not its letters."""
    if isinstance(value, str):
        return (unicode_text(keyword, value),)
    if isinstance(value, bytes | bytearray | Mapping | os.PathLike) or not isinstance(value, Iterable):
        raise _wrong_type(keyword, value, "a text or a list of texts", 'give one such as "." or [".", "!"]')
    return tuple(unicode_text(keyword, item) for item in cast("Iterable[object]", value))


def one_of(keyword: str, value: object, allowed: Sequence[Word]) -> Word:
    """Return a word that is allowed."""
    for word in allowed:
        if isinstance(value, str) and value == word:
            return word
    raise OptionError(f"{{{keyword}}} {{value}} is not known", f"give one of {', '.join(allowed)}", value=_show(value))


def path_text(keyword: str, value: object) -> str:
    """Return a name or path as text; objects such as `pathlib.Path` are paths too."""
    if isinstance(value, os.PathLike):
        value = os.fspath(cast("os.PathLike[str]", value))
    if isinstance(value, str) and value:
        return str(value)
    raise _wrong_type(keyword, value, "a name or a path", "give one, or leave {" + keyword + "} out")


def _text_cure(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return 'decode it first, as with .decode("utf-8")'
    if isinstance(value, os.PathLike):
        return 'read the file first, as with Path(...).read_text(encoding="utf-8")'
    return "give a str"


def _wrong_type(keyword: str, value: object, expected: str, cure: str) -> OptionError:
    return OptionError(f"{{{keyword}}} {{value}} is not {expected}", cure, value=_show(value))


def _show(value: object) -> str:
    """Return a value on one line, shortened."""
    shown = value if isinstance(value, str) and value.isprintable() and value.strip() else repr(value)
    shown = " ".join(str(shown).split())
    return shown if len(shown) <= _MAX_SHOWN else f"{shown[: _MAX_SHOWN - 1]}…"
