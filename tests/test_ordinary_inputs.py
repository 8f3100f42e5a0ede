"""Names and files as they occur, in every place of the command line that takes one: no answer is "a bug in charlm"."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.command_options import CommandOption, command_options
from tests.processes import Channel, Commands, Ended
from tests.workspaces import DATA, RUN, tour_labels

UNIFORM = ("--set", 'baselines=[{type="uniform"}]')
SMALL = ("--set", "model.body.hidden_size=4", "--set", "training.batch_size=2")
QUICK = ("--config", "tiny", "--set", "training.max_steps=1")
NEW_CORPUS = ("prepare", "--workers", "1", "--source", "text", "--input", "texts", "--out", "data/new")
SOURCE = ("prepare", "--workers", "1", "--out", "data/new", "--source")
LABELS = ("prepare", "--workers", "1", "--out", "data/new", "--task", "classify")
PACKED = ("--overwrite", "--out", "packed")
NOWHERE = ("--port", "0", "--allow-origin", "https://example.org", "--device", "tpu")
"""A server that does not start."""
PLACES: dict[str, tuple[str, ...]] = {
    "prepare --input": ("prepare", "--workers", "1", "--source", "text", "--out", "data/new", "--input", "{}"),
    "prepare --input (dump)": (*SOURCE, "wikipedia", "--input", "{}"),
    "prepare --input (hub)": (*SOURCE, "hub", "--input", "{}"),
    "prepare --input (enwik8)": (*SOURCE, "enwik8", "--input", "{}"),
    "prepare --input (text8)": (*SOURCE, "text8", "--input", "{}"),
    "prepare --train": (*LABELS, "--train", "{}"),
    "prepare --valid": (*LABELS, "--train", "numbers.tsv", "--valid", "{}"),
    "prepare --test": (*LABELS, "--train", "numbers.tsv", "--test", "{}"),
    "prepare --config": (*NEW_CORPUS, "--config", "{}"),
    "prepare --data": ("prepare", "--vocab", "byte", "--data", "{}"),
    "prepare --out": (*NEW_CORPUS[:-1], "{}"),
    "prepare --vocab-from": (*NEW_CORPUS, "--vocab-from", "{}"),
    "prepare --split-like": (*NEW_CORPUS, "--split-like", "{}"),
    "train --config": ("train", "--out", "runs/new", *QUICK[2:], *SMALL, "--config", "{}"),
    "train --data": ("train", *QUICK, "--data", "{}"),
    "train --out": ("train", *QUICK, "--out", "{}"),
    "train --init-from": ("train", *QUICK, "--out", "runs/new", "--init-from", "{}"),
    "eval RUN": ("eval", "{}"),
    "eval --data": ("eval", "--data", "{}"),
    "eval --text": ("eval", "--text", "{}"),
    "eval --per-document": ("eval", "--per-document", "{}"),
    "eval --per-token": ("eval", "--per-token", "{}"),
    "eval --confusion": ("eval", "numbers", "--confusion", "{}"),
    "eval --checkpoint": ("eval", "--checkpoint", "{}"),
    "sample RUN": ("sample", "--length", "2", "{}"),
    "sample --novelty": ("sample", "--length", "2", "--novelty", "{}"),
    "explain RUN": ("explain", "{}", "мы"),
    "explain TEXT of labels": ("explain", "numbers", "{}"),
    "explain TEXT": ("explain", "tiny-texts", "{}"),
    "explain --text": ("explain", "tiny-texts", "--text", "{}"),
    "explain --out": ("explain", "tiny-texts", "мы", "--out", "{}"),
    "predict --ensemble": ("predict", "numbers", "number 8", "--ensemble", "{}"),
    "predict --input": ("predict", "numbers", "--input", "{}"),
    "predict --out": ("predict", "numbers", "number 8", "--out", "{}"),
    "predict RUN": ("predict", "{}", "number 8"),
    "serve RUN": ("serve", *NOWHERE, "{}"),
    "serve --checkpoint": ("serve", *NOWHERE, "--checkpoint", "{}"),
    "serve --host": ("serve", "--api-key", "x", "--device", "tpu", "--port", "0", "--host", "{}"),
    "export RUN": ("export", "--format", "hub", "{}"),
    "export --out": ("export", "--format", "hub", "--out", "{}"),
    "export --figures": ("export", "--format", "hub", "--out", "data/new", "--figures", "{}"),
    "compress RUN": ("compress", "{}", "file.txt", *PACKED),
    "compress FILE": ("compress", "tiny-texts", "{}", *PACKED),
    "compress --out": ("compress", "tiny-texts", "file.txt", "--overwrite", "--out", "{}"),
    "decompress RUN": ("decompress", "{}", "file.txt", *PACKED),
    "decompress FILE": ("decompress", "{}", *PACKED),
    "decompress --out": ("decompress", "tiny-texts", "file.txt", "--overwrite", "--out", "{}"),
    "inspect PATH": ("inspect", "{}"),
    "inspect --data": ("inspect", "tiny", "--data", "{}"),
    "report RUN": ("report", "--no-png", "{}"),
    "report --out": ("report", "--no-png", "--out", "{}"),
    "compare RUN": ("compare", "{}"),
    "compare --data": ("compare", "tiny-texts", "--data", "{}"),
    "compare --csv": ("compare", "tiny-texts", "--csv", "{}"),
    "compare --png": ("compare", "tiny-texts", "--png", "{}"),
    "compare --config": ("compare", "tiny-texts", "--baselines", "--config", "{}"),
    "baseline DATA": ("baseline", *UNIFORM, "{}"),
    "baseline --csv": ("baseline", *UNIFORM, "--csv", "{}"),
    "baseline --png": ("baseline", *UNIFORM, "--png", "{}"),
    "baseline --config": ("baseline", "--config", "{}"),
    "tune --config": ("tune", "--config", "{}"),
    "tune --data": ("tune", "--data", "{}"),
    "tune RUN": ("tune", "{}"),
    "demo --set": ("demo", "--set", "{}"),
    "a command": ("{}",),
}
"""Where a name stands in the command line."""
OUTPUTS = ("--out", "--per-document", "--per-token", "--confusion", "--csv", "--png")
NAMES = {
    "empty": "",
    "a space": "a b",
    "quotes": 'it\'s "x"',
    "a line end": "a\nb",
    "a backslash": "a\\b",
    "a pattern": "[ab",
    "a brace": "{x}",
    "a percent sign": "%s %(a)s",
    "a dollar sign": "$HOME",
    "a tilde": "~x",
    "a separator": "/",
    "dots": "..",
    "the folder": ".",
    "a trailing separator": "texts/",
    "too long": "x" * 300,
    "much too long": "/".join(["x" * 100] * 60),
    "below a file": "file.txt/child",
    "a circle": "circle",
    "a dangling link": "dangling",
    "an empty file": "empty",
    "an empty folder": "folder",
    "a text": "file.txt",
    "bytes": "bytes",
    "the null device": "/dev/null",
    "a corpus": str(DATA),
    "a run": str(RUN),
    "a file of a run": f"{RUN}/experiment.toml",
    "a suffix": ".csv",
    "a folder with a suffix": "folder.csv",
    "emoji": "👩‍👩‍👧.csv",
}


@pytest.fixture(scope="module")
def littered(toured: Commands, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    folder = shutil.copytree(toured.folder, tmp_path_factory.mktemp("littered") / "folder")
    tour_labels(toured.within(folder))
    (folder / "file.txt").write_text("мы из неё " * 300, encoding="utf-8")
    (folder / "empty").touch()
    (folder / "bytes").write_bytes(bytes(range(256)) * 9)
    (folder / "folder").mkdir()
    (folder / "folder.csv").mkdir()
    (folder / "circle").symlink_to("circle")
    (folder / "dangling").symlink_to("nowhere")
    return toured.within(folder)


def assert_no_bug(ended: Ended, command: tuple[str, ...]) -> None:
    assert ended.code != 1, (command, ended)
    assert "bug in charlm" not in ended.stderr, (command, ended)
    assert "Traceback" not in ended.stderr, (command, ended)
    if ended.code:
        assert ended.error.startswith("charlm: error: "), (command, ended)
        assert "; " in ended.error
        assert "check the disk, or send the output elsewhere" not in ended.error, (command, ended)


EXTENTS = [pytest.param(4, id="some"), pytest.param(1, id="all", marks=pytest.mark.faults)]
"""Of the names or numbers, every fourth is tried in each place, other ones in the next place; all in the long runs."""


@pytest.mark.parametrize("every", EXTENTS)
@pytest.mark.parametrize("place", PLACES)
def test_any_name_in_any_place(littered: Commands, tmp_path: Path, place: str, every: int) -> None:
    commands = littered.within(shutil.copytree(littered.folder, tmp_path / "folder", symlinks=True))
    is_output = place.endswith(OUTPUTS)
    for name in [*NAMES.values()][[*PLACES].index(place) % every :: every]:
        if is_output and name.startswith("/"):
            continue  # nothing outside of the test's folder is touched
        command = tuple(word.replace("{}", name) if word == "{}" else word for word in PLACES[place])
        assert_no_bug(commands(*command), command)
        for made in ("data/new", "runs/new"):
            shutil.rmtree(commands.folder / made, ignore_errors=True)


def test_every_option_with_a_path_has_its_place() -> None:
    tried = {(words[0], words[words.index("{}") - 1]) for words in PLACES.values()}
    takes_a_name = {"FILE", "DIR", "RUN", "FILE_OR_NAME", "PATH_OR_URL", "PATH"}
    assert {(each.command, each.option) for each in command_options() if each.metavar in takes_a_name} <= tried


# ---- what only a user without all rights meets


@cache
def may_be_nobody() -> bool:
    """Whether there are user namespaces here."""
    try:
        return subprocess.run(["unshare", "--user", "--map-user=54321", "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


UNREADABLE = {
    "a text": ("texts/00.txt", ("eval", "--text", "texts/00.txt"), 5),
    "a text to explain": ("texts/00.txt", ("explain", "tiny-texts", "--text", "texts/00.txt"), 5),
    "an input": ("texts/00.txt", NEW_CORPUS, 5),
    "a folder of inputs": ("texts", NEW_CORPUS, None),
    "a config": ("configs/tiny.toml", ("train", "--config", "tiny", "--dry-run"), 2),
    "a corpus": ("data/texts", ("baseline", *UNIFORM), None),
    "a corpus.json": ("data/texts/corpus.json", ("baseline", *UNIFORM), None),
    "a run": ("runs/tiny-texts", ("sample", "--length", "2"), None),
    "all runs": ("runs", ("runs",), None),
    "all runs of a name": ("runs", ("sample", "tiny-texts", "--length", "2"), None),
    "the last run": ("runs/current.json", ("sample", "--length", "2"), None),
    "a checkpoint": ("runs/tiny-texts/checkpoints", ("eval",), None),
    "a file to compress": ("texts/00.txt", ("compress", "texts/00.txt"), 5),
    "a log": ("runs/tiny-texts/metrics.jsonl", ("report", "--no-png"), None),
}
"""What cannot be read, the command, and its exit code, if it is not a matter of taste."""


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read(workspace: Commands, name: str) -> None:
    path, command, code = UNREADABLE[name]
    (workspace.folder / path).chmod(0)
    try:
        ended = run_as_nobody(workspace, *command)
    finally:
        (workspace.folder / path).chmod(0o755)
    assert_no_bug(ended, command)
    if code is not None:
        assert ended.code == code, ended


READ_ONLY = {
    "prepare": NEW_CORPUS,
    "prepare again": ("prepare", "--config", "tiny"),
    "train": ("train", "--config", "tiny", "--out", "runs/new"),
    "train again": ("train", "--config", "tiny"),
    "eval": ("eval",),
    "eval --per-token": ("eval", "--per-token", "table.csv"),
    "sample": ("sample", "--length", "2"),
    "explain --out": ("explain", "tiny-texts", "мы", "--out", "page.html"),
    "report": ("report",),
    "export": ("export", "--format", "hub"),
    "compress": ("compress", "texts/00.txt"),
    "tune": ("tune", "--set", "max_tokens=100"),
    "runs": ("runs",),
}


@pytest.mark.parametrize("name", READ_ONLY)
def test_a_folder_that_cannot_be_written(workspace: Commands, name: str) -> None:
    folders = [path for path in (workspace.folder, *workspace.folder.rglob("*")) if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    try:
        ended = run_as_nobody(workspace, *READ_ONLY[name])
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert_no_bug(ended, READ_ONLY[name])
    writes = name not in ("prepare again", "eval", "sample", "runs")
    assert ended.code == (5 if writes else 0), ended


def run_as_nobody(commands: Commands, *arguments: str) -> Ended:
    if not may_be_nobody():
        pytest.skip("no user namespaces here")
    return replace(commands, is_nobody=True)(*arguments)


# ---- names that are no text


def test_a_folder_whose_name_is_no_text(toured: Commands, tmp_path: Path) -> None:
    """The working directory may be called anything; names below `data` and `runs` too."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    shutil.copytree(toured.folder, folder)
    stray = os.fsdecode(b"\xff\xfe")
    shutil.copytree(folder / RUN, folder / "runs" / stray)
    shutil.copytree(folder / DATA, folder / "data" / stray)
    (folder / "configs" / f"{stray}.toml").touch()
    absolute = ("--out", "../plain/data")
    for command in (
        ("prepare", "--config", "tiny"),
        ("prepare", "--source", "text", "--input", "texts", *absolute),
        ("train", *QUICK, "--out", "runs/new", "--data", "texts"),
        ("train", *QUICK, "--out", "runs/new", "--data", "texts"),
        *(("runs", *json) for json in ((), ("--json",))),
        *(("report", "--no-png", *json) for json in ((), ("--json",))),
        *(("eval", "--json"), ("sample", "--length", "2"), ("explain", "tiny-texts", "мы", "--out", "page.html")),
        *(("inspect", "data/texts"), ("inspect", "runs/tiny-texts"), ("inspect", "wrong"), ("eval", "wrong")),
        *(("baseline", *UNIFORM, "--csv", "table.csv"), ("baseline", "wrong"), ("compare", "tiny-texts")),
    ):
        assert_no_bug(toured.within(folder)(*command), command)


# ---- terminals


@pytest.mark.parametrize(
    "command",
    [
        ("train", "--help"),
        ("train", "--config", "tiny", "--overwrite"),
        ("prepare", "--workers", "1", "--config", "tiny", "--overwrite"),
        ("eval",),
        ("sample", "--length", "20"),
        ("explain", "tiny-texts", "мы из неё"),
        ("inspect", "runs/tiny-texts"),
        ("runs",),
        ("baseline", *UNIFORM),
        ("wrong",),
    ],
    ids=" ".join,
)
def test_a_narrow_terminal(workspace: Commands, command: tuple[str, ...]) -> None:
    for columns, term in ((1, "xterm-256color"), (1, "dumb"), (0, "xterm")):
        environment = {"TERM": term, "COLUMNS": str(columns), "LINES": "1"}
        commands = Commands(workspace.address, workspace.folder, environment)
        ended = commands(*command, out=Channel(columns), err=Channel(columns))
        assert ended.code == (2 if command == ("wrong",) else 0), ended
        assert "bug" not in ended.stderr
        assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("line", ["runs --json", "eval --json", "inspect tiny --json", "--help"])
def test_json_into_a_closed_pipe(toured: Commands, line: str) -> None:
    script = '"$0" -m charlm "$@" | true; exit ${PIPESTATUS[0]}'
    ended = subprocess.run(
        ["bash", "-c", script, sys.executable, *line.split()], cwd=toured.folder, capture_output=True, timeout=120
    )
    assert ended.returncode in (0, 141)
    assert ended.stderr == b""


def test_a_device_that_is_always_full(toured: Commands) -> None:
    for command in (("runs",), ("eval", "--json"), ("--help",)):
        ended = subprocess.run(
            ["bash", "-c", '"$0" -m charlm "$@" > /dev/full', sys.executable, *command],
            cwd=toured.folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == 5
        assert ended.stderr.startswith("charlm: error: cannot write the output: No space left on device; ")
    assert "No space left" in toured.fail(5, "explain", "tiny-texts", "мы", "--out", "/dev/full")


# ---- numbers

NUMBERS = [*"0 -1 1 1000000000 9223372036854775807 9223372036854775808 1e3 nan 1e999 ٣".split(), "1" * 30, ""]
NUMERIC: dict[str, tuple[str, ...]] = {
    "prepare": NEW_CORPUS,
    "train": ("train", *QUICK, "--out", "runs/new"),
    "eval": ("eval",),
    "sample": ("sample", "--length", "2"),
    "explain": ("explain", "tiny-texts", "мы"),
    "predict": ("predict", "numbers", "number 8"),
    "serve": ("serve", *NOWHERE),
    "export": ("export", "--format", "html", "--overwrite"),
    "compress": ("compress", "tiny-texts", "file.txt", "--overwrite"),
}
"""Commands with options that take numbers."""


NUMBER_OPTIONS = [each for each in command_options() if {int, float} & {*each.types}]


@pytest.mark.parametrize("every", EXTENTS)
@pytest.mark.parametrize("option", NUMBER_OPTIONS, ids=str)
def test_any_number_in_any_option(littered: Commands, tmp_path: Path, option: CommandOption, every: int) -> None:
    """A huge one may take long; it is then stopped."""
    workspace = littered.within(shutil.copytree(littered.folder, tmp_path / "folder", symlinks=True))
    for number in NUMBERS[NUMBER_OPTIONS.index(option) % every :: every]:
        arguments = (*NUMERIC[option.command], option.option, number)
        with workspace.start(*arguments) as process:
            try:
                ended = process.wait(timeout=5)
            except TimeoutError:
                continue
        assert_no_bug(ended, arguments)
        shutil.rmtree(workspace.folder / "data" / "new", ignore_errors=True)
