"""`charlm inspect` for people: headings, tables and bars, with every figure of --json or its first ones."""

import io
import re
import sys

import pytest

from charlm import terminal
from charlm.workflows.inspection_text import format_inspection
from tests.processes import Commands
from tests.workspaces import DATA

HEADINGS = [
    "Splits",
    "Vocabulary",
    "N-grams of words",
    "Activation level",
    "Origin",
    "Documents",
    "Encoded from",
    "Identity",
]
COMBINERS = ("sum", "mean", "sqrt")


@pytest.fixture(scope="module")
def ngrams(toured: Commands, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """The corpus of the tour, encoded as words with n-grams."""
    commands = toured.within(tmp_path_factory.mktemp("ngrams"))
    commands.succeed("prepare", "--data", str(toured.folder / DATA), "--vocab", "ngram", "--out", "data/ngrams")
    return commands


def sections(text: str) -> dict[str, list[str]]:
    """Heading -> lines; the first part has the heading of the whole."""
    blocks = [block.splitlines() for block in text.strip().split("\n\n")]
    return {heading: lines for heading, *lines in blocks}


def find(parts: dict[str, list[str]], heading: str) -> list[str]:
    (lines,) = [lines for name, lines in parts.items() if name.startswith(heading)]
    return lines


def test_a_corpus_has_headings_with_its_splits_first(ngrams: Commands) -> None:
    text = ngrams.succeed("inspect", "data/ngrams").stdout
    title, *headings = sections(text)
    assert title == "data/ngrams: corpus"
    assert [next(name for name in HEADINGS if heading.startswith(name)) for heading in headings] == HEADINGS
    assert all(len(line) <= 120 for line in text.splitlines())


def test_each_split_is_a_line_with_its_sizes_and_its_coverage(ngrams: Commands) -> None:
    found = ngrams.json("inspect", "data/ngrams")
    head, *rows = find(sections(ngrams.succeed("inspect", "data/ngrams").stdout), "Splits")
    assert len(rows) == len(found["splits"]) == 3
    for row, (name, counts) in zip(rows, found["splits"].items(), strict=True):
        usage = found["vocabulary"]["splits"][name]
        label, documents, characters, words, size, per_character, coverage, *_ = row.split()
        assert label == name
        assert [documents, characters, words, size] == [f"{counts[key]:,}" for key in counts]
        assert float(per_character) == pytest.approx(usage["tokens_per_character"], abs=5e-5)
        assert float(coverage) == pytest.approx(100 * usage["coverage"], abs=5e-3)
    assert len({len(line) for line in (head, *rows)}) == 1, "columns line up"


@pytest.mark.parametrize(("encoding", "has_blocks"), [("utf-8", True), ("cp437", False), ("latin-1", False)])
def test_blocks_are_drawn_where_the_terminal_has_them(
    monkeypatch: pytest.MonkeyPatch, encoding: str, has_blocks: bool
) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert terminal.has_blocks() is has_blocks


@pytest.mark.parametrize(("has_blocks", "bar"), [(True, "[▏▎▍▌▋▊▉█]+"), (False, "#+")])
def test_levels_are_bars(ngrams: Commands, has_blocks: bool, bar: str) -> None:
    found = ngrams.json("inspect", "data/ngrams")
    levels = found["vocabulary"]["ngrams"]["activation_level"]
    head, *rows = find(sections("\n".join(format_inspection(found, has_blocks=has_blocks))), "Activation level")
    assert head.split() == ["letters", *COMBINERS]
    assert len(rows) == len(levels["sum"])
    lengths: list[tuple[float, int]] = []
    for row in rows:
        letters, *pairs = row.split()
        assert len(pairs) == 2 * len(COMBINERS)
        for combiner, drawn, value in zip(COMBINERS, pairs[::2], pairs[1::2], strict=True):
            assert re.fullmatch(bar, drawn)
            assert float(value) == pytest.approx(levels[combiner][letters], abs=5e-3)
            lengths.append((levels[combiner][letters], len(drawn)))
    drawn_lengths = [length for _, length in sorted(lengths)]
    assert drawn_lengths == sorted(drawn_lengths), "a higher level has no shorter bar"
    assert drawn_lengths[0] < drawn_lengths[-1]


def test_a_corpus_without_ngrams_has_no_empty_sections(toured: Commands) -> None:
    parts = sections(toured.succeed("inspect", "texts").stdout)
    assert not any(name.startswith(("N-grams", "Activation")) for name in parts)
    assert all(parts[name] for name in list(parts)[1:])


def test_a_checkpoint_shows_its_network_before_its_settings(toured: Commands) -> None:
    headings = list(sections(toured.succeed("inspect", "tiny-texts").stdout))
    assert headings[1:] == ["Trained on", "Network", "Settings"]


def test_every_value_of_a_dump_has_a_line() -> None:
    dump = {"kind": "dump", "path": "x.bz2", "pages": 1234, "namespaces": {"0": 7, "10": 1}, "models": {}}
    lines = format_inspection(dump, has_blocks=True)
    assert lines == ["x.bz2: dump", "  pages  1,234", "", "Namespaces", "  0   7", "  10  1"]
