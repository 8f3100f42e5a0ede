"""Parser functions that need no wiki -> what MediaWiki shows for them: {{lc:LOUD}}, {{#if: x | a | b}}, {{PAGENAME}}.

    "#ifeq: a ", [" b ", " same ", " different "] ── name in the wiki's language ──> "ifeq" ──> "different"

The others (`#time`, `#invoke`, `CURRENTYEAR`, ...) depend on the wiki or on the day: like unknown templates they show
nothing. Arguments are trimmed; the templates and links in them are already replaced.
"""

import re
from collections.abc import Callable, Mapping
from urllib.parse import quote, quote_plus

from charlm.text.wikitext.entities import decode_entities
from charlm.text.wikitext.expressions import ExpressionError, evaluate, format_value
from charlm.text.wikitext.languages import Language
from charlm.text.wikitext.magic_words import load_magic_words
from charlm.text.wikitext.marks import BLOCK_MARKER, GAP
from charlm.text.wikitext.page_names import PageNames

_MAX_PADDING = 500
_PLACEHOLDER = re.compile("\0[^\0]*\0")
_NUMERIC = re.compile(r"\s*[-+]?(?:\d{1,300}(?:\.\d*)?|\.\d{1,300})(?:[eE][-+]?\d{1,4})?\s*")
_PLAIN_NUMBER = re.compile(r"-?\d{1,30}(?:\.\d{1,30})?")
_EXPLICIT_PLURAL = re.compile(r"\s*(\d+)\s*=(.*)", re.DOTALL)
_DEFAULT = "#default"
_STARTS_BLOCK = ("{|", "*", "#", ":", ";")


class ParserFunctions:
    """The parser functions of one wiki.

    Args:
        language: decides the names of the functions, how they show numbers, and the forms of {{plural}}.
        namespaces: namespace number -> name, for the names of pages.
    """

    def __init__(self, language: Language, namespaces: Mapping[int, str]) -> None:
        self._language = language
        self._words = load_magic_words(language.code)
        self._page_names = PageNames(namespaces)
        names = (*self._words.functions, *self._words.exact_functions)
        self._names = frozenset(name.replace("_", " ").lower() for name in names)

    def has(self, name: str) -> bool:
        """Return whether `name`, in lower case and with spaces for underscores, may be that of a function."""
        return name.partition(":")[0] in self._names

    def compute(self, first: str, others: list[str], title: str) -> str | None:
        """Return what `{{first|others[0]|...}}` shows on the page `title`, None if it is not a parser function."""
        name, colon, argument = first.partition(":")
        function = self._words.function(name.lstrip() if colon else name.strip())
        arguments = [argument.strip(), *map(str.strip, others)]
        if function in _CHOICES and colon:
            return _as_blocks(_CHOICES[function](arguments))
        if function in _TEXT_FUNCTIONS and colon:
            return _TEXT_FUNCTIONS[function](arguments, self._language)
        if function in self._page_names.variables:
            return (
                self._page_names.value_for(function, decode_entities(arguments[0]))
                if arguments[0]
                else self._page_names.value(function, title)
            )
        return None


def _as_blocks(shown: str) -> str:
    """Begin a new line where MediaWiki does, and keep a block of several lines apart from the text around it."""
    if BLOCK_MARKER in shown:
        return f"\n\n{shown}\n\n"
    return f"\n{shown}" if shown.startswith(_STARTS_BLOCK) else shown


def _argument(arguments: list[str], index: int) -> str:
    return arguments[index] if index < len(arguments) else ""


def _choose_if(arguments: list[str]) -> str:
    """{{#if: test | shown if the test is not empty | shown if it is}}"""
    return _argument(arguments, 1 if arguments[0] else 2)


def _choose_if_equal(arguments: list[str]) -> str:
    """{{#ifeq: a | b | shown if they are equal | shown if not}}"""
    return _argument(arguments, 2 if _equal(arguments[0], _argument(arguments, 1)) else 3)


def _choose_if_expression(arguments: list[str]) -> str:
    """{{#ifexpr: 1 < 2 | shown if true | shown if not}}"""
    try:
        value = evaluate(decode_entities(arguments[0]))
    except ExpressionError:
        return GAP
    return _argument(arguments, 1 if value else 2)


def _choose_case(arguments: list[str]) -> str:
    """{{#switch: b | a = 1 | b | c = 2 | #default = 3}} -> 2: a case without value has that of the next one."""
    test, *cases = arguments
    default = ""
    found = default_found = False
    for case in cases:
        key, equals, value = case.partition("=")
        key = key.rstrip()
        found = found or _equal(key, test)
        is_default = key.lower() == _DEFAULT or (not equals and key.lower().startswith(_DEFAULT))
        if equals and found:
            return value.lstrip()
        if equals and (default_found or is_default):
            default = value.lstrip()
        default_found = not equals and (default_found or is_default)
    return cases[-1] if cases and "=" not in cases[-1] else default


def _equal(left: str, right: str) -> bool:
    """Compare as numbers if both are numbers: 01 equals 1.0."""
    left, right = decode_entities(left), decode_entities(right)
    if _NUMERIC.fullmatch(left) and _NUMERIC.fullmatch(right):
        return float(left) == float(right)
    return left == right


_CHOICES: Mapping[str, Callable[[list[str]], str]] = {
    "if": _choose_if, "ifeq": _choose_if_equal, "ifexpr": _choose_if_expression, "switch": _choose_case
}  # fmt: skip
"""Functions that show one of their arguments."""


def _format_number(arguments: list[str], language: Language) -> str:
    """{{formatnum:1234.5}} -> 1,234.5; {{formatnum:1,234.5|R}} -> 1234.5"""
    number = arguments[0]
    if "R" in arguments[1:]:
        return language.parse_number(number)
    return language.format_number(number) if len(arguments) == 1 and _PLAIN_NUMBER.fullmatch(number) else number


def _compute_expression(arguments: list[str], language: Language) -> str:
    """{{#expr: 1 / 3}} -> 0.33333333333333"""
    try:
        value = evaluate(decode_entities(arguments[0]))
    except ExpressionError:
        return GAP
    return "" if value is None else format_value(value)


def _change_first(text: str, change: Callable[[str], str]) -> str:
    return change(text[:1]) + text[1:]


def _upper_first(arguments: list[str], language: Language) -> str:
    dotted = language.code in ("tr", "az") and arguments[0][:1] == "i"
    return f"İ{arguments[0][1:]}" if dotted else _change_first(arguments[0], str.upper)


def _lower_first(arguments: list[str], language: Language) -> str:
    dotless = language.code == "tr" and arguments[0][:1] == "I"
    return f"ı{arguments[0][1:]}" if dotless else _change_first(arguments[0], str.lower)


def _padding(arguments: list[str]) -> str:
    """Return what {{padleft:7|3|0}} adds to 7."""
    length = _argument(arguments, 1)
    missing = min(int(length), _MAX_PADDING) - len(arguments[0]) if length.isdecimal() and len(length) < 10 else 0
    unit = _PLACEHOLDER.sub("", arguments[2]) if len(arguments) > 2 else "0"
    return (unit * (missing // len(unit) + 1))[:missing] if unit and missing > 0 else ""


def _choose_plural(arguments: list[str], language: Language) -> str:
    """{{plural:2|ship|ships}} -> ships; {{plural:0|ship|ships|0=none}} -> none"""
    number, *forms = arguments
    number = language.parse_number(number)
    counted: list[str] = []
    for form in forms:
        explicit = _EXPLICIT_PLURAL.fullmatch(form)
        if explicit is None:
            counted.append(form)
        elif explicit[1] == number:
            return explicit[2].lstrip()
    return counted[min(language.plural_form(number), len(counted) - 1)] if counted else ""


def _choose_gender(arguments: list[str], language: Language) -> str:
    """{{gender:Name|he|she|they}} -> they: the user is unknown."""
    return _argument(arguments, 3 if len(arguments) > 3 else 1)


def _encode_url(arguments: list[str], language: Language) -> str:
    """{{urlencode:a b}} -> a+b; with PATH a%20b, with WIKI a_b"""
    text = _PLACEHOLDER.sub("", arguments[0])
    match _argument(arguments, 1):
        case "PATH":
            return quote(text, safe="")
        case "WIKI":
            return quote(text.replace(" ", "_"), safe=";@$!*(),/~:")
        case _:
            return quote_plus(text).replace("~", "%7E")


_TEXT_FUNCTIONS: Mapping[str, Callable[[list[str], Language], str]] = {
    "formatnum": _format_number,
    "expr": _compute_expression,
    "lc": lambda arguments, language: arguments[0].lower(),
    "uc": lambda arguments, language: arguments[0].upper(),
    "lcfirst": _lower_first,
    "ucfirst": _upper_first,
    "padleft": lambda arguments, language: _padding(arguments) + arguments[0],
    "padright": lambda arguments, language: arguments[0] + _padding(arguments),
    "plural": _choose_plural,
    "gender": _choose_gender,
    "urlencode": _encode_url,
    "anchorencode": lambda arguments, language: decode_entities(arguments[0]).replace(" ", "_"),
}
