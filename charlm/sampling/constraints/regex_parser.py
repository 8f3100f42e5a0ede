"""From a regular expression in Python's syntax to a nondeterministic finite automaton (NFA) over characters.

    pattern ──re.compile: valid?──> tokens ──> fragments: single characters, concatenated, alternated, repeated ──> Nfa

Only the structure is parsed here; `re` says which characters an atom matches (a class, an escape, a dot). The whole
text has to match, so `^` and `$` have no effect at the ends, and lazy repetitions equal greedy ones.
"""

import re
import warnings
from dataclasses import dataclass, field
from typing import NoReturn

from charlm.errors import OptionError

MAX_NODES = 20_000
"""The most nodes of an automaton. Each copy of a repetition counts: `(ab?){0,100}` has about 400."""
MAX_CHARACTERS = 10_000
MAX_DEPTH = 100
"""Nested groups: `re.compile` recurses twice for each and must not overflow Python's stack."""
MAX_CLASSES = 200
"""Different classes of characters. Finding out that a class is empty takes about 20 ms."""
MAX_CASELESS_CLASSES = 100  # in [ ], in a pattern that ignores case: `re.compile` takes up to 30 ms for each

Atom = str | re.Pattern[str]
"""A character, or the compiled pattern of a class of characters."""

EPSILON = -1
Node = tuple[int, tuple[int, ...]]
"""(index of an atom, ()): read a character that the atom matches and go on to the next node. (EPSILON, offsets): go on
to the node at any of these offsets without reading."""
Fragment = list[Node]
"""Nodes that match from the first one to the end of the list. Offsets are relative, so that a copy works too."""

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
    """A text matches if reading it leads from the first node to the end of the list."""

    atoms: tuple[Atom, ...]
    nodes: tuple[Node, ...]


def parse_regex(pattern: str) -> Nfa:
    """The automaton of the texts that `re.fullmatch` would match.

    Raises:
        OptionError: the pattern is not a regular expression, is too large, or has back-references, look-around, word
            boundaries, atomic groups, possessive repetitions, conditions, the flag x, or anchors inside the pattern.
    """
    return _Parser(pattern).nfa()


@dataclass(slots=True)
class _OpenGroup:
    """A group that is not closed yet, or the whole pattern."""

    flags: int
    branches: list[Fragment] = field(default_factory=list[Fragment])
    prefix: Fragment = field(default_factory=Fragment)
    """The branch so far, without its last item."""
    last_item: Fragment = field(default_factory=Fragment)
    """The item that a quantifier would repeat."""
    end_position: int | None = None
    """The position of an anchor that ends the branch."""

    def close_branch(self) -> None:
        self.branches.append(self.prefix + self.last_item)
        self.prefix, self.last_item, self.end_position = [], [], None


class _Parser:
    """Reads the tokens from left to right, with an explicit stack for groups."""

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
                    _raise_unsupported(f"{text} inside the pattern", position)
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
            _raise_unsupported("an anchor inside the pattern", group.end_position)
        group.prefix += group.last_item
        group.last_item = last_item
        if len(group.prefix) + len(last_item) > MAX_NODES:
            _raise_too_large()

    def _atom(self, text: str) -> int:
        """The index of a token's atom."""
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
    """The least and the greatest number of repetitions (None: unlimited)."""
    if quantifier[0] != "{":
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[quantifier[0]]
    min_count, comma, max_count = quantifier.rstrip("?").strip("{}").partition(",")
    return int(min_count or 0), int(max_count or min_count) if max_count or not comma else None


def _repeat(body: Fragment, min_count: int, max_count: int | None) -> Fragment:
    """Repeat a fragment. Optional copies are nested, x(x(x)?)?, so that few nodes are active at a time."""
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
    """Match any one of the branches."""
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
    """The tokens of a pattern, which may be invalid but is small and shallow enough for `re.compile`."""
    if len(pattern) > MAX_CHARACTERS:
        _raise_too_large(f"{MAX_CHARACTERS:,} characters")
    tokens = list(_TOKEN.finditer(pattern))
    depth = 0
    for token in tokens:
        depth += {"open": 1, "refused": 1, "close": -1}.get(token.lastgroup or "", 0)
        if depth > MAX_DEPTH:
            _raise_too_large(f"{MAX_DEPTH} nested groups at position {token.start()}")
    brackets = sum(token.lastgroup == "bracket" for token in tokens)
    if brackets > MAX_CASELESS_CLASSES and re.search(r"\(\?[a-zA-Z]*i", pattern):
        _raise_too_large(f"{MAX_CASELESS_CLASSES} classes in [ ] while it ignores case")
    return tokens


def _compile(pattern: str, flags: int = 0) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about syntax that a later Python may read differently
            return re.compile(pattern, flags)
    except (OverflowError, ValueError, RecursionError):  # for example numbers of too many digits
        _raise_too_large()
    except re.error as error:
        raise OptionError(
            "{regex} is not a regular expression: {reason}",
            "correct it; a special character that means itself takes a backslash",
            reason=error,
        ) from error


def _apply_flags(flags: int, letters: str, position: int) -> int:
    """The flags inside (?letters:...)."""
    added, _, removed = letters.partition("-")
    if "x" in added:
        _raise_unsupported("the flag x", position)
    if "u" in added:
        flags &= ~re.ASCII
    for letter, flag in _FLAGS.items():
        flags = (flags | flag * (letter in added)) & ~(flag * (letter in removed))
    return flags


def _raise_unsupported(what: str, position: int) -> NoReturn:
    cure = "leave that out; the whole text has to match anyway"
    raise OptionError("{regex} has {what}", cure, what=f"{what} at position {position}")


def _raise_too_large(limit: str = f"{MAX_NODES:,} states, each copy of a repetition counted") -> NoReturn:
    raise OptionError("{regex} has more than {limit}", "give a simpler one", limit=limit)
