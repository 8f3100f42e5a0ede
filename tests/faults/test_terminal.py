"""Output to terminals, pipes, and terminals with old encodings."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from charlm.storage import read_json
from tests.processes import Channel, Commands
from tests.workspaces import RUN

LONG = ("train", "--config", "tiny", "--set", "training.max_steps=150")


def lines_of(screen: str) -> list[str]:
    """The successive contents of one line of a terminal."""
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", screen))


def run(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """A fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-m", "charlm", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        timeout=120,
    )


# ---- bars


@pytest.mark.parametrize("columns", [80, 40, 20])
def test_the_bar_of_training_fits_the_terminal(workspace: Commands, columns: int) -> None:
    ended = workspace(*LONG, err=Channel(columns))
    assert ended.code == 0
    lines = lines_of(ended.stderr)
    bars = [line for line in lines if re.match(r" *\d+%\|", line)]
    assert len(bars) > 3
    assert all("step" in line for line in bars[1:])
    assert ("left" in bars[-1]) == (columns == 80)
    assert max(map(len, bars)) <= columns - 2  # room for the ^C that a terminal echoes
    shares = [int(line[:3]) for line in bars]
    assert shares == sorted(shares)
    notes = [line for line in lines if "validation" in line and "%" not in line]
    assert [int(re.findall(r"step (\d+)", note)[0]) for note in notes] == list(range(30, 151, 10))
    assert ended.stdout.startswith(f"{RUN}: 150 steps")


@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize("command", [("prepare", "--config", "tiny", "--overwrite"), ("eval", "--split", "train")])
def test_other_bars_fit_the_terminal_and_vanish(workspace: Commands, columns: int, command: tuple[str, ...]) -> None:
    plain = workspace(*command, *(("--workers", "1") if command[0] == "prepare" else ()))
    ended = workspace(*command, err=Channel(columns))
    assert ended.code == 0
    assert ended.stdout == plain.stdout
    lines = lines_of(ended.stderr)
    assert any("documents" in line or "scoring" in line for line in lines)
    bars = [line for line in lines if not line.startswith("runs/")]  # the rest is a note
    assert max(map(len, bars)) <= columns
    assert bars[-1].strip() == ""
    assert ": :" not in ended.stderr


def test_without_a_terminal_there_are_lines_and_no_bar(workspace: Commands) -> None:
    trained = workspace.succeed(*LONG)
    assert not set("\r\x1b█|") & set(trained.stderr)
    assert re.search(r"^ +\d+% step \d+ · loss .* left$", trained.stderr, re.MULTILINE)
    for command in (("prepare", "--config", "tiny", "--overwrite"), ("eval",), ("sample", "--length", "5")):
        assert workspace.succeed(*command).stderr == ""


def test_json_is_quiet_even_on_a_terminal(workspace: Commands) -> None:
    for command in (LONG, ("eval",)):
        ended = workspace(*command, "--json", err=Channel(80))
        assert (ended.code, ended.stderr) == (0, "")


# ---- characters


def test_control_characters_are_escaped_only_on_a_terminal(toured: Commands) -> None:
    prompt = "\x1b]0;title\x07 \x9b31m \u202eобратно\r\x00"
    command = ("sample", "--length", "5", "--prompt", prompt.replace("\x00", ""))
    piped = toured(*command).stdout
    assert piped.startswith(prompt.replace("\x00", ""))
    shown = toured(*command, out=Channel(80)).stdout
    assert shown.startswith(r"\x1b]0;title\x07 \x9b31m \u202eобратно\r")
    assert not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e]|\r(?!\n)", shown)


def test_what_a_model_writes_is_escaped_too(commands: Commands) -> None:
    """The model was trained on escape sequences only."""
    (commands.folder / "input.txt").write_text("\x1b[31m\x07" * 2_000, encoding="utf-8")
    commands.succeed("prepare", "--workers", "1", "--source", "text", "--input", "input.txt")
    tiny = "--set model.body.hidden_size=16 --set training.max_steps=60 --set training.batch_size=4".split()
    commands.succeed("train", *tiny)
    piped = commands("sample", "--length", "200").stdout
    assert "\x1b" in piped
    shown = commands("sample", "--length", "200", out=Channel(80)).stdout
    assert shown.replace("\r\n", "\n") == piped.replace("\x1b", r"\x1b").replace("\x07", r"\x07")


def test_spaces_and_joiners_of_many_scripts_are_not_escaped(toured: Commands) -> None:
    prompt = "100\u00a0км, می\u200cخواهم, 👩\u200d👩\u200d👧, e\u0301, so\u00adft"
    shown = toured("sample", "--length", "0", "--prompt", prompt, out=Channel(80)).stdout
    assert shown == prompt + "\r\n"


def test_control_characters_in_errors_are_escaped(toured: Commands) -> None:
    ended = toured("train", "--config", "\x1b[2J", "--data", "\x07")
    assert ended.code == 2
    assert "\x1b" not in ended.stderr
    ended = toured("prepare", "--source", "text", "--input", "\x1b[2J\nnext")
    assert ended.stderr == "charlm: error: no file matches \\x1b[2J next; check the pattern given with --input\n"


@pytest.mark.parametrize(
    ("environment", "encoding"),
    [
        ({"PYTHONIOENCODING": "latin-1"}, "latin-1"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "ascii"),
    ],
)
def test_an_encoding_that_lacks_the_characters(toured: Commands, environment: dict[str, str], encoding: str) -> None:
    expected = toured.succeed("sample", "--length", "40", "--prompt", "d'ou").stdout
    ended = run(toured.folder, "sample", "--length", "40", "--prompt", "d'ou", **environment)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout == expected.encode(encoding, errors="backslashreplace")
    assert rb"\u04" in ended.stdout


# ---- pipes


def test_a_reader_that_closes_the_pipe(toured: Commands) -> None:
    """`head` does so in a real shell."""
    command = f"{sys.executable} -m charlm sample --length 100000 | head -c 10; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], cwd=toured.folder, capture_output=True, timeout=120)
    assert ended.stderr == b""
    assert ended.stdout[10:] == b"141\n"


def test_a_result_that_is_not_read(toured: Commands) -> None:
    """The output is short, so that only the interpreter's last flush meets the closed pipe."""
    command = f"{sys.executable} -m charlm prepare --config tiny | true; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], cwd=toured.folder, capture_output=True, text=True, timeout=120)
    assert ended.stderr == "data/texts is already prepared\n"
    assert ended.stdout == "141\n"


def test_closed_streams(toured: Commands) -> None:
    """`>&-` and `2>&-`: the next file that is opened must not be used as a standard stream."""
    before = read_json(toured.folder / "data" / "texts" / "corpus.json")
    for redirection, command, code in ((">&-", "prepare --config tiny", 0), ("2>&-", "prepare --source unknown", 2)):
        line = f"{sys.executable} -m charlm {command} {redirection}"
        ended = subprocess.run(["bash", "-c", line], cwd=toured.folder, capture_output=True, text=True, timeout=120)
        assert ended.returncode == code
        assert ended.stdout == ""
    assert read_json(toured.folder / "data" / "texts" / "corpus.json") == before
