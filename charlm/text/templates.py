"""The few templates that stand in the middle of prose -> the words they show. All others are dropped by `wikitext`.

    "lang|de|[[Haus]]", links resolved ── name, arguments ──> table of renderers ──> "Haus"

A quantity is shown as it was entered, without its conversion; a word of another language without its language's name.
"""

import re
from collections.abc import Callable, Mapping

Arguments = Mapping[str, str]
"""Positional arguments under "1", "2", ...; named ones under their names."""
Renderer = Callable[[Arguments], str]

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_UNITS = {
    "sqmi": "sq mi", "sqkm": "km²", "km2": "km²", "m2": "m²", "sqm": "m²", "cm2": "cm²", "sqft": "sq ft",
    "ft2": "sq ft", "m3": "m³", "km3": "km³", "cuft": "cu ft", "C": "°C", "F": "°F", "kph": "km/h", "kg/m3": "kg/m³",
    "USgal": "US gal", "impgal": "imp gal", "longton": "long tons",
}  # fmt: skip
_RANGES = {"-": "–", "–": "–", "to": " to ", "to(-)": " to ", "and": " and ", "or": " or ", "x": " × ", "by": " by "}
_SUPERSCRIPT = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_FIRST = """
    nowrap nobr nobold noitalic small smaller big larger em strong kbd samp var mvar code mono abbr abbrlink tooltip
    sic smallcaps sc vanchor ill iast unicode script linktext quote blockquote cquote quotation poemquote poem
    plainlist flatlist flag flagu flagcountry chem2 仮リンク нп нп1 нп2 нп3 нп4 нп5 center ruby ruby-ja
    lang-en-short big5 zhi ltr rtl underline interlanguage_link visible_anchor not_a_typo proper_name
    columns-list не_переведено не_переведено_5
"""
"""Templates that show their first argument (underscores for spaces)."""
_SECOND = "lang langx rtl-lang color font_color colored_text audio wikt-lang"
"""Templates that show their second argument."""


def template_name(raw: str) -> str:
    """Names as they are looked up: spaces, not underscores; lower case."""
    return raw.strip().replace("_", " ").lower()


def is_shown(name: str) -> bool:
    """Whether a template of that (normalised) name is one of the few that are rendered."""
    return name in _TEMPLATES or name.startswith(("lang-", "formatnum:"))


def render(inner: str) -> str:
    """What `{{inner}}` shows; its own templates and links are already resolved."""
    raw_name, *parts = inner.split("|")
    name = template_name(raw_name)
    if name.startswith("formatnum:"):
        return raw_name.partition(":")[2].strip()
    arguments: dict[str, str] = {}
    position = 0
    for part in parts:
        named = re.match(r"\s*+(\w[\w -]{0,29}?)\s*+=", part)
        if named:
            arguments[named[1]] = part[named.end() :].strip()
        else:
            position += 1
            arguments[str(position)] = part.strip()
    return _TEMPLATES.get(name, _argument("1"))(arguments)


def _argument(*keys: str) -> Renderer:
    return lambda arguments: next((arguments[key] for key in keys if arguments.get(key)), "")


def _positional(arguments: Arguments) -> list[str]:
    return [value for key, value in arguments.items() if key.isdecimal() and value]


def _convert(arguments: Arguments) -> str:
    """The quantity as it was entered; the converted one in parentheses is left out."""
    values = _positional(arguments)
    shown = values[:1]
    if len(values) > 3 and values[1] in _RANGES:
        shown = [values[0] + _RANGES[values[1]] + values[2]]
        values = values[2:]
    unit = values[1] if len(values) > 1 else ""
    return " ".join((*shown, _UNITS.get(unit, unit))).strip()


def _nihongo(arguments: Arguments) -> str:
    english, *other = (arguments.get(key, "") for key in "123")
    inside = ", ".join(part for part in other if part)
    return f"{english} ({inside})" if english and inside else english or inside


def _fraction(arguments: Arguments) -> str:
    values = _positional(arguments)
    if len(values) < 2:
        return f"1/{values[0]}" if values else ""
    return " ".join((*values[:-2], "/".join(values[-2:])))


def _value(arguments: Arguments) -> str:
    number, error = arguments.get("1", ""), arguments.get("2", "")
    unit = _argument("u", "ul", "up", "upl")(arguments)
    power = f"×10{arguments['e'].translate(_SUPERSCRIPT)}" if arguments.get("e") else ""
    return f"{number}{'±' + error if error[:1].isdigit() else ''}{power} {unit}".strip()


def _as_of(arguments: Arguments) -> str:
    year, month, day = (arguments.get(key, "") for key in "123")
    name = _MONTHS[int(month) - 1] if month.isdecimal() and 0 < int(month) < 13 else month
    words = arguments.get("alt") or " ".join(word for word in ("As of", day, name, year) if word)
    return words[0].lower() + words[1:] if arguments.get("lc") else words


def _ship(arguments: Arguments) -> str:
    return " ".join(_positional(arguments)[:2])


def _table_of_templates() -> dict[str, Renderer]:
    first, second = _argument("1", "text", "quote"), _argument("2", "text")
    last: Renderer = lambda arguments: (_positional(arguments) or [""])[-1]  # noqa: E731
    joined: Renderer = lambda arguments: "".join(_positional(arguments))  # noqa: E731
    table = {name.replace("_", " "): first for name in _FIRST.split()}
    table |= {name.replace("_", " "): second for name in _SECOND.split()}
    table |= dict.fromkeys(("transl", "transliteration", "tlit"), last)
    table |= dict.fromkeys(("chem",), joined)
    table |= dict.fromkeys(("convert", "cvt"), _convert)
    table |= dict.fromkeys(("nihongo", "nihongo2", "読み仮名"), _nihongo)
    table |= dict.fromkeys(("frac", "fraction", "sfrac"), _fraction)
    table |= dict.fromkeys(("circa", "c.", "ca."), lambda arguments: f"c. {arguments.get('1', '')}".strip())
    table |= {
        "val": _value,
        "as of": _as_of,
        "asof": _as_of,
        "ship": _ship,
        "respell": lambda arguments: "-".join(_positional(arguments)),
        "angbr": lambda arguments: f"⟨{first(arguments)}⟩",
        "sup": lambda arguments: f"<sup>{first(arguments)}</sup>",
        "sub": lambda arguments: f"<sub>{first(arguments)}</sub>",
    }
    for prefix in ("USS", "HMS", "SS", "RMS", "HMAS", "HMCS", "MV", "SMS"):
        table[prefix.lower()] = lambda arguments, prefix=prefix: f"{prefix} {first(arguments)}"
    marks = {
        "!": "&#124;", "=": "&#61;", "snd": " – ", "spnd": " – ", "spaced ndash": " – ", "sndash": " – ", "ndash": "–",
        "mdash": "—", "spaced mdash": " — ", "smd": " — ", "spaces": " ", "nbsp": " ", "space": " ", "'": "'",
        "'s": "'s", "·": " · ", "dot": " · ", "•": " • ", "—": "—", "–": "–", "--": "—", "тире": " — ",
    }  # fmt: skip
    return table | {name: lambda _, mark=mark: mark for name, mark in marks.items()}


_TEMPLATES = _table_of_templates()
