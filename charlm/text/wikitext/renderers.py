"""What the templates of `templates` show: patterns with fields, and functions for templates that need more.

"[{name}: ]{1}", {"name": "German", "1": "Haus"} ── fill ──> "German: Haus"
"""

import re
from collections.abc import Callable

from charlm.text.wikitext.languages import Arguments, Language
from charlm.text.wikitext.small_digits import SUBSCRIPT, SUPERSCRIPT
from charlm.text.wikitext.unit_conversion import convert

Renderer = Callable[[Arguments, Language], str]

_FIELD = re.compile(r"\{([^{}]+)\}")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_DIGITS_AND_SIGNS = re.compile(r"[-+−–\d]*")
_MAX_DIGITS_OF_MONTH = 3
_IPA_LABELS = ("pron", "us", "uk", "lang", "local", "also", "as", "ipa", "audio")


def fill(pattern: str, arguments: Arguments, language: Language) -> str:
    """Fill in the fields of a pattern, whose syntax `common.toml` explains."""

    def optional(match: re.Match[str]) -> str:
        fields = _FIELD.findall(match[1])
        return match[1] if all(_field_value(name, arguments, language) for name in fields) else ""

    pattern = _OPTIONAL.sub(optional, pattern)
    shown = _FIELD.sub(lambda match: _field_value(match[1], arguments, language), pattern)
    return re.sub(r"^(?:[;,] )+", "", shown)


def _field_value(name: str, arguments: Arguments, language: Language) -> str:
    if name.startswith("*:"):
        return name[2:].join(value for value in arguments.positional if value)
    if name == "*":
        return "".join(arguments.positional)
    if name == "last":
        return (arguments.positional or [""])[-1]
    keys = name.rstrip("^_").removeprefix("@")
    value = next((arguments[key] for key in keys.split("|") if arguments.get(key)), "")
    if name.startswith("@"):
        return language.language_name(value)
    return (
        _to_script(value, superscript=True)
        if name[-1] == "^"
        else _to_script(value, superscript=False)
        if name[-1] == "_"
        else value
    )


def _to_script(value: str, *, superscript: bool) -> str:
    """Convert to superscript or subscript characters; text other than digits and signs is unchanged."""
    return (
        value.replace("–", "−").translate(SUPERSCRIPT if superscript else SUBSCRIPT)
        if _DIGITS_AND_SIGNS.fullmatch(value)
        else value
    )


def _render_lang(arguments: Arguments, language: Language) -> str:
    """{{lang-de|Haus}} or {{langx|de|Haus}} -> "German: Haus"."""
    code = arguments.get("*", "")
    if not code:
        code = arguments.pop("1", "")
        arguments |= {str(i): arguments.get(str(i + 1), "") for i in range(1, 4)}
    label = arguments.get("label", "")
    if code.endswith("2"):  # uk, hy and ru mark a word without the name of its language so
        label = "none"
    name = label or language.language_name(code)
    arguments["name"] = "" if label == "none" else name
    return fill(language.words.get("lang", "{1|text}"), arguments, language)


def _render_ipa_english(arguments: Arguments, language: Language) -> str:
    """{{IPAc-en|pron|ˈ|k|æ|t}} -> "pronounced /ˈkæt/"."""
    label, sounds = "", list[str]()
    for sound in arguments.positional:
        if not sounds and sound.lower() in _IPA_LABELS:
            word = language.words.get(f"ipa_{sound.lower()}", "")
            label += f"{word} " if word else ""
        elif sound not in ("", "audio", "pron"):
            sounds.append({"'": "ˈ", ",": "ˌ", "ae": "æ"}.get(sound, sound))
    shown = "".join(sounds).replace("_", " ").replace(",-", ", -").strip()
    return f"{label}/{shown}/" if shown else ""


def _render_ipa(arguments: Arguments, language: Language) -> str:
    """{{IPA-fr|paʁi|lang}} -> "French: [paʁi]"; so does {{IPA|fr|paʁi}}; {{IPA|/paʁi/}} -> /paʁi/."""
    code, values = arguments.get("*", ""), arguments.positional
    if not code and len(values) > 1 and re.fullmatch(r"[a-z]{2,3}(?:-[A-Za-z]+)*", values[0]):
        code, values = values[0], values[1:]
    if not values or not values[0]:
        return ""
    shown, label_kind = values[0], (values[1].lower() if len(values) > 1 else "")
    if not code:
        return shown
    if shown[0] not in "[/⟨(":
        shown = f"[{shown}]"
    name = language.language_name(code)
    label = language.words.get(
        f"ipa_{label_kind}" if label_kind in ("lang", "pron", "local", "ipa", "also") else "ipa_", ""
    )
    return fill(f"{label} {{1}}", Arguments({"1": shown, "name": name}), language).strip()


def _render_as_of(arguments: Arguments, language: Language) -> str:
    """{{as of|2010|5}} -> "As of May 2010"."""
    words = arguments.get("alt") or fill(
        language.words.get("as_of", "{date}"), _date_arguments(arguments, language), language
    )
    lower = arguments.get("lc", "").lower() in ("y", "yes", "on", "1", "true")
    return words[:1].lower() + words[1:] if lower else words


def _date_arguments(arguments: Arguments, language: Language) -> Arguments:
    """Format the positional arguments year, month, day as the field `date`."""
    year, month, day = (arguments.get(key, "") for key in "123")
    parts = Arguments({"year": year, "month": _month(month, language), "day": day.lstrip("0")})
    form = "date_day" if month and day else "date_month" if month else "date_year"
    return Arguments({"date": fill(language.words.get(form, "[{day} ][{month} ]{year}"), parts, language)})


def _render_date(arguments: Arguments, language: Language) -> str:
    """{{ДН|14|3|1854}}: day, month, year."""
    day, month, year = (arguments.get(key, "") for key in "123")
    return _date_arguments(Arguments({"1": year, "2": month, "3": day}), language)["date"]


def _render_date_year_first(arguments: Arguments, language: Language) -> str:
    """{{birth date|1911|8|25}}: year, month, day."""
    return _date_arguments(arguments, language)["date"]


def _month(month: str, language: Language) -> str:
    names = language.months
    is_number = month.isdecimal() and len(month) <= _MAX_DIGITS_OF_MONTH
    return names[int(month) - 1].replace("_", " ") if is_number and 0 < int(month) <= len(names) else month


def _render_fraction(arguments: Arguments, language: Language) -> str:
    values = arguments.positional
    if len(values) < 2:
        return f"1/{values[0]}" if values else ""
    return " ".join((*values[:-2], "/".join(values[-2:])))


def _render_val(arguments: Arguments, language: Language) -> str:
    """{{val|1.5|0.2|e=3|u=m}} -> "1.5±0.2×10³ m"."""
    values = arguments.positional
    number = values[0] if values else ""
    if re.fullmatch(r"-?\d{5,30}(?:\.\d+)?", number):
        number = language.format_number(number)
    error = f"±{values[1]}" if len(values) > 1 and values[1][:1].isdigit() else ""
    power = f"×10{_to_script(arguments['e'], superscript=True)}" if arguments.get("e") else ""
    unit = next((arguments[key] for key in ("u", "ul", "up", "upl") if arguments.get(key)), "")
    unit = re.sub(r"(?<=[^\W\d_])([-−]?\d)", lambda match: _to_script(match[1], superscript=True), unit)
    separator = "" if unit[:1] in ("%", "°", "") else " "
    return f"{arguments.get('p', '')}{number}{error}{power}{separator}{unit}".strip()


def _render_chemical(arguments: Arguments, language: Language) -> str:
    """{{chem|Ge|9|4-}} -> Ge₉⁴⁻; {{chem2|SO4(2-)}} -> SO₄²⁻."""
    values = arguments.positional
    if len(values) == 1:
        formula = re.sub(
            r"\((\d?[-+])\)|(?<=[\w)\]])([-+])$", lambda f: _to_script(f[1] or f[2], superscript=True), values[0]
        )
        return re.sub(
            r"(?<=[^\W\d_])\d+|(?<=[)\]])\d+", lambda f: _to_script(f[0], superscript=False), formula
        ).replace("_", "")
    charged = re.compile(r"\d*[-+−]")
    return "".join(_to_script(value, superscript=charged.fullmatch(value) is not None) for value in values)


def _render_abbreviated(arguments: Arguments, language: Language) -> str:
    """{{cvt|...}} is {{convert|...|abbr=on}}."""
    return convert(Arguments({"abbr": "on", **arguments}), language)


def _render_ship(arguments: Arguments, language: Language) -> str:
    """{{ship|HMS|Hood|51}} -> "HMS Hood (51)"."""
    prefix, name, hull, form = (arguments.get(key, "") for key in "1234")
    hull = {"1": hull, "": hull}.get(form, "")
    shown = name if form == "2" else f"{prefix} {name}"
    return f"{shown} ({hull})".strip() if hull else shown.strip()


def _render_harvard(arguments: Arguments, language: Language) -> str:
    """{{harvtxt|Rudall|Cribb|2005}} -> "Rudall & Cribb (2005)"."""
    values = arguments.positional
    authors = [value for value in values if not re.match(r"\d{4}", value)]
    year = next((value for value in values if re.match(r"\d{4}", value)), "")
    shown = f"{', '.join(authors[:-1])} & {authors[-1]}" if len(authors) > 1 else "".join(authors)
    return f"{shown} ({year})" if year else shown


RENDERERS: dict[str, Renderer] = {
    "convert": convert,
    "cvt": _render_abbreviated, "lang": _render_lang, "ipac": _render_ipa_english, "ipa": _render_ipa, "as_of":
    _render_as_of, "date": _render_date, "ymd": _render_date_year_first,
    "fraction": _render_fraction, "val": _render_val, "chem": _render_chemical, "ship": _render_ship, "harvard":
_render_harvard, }  # fmt: skip
