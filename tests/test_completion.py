"""Completion in a shell: what is there is offered by name, at once, without torch."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from charlm import device
from charlm.cli import app
from charlm.commands import completion
from charlm.data.task_settings import TaskSettings
from charlm.settings import type_names
from charlm.text.settings import SourceSettings
from charlm.training.run_directory import RunDirectory

SOURCES, TASKS = " ".join(type_names(SourceSettings)), " ".join(type_names(TaskSettings))
CASES = {
    "train --device ": "auto cpu cuda mps",
    "train --device c": "cpu cuda",
    "train --config l": "langid laptop lstm",
    "train --config o": "own",
    "train --config ideas/g": "ideas/gru",
    "train --config g": "g2p gru",
    "train --data ": "ltg novel",
    "train --init-from ": "gru-ltg lstm-ltg",
    "train --resume ": "auto never",
    "prepare --source ": SOURCES,
    "prepare --task ": TASKS,
    "prepare --vocab ": "char byte word ngram sentencepiece symbols",
    "prepare --vocab-from ": "gru-ltg lstm-ltg ltg novel",
    "prepare --split-like n": "novel",
    "prepare --errors ": "strict replace",
    "eval ": "gru-ltg lstm-ltg",
    "eval gru-ltg l": "lstm-ltg",
    "eval lstm-ltg --split t": "train test",
    "eval --precision ": "fp32 bf16",
    "eval lstm-ltg --checkpoint ": "best last 5 1000",
    "eval lstm-ltg gru-ltg --split test --checkpoint 1": "1000",
    "eval no-such-run --checkpoint ": "best last",
    "sample --checkpoint ": "best last",
    "sample --precision ": "fp32 bf16 int8",
    "sample l": "lstm-ltg",
    "sample runs/l": "",
    "serve gru-ltg l": "lstm-ltg",
    "export --format ": "html onnx hub stanza flair",
    "export g": "gru-ltg",
    "compress g": "gru-ltg",
    "compare gru-ltg ": "gru-ltg lstm-ltg",
    "report l": "lstm-ltg",
    "explain g": "gru-ltg",
    "baseline l": "ltg",
    "inspect l": "langid laptop lstm lstm-ltg ltg",
    "baseli": "baseline",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("data/ltg", "data/novel", "data/.staging", "runs/gru-ltg", "configs"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "configs" / "own.toml").touch()
    for step in (5, 1000):
        checkpoint = RunDirectory(tmp_path / "runs" / "lstm-ltg").checkpoint(step)
        checkpoint.mkdir(parents=True)
        (checkpoint / "manifest.json").write_text("{}", encoding="utf-8")
    return tmp_path


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One in which an import of torch fails."""
    poison = tmp_path / "poison"
    (poison / "torch").mkdir(parents=True)
    (poison / "torch" / "__init__.py").write_text("raise ImportError('torch was imported')\n", encoding="utf-8")
    path = os.pathsep.join([str(poison), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_bash_is_offered_what_there_is(folder: Path, environment: dict[str, str]) -> None:
    """A real bash, with the script that it is given, and the program that is installed."""
    script = run(["charlm"], folder, {**environment, "_CHARLM_COMPLETE": "source_bash"})
    assert "complete -o default -F _charlm_completion charlm" in script
    asking = (
        'ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _charlm_completion charlm; echo "${COMPREPLY[*]}"; }\n'
        'while IFS= read -r line; do read -ra words <<<"$line"; [[ $line == *" " ]] && words+=(""); '
        'ask charlm "${words[@]}"; done <<<"$1"'
    )
    lines = run(["bash", "--norc", "-c", f"{script}\n{asking}", "bash", "\n".join(CASES)], folder, environment)
    assert dict(zip(CASES, lines.splitlines(), strict=True)) == CASES


@pytest.mark.parametrize(("line", "offered"), [(line, CASES[line]) for line in ("train --data ", "sample runs/l")])
def test_zsh_is_offered_the_same_or_files(folder: Path, environment: dict[str, str], line: str, offered: str) -> None:
    asked = {"_CHARLM_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": f"charlm {line}"}
    answer = run([sys.executable, "-m", "charlm"], folder, {**environment, **asked}).rstrip("\n")
    listed = "\n".join(f'"{word}"' for word in offered.split())
    assert answer == (f"_arguments '*: :(({listed}))'" if offered else "_files")


def test_the_devices_are_those_that_can_be_chosen() -> None:
    assert completion.DEVICES == device.DEVICES


def test_every_option_that_takes_one_of_a_few_words_or_names_offers_them() -> None:
    """A new command cannot forget it, if it uses the common options or their names."""
    offering = {"--config", "--data", "--device", "--split", "--checkpoint", "--source", "--vocab", "RUN", "DATA"}
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        for parameter in command.params:
            names = {*parameter.opts, (parameter.metavar or "").strip("[].")}
            is_of_baselines = name in ("baseline", "compare", "tune") and "--config" in names
            is_text = name == "sample" and "--source" in names
            if names & offering and not is_of_baselines and not is_text:
                assert getattr(parameter, "_custom_shell_complete", None) is not None, f"{name} {parameter.name}"


def test_a_shell_that_is_not_known_is_an_error(folder: Path, environment: dict[str, str]) -> None:
    program = (
        "import shellingham, sys\n"
        "def fail(): raise shellingham.ShellDetectionFailure\n"
        "shellingham.detect_shell = fail\n"
        "sys.argv = ['charlm', '--install-completion']\n"
        "from charlm.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr.startswith("charlm: error: there is no completion for this shell; ")
