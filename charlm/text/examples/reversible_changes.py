"""Changes of a text's characters that tags reverse: text <-> (changed text, tags).

marks    e\u0301 as one character -> e, tag "acute accent"      case   E -> e, tag "upper"
blanks   "a b" -> ab, tags "blank" and "none"

Restoring gives exactly the first text, whatever it is: a character that could not be restored stays as it is, without a
tag, and is counted. `is_asked` finds the characters with tags from the changed text alone, so that a model can be asked
about a text that nobody has tagged.
"""

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

Tags = tuple[str | None, ...]
T = TypeVar("T")
NO_MARKS, UPPER, LOWER, BLANK, NO_BLANK = "none", "upper", "lower", "blank", "none"

_COMBINING = "COMBINING "


class ReversibleChange(ABC):
    """A change of characters, and its inverse."""

    @abstractmethod
    def change(self, text: str) -> tuple[str, Tags, int]:
        """Return the changed text, its tags, and the number of characters that had to stay as they are."""

    @abstractmethod
    def is_asked(self, changed: str) -> list[bool]:
        """Return for each character of a changed text whether it has a tag."""

    @abstractmethod
    def restore(self, changed: str, tags: Sequence[str | None]) -> str:
        """Return the text of a changed text and its tags.

        Raises:
            ValueError: a tag is not one of this change.
        """


class Marks(ReversibleChange):
    """Combining marks of letters, by canonical decomposition (NFD); canonical composition (NFC) puts them back."""

    def change(self, text: str) -> tuple[str, Tags, int]:
        changed: list[str] = []
        tags: list[str | None] = []
        num_kept = 0
        for cluster in _clusters(text):
            base, *marks = unicodedata.normalize("NFD", cluster)
            is_exact = _compose(base, "".join(marks)) == cluster and all(map(unicodedata.combining, marks))
            if is_exact and _carries_marks(base):
                changed.append(base)
                tags.append(name_marks("".join(marks)))
            else:
                changed.append(cluster)
                tags += [None] * len(cluster)
                num_kept += base.isalpha() and any(map(unicodedata.combining, marks))
        return "".join(changed), tuple(tags), num_kept

    def is_asked(self, changed: str) -> list[bool]:
        followed = [unicodedata.combining(after) != 0 for _, after in pairwise(changed)]
        is_marked = [*followed, False] if changed else []
        return [_carries_marks(base) and not marked for base, marked in zip(changed, is_marked, strict=True)]

    def restore(self, changed: str, tags: Sequence[str | None]) -> str:
        pairs = zip(changed, tags, strict=True)
        return "".join(base if tag is None else _compose(base, find_marks(tag)) for base, tag in pairs)


class Case(ReversibleChange):
    """Upper and lower case, of letters for which both are one character and lead back to each other."""

    def change(self, text: str) -> tuple[str, Tags, int]:
        changed = [lower if (lower := character.lower()).upper() == character and len(lower) == 1 else character
                   for character in text]  # fmt: skip
        tags = [
            (UPPER if before != after else LOWER) if _has_case(after) else None
            for before, after in zip(text, changed, strict=True)
        ]
        num_kept = sum(character.lower() != character for character in changed)
        return "".join(changed), tuple(tags), num_kept

    def is_asked(self, changed: str) -> list[bool]:
        return [_has_case(character) for character in changed]

    def restore(self, changed: str, tags: Sequence[str | None]) -> str:
        functions: dict[str | None, Callable[[str], str]] = {UPPER: str.upper, LOWER: str, None: str}
        pairs = zip(changed, tags, strict=True)
        return "".join(_find(functions, tag)(character) for character, tag in pairs)


class Blanks(ReversibleChange):
    """Single blanks (U+0020) after a character that is not white space; longer runs stay."""

    def change(self, text: str) -> tuple[str, Tags, int]:
        changed: list[str] = []
        tags: list[str | None] = []
        num_kept = 0
        for before, character, after in zip(f" {text}"[:-1], text, f"{text[1:]}\n"[: len(text)], strict=True):
            if character == " ":
                if not before.isspace() and after != " ":
                    tags[-1] = BLANK
                    continue
                num_kept += 1
                if tags and not before.isspace():
                    tags[-1] = None
            changed.append(character)
            tags.append(None if character.isspace() else NO_BLANK)
        return "".join(changed), tuple(tags), num_kept

    def is_asked(self, changed: str) -> list[bool]:
        return [not character.isspace() and after != " " for character, after in pairwise(f"{changed}\n")]

    def restore(self, changed: str, tags: Sequence[str | None]) -> str:
        blanks: dict[str | None, str] = {BLANK: " ", NO_BLANK: "", None: ""}
        return "".join(character + _find(blanks, tag) for character, tag in zip(changed, tags, strict=True))


CHANGES: dict[str, ReversibleChange] = {"marks": Marks(), "case": Case(), "blanks": Blanks()}


@lru_cache(maxsize=4096)
def name_marks(marks: str) -> str:
    """Return the tag of combining marks: "circumflex accent+acute accent"; "none" for no marks."""
    return "+".join(map(_name_mark, marks)) or NO_MARKS


@lru_cache(maxsize=4096)
def find_marks(tag: str) -> str:
    """Invert `name_marks`.

    Raises:
        ValueError: it is no such tag.
    """
    return "" if tag == NO_MARKS else "".join(map(_find_mark, tag.split("+")))


def _name_mark(mark: str) -> str:
    """Return the name of a mark in Unicode without COMBINING, or its code point where that would be another mark's."""
    name = unicodedata.name(mark, "")
    short = name.removeprefix(_COMBINING).lower()
    try:
        return short if short and _find_mark(short) == mark else f"U+{ord(mark):04X}"
    except ValueError:
        return f"U+{ord(mark):04X}"


def _find_mark(name: str) -> str:
    if name.startswith("U+"):
        return chr(int(name[2:], 16))
    for candidate in (f"{_COMBINING}{name}", name):
        try:
            return unicodedata.lookup(candidate)
        except KeyError:
            continue
    raise ValueError(f"{name!r} is no mark")


def _clusters(text: str) -> list[str]:
    """Return the characters of a text, each with the combining marks after it."""
    clusters: list[str] = []
    for character in text:
        if clusters and not character.isascii() and unicodedata.combining(character):
            clusters[-1] += character
        else:
            clusters.append(character)
    return clusters


@lru_cache(maxsize=65_536)
def _compose(base: str, marks: str) -> str:
    return unicodedata.normalize("NFC", base + marks)


@lru_cache(maxsize=65_536)
def _carries_marks(character: str) -> bool:
    """Return whether a character is a letter without marks of its own."""
    return character.isalpha() and unicodedata.normalize("NFD", character) == character


@lru_cache(maxsize=65_536)
def _has_case(character: str) -> bool:
    """Return whether a lower-case letter and its upper case are one character each and lead back to each other."""
    upper = character.upper()
    return upper != character and len(upper) == 1 and upper.lower() == character


def _find(table: dict[str | None, T], tag: str | None) -> T:
    if tag not in table:
        raise ValueError(f"{tag!r} is no tag of this change")
    return table[tag]
