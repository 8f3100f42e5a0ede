"""Random sets of options of `charlm sample`, valid and invalid: the text obeys them, or one line says why it cannot."""

import json
import random
import re
from typing import Any

import pytest

from tests.processes import Commands, assert_one_error

LETTERS = "абвгдежзиклмнопрстуя .café東🙂\n"
REGEXES = (
    *(
        r"[А-Я][а-я ]{3,20}\.",
        r"\d{4}-\d\d",
        r"(да|нет)+",
        r".*",
        r"(?s).{5}",
        "東京|café",
        r"[^\n]{0,9}🙂?",
        "",
        "a{200}",
    ),
    *("(", "[", r"(a)\1", "(?=a)b", "a{1,999999999}", "(" * 500 + ")" * 500, "\\", "[z-a]", r"[^\s\S]"),
)


def number(chance: random.Random, *sensible: object) -> str:
    wrong = ("-1", "nan", "inf", "1e308", "", "many", "0x1", "9" * 400, "-0", "1e-320")
    return str(chance.choice(sensible if chance.random() < 0.9 else wrong))


def text(chance: random.Random) -> str:
    return "".join(chance.choices(LETTERS, k=chance.randint(0, 8)))


def options(chance: random.Random) -> list[str]:
    """A random set of options, most of them left out."""
    given = [f"--length={number(chance, 0, 1, 7, 60)}"]
    every = [
        lambda: [f"--temperature={number(chance, 0, 0.3, 1, 5, 100, '0.5:1.2', '1:0', '0:0')}"],
        lambda: [f"--top-k={number(chance, 1, 3, 10_000)}"],
        lambda: [f"--top-p={number(chance, 0.1, 0.9, 1)}"],
        lambda: [f"--min-p={number(chance, 0, 0.05, 1)}"],
        lambda: [f"--typical-p={number(chance, 0.2, 1)}"],
        lambda: [f"--repetition-penalty={number(chance, 1, 1.3)}"],
        lambda: [f"--frequency-penalty={number(chance, -0.5, 0, 0.2)}"],
        lambda: [f"--penalty-window={number(chance, 1, 64)}"],
        lambda: ["--prompt", text(chance)],
        lambda: [part for _ in range(chance.randint(1, 3)) for part in ("--stop", text(chance) or "а")],
        lambda: ["--regex", chance.choice(REGEXES)],
        lambda: [part for _ in range(chance.randint(1, 3)) for part in ("--must-contain", text(chance))],
        lambda: ["--only", text(chance)],
        lambda: ["--never", text(chance)],
        lambda: [f"--count={number(chance, 1, 3)}"],
        lambda: [f"--best-of={number(chance, 1, 4)}"],
        lambda: [f"--beams={number(chance, 1, 3)}"],
        lambda: ["--deterministic"],
        lambda: ["--novelty", chance.choice(("", "texts", "elsewhere"))],
        lambda: ["--precision", chance.choice(("fp32", "int8", "bf16", "int4"))],
        lambda: [f"--seed={number(chance, 0, 1, 2**63 - 1)}"],
        lambda: ["--interactive"],
    ]
    weights = [1.0] * (len(every) - 1) + [0.1]
    for make in chance.choices(every, weights, k=chance.choice((0, 1, 1, 2, 2, 3, 5))):
        given += make()
    return given


def value(given: list[str], name: str) -> list[str]:
    """All values that were given for an option."""
    return [given[place + 1] for place, part in enumerate(given) if part == name]


def check(given: list[str], found: dict[str, Any]) -> None:
    """Whether the result obeys the options."""
    length = int(next(part for part in given if part.startswith("--length=")).partition("=")[2])
    for each in found.get("texts", [found]):
        written: str = each["text"]
        written.encode("utf-8")
        assert len(written) <= length, given
        stops = value(given, "--stop")
        assert not any(stop in written for stop in stops), given
        if only := value(given, "--only"):
            assert set(written) <= set(only[-1]), given
        if never := value(given, "--never"):
            assert not set(written) & set(never[-1]), given
        if not stops and (regex := value(given, "--regex")):
            assert re.fullmatch(regex[-1], written), (given, written)
        if not stops:
            assert all(part in written for part in value(given, "--must-contain")), (given, written)
        if not any(value(given, name) for name in ("--stop", "--regex", "--must-contain")):
            assert len(written) == length, given


@pytest.mark.parametrize(("first", "count"), [(0, 40), pytest.param(40, 5_000, marks=pytest.mark.faults)])
def test_random_options(toured: Commands, first: int, count: int) -> None:
    done = refused = 0
    for seed in range(first, first + count):
        given = options(random.Random(seed))
        ended = toured("sample", *given, "--json")
        if ended.code == 0:
            assert ended.stderr == "", (seed, given, ended)
            check(given, json.loads(ended.stdout))
            done += 1
            continue
        assert ended.code in (2, 3), (seed, given, ended)
        assert ended.stdout == "", (seed, given)
        assert_one_error(ended.stderr)
        assert "Traceback" not in ended.stderr
        assert "a bug in charlm" not in ended.stderr, (seed, given, ended)
        refused += 1
    print(f"{done} written, {refused} refused")  # noqa: T201 - the figure, with -s
    assert done > count / 3
    assert refused > count / 10
