"""magic_words.toml -> the magic words of one wiki: words that set switches of a page, and names of parser functions.

load_magic_words("uk") ──> MagicWords: `drop_switches` removes __БЕЗ_ЗМІСТУ__ and __NOTOC__, but not __init__
                                       `function("НАЗВА_СТОРІНКИ")` and `function("PAGENAME")` are "pagename"
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from charlm.text.wikitext.marks import CONTENTS

_CONTENTS_WORD = re.compile("__toc__", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MagicWords:
    """The magic words of the wikis in one language, with the English ones."""

    switches: re.Pattern[str]
    """Finds words such as __NOTOC__, which show nothing."""
    narrow_switches: re.Pattern[str]
    """Finds those that begin with "_", which `re` looks for much faster."""
    functions: Mapping[str, str]
    """Case-folded name -> English name of a parser function."""
    exact_functions: Mapping[str, str]
    """The same for names that are read in this case only."""

    def drop_switches(self, text: str) -> str:
        """Return the text without the words that set switches of the page."""
        switches = self.switches if "＿" in text else self.narrow_switches
        return switches.sub(_replace_switch, text)

    def function(self, name: str) -> str:
        """Return the English name of a parser function or variable in lower case, "" if the wiki has none so named."""
        return self.exact_functions.get(name) or self.functions.get(fold_case(name), "")


def mark_contents(text: str) -> str:
    """Write CONTENTS for the first __TOC__, and nothing for the others."""
    if "__" not in text or not (first := _CONTENTS_WORD.search(text)):
        return text
    return text[: first.start()] + CONTENTS + _CONTENTS_WORD.sub("", text[first.end() :])


def _replace_switch(match: re.Match[str]) -> str:
    return CONTENTS if match[0].upper() == "__TOC__" else ""


@cache
def load_magic_words(code: str) -> MagicWords:
    """Return the words of wikis in a language; a language without words of its own has the English ones.

    Words with letters outside ASCII set switches on all wikis: no program has such a name, and pages are copied from
    one wiki to another.
    """
    entries = _load_entries()
    own = [entries["en"]]
    while code in entries:
        own.append(entries[code])
        code = entries[code].get("like", "")
    others = [entry for entry in entries.values() if entry not in own]
    any_case, exact = (
        {*_words(own, key)} | {word for word in _words(others, key) if not word.isascii()}
        for key in ("underscored", "underscored_exact")
    )
    functions, exact_functions = (
        {name: english for entry in own for name, english in _names(entry.get(key, ""))}
        for key in ("functions", "functions_exact")
    )
    switches = [*map(any_case_pattern, any_case), *map(re.escape, exact)]
    narrow = _alternation([pattern for pattern in switches if pattern.startswith("_")])
    return MagicWords(_alternation(switches), narrow, functions, exact_functions)


@cache
def _load_entries() -> dict[str, dict[str, str]]:
    return tomllib.loads(files("charlm.text.wikitext").joinpath("magic_words.toml").read_text("utf-8"))


def _words(entries: Iterable[dict[str, str]], key: str) -> Iterable[str]:
    return (word for entry in entries for word in entry.get(key, "").split("|") if word)


def _names(entry: str) -> Iterable[tuple[str, str]]:
    """Yield (name, English name) of "lc=a|b; uc=c"."""
    for item in filter(None, entry.split("; ")):
        english, _, names = item.partition("=")
        yield from ((name, english) for name in names.split("|"))


def _alternation(patterns: list[str]) -> re.Pattern[str]:
    """Return a pattern that finds any of the patterns. Most begin with `__` or `_`, which `re` looks for fast."""
    by_start: dict[str, list[str]] = {}
    for pattern in sorted(patterns, reverse=True):
        start = _START.match(pattern)
        by_start.setdefault(start[0] if start else "", []).append(pattern.removeprefix(start[0] if start else ""))
    common = "|".join(f"{start[2:]}(?:{'|'.join(rest)})" for start, rest in by_start.items() if start)
    others = by_start.get("", [])
    underscored = "|".join((f"_(?:{common})", *(other[1:] for other in others if other[0] == "_")))
    return re.compile("|".join((f"_(?:{underscored})", *(other for other in others if other[0] != "_"))))


_START = re.compile(r"__(?:\[[^\]]*\]|\\?.)")


def fold_case(text: str) -> str:
    """Fold the case of each character on its own, as MediaWiki does for magic words: "İ" is not "i"."""
    return text.lower() if text.isascii() else "".join(map(_fold_character, text))


@cache
def _fold_character(character: str) -> str:
    return next((folded for folded in (character.casefold(), character.lower()) if len(folded) == 1), character)


def any_case_pattern(word: str) -> str:
    """Return a regular expression that finds the word in any case, by `fold_case`."""
    return "".join(_any_case_of_character(character) for character in word)


def _any_case_of_character(character: str) -> str:
    folded = fold_case(character)
    cases = {case for case in (character, folded, folded.upper(), folded.lower()) if fold_case(case) == folded}
    return f"[{''.join(sorted(cases))}]" if len(cases) > 1 else re.escape(character)
