"""The commonest first mistakes: what the message says to do works when it is done."""

import re
import shlex
from dataclasses import replace

import pytest

from tests.processes import Commands
from tests.workspaces import small_library

QUICK = shlex.split(
    "--set model.body.hidden_size=8 --set model.embedding.size=4 --set training.max_steps=3 "
    "--set training.validation_tokens=1000"
)
TEXT = "Call me Ishmael. Some years ago, never mind how long precisely. " * 60


@pytest.fixture
def novel(commands: Commands) -> Commands:
    """A folder with a plain text in it."""
    (commands.folder / "novel.txt").write_text(TEXT, encoding="utf-8")
    return commands


@pytest.mark.parametrize("arguments", [("prepare", "--input", "novel.txt"), ("inspect", "novel.txt")])
def test_plain_text_is_no_dump_and_the_message_knows_what_it_is(novel: Commands, arguments: tuple[str, ...]) -> None:
    message = novel.fail(3, *arguments)
    assert "give a .xml.bz2" in message
    cure = re.search(r"`charlm (prepare --source text --input novel\.txt)`", message)
    assert cure is not None, message
    novel.succeed(*cure[1].split())


def test_an_empty_file_is_no_plain_text(commands: Commands) -> None:
    (commands.folder / "empty.txt").touch()
    assert "--source text" not in commands.fail(3, "inspect", "empty.txt")


def test_a_stray_argument_of_prepare_is_an_input(novel: Commands) -> None:
    message = novel.fail(2, "prepare", "--source", "text", "novel.txt")
    assert "; write --input novel.txt, or see `charlm prepare --help`" in message
    novel.succeed("prepare", "--workers", "1", "--source", "text", "--input", "novel.txt")
    several = novel.fail(2, "prepare", "--source", "text", "novel.txt", "b.txt")
    assert "write --input before each" in several
    assert "--input" not in novel.fail(2, "train", "novel.txt")


@pytest.mark.parametrize("command", ["prepare", "train", "eval", "sample", "inspect", "report", "demo"])
def test_an_unknown_option_points_to_the_help_of_its_command(commands: Commands, command: str) -> None:
    assert commands.fail(2, command, "--no-such-option").endswith(f"; see `charlm {command} --help`")


@pytest.mark.parametrize("arguments", ["--no-such-option", "xyzzy"])
def test_an_unknown_command_points_to_the_help_of_all(commands: Commands, arguments: str) -> None:
    assert commands.fail(2, arguments).endswith("; see `charlm --help`")


def test_a_table_of_the_wrong_shape_is_no_bug(commands: Commands) -> None:
    for kind in ((), ("--source", "mix")):
        assert "corpus.source.sources" in commands.fail(2, "prepare", *kind, "--set", 'corpus.source.sources=["text"]')


def test_a_demo_after_another_one_says_how_it_can_be_done(novel: Commands) -> None:
    """Neither --out nor, in a folder that holds something else, --overwrite would help."""
    novel = replace(novel, library=small_library(novel.folder / "library"))
    novel.succeed("prepare", "--workers", "1", "--source", "text", "--input", "novel.txt", "--out", "data/sample")
    message = novel("demo", *QUICK).error
    assert re.search(
        r"data/sample was prepared .*; add --overwrite to run the demo from the beginning, or move data/sample", message
    )
    xz = novel.json("demo", *QUICK, "--overwrite")["xz_bits_per_character"]
    rows = novel.json("baseline", "sample", "--set", 'baselines=[{type="xz"}]')["rows"]
    assert xz == rows[1]["bits_per_character"], "what the demo shows beside its score is the baseline itself"
    message = novel("demo", *QUICK, "--set", "training.seed=5").error
    assert re.search(r"runs/sample was trained .*training\.seed.*; add --overwrite .* or move runs/sample", message)
    assert "--out" not in message


def test_what_inspect_says_of_a_vocabulary_is_a_line_each(novel: Commands) -> None:
    (novel.folder / "novel.txt").write_text("abc\n" * 2000, encoding="utf-8")
    novel.succeed("prepare", "--workers", "1", "--source", "text", "--input", "novel.txt")
    lines = novel.succeed("inspect", "novel").stdout.splitlines()
    for name in ("frequent characters", "frequent tokens", "rarest tokens"):
        (line,) = [line for line in lines if line.startswith(f"  {name} ")]
        assert r"'\n' 2k" in line or r"'\n' 1.8k" in line
    frequent = novel.json("inspect", "novel")["vocabulary"]["frequent"]
    assert frequent["\n"] == 2000
