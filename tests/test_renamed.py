"""Names of charlm 0.1.0 that have changed: its files are read, and a person who types one is told the new one."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from charlm.evaluation.settings import TuneSettings
from charlm.experiment import Experiment, load_experiment, read_layers
from charlm.report.settings_comparison import read_settings
from charlm.settings import to_toml
from charlm.settings.renamed import OPTIONS, SETTINGS
from charlm.suggestions.setting_keys import all_keys
from tests.processes import Commands

ROOT = Path(__file__).parents[1]
OLD_RUN = Path(__file__).parent / "golden" / "charlm-0.1.0" / "runs" / "lstm"
KEPT = {"charlm/settings/renamed.py", "charlm/evaluation/settings.py", "charlm/evaluation/dynamic.py"}
"""The table, and files of dynamic evaluation, whose `segment_len` is another setting."""


def test_old_names_are_gone_and_new_names_are_settings() -> None:
    keys = {*all_keys(Experiment), *all_keys(TuneSettings)}
    assert set(SETTINGS.values()) <= keys
    assert not SETTINGS.keys() & keys


def names(tree: ast.AST) -> Iterator[str]:
    """Identifiers, and the words of strings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.arg | ast.keyword):
            yield node.arg or ""
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"[\w.-]+", node.value)


def test_no_old_name_is_left_outside_the_table() -> None:
    old_keys = {*SETTINGS, *OPTIONS}
    old_names = {key.rpartition(".")[2] for key in SETTINGS} - {"segment_len"} | old_keys
    for path in [*ROOT.glob("charlm/**/*.py"), *ROOT.glob("scripts/*.py")]:
        name = path.relative_to(ROOT).as_posix()
        found = set(names(ast.parse(path.read_text(encoding="utf-8"))))
        allowed = set() if name.startswith("charlm/training/") or name == "charlm/experiment.py" else {"segment_len"}
        assert name in KEPT or not found & ({*old_names, "segment_len"} - allowed), name
    for path in [*ROOT.glob("configs/**/*.toml"), *ROOT.glob("scripts/*.toml")]:
        text = path.read_text(encoding="utf-8")
        found = set(re.findall(r"[\w.-]+", text)) | set(all_tables(tomllib.loads(text)))
        assert not found & old_names, path


def all_tables(tree: dict[str, object], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from all_tables(value, f"{prefix}{key}.")


def test_the_settings_of_an_old_run_are_read_by_their_new_names() -> None:
    text = (OLD_RUN / "experiment.toml").read_text(encoding="utf-8")
    assert "accumulation = 1" in text
    flat = read_settings(OLD_RUN / "experiment.toml")
    assert flat is not None
    assert flat["training.micro_batches"] == "1"
    assert "training.accumulation" not in flat
    experiment = load_experiment(read_layers(str(OLD_RUN / "experiment.toml"), (), ["training.recompute_len=4"]))
    assert "micro_batches = 1" in to_toml(experiment)
    assert experiment.training.recompute_len == 4


@pytest.mark.parametrize(("old", "new"), [pair for pair in SETTINGS.items() if "." in pair[0]])
def test_an_old_setting_that_is_typed_is_told_its_new_name(old: str, new: str, commands: Commands) -> None:
    kind = ["--set", "training.schedule.type=wsd"]
    assert commands.fail(2, "train", *kind, "--set", f"{old}=0.5").endswith(f"; it is called {new} now")
    table, _, name = old.rpartition(".")
    (commands.folder / "old.toml").write_text(f"[{table}]\n{name} = 0.5\n", encoding="utf-8")
    message = commands.fail(2, "train", "--config", "old.toml", *kind)
    assert message.startswith("charlm: error: old.toml:2: ")
    assert message.endswith(f"; it is called {new} now")


def test_old_names_of_eval_and_tune_are_told_their_new_ones(commands: Commands) -> None:
    assert commands.fail(2, "eval", "--recall").endswith("; it is called --mix-online now")
    assert commands.fail(2, "tune", "--set", "cache_share=[0.1]").endswith("; it is called cache_weight now")
    assert "--set training.micro_batches=2?" in commands.fail(2, "train", "--accumulation", "2")
