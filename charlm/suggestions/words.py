"""The nearest of the words that are allowed, and how a message shows a text."""

import difflib
from collections.abc import Callable, Iterable, Sequence

from charlm.formatting import shorten

SIMILAR_CUTOFF = 0.6  # difflib's ratio above which a word is worth suggesting
TYPO_CUTOFF = 0.8  # above which it is a typing error
_MIN_STEM_LENGTH = 3
MAX_VALUE_LENGTH = 80  # characters of a text in a message


def suggest(found: str, allowed: Sequence[str], introduction: str) -> str:
    """Return the cure for a misspelled word: the nearest allowed word, and the list of all."""
    close = nearest(found, allowed)
    listing = f"{introduction} {', '.join(allowed)}" if allowed else "remove it"
    return f'did you mean "{close}"? ({listing})' if close is not None else listing


def nearest(found: str, allowed: Iterable[str], cutoff: float = SIMILAR_CUTOFF) -> str | None:
    """Return the allowed word that `found` most probably means, or None.

    It may differ in case, be misspelled (down to difflib's ratio `cutoff`), be longer or shorter by its end, or have
    a folder before it (`gru` for `ideas/gru`).
    """
    words = {word.lower(): word for word in allowed}
    asked = found.lower()
    closest = similar(asked, words, TYPO_CUTOFF)
    stem = [word for word in words if min(len(word), len(asked)) >= _MIN_STEM_LENGTH and _is_affix(word, asked)]
    return next((words[word] for word in (*closest, *stem, *similar(asked, words, cutoff))), None)


def similar(word: str, words: Iterable[str], cutoff: float) -> list[str]:
    """Return the most similar of `words` as a list of one, or an empty list."""
    return difflib.get_close_matches(word, list(words), n=1, cutoff=cutoff)


def _is_affix(word: str, other: str) -> bool:
    return word.startswith(other) or other.startswith(word) or word.endswith(f"/{other}")


def join_words(parts: Iterable[str], conjunction: str = "and") -> str:
    """Join parts as `a, b and c`."""
    *first, last = parts
    return f"{', '.join(first)} {conjunction} {last}" if first else last


def lower_first(sentence: str) -> str:
    """Lower the first letter of a sentence, unless it begins an abbreviation, and drop its full stop."""
    is_word = sentence[1:2].islower() or sentence[1:2] == " "
    return f"{sentence[:1].lower() if is_word else sentence[:1]}{sentence[1:]}".rstrip(".")


def format_value(value: object) -> str:
    """Return a value as a message shows it, shortened."""
    return shorten(to_text(value, repr), MAX_VALUE_LENGTH)


def to_text(value: object, write: Callable[[object], str] = str) -> str:
    """Return a value as text, also if it is an integer with too many digits for Python to print."""
    try:
        return write(value)
    except ValueError:  # a number of more than 4,300 digits
        return "a huge number"
