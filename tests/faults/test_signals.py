"""SIGINT, SIGTERM, and another process in the same folder."""

import shutil
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.processes import Commands, Running, until
from tests.workspaces import RUN, furnish, snapshot, steps, texts, weights, write_texts

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
LONG = ("train", "--config", "tiny", "--set", "training.max_steps=400", "--set", "training.log_interval=1")
STEPS = 400


def shell_code(code: int) -> int:
    """The $? of a shell for a process that a signal ended."""
    return code if code >= 0 else 128 - code


def logged(run: Path) -> int:
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def is_held_by(folder: Path, process: Running) -> bool:
    lock = folder / ".lock"
    return lock.exists() and lock.read_text(encoding="utf-8").startswith(f"process {process.pid} ")


def start_training(commands: Commands, *command: str, lines: int = 5) -> Running:
    """A run that has logged some steps."""
    shutil.rmtree(commands.folder / RUN)
    process = commands.start(*command)
    until(lambda: logged(commands.folder / RUN) >= lines)
    return process


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize(("interval", "last"), [(10_000, STEPS), (1, 20)], ids=["training", "validating"])
def test_stopped_training_is_saved_and_resumes_as_if_uninterrupted(
    workspace: Commands, number: signal.Signals, interval: int, last: int
) -> None:
    run = workspace.folder / RUN
    command = (*LONG, "--set", f"training.validation_interval={interval}", "--set", f"training.max_steps={last}")
    with start_training(workspace, *command) as process:
        process.send(number)
        ended = process.wait(timeout=10)
    assert ended.code == CODES[number]
    assert ended.stdout == ""
    stopped = steps(run)[-1]
    assert 0 < stopped < last
    assert ended.error.startswith(f"charlm: error: stopped at step {stopped}, saved in {RUN}; run the same command")
    going_on = workspace.succeed(*command, "--out", str(RUN))
    assert f"from step {stopped}\n" in going_on.stderr
    assert steps(run)[-1] == last
    workspace.succeed(*command, "--out", "runs/uninterrupted")
    assert weights(run) == weights(workspace.folder / "runs" / "uninterrupted")


def test_a_second_signal_ends_it_at_once(workspace: Commands) -> None:
    """Both arrive within one step, so that the first has no time to save."""
    with start_training(workspace, *LONG) as process:
        for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
            process.send(number)
        ended = process.wait(timeout=10)
    assert ended.code == CODES[signal.SIGTERM]
    assert "charlm: error" not in ended.stderr
    assert steps(workspace.folder / RUN) == []
    assert workspace.json(*LONG)["steps"] == STEPS


def test_ctrl_c_before_the_first_step(workspace: Commands) -> None:
    shutil.rmtree(workspace.folder / RUN)
    with workspace.start(*LONG) as process:
        until(lambda: is_held_by(workspace.folder / RUN, process))
        process.send(signal.SIGINT)
        ended = process.wait(timeout=10)
    assert ended.code == 130
    assert ended.error.startswith("charlm: error: ")
    assert workspace.json(*LONG)["steps"] == STEPS


@pytest.mark.parametrize("number", CODES)
def test_prepare_stops_without_a_corpus(commands: Commands, number: signal.Signals) -> None:
    furnish(commands)
    write_texts(commands.folder / "many", {f"{i}-{name}": text for i in range(40) for name, text in texts().items()})
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
    commands.succeed(*command, "--workers", "1", "--out", "data/at-once")
    assert snapshot(commands.folder / "data" / "many") == snapshot(commands.folder / "data" / "at-once")


@pytest.mark.parametrize(
    ("command", "seconds"),
    [(("eval", "--split", "train"), 0.03), (("sample", "--length", "1000000"), 0.2)],
    ids=["eval", "sample"],
)
def test_ctrl_c_while_reading_a_model(toured: Commands, command: tuple[str, ...], seconds: float) -> None:
    with toured.start(*command) as process:
        time.sleep(seconds)
        process.send(signal.SIGINT)
        ended = process.wait(timeout=10)
    assert ended.code == 130
    assert ended.error == "charlm: error: interrupted; run the same command again"


# ---- another process


def test_a_busy_run_directory(workspace: Commands) -> None:
    with start_training(workspace, *LONG) as process:
        line = workspace.fail(6, *LONG)
        assert f"{RUN} is in use by process {process.pid} on {socket.gethostname()}; wait" in line
        workspace.fail(6, *LONG, "--overwrite")
        process.send(signal.SIGKILL)
        assert process.wait().code == -signal.SIGKILL
    assert is_held_by(workspace.folder / RUN, process)  # the file names it, but the kernel holds no lock
    workspace.succeed(*LONG)
    assert steps(workspace.folder / RUN)[-1] == STEPS


def test_a_corpus_that_another_process_prepares(workspace: Commands) -> None:
    command = ("prepare", "--config", "tiny", "--overwrite")
    with workspace.start(*command) as process:
        until(lambda: is_held_by(workspace.folder / "data" / ".texts.partial", process))
        process.send(signal.SIGSTOP)
        line = workspace.fail(6, *command)
        assert f"in use by process {process.pid} on {socket.gethostname()}" in line
        process.send(signal.SIGCONT)
        assert process.wait().code == 0
