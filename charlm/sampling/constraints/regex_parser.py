"""A regular expression, as Python's `re` writes it, becomes an automaton over characters.

pattern ──re.compile: is it one?──> tokens ──> fragments: single characters, joined, branched, repeated ──> Nfa

Here only the structure is read. What one character of it stands for (a class, an escape, a dot, a letter of any case)
`re` itself decides, so that it means what it means in Python. The whole text has to match, so `^` and `$` say nothing
at its ends, and lazy repetitions are as good as greedy ones.
"""

import re
import warnings
from dataclasses import dataclass, field
from typing import NoReturn

from charlm.errors import OptionError

MAX_NODES = 20_000
"""A repetition counts as often as it may be repeated: `(ab?){0,100}` has some 400."""
MAX_CHARACTERS = 10_000
MAX_DEPTH = 100
"""Groups within groups: `re.compile` calls itself twice for each and must not overflow Python's stack."""
MAX_CLASSES = 200
"""Different classes of characters. To find that one is empty takes some 20 ms."""
MAX_CASELESS_CLASSES = 100
"""Classes in [ ] of a pattern that ignores case. `re.compile` takes up to 30 ms for each."""

Atom = str | re.Pattern[str]
"""One character by itself, or what `re` makes of a class of them, for `fullmatch` and `search`."""

EPSILON = -1
Node = tuple[int, tuple[int, ...]]
"""(number of an atom, ()): read a character of it and go on to the next step. (FREE, offsets): go on to the step at any
of these distances without reading."""
Fragment = list[Node]
"""Steps that begin at the first one and have matched when they arrive behind the last one. A copy is a fragment too."""

_TOKEN = re.compile(
    r"(?P<bracket>\[\^?\]?(?:\\.|[^\]\\])*+\]?)"
    r"|(?P<escape>\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|N\{[^}]*\}|0[0-7]{0,2}|[0-3][0-7]{2}"
    r"|[1-9][0-9]?|.))"
    r"|(?P<nothing>\(\?(?:#[^)]*|[a-zA-Z]+)\))"
    r"|(?P<refused>\((?:\?P=|\?[=!>(]|\?<[=!]))"
    r"|(?P<open>\((?:\?(?:P<[^>]*>|(?P<flags>[a-zA-Z]*(?:-[a-zA-Z]+)?):))?)"
    r"|(?P<close>\))"
    r"|(?P<branch>\|)"
    r"|(?P<repeat>(?:[*+?]|\{(?:[0-9]+|[0-9]*,[0-9]*)\})[?+]?)"
    r"|(?P<anchor>[$^])"
    r"|(?P<literal>.)",
    re.DOTALL,
)
_UNSUPPORTED = {"(?P=": "a back-reference", "(?(": "a condition", "(?>": "an atomic group"}
_FLAGS = {"i": re.IGNORECASE, "s": re.DOTALL, "a": re.ASCII}


@dataclass(frozen=True)
class Nfa:
    """A text matches if it can be read from the first step to behind the last one."""

    atoms: tuple[Atom, ...]
    nodes: tuple[Node, ...]


def parse_regex(pattern: str) -> Nfa:
    """The automaton of the texts that `re.fullmatch` would match.

    Raises:
        UsageError: no regular expression; one that is too large; one with back-references, look-around, word
            boundaries, atomic groups, possessive repetitions, conditions, the flag x, or anchors within.
    """
    return _Parser(pattern).nfa()


@dataclass(slots=True)
class _OpenGroup:
    """What is open: a group, or the whole pattern."""

    flags: int
    branches: list[Fragment] = field(default_factory=list[Fragment])
    prefix: Fragment = field(default_factory=Fragment)
    """The branch so far, without its last item."""
    last_item: Fragment = field(default_factory=Fragment)
    """What a quantifier would repeat."""
    end_position: int | None = None
    """Where an anchor says that the branch ends."""

    def close_branch(self) -> None:
        self.branches.append(self.prefix + self.last_item)
        self.prefix, self.last_item, self.end_position = [], [], None


class _Parser:
    """Reads the tokens from left to right, with a stack of its own for groups."""

    def __init__(self, pattern: str) -> None:
        self._tokens = _tokenize(pattern)
        flags = _compile(pattern).flags
        if flags & re.VERBOSE:
            _raise_unsupported("the flag x", 0)
        self._atoms: dict[Atom, int] = {}
        self._classes: set[re.Pattern[str]] = set()
        self._groups = [_OpenGroup(flags & sum(_FLAGS.values()))]

    def nfa(self) -> Nfa:
        for token in self._tokens:
            self._parse_token(token)
        (root,) = self._groups
        root.close_branch()
        return Nfa(atoms=tuple(self._atoms), nodes=tuple(_alternation(root.branches)))

    def _parse_token(self, token: re.Match[str]) -> None:
        text, position, group = token[0], token.start(), self._groups[-1]
        match token.lastgroup:
            case "refused":
                _raise_unsupported(_UNSUPPORTED.get(text, "a look-around"), position)
            case "open":
                self._groups.append(_OpenGroup(_apply_flags(group.flags, token["flags"] or "", position)))
            case "close":
                group.close_branch()
                self._groups.pop()
                self._add(_alternation(group.branches))
            case "branch":
                group.close_branch()
            case "repeat":
                if text.endswith("+", 1):
                    _raise_unsupported("a possessive repetition", position)
                group.last_item = _repeat(group.last_item, *_parse_quantifier(text))
            case "anchor" | "escape" if text in ("^", "$", "\\A", "\\Z", "\\z"):
                is_start = text in ("^", "\\A")
                if len(self._groups) > 1 or (is_start and (group.prefix or group.last_item)):
                    _raise_unsupported(f"{text} elsewhere than at an end", position)
                group.end_position = group.end_position if is_start else position
            case "escape" if text in ("\\b", "\\B"):
                _raise_unsupported("a word boundary", position)
            case "escape" if text[1] in "123456789" and len(text) < 4:
                _raise_unsupported("a back-reference", position)
            case "bracket" | "escape" | "literal":
                self._add([(self._atom(text), ())])
            case _:
                assert token.lastgroup == "nothing", "a comment, or flags that the compiled pattern has"

    def _add(self, last_item: Fragment) -> None:
        group = self._groups[-1]
        if group.end_position is not None and last_item:
            _raise_unsupported("an anchor elsewhere than at an end", group.end_position)
        group.prefix += group.last_item
        group.last_item = last_item
        if len(group.prefix) + len(last_item) > MAX_NODES:
            _raise_too_large()

    def _atom(self, text: str) -> int:
        """The number of the atom that a token is."""
        flags = self._groups[-1].flags
        character = text[1:] if text[0] == "\\" and not text[1].isalnum() else text
        is_cased = not character.lower() == character == character.upper()
        if len(character) == 1 and text != "." and not (is_cased and flags & re.IGNORECASE):
            return self._atoms.setdefault(character, len(self._atoms))
        regex = _compile(text, flags)
        self._classes.add(regex)
        if len(self._classes) > MAX_CLASSES:
            _raise_too_large(f"{MAX_CLASSES} different classes of characters")
        return self._atoms.setdefault(regex, len(self._atoms))


def _parse_quantifier(quantifier: str) -> tuple[int, int | None]:
    """How often at least, and at most (None: without end)."""
    if quantifier[0] != "{":
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[quantifier[0]]
    min_count, comma, max_count = quantifier.rstrip("?").strip("{}").partition(",")
    return int(min_count or 0), int(max_count or min_count) if max_count or not comma else None


def _repeat(body: Fragment, min_count: int, max_count: int | None) -> Fragment:
    """`body` so many times. Optional copies stand one in another, x(x(x)?)?, so that few steps are live at a time."""
    if not body:
        return []
    size = len(body)
    if size * max(min_count, 1) + (size + 1) * ((max_count or min_count) - min_count) > MAX_NODES:
        _raise_too_large()
    if max_count is not None:
        optional = ([(EPSILON, (1, num_left * (size + 1))), *body] for num_left in range(max_count - min_count, 0, -1))
        return [*body * min_count, *(node for copy in optional for node in copy)]
    if min_count:
        return [*body * min_count, (EPSILON, (-size, 1))]
    return [(EPSILON, (1, size + 2)), *body, (EPSILON, (-size - 1,))]


def _alternation(branches: list[Fragment]) -> Fragment:
    """Any one of them."""
    if len(branches) == 1:
        return branches[0]
    if not any(branches):
        return []
    starts = [1]
    for branch in branches:
        starts.append(starts[-1] + len(branch) + 1)
    fragment: Fragment = [(EPSILON, tuple(starts[:-1]))]
    for branch in branches:
        fragment += branch
        fragment.append((EPSILON, (starts[-1] - len(fragment),)))
    return fragment


def _tokenize(pattern: str) -> list[re.Match[str]]:
    """The tokens of what may yet be no pattern, but is small and shallow enough for `re.compile`."""
    if len(pattern) > MAX_CHARACTERS:
        _raise_too_large(f"{MAX_CHARACTERS:,} characters")
    tokens = list(_TOKEN.finditer(pattern))
    depth = 0
    for token in tokens:
        depth += {"open": 1, "refused": 1, "close": -1}.get(token.lastgroup or "", 0)
        if depth > MAX_DEPTH:
            _raise_too_large(f"{MAX_DEPTH} groups within groups at position {token.start()}")
    brackets = sum(token.lastgroup == "bracket" for token in tokens)
    if brackets > MAX_CASELESS_CLASSES and re.search(r"\(\?[a-zA-Z]*i", pattern):
        _raise_too_large(f"{MAX_CASELESS_CLASSES} classes in [ ] while it ignores case")
    return tokens


def _compile(pattern: str, flags: int = 0) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a later Python may read differently
            return re.compile(pattern, flags)
    except (OverflowError, ValueError, RecursionError):  # numbers of too many digits, for one
        _raise_too_large()
    except re.error as error:
        raise OptionError(
            "{regex} is not a regular expression: {reason}",
            "correct it; a special character that means itself takes a backslash",
            reason=error,
        ) from error


def _apply_flags(flags: int, letters: str, position: int) -> int:
    """The flags within (?letters:...)."""
    added, _, removed = letters.partition("-")
    if "x" in added:
        _raise_unsupported("the flag x", position)
    if "u" in added:
        flags &= ~re.ASCII
    for letter, flag in _FLAGS.items():
        flags = (flags | flag * (letter in added)) & ~(flag * (letter in removed))
    return flags


def _raise_unsupported(what: str, position: int) -> NoReturn:
    raise OptionError(
        "{regex} has {what}",
        "write it without: the whole text has to match",
        what=f"{what} at position {position}",
    )


def _raise_too_large(limit: str = f"{MAX_NODES:,} states, each repetition counted in full") -> NoReturn:
    raise OptionError("{regex} has more than {limit}", "give a simpler one", limit=limit)
