"""Standard input, output and error that are closed, of another kind, or not text."""

import os
import subprocess
import sys

import pytest

from tests.processes import Channel, Commands, assert_one_error
from tests.workspaces import DATA

READERS: dict[str, tuple[str, ...]] = {
    "prepare": ("prepare", "--source", "text", "--input", "-", "--out", "data/new"),
    "eval": ("eval", "--text", "-"),
    "explain": ("explain", "tiny-texts", "-"),
    "compress": ("compress", "-", "--out", "new.charlm", "--overwrite"),
    "explain --text": ("explain", "tiny-texts", "--text", "-"),
    "interactive": ("sample", "--interactive", "--length", "5"),
}
OTHERS: dict[str, tuple[str, ...]] = {
    "prepare": ("prepare", "--config", "tiny"),
    "train": ("train", "--config", "tiny"),
    "eval": ("eval",),
    "sample": ("sample", "--length", "5"),
    "explain": ("explain", "tiny-texts", "мы"),
    "inspect": ("inspect", str(DATA)),
    "runs": ("runs",),
    "report": ("report",),
    "compare": ("compare", "tiny-texts"),
    "baseline": ("baseline", "--set", 'baselines=[{type="uniform"}]'),
    "version": ("--version",),
    "help": ("--help",),
    "nothing": (),
}


@pytest.mark.parametrize("name", READERS)
def test_a_closed_standard_input_is_said(workspace: Commands, name: str) -> None:
    ended = workspace(*READERS[name], closed=[0])
    assert ended.code == 2, ended
    assert "standard input" in ended.error
    assert "closed" in ended.error
    assert "bug" not in ended.stderr
    assert not (workspace.folder / "data" / "new").exists()


@pytest.mark.parametrize("name", OTHERS)
def test_closed_streams_do_not_matter_to_other_commands(workspace: Commands, name: str) -> None:
    expected = workspace.succeed(*OTHERS[name])
    for closed in ([0], [1], [2], [0, 1, 2]):
        ended = workspace(*OTHERS[name], closed=closed)
        assert ended.code == 0, (closed, ended)
        assert bool(ended.stdout) == (1 not in closed and expected.stdout != "")
        assert 2 not in closed or ended.stderr == ""


@pytest.mark.parametrize("name", READERS)
def test_closed_outputs_do_not_matter_to_what_is_read(workspace: Commands, name: str) -> None:
    for closed in ([1], [2], [1, 2]):
        ended = workspace(*READERS[name], closed=closed, stdin="мы из неё\n".encode() * 400)
        assert ended.code == 0, (closed, ended)


REDIRECTIONS = [
    *((name, "<&-", 2) for name in READERS),
    ("interactive", ">&-", 0),
    ("interactive", "2>&-", 0),
    ("interactive", "<&- >&- 2>&-", 2),
    ("interactive", "< /dev/null", 0),
    ("interactive", "0>/dev/null", 5),
    ("explain", "0>/dev/null", 5),
]
"""A reader, what a shell does to its streams, and the exit code."""


@pytest.mark.parametrize(("name", "redirection", "code"), REDIRECTIONS, ids=str)
def test_real_redirections(toured: Commands, name: str, redirection: str, code: int) -> None:
    """The same with an interpreter that starts with these streams."""
    ended = subprocess.run(
        ["bash", "-c", f'exec "$0" -m charlm "$@" {redirection}', sys.executable, *READERS[name]],
        cwd=toured.folder,
        input="мы\n",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == code, ended
    assert "bug" not in ended.stderr
    assert "Traceback" not in ended.stderr


# ---- bytes that are no text

INVALID = {
    "latin-1": "Où est le café?\n".encode("latin-1"),
    "truncated": "мы"[:1].encode() + "ы".encode()[:1],
    "utf-16": "мы из\n".encode("utf-16"),
    "surrogate": b"a\xed\xa0\x80b\n",
}


@pytest.mark.parametrize("content", INVALID)
@pytest.mark.parametrize("name", [name for name in READERS if name not in ("interactive", "compress")])
def test_bytes_that_are_not_utf_8_are_data_errors(workspace: Commands, name: str, content: str) -> None:
    ended = workspace(*READERS[name], stdin=INVALID[content])
    assert ended.code == 3, ended
    assert_one_error(ended.stderr)
    assert "standard input" in ended.error


@pytest.mark.parametrize("content", INVALID)
def test_a_talk_goes_on_after_a_line_that_is_no_text(toured: Commands, content: str) -> None:
    ended = toured(
        *READERS["interactive"], stdin=INVALID[content] + b"\n/text\n/save\xff\n/save a\x00b\n/load \x00\n/text\n"
    )
    assert ended.code == 0, ended
    complaints = [line for line in ended.stderr.splitlines() if "; " in line and "terminal's encoding" in line]
    assert len(complaints) >= 2, ended.stderr
    assert ended.stderr.count("U+0000; ") == 2
    assert "bug" not in ended.stderr


@pytest.mark.parametrize(
    "environment", [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_a_talk_in_the_c_locale(toured: Commands, environment: dict[str, str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "charlm", *READERS["interactive"]],
        cwd=toured.folder, env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": "/", **environment},
        input="мы\n\xe9".encode("latin-1", "replace") + "мы\n".encode(), capture_output=True, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended
    assert b"bug" not in ended.stderr


# ---- a question at a terminal


@pytest.mark.parametrize(
    ("answer", "is_yes"), [(b"\x04", False), (b"n\n", False), (b"\xff\n", False), (b"Yes\n", True)]
)
def test_only_yes_is_consent(answer: bytes, is_yes: bool) -> None:
    """The end of the input (Ctrl-D) is not, nor are bytes that are no text."""
    script = (
        "import sys; from charlm.terminal import confirm;"
        " sys.stdin.reconfigure(errors='surrogateescape'); print(confirm())"
    )
    terminal = Channel(80)
    with subprocess.Popen([sys.executable, "-c", script], stdin=terminal.writing, stdout=subprocess.PIPE) as process:
        os.write(terminal._reading, answer)  # pyright: ignore[reportPrivateUsage]
        stdout, _ = process.communicate(timeout=30)
    assert (process.returncode, stdout.decode()) == (0, f"{is_yes}\n")
