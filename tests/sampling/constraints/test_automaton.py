"""Automata compared with Python's matching and brute force: accepted texts, distances, UTF-8 prefixes."""

import random
import re
import time
from collections.abc import Callable
from functools import cache, reduce
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from charlm.errors import UsageError
from charlm.sampling.constraints.must_contain import MAX_CHARACTERS, MAX_TEXTS, MustContainAutomaton
from charlm.sampling.constraints.regex_automaton import RegexAutomaton
from charlm.sampling.constraints.utf8_automaton import TextAutomaton, TextState
from tests.sampling.constraints.test_regex_parser import CHARACTERS, PATTERNS

BYTES = [bytes([byte]) for byte in range(256)]
LONGEST = 5
STRINGS = ["".join(letters) for size in range(LONGEST + 1) for letters in product("ab", repeat=size)]
ANY = RegexAutomaton("(?s).*")


def automaton_of(pattern: str, spellable: str | None = None) -> RegexAutomaton | None:
    """None if no text matches."""
    try:
        return RegexAutomaton(pattern, spellable)
    except UsageError:
        return None


def after(automaton: TextAutomaton[Any], text: str) -> TextState[Any] | None:
    return automaton.step(automaton.start, text.encode())


def completed(automaton: TextAutomaton[Any], state: TextState[Any], chance: random.Random) -> bytes:
    """Random bytes that lower the distance until the text is accepted."""
    data = b""
    while distance := automaton.distance(state):
        nexts = [(byte, new) for byte in BYTES if (new := automaton.step(state, byte)) is not None]
        nearer = [(b, new) for b, new in nexts if automaton.distance(new) + (not new.pending) <= distance]
        assert nearer, "some byte leads nearer"
        byte, state = chance.choice(nearer)
        data += byte
    return data


# ---- regular expressions


@given(pattern=PATTERNS, texts=st.lists(st.text(st.sampled_from(CHARACTERS), max_size=5), min_size=5, max_size=5))
def test_a_text_is_accepted_if_python_matches_it(pattern: str, texts: list[str]) -> None:
    automaton = automaton_of(pattern)
    for text in texts:
        state = None if automaton is None else after(automaton, text)
        accepted = automaton is not None and state is not None and automaton.distance(state) == 0
        assert accepted == (re.fullmatch(pattern, text) is not None), text


@given(pattern=PATTERNS, text=st.text(st.sampled_from(CHARACTERS), max_size=4), seed=st.integers(0, 9))
@hypothesis_settings(max_examples=60)
def test_a_prefix_can_be_completed_in_as_many_characters_as_its_distance(pattern: str, text: str, seed: int) -> None:
    automaton = automaton_of(pattern)
    state = None if automaton is None else after(automaton, text)
    if automaton is None or state is None:
        return
    data = completed(automaton, state, random.Random(seed))
    assert re.fullmatch(pattern, text + data.decode()) is not None
    assert len(data.decode()) == automaton.distance(state)


@given(pattern=PATTERNS, seed=st.integers(0, 99))
@hypothesis_settings(max_examples=60)
def test_every_prefix_of_a_match_can_be_completed(pattern: str, seed: int) -> None:
    """Byte by byte, or in steps that end anywhere."""
    automaton = automaton_of(pattern)
    if automaton is None:
        return
    data = completed(automaton, automaton.start, random.Random(seed))
    states = [automaton.step(automaton.start, data[:place]) for place in range(len(data) + 1)]
    for place, state in enumerate(states):
        assert state is not None
        begun = data[:place].decode(errors="ignore")
        assert automaton.distance(state) <= len(data.decode()) - len(begun)
        assert [automaton.step(state, data[place:end]) for end in range(place, len(data) + 1)] == states[place:]


@given(pattern=PATTERNS)
@hypothesis_settings(max_examples=60)
def test_the_distance_is_the_minimum_over_all_texts(pattern: str) -> None:
    """With two letters that can be spelled; a text without completion is refused at its first wrong letter."""
    matching = {text for text in STRINGS if re.fullmatch(pattern, text) is not None}
    automaton = automaton_of(pattern, "ab")
    if automaton is None:
        assert not matching
        return
    for text in STRINGS:
        state = after(automaton, text)
        least = min((len(match) - len(text) for match in matching if match.startswith(text)), default=None)
        if state is None or automaton.distance(state) > LONGEST - len(text):
            assert least is None
        else:
            assert automaton.distance(state) == least


CLASSES = [
    "[я☃🙂]", r"[^\W\d]", r"\d", r"\W", r"\s", "(?i)[^k]", "[\U000e0100-\U0010ffff]", r"[\U000fabcd]", r"\N{TAG SPACE}",
    "[^\u0800-\U0003fffe]", "\u07ff", "\U00010000", "\U0010ffff", "[\ud7ff-\ue000]",
]  # fmt: skip


@pytest.mark.parametrize("pattern", CLASSES)
def test_the_first_bytes_of_a_character_are_allowed_if_it_has_some(pattern: str) -> None:
    automaton = RegexAutomaton(pattern)
    expected = prefixes("".join(re.findall(pattern, every_character())))
    few = [begun for begun in sorted(every_prefix()) if len(begun) == 3][::23]
    for begun in {*(begun for begun in every_prefix() if len(begun) < 3), *few, *sorted(expected)[-200:]}:
        state = automaton.step(automaton.start, begun)
        assert (state is not None) == (begun in expected), begun
        assert state is None or automaton.distance(state) == 1


def prefixes(characters: str) -> set[bytes]:
    """All proper prefixes of their UTF-8."""
    points = np.frombuffer(characters.encode("utf-32-le"), dtype="<u4")
    blocks = np.unique(points >> 6).tolist()  # characters of a block differ in their last byte only
    encoded = [chr(block << 6).encode() for block in blocks]
    return {data[:size] for data in encoded for size in range(1, len(data))}


@cache
def every_character() -> str:
    return "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))


@cache
def every_prefix() -> set[bytes]:
    return prefixes(every_character())


def test_bytes_that_are_not_utf8_are_refused() -> None:
    valid = every_prefix() | {chr(point).encode() for point in range(0x800)}
    for first in BYTES:
        assert (ANY.step(ANY.start, first) is not None) == (first in valid)
        for second in BYTES:
            pair = first + second
            expected = pair in valid or (first in valid and first < b"\x80" and second in valid)
            assert (ANY.step(ANY.start, pair) is not None) == expected, pair
    for data in (b"\xed\xa0", b"\xf4\x90\x80\x80", b"\xe2\x82\xe2", b"\xf0\x9f\x99a", b"a\x80"):
        assert ANY.step(ANY.start, data) is None
        assert MustContainAutomaton(["€🙂"]).step(TextState(("", 1), b""), data) is None


def test_an_empty_class_matches_no_text() -> None:
    automaton = RegexAutomaton(r"a|b[^\s\S]|c(d|[^\w\W]*)|\ud800")
    assert {first for first in "abcd" if after(automaton, first) is not None} == {"a", "c"}
    with pytest.raises(UsageError, match="no text matches"):
        RegexAutomaton(r"a[^\s\S]+")


def test_only_characters_that_can_be_spelled_count() -> None:
    assert RegexAutomaton("☃|(x|я){5}", "xyz").distance(RegexAutomaton("☃|(x|я){5}", "xyz").start) == 5
    assert RegexAutomaton("☃|x{5}").restrict_to("xyz").start == RegexAutomaton("☃|x{5}", "xyz").start
    with pytest.raises(UsageError, match="no text of the characters"):
        RegexAutomaton("☃+").restrict_to("xyz")
    with pytest.raises(UsageError, match=r"'☃'.*byte_fallback"):
        MustContainAutomaton(["x☃"]).restrict_to("xyz")


HOSTILE = [
    *["(a*)*b", "(a|a)*b", "(a|aa)+b", "((a+)+)+b", "(.*)*.*b", "(a?){99}a{99}b?", "(.?){500}", "(a|b)*a(a|b){99}"],
    "(" * 100 + "a" + ")*" * 100,
]


@pytest.mark.parametrize("pattern", HOSTILE)
def test_patterns_of_exponential_backtracking_are_fast(pattern: str) -> None:
    start = time.process_time()
    assert after(RegexAutomaton(pattern), "a" * 198) is not None
    assert time.process_time() - start < 6


# ---- texts that must be contained


@given(texts=st.lists(st.text("ab", max_size=3), max_size=4))
@hypothesis_settings(max_examples=60)
def test_the_distance_to_all_texts_is_the_minimum_over_all_orders(texts: list[str]) -> None:
    automaton = MustContainAutomaton(texts)
    wanted = {text for text in STRINGS if all(part in text for part in texts)}
    for text in STRINGS:
        state = after(automaton, text)
        assert state is not None
        distance = automaton.distance(state)
        least = min((len(match) - len(text) for match in wanted if match.startswith(text)), default=None)
        assert least is None if distance > LONGEST - len(text) else distance == least


@given(
    texts=st.lists(st.text("абв☃", min_size=1, max_size=6), max_size=20),
    prompt=st.text("абв☃🙂x", max_size=8),
    seed=st.integers(0, 99),
)
@hypothesis_settings(max_examples=30)
def test_many_texts_are_reached_too(texts: list[str], prompt: str, seed: int) -> None:
    automaton = MustContainAutomaton(texts)
    state = after(automaton, prompt)
    assert state is not None
    written = prompt.encode() + completed(automaton, state, random.Random(seed))
    assert all(text in written.decode() for text in texts)
    assert len(written.decode()) - len(prompt) <= automaton.distance(state) <= sum(map(len, texts))


@given(texts=st.lists(st.text("abc", min_size=2, max_size=4), min_size=3, max_size=6))
@hypothesis_settings(max_examples=40)
def test_the_distance_from_the_start_is_that_of_the_best_order(texts: list[str]) -> None:
    automaton = MustContainAutomaton(texts)
    assert automaton.distance(automaton.start) == min(len(reduce(joined, order, "")) for order in permutations(texts))


def joined(text: str, other: str) -> str:
    """The shortest text that begins with one and contains the other."""
    if other in text:
        return text
    return next(text + other[size:] for size in range(len(other), -1, -1) if text.endswith(other[:size]))


def test_too_many_texts_are_refused_and_as_many_as_allowed_are_quick() -> None:
    for texts in (["a"] * (MAX_TEXTS + 1), ["a" * (MAX_CHARACTERS + 1)]):
        with pytest.raises(UsageError, match="must_contain has"):
            MustContainAutomaton(texts)
    start = time.process_time()
    size = MAX_CHARACTERS // MAX_TEXTS
    automaton = MustContainAutomaton([f"{number:02}" + "a" * (size - 2) for number in range(MAX_TEXTS)])
    assert automaton.distance(automaton.start) == size * MAX_TEXTS
    assert time.process_time() - start < 3


@pytest.mark.parametrize("make", [lambda: RegexAutomaton("(ab)*☃"), lambda: MustContainAutomaton(["ab☃"])])
def test_states_are_values(make: Callable[[], TextAutomaton[Any]]) -> None:
    data = "ab☃".encode()[:4]
    states = {automaton.step(automaton.start, data) for automaton in (make(), make())}
    assert len(states) == 1
    assert None not in states
