"""languages/CODE.toml -> the names of a wiki's templates, and the words that its templates show.

    common.toml ── overridden by ──> uk.toml ──> Language: template name -> pattern; language names, months, separators

A new language needs only a new file. `common.toml` explains the entries and the patterns.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

_DIGITS = "0123456789"


class Arguments(dict[str, str]):
    """The arguments of a template: positional ones under "1", "2", ..., named ones under their names."""

    @property
    def positional(self) -> list[str]:
        """The values of "1", "2", ... up to the first missing one, without empty ones at the end."""
        values: list[str] = []
        while (value := self.get(str(len(values) + 1))) is not None:
            values.append(value)
        while values and not values[-1]:
            values.pop()
        return values


@dataclass(frozen=True, slots=True)
class Language:
    """The templates and words of wikis in one language."""

    code: str
    templates: Mapping[str, str]
    """Lower-case name of a template (or `prefix-*`) -> pattern."""
    names: Mapping[str, str]
    """Language code -> name of the language, which {{lang-CODE}} shows before the word."""
    words: Mapping[str, str]
    """Name -> pattern that renderers use: lang, as_of, date, ..."""
    months: tuple[str, ...] = ()
    decimal: str = "."
    group: str = ","
    digits: str = _DIGITS
    names_units: bool = False
    """Whether {{convert}} shows the English names of units; otherwise it shows symbols."""
    plural: str = "one"
    """The numbers with the first form of {{plural}}: one, zero_or_one, or slavic (three forms, one of fractions)."""
    to_ascii_digits: Mapping[int, str] = field(default_factory=dict[int, str])
    """The language's digits -> ASCII digits, for str.translate."""

    def language_name(self, code: str) -> str:
        """Return the name of a language, "" if unknown; `grc-x-biblical` has the name of `grc`."""
        return self.names.get(code) or self.names.get(code.partition("-")[0], "")

    def format_number(self, plain: str) -> str:
        """Format "-12345.6" as "−12,345.6", with the separators and digits of the language."""
        sign = "−" if plain.startswith("-") else ""
        whole, point, decimals = plain.lstrip("+-").partition(".")
        if not whole.isdecimal():
            return plain
        if len(whole) > 4 or (len(whole) == 4 and self.group in ",."):
            whole = f"{int(whole):,}".replace(",", self.group)
        rendered = sign + whole + (self.decimal + decimals if point else "")
        return rendered if self.digits == _DIGITS else rendered.translate(str.maketrans(_DIGITS, self.digits))

    def parse_number(self, shown: str) -> str:
        """Return a number as Python writes it: "1,234.5" without the language's separators and digits."""
        return shown.translate(self.to_ascii_digits).replace(self.group, "").replace(self.decimal, ".")

    def plural_form(self, number: str) -> int:
        """Return which form of a word goes with a number: the index into the arguments of {{plural}}."""
        whole, point, _ = number.lstrip("+-").partition(".")
        if not whole.isdecimal():
            return 1
        count = int(whole[-3:])
        if self.plural == "slavic":
            teens = 10 < count % 100 < 20
            if point:
                return 3
            return 2 if teens or not 0 < count % 10 < 5 else 0 if count % 10 == 1 else 1
        is_one = whole.lstrip("0") in (("", "1") if self.plural == "zero_or_one" else ("1",))
        return 0 if is_one and (self.plural == "zero_or_one" or not point) else 1


@cache
def load_language(code: str) -> Language:
    """Return the language with the code that the wiki's siteinfo gives; without a file, `common` alone."""
    entries = _load_tables("common")
    for name in _ancestry(code):
        entries = {key: {**entries.get(key, {}), **value} for key, value in {**entries, **_load_tables(name)}.items()}
    settings: dict[str, Any] = entries.get("numbers", {})
    digits = str(settings.get("digits", _DIGITS))
    return Language(
        code=code,
        templates=entries.get("templates", {}),
        names=entries.get("names", {}),
        words=entries.get("words", {}),
        months=tuple(entries.get("words", {}).get("months", "").split()),
        decimal=str(settings.get("decimal", ".")),
        group=str(settings.get("group", ",")),
        digits=digits,
        plural=str(settings.get("plural", "one")),
        names_units=bool(settings.get("names_units", False)),
        to_ascii_digits={ord(own): ascii_digit for own, ascii_digit in zip(digits, _DIGITS, strict=True)},
    )


def _ancestry(code: str) -> list[str]:
    """Return the names of the files that override `common`; later ones override earlier ones."""
    entries = _load_tables(code)
    parent = str(entries.get("numbers", {}).get("like", ""))
    return [*(_ancestry(parent) if parent else []), code]


@cache
def _load_tables(code: str) -> dict[str, dict[str, Any]]:
    """Return the tables of a file, with `[templates]` inverted to name -> pattern."""
    if not code.replace("-", "").isalnum():
        return {}
    file = files("charlm.text.wikitext").joinpath("languages", f"{code}.toml")
    if not file.is_file():
        return {}
    tables = tomllib.loads(file.read_text("utf-8"))
    patterns: dict[str, str] = tables.get("templates", {})
    tables["templates"] = {
        " ".join(name.split()).lower(): pattern for pattern, names in patterns.items() for name in names.split(",")
    }
    tables["templates"].pop("", None)
    return tables
