"""Patterns mean the same as in Python; unsupported ones are refused with the position, hostile ones quickly."""

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from charlm.errors import UsageError
from charlm.sampling.constraints.regex_parser import EPSILON, MAX_CHARACTERS, MAX_DEPTH, MAX_NODES, Nfa, parse_regex

CHARACTERS = "abBkK\u212aſsйЙ1_ .\n-]{☃🙂"
ATOMS = st.sampled_from(
    r"a b k . \d \w \S \W [ab] [^a] [b-й] \. й ☃ 🙂 \x61 \u2603 \n [^\W\d] []a] [^]a] [\]a-] (?i:k) (?-i:k) (?s:.)"
    r" (?a:\w) (?i:[^k]) (?i:й) { \N{SNOWMAN} \141 \0 [\d.] (?#c) () s".split(" ")
)
QUANTIFIERS = st.sampled_from("* + ? {2} {1,} {,2} {1,3} {0} *? +? ?? {1,2}? {,}".split())
QUANTIFIED = st.tuples(ATOMS.filter(lambda atom: atom != "(?#c)"), QUANTIFIERS).map("".join)
BODIES = st.recursive(
    ATOMS | QUANTIFIED,
    lambda inner: (
        st.lists(inner, max_size=3).map("".join)
        | st.lists(inner, min_size=1, max_size=3).map(lambda branches: f"({'|'.join(branches)})")
        | st.tuples(inner, QUANTIFIERS).map(lambda parts: f"(?:{parts[0]}){parts[1]}")
    ),
    max_leaves=6,
)
PATTERNS = st.tuples(
    st.sampled_from(["", "", "(?i)", "(?s)", "(?is)", "(?a)", "^", r"(?i)\A"]),
    BODIES,
    st.sampled_from(["", "$", r"\Z"]),
).map("".join)
"""All of the supported syntax, small enough for Python's backtracking."""


def accepts(nfa: Nfa, text: str) -> bool:
    """Whether the nodes lead through the text to the end, by trying all of them."""
    return len(nfa.nodes) in after(nfa, text)


def after(nfa: Nfa, text: str) -> set[int]:
    live = reachable(nfa, {0})
    for character in text:
        live = reachable(nfa, {node + 1 for node in live if reads(nfa, node, character)})
    return live


def reads(nfa: Nfa, node: int, character: str) -> bool:
    if node == len(nfa.nodes) or nfa.nodes[node][0] == EPSILON:
        return False
    atom = nfa.atoms[nfa.nodes[node][0]]
    return atom == character if isinstance(atom, str) else atom.fullmatch(character) is not None


def reachable(nfa: Nfa, nodes: set[int]) -> set[int]:
    while True:
        more = {node + offset for node in nodes if node < len(nfa.nodes) for offset in nfa.nodes[node][1]}
        if more <= nodes:
            return nodes
        nodes |= more


@given(pattern=PATTERNS, data=st.data())
def test_a_pattern_matches_what_it_matches_in_python(pattern: str, data: st.DataObject) -> None:
    nfa = parse_regex(pattern)
    for text in data.draw(st.lists(st.text(st.sampled_from(CHARACTERS), max_size=5), min_size=5, max_size=5)):
        assert accepts(nfa, text) == (re.fullmatch(pattern, text) is not None), text


@given(pattern=PATTERNS, data=st.data())
def test_a_text_made_to_match_matches(pattern: str, data: st.DataObject) -> None:
    """Texts generated from the pattern; random texts rarely match."""
    flagless = re.sub(r"\\Z$|\$$|^\^", "", pattern)
    text = data.draw(st.from_regex(re.compile(flagless), fullmatch=True).filter(lambda text: len(text) < 12))
    assert accepts(parse_regex(pattern), text) == (re.fullmatch(pattern, text) is not None)


CORNERS = {
    "": [""],
    "^$": [""],
    "^a|b$|": ["a", "b", ""],
    "a|^b": ["a", "b"],
    "a{,2}": ["", "a", "aa"],
    "a{,}b": ["b", "aaab"],
    "a{": ["a{"],
    "a{}": ["a{}"],
    "a{1": ["a{1"],
    "a{1,2": ["a{1,2"],
    "a{x}": ["a{x}"],
    "a{ 1}": ["a{ 1}"],
    "]}": ["]}"],
    "[]]": ["]"],
    "[^]]": ["a"],
    "[a^-]+": ["-^a"],
    r"[\]\\]+": ["\\]"],
    r"[\b]": ["\b"],
    r"\07": ["\7"],
    r"\1234": ["S4"],
    r"\08": ["\x008"],
    r"[\1]": ["\1"],
    r"\\\.\*": ["\\.*"],
    r"\é\_\-\ \
": ["é_- \n"],
    "(?P<имя>a)(?:b)": ["ab"],
    "(?i)straße": ["STRAßE", "straẞe"],
    "(?i)ſ": ["s", "S", "ſ"],
    "(?i)[^a]": ["b", "B"],
    "(?s).(?-s:.)": ["\n.", "\n\u2028"],
    "(?i:a)b": ["Ab"],
    "(?i)a(?-i:b)": ["Ab"],
    "(?ims)a": ["A"],
    "(?i)(?s)a.": ["A\n"],
    "(?a)(?u:é)": ["é"],
    "(?u)\\w": ["é"],
    r"(?a)\w|(?u:\w)": ["é"],
    "(#|(?#(comment|)a)": ["#", "a"],
    "[[a]": ["[", "a"],
    "[a||b]": ["|"],
    "()|(){3}(|)*": [""],
    "(a|)(|b){2}": ["abb", "a", "b"],
    "\ud800|a": ["a"],
}


@pytest.mark.filterwarnings("ignore:Possible")
@pytest.mark.parametrize("pattern", CORNERS)
def test_corners_of_the_syntax(pattern: str) -> None:
    nfa = parse_regex(pattern)
    texts = {*CORNERS[pattern], *CHARACTERS, "ab", "aab", "\n\n", "a\n", pattern}
    matched = {text for text in texts if re.fullmatch(pattern, text) is not None}
    assert {text for text in texts if accepts(nfa, text)} == matched
    assert matched >= set(CORNERS[pattern])


def test_characters_without_case_equal_no_other_while_case_is_ignored() -> None:
    """They are compared directly, and `re` agrees; cased characters are left to `re`."""
    every = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x20000)]))
    cased = {character for character in every if not character.lower() == character == character.upper()}
    assert set(re.findall(f"[{''.join(sorted(cased))}]", every, re.IGNORECASE)) == cased


REFUSED = {
    r"(a)b\1": ("back-reference", 4),
    r"(a)\18?": ("regular expression", 4),
    r"(?P<n>a)(?P=n)": ("back-reference", 8),
    "a(?=b)": ("look-around", 1),
    "a(?!b)": ("look-around", 1),
    "(?<=a)b": ("look-around", 0),
    "(?<!a)b": ("look-around", 0),
    r"a\b": ("word boundary", 1),
    r"a\B": ("word boundary", 1),
    "a++": ("possessive", 1),
    "a{2}+": ("possessive", 1),
    "(?>a)": ("atomic", 0),
    "(a)?(?(1)b|c)": ("condition", 4),
    "a^b": (r"\^ inside", 1),
    "a$b": ("anchor inside", 1),
    r"\Za": ("anchor inside", 0),
    "(^a)": (r"\^ inside", 1),
    "(a$)*": (r"\$ inside", 2),
    "(?x)a b": ("flag x", 0),
    "a(?x:a b)": ("flag x", 1),
    "(": ("missing \\), unterminated subpattern", 0),
    "a)": ("unbalanced parenthesis", 1),
    "[a": ("unterminated character set", 0),
    "[b-a]": ("bad character range", 1),
    "*a": ("nothing to repeat", 0),
    "a**": ("multiple repeat", 2),
    "a{2}{3}": ("multiple repeat", 4),
    "a{3,2}": ("min repeat greater than max repeat", 2),
    "\\": ("bad escape", 0),
    r"\q": ("bad escape", 0),
    "a(?i)": ("global flags not at the start", 1),
    "(?L)a": ("cannot use 'L' flag", 3),
}


@pytest.mark.parametrize("pattern", REFUSED)
def test_unsupported_syntax_is_refused_with_its_position(pattern: str) -> None:
    what, place = REFUSED[pattern]
    with pytest.raises(UsageError, match=f"{what}.* at position {place}"):
        parse_regex(pattern)


HUGE = {
    "a count": "a{1,100000000}",
    "a count in one direction": "a{100000000,}",
    "counts of counts": "((((a{99}){99}){99}){99}){99}",
    "a count that is no number of re": "a{99999999999}",
    "a count that is no number of Python": "a{" + "9" * 5000 + "}",
    "a long text": "ab" * MAX_CHARACTERS,
    "many groups": "(" * (MAX_DEPTH + 1) + "a" + ")" * (MAX_DEPTH + 1),
    "groups that never end": "(" * MAX_CHARACTERS,
    "look-arounds that never end": "(?=" * (MAX_CHARACTERS // 3),
    "classes of wide ranges": "(?i)" + "[\0-\U0010ffff]" * 1000,
    "different classes": "".join(f"[^{chr(0x4E00 + number)}]" for number in range(1000)),
    "classes inside a class": "(" + "[" * (MAX_CHARACTERS - 1),
    "quantifiers": "*" * MAX_CHARACTERS,
    "a sum": f"a{{{MAX_NODES // 2}}}" * 3,
}


@pytest.mark.parametrize("kind", HUGE)
def test_a_pattern_that_is_too_large_is_refused_quickly(kind: str) -> None:
    start = time.process_time()
    with pytest.raises(UsageError):
        parse_regex(HUGE[kind])
    assert time.process_time() - start < 3


@pytest.mark.filterwarnings("ignore:Possible")
@given(pattern=st.text(st.sampled_from("ab()[]{}|*+?^$.\\-,:<>=!#PNxi01☃") | st.characters(), max_size=20))
@example(pattern="(?(")
@example(pattern="(?P<")
@example(pattern="\\N{")
def test_any_text_is_refused_or_means_the_same_as_in_python(pattern: str) -> None:
    try:
        nfa = parse_regex(pattern)
    except UsageError:
        return
    for text in ("", "a", "ab", "b☃", pattern):
        assert accepts(nfa, text) == (re.fullmatch(pattern, text) is not None)


def test_the_largest_patterns_allowed() -> None:
    deep = "(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH
    assert accepts(parse_regex(deep + "+"), "aaa")
    assert len(parse_regex(f"a{{{MAX_NODES}}}").nodes) == MAX_NODES
    assert len(parse_regex("(?:ab?){0,100}").nodes) == 400


def test_one_node_of_a_long_repetition_is_active_at_a_time() -> None:
    nfa = parse_regex("a{2,2000}b?")
    assert [node for node in after(nfa, "aaa") if reads(nfa, node, "a")] == [5]
