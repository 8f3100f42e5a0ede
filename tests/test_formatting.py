"""The formats of numbers, durations and names."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.formatting import BLOCKS, format_bar, format_count, format_duration, short_names, shorten
from charlm.printable import one_line


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, "–"), (0, "0"), (7, "7"), (950, "950"), (999.4, "999"), (999.9, "1k"), (12_345, "12.3k"),
     (999_949, "1M"), (4_560_000, "4.56M"), (2e9, "2G"), (0.05, "0.05"), (3e15, "3000T")],
)  # fmt: skip
def test_counts(number: float | None, text: str) -> None:
    assert format_count(number) == text


@given(st.floats(1, 1e14))
def test_a_count_is_the_number_to_three_digits(number: float) -> None:
    text = format_count(number)
    factor = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.get(text[-1], 1)
    assert float(text.rstrip("kMGT")) * factor == pytest.approx(number, rel=0.00501)
    assert len(text) <= 5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (float("inf"), "–"), (-3, "0 s"), (0, "0 s"), (8.4, "8 s"), (60, "1 min"), (725, "12 min 5 s"),
     (3599.6, "1 h"), (12_000, "3 h 20 min"), (187_200, "2 d 4 h"), (86_405, "1 d")],
)  # fmt: skip
def test_durations(seconds: float | None, text: str) -> None:
    assert format_duration(seconds) == text
    assert format_duration(725, 1) == "12 min"


@given(st.text(alphabet=st.characters()))
def test_a_line_is_one_line_that_can_be_written(text: str) -> None:
    line = one_line(text)
    assert len(line) == len(text)
    assert line.isprintable()
    line.encode("utf-8")


@given(st.text(max_size=80))
def test_short_names_keep_both_ends(name: str) -> None:
    short = shorten(name, 26)
    assert len(short) <= 26
    if len(name) <= 26:
        assert short == name
    else:
        first, _, last = short.partition("…") if "…" not in name else (name[:13], "", name[-12:])
        assert name.startswith(first)
        assert name.endswith(last)
        assert min(len(first), len(last)) >= 12


def test_short_names_are_unique(tmp_path: Path) -> None:
    a, other, checkpoint = tmp_path / "a", tmp_path / "x" / "a", tmp_path / "b" / "checkpoints" / "step-1"
    assert short_names([a, checkpoint]) == ["a", "b/step-1"]
    assert short_names([a, checkpoint, other]) == [str(a), "b/step-1", str(other)]


@given(fraction=st.floats(0, 1), width=st.integers(1, 40))
def test_a_bar_fills_its_columns_and_is_as_long_as_the_fraction(fraction: float, width: int) -> None:
    bar, plain = (format_bar(fraction, width, has_blocks=has_blocks) for has_blocks in (True, False))
    assert len(bar) == len(plain) == width
    eighths = sum(BLOCKS.index(character) + 1 for character in bar.rstrip())
    assert eighths == pytest.approx(8 * width * fraction, abs=0.5)
    assert plain.count("#") == pytest.approx(width * fraction, abs=0.5)
