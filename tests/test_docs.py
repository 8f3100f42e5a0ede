"""The documentation is true: the README's commands run, and nothing a user can set goes without a word."""

import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

import charlm
from charlm import formats
from charlm.cli import app
from charlm.errors import CharlmError
from charlm.experiment import Experiment, load_experiment, read_layers
from charlm.settings import Settings, settings_classes
from charlm.text.settings import SourceSettings
from charlm.vocab.settings import VocabSettings
from tests.fault_server import FaultServer
from tests.mirror import serve_wiki, small_dump
from tests.processes import Commands

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
QUICK = (
    "--set model.body.hidden_size=16 --set model.embedding.size=8 --set training.max_steps=5 "
    "--set training.batch_size=4 --set training.validation_tokens=2000"
).split()


def commands(block: str) -> list[list[str]]:
    return [words for line in block.splitlines() if (words := shlex.split(line, comments=True))[:1] == ["charlm"]]


BLOCKS = [found[1] for found in re.finditer(r"```console\n(.*?)```", README, re.DOTALL) if commands(found[1])]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        for seed, wiki in enumerate(("simplewiki", "ltgwiki")):
            serve_wiki(server, wiki, small_dump(wiki, seed=seed))
        yield server


def test_every_block_of_commands_is_found() -> None:
    assert len(BLOCKS) == 8


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_commands_of_the_readme_run(block: str, server: FaultServer, charlm_server: str, tmp_path: Path) -> None:
    (tmp_path / "ltgwiki-pages-articles.xml.bz2").write_bytes(small_dump("ltgwiki"))
    (tmp_path / "novel.txt").write_text("Все счастливые семьи похожи друг на друга. " * 200, encoding="utf-8")
    reviews = "".join(f'{{"review": "No. {number}: not bad, a little long."}}\n' for number in range(200))
    (tmp_path / "reviews.jsonl").write_text(reviews, encoding="utf-8")
    environment = {"CHARLM_MIRROR": server.url(), "CHARLM_CACHE": str(tmp_path / "cache")}
    charlm = Commands(charlm_server, tmp_path, environment)
    if "prepare" not in block:
        charlm.succeed("prepare", "--source", "text", "--input", "novel.txt")
    if "sample" in block and "train" not in block:
        charlm.succeed("train", *QUICK)
    for _, name, *arguments in commands(block):
        ended = charlm.succeed(name, *arguments, *(QUICK if name == "train" else []))
        assert "Traceback" not in ended.stderr


def test_the_python_of_the_readme_runs(charlm_server: str, tmp_path: Path) -> None:
    """After the demo, whose names it has."""
    charlm = Commands(charlm_server, tmp_path)
    charlm.succeed("prepare", "--source", "sample")
    charlm.succeed("train", "--config", "sample", "--data", "sample", "--out", "runs/sample", *QUICK)
    blocks = [found[1] for found in re.finditer(r"```python\n(.*?)```", README, re.DOTALL)]
    assert len(blocks) == 2
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hub"), "HF_DATASETS_OFFLINE": "1"}
    for block in blocks:
        command = [sys.executable, "-W", "error", "-c", block]
        ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout


def test_the_readme_names_every_exit_code() -> None:
    table = README[README.index("| code | meaning |") :]
    codes = {kind.exit_code for kind in CharlmError.__subclasses__()} - {CharlmError.exit_code}
    assert all(re.search(rf"^\| (\d+, )?{code}(, \d+)? \|", table, re.MULTILINE) for code in codes | {1, 130, 141, 143})


def test_the_changes_name_this_version_and_the_formats_that_it_writes() -> None:
    changes = README[README.index("## Changes") :]
    assert re.findall(r"^\*\*(.+?)\*\*", changes, re.MULTILINE)[0] == charlm.__version__
    rows = re.findall(r"^\| (\w+) \|.*\| (\d+) \|$", changes, re.MULTILINE)
    written = {name.lower(): str(version) for name, version in vars(formats).items() if name.isupper()}
    assert dict(rows) == written


def test_the_readme_names_every_shipped_config() -> None:
    for path in (ROOT / "configs").glob("*.toml"):
        assert f"`{path.stem}`" in README


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.toml")), ids=lambda path: path.stem)
def test_shipped_configs_are_valid_and_say_what_they_are_for(path: Path) -> None:
    load_experiment(read_layers(str(path), (), ()))
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert all(len(line) <= 120 for line in text.splitlines())


def test_every_command_and_option_has_help() -> None:
    group: Any = typer.main.get_command(app)
    assert set(group.commands) >= {"prepare", "train", "eval", "sample", "demo"}
    assert all(f"`charlm {name}" in README or f"charlm {name} " in README for name in group.commands)
    for name, command in group.commands.items():
        assert command.help, name
        for parameter in command.params:
            assert parameter.help, f"{name} {parameter.name}"


def _all_settings(kind: type[Settings]) -> Iterator[type[Settings]]:
    yield kind
    for info in kind.model_fields.values():
        for inner in settings_classes(info.annotation):
            yield from _all_settings(inner)


def test_every_settings_class_is_documented() -> None:
    kinds = set(_all_settings(Experiment))
    assert len(kinds) > 10
    for kind in kinds:
        assert (kind.__doc__ or Settings.__doc__) != Settings.__doc__, kind


def test_the_table_of_what_to_add_names_files_and_unions_that_are_there() -> None:
    table = README[README.index("| to add |") :].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    assert {row[0] for row in rows} >= {"a cell", "a body", "a head", "a filter of sampling", "a source of text"}
    for what, write, name_it in rows:
        paths = re.findall(r"`(charlm/[\w/.*]+)`", f"{write} {name_it}")
        assert paths, what
        assert all("NAME" in path or list(ROOT.glob(path)) for path in paths), what
        for path in (path for path in paths if "NAME" in path):
            assert (ROOT / path).parent.is_dir(), what
        for union, path in re.findall(r"`([A-Z]\w+)`[^`]* (?:of|in) `(charlm/[\w/]+\.py)`", f"{write} {name_it}"):
            assert re.search(rf"^(class )?{union}\b", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), union
            assert union == "Source" or list(settings_classes(getattr(_module(path), union))), union


def test_the_table_of_what_to_add_names_every_union_of_the_settings() -> None:
    """But those that the README leaves to a reader who has come so far."""
    unions = set(re.findall(r"`([A-Z]\w+)` in `charlm/", README))
    assert unions >= {"CellSettings", "BodySettings", "HeadSettings", "OptimizerSettings", "ScheduleSettings"}
    assert unions >= {"AveragingSettings", "SingleSource", "VocabSettings"}


def _module(path: str) -> Any:
    return importlib.import_module(path.removesuffix(".py").replace("/", "."))


@pytest.mark.parametrize(("option", "union"), [("source", SourceSettings), ("vocab", VocabSettings)])
def test_the_help_of_prepare_names_every_kind(option: str, union: Any) -> None:
    group: Any = typer.main.get_command(app)
    (parameter,) = (each for each in group.commands["prepare"].params if each.name == option)
    kinds = {kind.model_fields["type"].default for kind in settings_classes(union)}
    assert set(re.findall(r"\w+", parameter.help)) - {"or"} == kinds
