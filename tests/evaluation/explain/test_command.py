"""`charlm explain`, as it is used."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.processes import Channel, Commands

TEXT = "он был съешь café 東京 🙂"


def test_the_figures_are_those_of_eval(toured: Commands, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT.encode())
    run = ("tiny-texts", "--device", "cpu", "--text", str(path))
    score, found = toured.json("eval", *run), toured.json("explain", *run, "--top", "2")
    assert found["nats"] == pytest.approx(score["nats"], rel=1e-5)
    for name in ("run", "tokens", "characters", "words", "bytes"):
        assert found[name] == score[name]
    assert sum(row["bits"] for row in found["surprisals"]) / len(TEXT) == pytest.approx(found["bits_per_character"])
    assert {len(row["alternatives"]) for row in found["surprisals"]} == {2}
    assert toured.json("explain", "tiny-texts", TEXT, "--device", "cpu", "--top", "2") == found


def test_without_a_terminal_there_is_a_summary(toured: Commands, tmp_path: Path) -> None:
    ended = toured.succeed("explain", "tiny-texts", TEXT)
    assert ended.stdout.splitlines()[0].endswith("22 characters, 23 tokens")
    assert ended.stdout.count("expected") == 5
    assert "\x1b" not in ended.stdout
    assert ended.stderr == ""


def on_terminal(commands: Commands, text: str, **environment: str) -> str:
    """Return what a terminal of that kind gets to show."""
    channel = Channel(80)
    unset = {"NO_COLOR": "", "COLORTERM": "", "COLORFGBG": ""}  # empty is as good as unset
    ended = replace(commands, environment={**commands.environment, **unset, **environment})(
        "explain", "tiny-texts", text, out=channel
    )
    assert ended.code == 0, ended
    return ended.stdout


def test_a_terminal_shows_colours_and_nothing_else_of_the_text(toured: Commands) -> None:
    shown = on_terminal(toured, TEXT + "\x1b]0;t\x07\u202e", TERM="xterm", COLORTERM="truecolor")
    text = re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert text.startswith(TEXT + r"\x1b]0;t\x07\u202e<eod>" + "\r\n")
    assert "\x1b" not in text
    assert "\x1b[48;2;" in shown
    assert re.search(r"bits 0 +2 +4 ", text)


def test_a_terminal_without_colours_gets_the_summary(toured: Commands) -> None:
    shown = on_terminal(toured, TEXT, TERM="xterm", NO_COLOR="1")
    assert shown.replace("\r\n", "\n") == toured.succeed("explain", "tiny-texts", TEXT).stdout


def test_the_page_is_written_only_where_it_is_asked_for(toured: Commands, tmp_path: Path) -> None:
    before = sorted(toured.folder.iterdir())
    page = tmp_path / "page.html"
    ended = toured.succeed("explain", "tiny-texts", TEXT, "--out", str(page))
    assert ended.stderr == f"wrote {page}; open it in a browser\n"
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert sorted(toured.folder.iterdir()) == before
    content = json.loads(toured.succeed("explain", "tiny-texts", "a", "--json", "--out", str(page)).stdout)
    assert content["text"] == "a"


def test_what_is_wrong_is_said(toured: Commands, tmp_path: Path) -> None:
    assert "the text is missing" in toured.fail(2, "explain", "tiny-texts")
    assert "both give a text" in toured.fail(2, "explain", "tiny-texts", "a", "--text", "b")
    assert "no text file" in toured.fail(2, "explain", "tiny-texts", "--text", str(tmp_path / "none"))
    assert "no run" in toured.fail(2, "explain", "other", "a")
    assert "the text is empty" in toured.fail(3, "explain", "tiny-texts", "")
    assert "the text is empty" in toured.fail(3, "explain", "tiny-texts", "-"), "standard input is empty"
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    assert "byte 3" in toured.fail(3, "explain", "tiny-texts", "--text", str(tmp_path / "latin.txt"))
    (tmp_path / "long.txt").write_bytes(b"a" * 1_000_001)
    assert "at most 1,000,000" in toured.fail(2, "explain", "tiny-texts", "--text", str(tmp_path / "long.txt"))
    assert "no folder" in toured.fail(2, "explain", "tiny-texts", "a", "--out", str(tmp_path / "x" / "y.html"))
