"""The options of a sample: their ranges, and errors in the words of Python or of the command line."""

import math
from typing import Any

import pytest

import charlm
from charlm.api import Model
from charlm.errors import OptionError, UsageError
from charlm.sampling.options import SampleKeywords, SamplingOptions, parse_temperature
from tests.processes import Commands
from tests.workspaces import RUN

WRONG: dict[str, list[Any]] = {
    "length": [-1, 10**9 + 1],
    "temperature": [-1, "hot", "0.5:101"],
    "top_k": [0],
    "top_p": [0.0, 1.5, math.nan],
    "min_p": [-0.1, 2],
    "typical_p": [0],
    "repetition_penalty": [0.5],
    "frequency_penalty": [101],
    "penalty_window": [0],
    "stop": [[""]],
    "regex": ["", "(", r"(a)\1", "a{100000}", r"[^\s\S]"],
    "must_contain": [[""], ["a" * 2001]],
    "only": [""],
    "never": ["".join(map(chr, range(0xD800))) + "".join(map(chr, range(0xE000, 0x110000)))],
    "seed": [-1],
    "precision": ["int4"],
}
"""Keyword -> values that it cannot take."""
TOO_LONG_TO_TYPE = {"never"}


def flag(keyword: str) -> str:
    return f"--{keyword.replace('_', '-')}"


@pytest.fixture
def model(toured: Commands) -> Model:
    return charlm.load(str(toured.folder / RUN))


def test_every_keyword_has_wrong_values() -> None:
    assert WRONG.keys() == SampleKeywords.__annotations__.keys()
    assert SamplingOptions.__annotations__.keys() == {"prompt", *WRONG}


@pytest.mark.parametrize("keyword", WRONG)
def test_errors_in_python_name_the_keyword(model: Model, keyword: str) -> None:
    for value in WRONG[keyword]:
        with pytest.raises(OptionError) as raised:
            model.sample(**{keyword: value})  # type: ignore[arg-type]
        assert keyword in str(raised.value)
        assert "--" not in str(raised.value)
        assert "{" not in str(raised.value).replace(repr(value), "")


@pytest.mark.parametrize("keyword", sorted(WRONG.keys() - TOO_LONG_TO_TYPE))
def test_errors_on_the_command_line_name_the_option(toured: Commands, keyword: str) -> None:
    value = WRONG[keyword][-1]
    given = value[0] if isinstance(value, list) else value
    error = toured.fail(2, "sample", f"{flag(keyword)}={given}")
    assert flag(keyword) in error
    assert "_" not in keyword or keyword not in error


def test_a_message_names_an_option_twice_and_keeps_braces_of_its_values() -> None:
    error = OptionError("{top_p} {value} is wrong", "leave {top_p} out", value="{top_p}{2}")
    assert str(error) == "top_p {top_p}{2} is wrong; leave top_p out"
    assert error.for_command_line() == ("--top-p {top_p}{2} is wrong", "leave --top-p out")


@pytest.mark.parametrize(
    "given", [{"regex": "a", "only": "b"}, {"must_contain": ["a"], "never": "b"}, {"regex": "a", "must_contain": ["a"]}]
)
def test_constraints_do_not_go_together(given: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="do not go together; express all of it in one regex"):
        SamplingOptions(**given)


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [("0.7", (0.7, None)), (0, (0, None)), ("0.5:1.2", (0.5, 1.2)), ("1:0", (1, 0))],
)
def test_a_temperature_is_read(temperature: float | str, expected: tuple[float, float | None]) -> None:
    assert parse_temperature(temperature) == expected


@pytest.mark.parametrize("text", ["", "hot", "1:2:3", ":", "1:", "nan", "inf", "0.5:-1", "1:nan", "101"])
def test_a_temperature_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="temperature"):
        parse_temperature(text)
