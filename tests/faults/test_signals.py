"""Ctrl-C, a polite end, and another process in the same folder."""

import signal
import socket
import time
from pathlib import Path

import pytest

from charlm import storage
from tests.processes import Commands, Running, until
from tests.workspaces import DATA, RUN, furnish, snapshot, steps, texts, weights, write_texts

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
LONG = ("train", "--config", "tiny", "--set", "training.max_steps=400", "--set", "training.log_interval=1")
STEPS = 400


def shell_code(code: int) -> int:
    """What a shell shows as $? for a process that a signal ended."""
    return code if code >= 0 else 128 - code


def logged(run: Path) -> int:
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def start_training(commands: Commands, *arguments: str, lines: int = 5) -> Running:
    """A run that has logged some steps."""
    process = commands.start(*LONG, "--overwrite", *arguments)
    until(lambda: logged(commands.folder / RUN) >= lines)
    return process


@pytest.fixture(scope="module")
def uninterrupted(toured: Commands, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The weights that the long run ends with."""
    run = tmp_path_factory.mktemp("uninterrupted") / "run"
    toured.succeed(*LONG, "--out", str(run))
    (toured.folder / "runs" / "current.json").write_text(f'{{"path": "{RUN}"}}', encoding="utf-8")
    return weights(run)


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("validation_interval", [10_000, 1], ids=["training", "validating"])
def test_training_stops_saved_and_goes_on_as_if_it_had_not(
    workspace: Commands, uninterrupted: str, number: signal.Signals, validation_interval: int
) -> None:
    run = workspace.folder / RUN
    often = ("--set", f"training.validation_interval={validation_interval}")
    with start_training(workspace, *often) as process:
        process.send(number)
        start = time.monotonic()
        ended = process.wait(timeout=10)
        assert time.monotonic() - start < 10
    assert ended.code == CODES[number]
    assert ended.stdout == ""
    stopped = steps(run)[-1]
    assert 0 < stopped < STEPS
    assert ended.error.startswith(f"charlm: error: stopped at step {stopped}, saved in {RUN}; the same command")
    going_on = workspace.succeed(*LONG, *often)
    assert f"going on from step {stopped} of" in going_on.stderr
    assert steps(run)[-1] == STEPS
    assert weights(run) == uninterrupted


def test_a_second_signal_ends_it_at_once(workspace: Commands) -> None:
    """A step of many seconds, which the first signal would wait for."""
    slow = "--set model.body.hidden_size=2048 --set model.body.num_layers=4 --set training.seq_len=4096".split()
    process = workspace.start(*LONG, "--overwrite", *slow)
    with process:
        until(lambda: "max_steps = 400" in (workspace.folder / RUN / "experiment.toml").read_text(encoding="utf-8"))
        time.sleep(2)
        process.send(signal.SIGINT)
        time.sleep(0.3)
        assert process.code is None
        process.send(signal.SIGTERM)
        ended = process.wait(timeout=20)
    assert ended.code == CODES[signal.SIGTERM]
    assert "stopped at step" not in ended.stderr
    assert steps(workspace.folder / RUN) == []


def test_ctrl_c_before_the_first_step(workspace: Commands) -> None:
    with workspace.start(*LONG, "--overwrite") as process:
        until(lambda: (workspace.folder / RUN / ".lock").read_text(encoding="utf-8").startswith(f"process {process.pid}"))
        process.send(signal.SIGINT)
        ended = process.wait(timeout=10)
    assert ended.code == 130
    assert ended.error.startswith("charlm: error: ")
    workspace.succeed("train", "--config", "tiny", "--set", "training.log_interval=1")


@pytest.mark.parametrize("number", CODES)
def test_prepare_stops_without_a_corpus(commands: Commands, number: signal.Signals) -> None:
    furnish(commands)
    write_texts(commands.folder / "many", {f"{i}-{name}": text for i in range(60) for name, text in texts().items()})
    command = ("prepare", "--source", "text", "--input", "many")
    with commands.start(*command) as process:
        until(lambda: list((commands.folder / "data").glob(".*/*/*")))
        process.send(number)
        ended = process.wait(timeout=10)
    assert shell_code(ended.code) == CODES[number]
    assert ended.stdout == ""
    if number == signal.SIGINT:
        assert ended.stderr == "charlm: error: interrupted; run the same command again\n"
    assert not (commands.folder / "data" / "many").exists()
    assert not (commands.folder / "data" / "current.json").exists()
    commands.succeed(*command)
    commands.succeed(*command, "--out", "data/at-once")
    assert snapshot(commands.folder / "data" / "many") == snapshot(commands.folder / "data" / "at-once")


@pytest.mark.parametrize("command", [("eval",), ("sample", "--length", "1000000")], ids=["eval", "sample"])
def test_ctrl_c_while_reading_a_model(toured: Commands, command: tuple[str, ...]) -> None:
    with toured.start(*command) as process:
        time.sleep(0.03)
        process.send(signal.SIGINT)
        ended = process.wait(timeout=10)
    assert ended.code == 130
    assert ended.error == "charlm: error: interrupted; run the same command again"


# ---- another process


def test_a_busy_run_directory(workspace: Commands) -> None:
    with start_training(workspace) as process:
        line = workspace.fail(6, *LONG)
        assert f"{RUN} is in use by process {process.pid} on {socket.gethostname()}; wait" in line
        workspace.fail(6, *LONG, "--overwrite")
        workspace.succeed("sample", "--data", "x") if False else None
        process.send(signal.SIGKILL)
        assert process.wait().code == -signal.SIGKILL
    assert (workspace.folder / RUN / ".lock").read_text(encoding="utf-8").startswith(f"process {process.pid} ")
    workspace.succeed(*LONG)
    assert steps(workspace.folder / RUN)[-1] == STEPS


def test_a_corpus_that_another_process_prepares(workspace: Commands) -> None:
    with workspace.start("prepare", "--config", "tiny", "--overwrite") as process:
        until(lambda: list((workspace.folder / "data").glob(".texts.*/.lock")))
        second = workspace("prepare", "--config", "tiny", "--overwrite")
        assert process.wait().code == 0
    if second.code:  # else the first one was faster
        assert second.code == 6
        assert f"is in use by process {process.pid} on {socket.gethostname()}" in second.stderr
    storage.read_json(workspace.folder / DATA / "corpus.json")
