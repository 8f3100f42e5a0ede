"""The reference of commands and settings is what the code says: made anew it is the same, and nothing is missing."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from hatchling.builders.wheel import WheelBuilder

from charlm.cli import app
from charlm.errors import CharlmError
from charlm.evaluation.baselines.settings import BaselineSettings
from charlm.evaluation.settings import TuneSettings
from charlm.experiment import Experiment
from charlm.settings import Settings, settings_classes
from charlm.suggestions.setting_keys import all_keys

ROOT = Path(__file__).parents[1]
PATH = ROOT / "charlm" / "docs" / "reference.md"
PAGE = PATH.read_text(encoding="utf-8")
CHAPTERS = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE))
GROUP: Any = typer.main.get_command(app)


def make(*arguments: str, columns: int = 80) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "scripts" / "reference.py"), *arguments]
    environment = {**os.environ, "COLUMNS": str(columns), "PYTHONHASHSEED": str(columns)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def terms(text: str) -> list[str]:
    """What the lists of some text explain."""
    return re.findall(r"^- \*\*`(.+?)`\*\*: ", text, re.MULTILINE)


@pytest.mark.parametrize("columns", [40, 200])
def test_made_anew_it_is_the_same(tmp_path: Path, columns: int) -> None:
    made = make(str(tmp_path / "made.md"), columns=columns)
    assert (made.returncode, made.stderr) == (0, "")
    assert (tmp_path / "made.md").read_bytes() == PATH.read_bytes(), "run scripts/docs"


def test_the_check_passes_and_fails_with_the_cure(tmp_path: Path) -> None:
    assert make("--check").returncode == 0
    stale = tmp_path / "reference.md"
    for content in (PAGE.replace("`--seed N`", "`--sead N`"), PAGE + "\n", ""):
        stale.write_text(content, encoding="utf-8")
        checked = make("--check", str(stale))
        assert (checked.returncode, checked.stdout) == (1, "")
        assert re.fullmatch(r"reference\.md is out of date; run scripts/docs .*\n", checked.stderr)
        assert stale.read_text(encoding="utf-8") == content


@pytest.mark.parametrize("name", ["", *GROUP.commands])
def test_every_parameter_of_every_command_is_there(name: str) -> None:
    command = GROUP.commands[name] if name else GROUP
    chapter = CHAPTERS[f"charlm {name}".strip()]
    explained = {word for term in terms(chapter) for word in re.findall(r"-[-\w]+|[A-Z]\w+", term)}
    for parameter in command.params:
        names = [*parameter.opts, *parameter.secondary_opts]
        if parameter.param_type_name == "argument":
            names = re.findall(r"\w+", parameter.metavar)
        assert explained >= set(names), parameter.name
        words = (parameter.help or "").rstrip(".").split()
        assert name == "" or " ".join(words) in " ".join(chapter.split())
    paragraphs = " ".join(chapter.split())
    assert " ".join((command.help or "").split()) in paragraphs


@pytest.mark.parametrize("name", list(Experiment.model_fields))
def test_every_setting_of_an_experiment_is_there_as_often_as_there_are_kinds_that_have_it(name: str) -> None:
    keys = [key for key in all_keys(Experiment) if key.startswith(f"{name}.")]
    leaves = Counter(key for key in keys if not any(other.startswith(f"{key}.") for other in keys))
    assert len(leaves) > 15
    expected = Counter({key: 1 if key.endswith(".type") else number for key, number in leaves.items()})
    tables = {term for term in terms(CHAPTERS[f"Settings: {name}"]) if term not in leaves}
    assert tables <= set(keys)
    assert Counter(term for term in terms(CHAPTERS[f"Settings: {name}"]) if term in leaves) == expected


@pytest.mark.parametrize(("name", "kind"), [("baseline", BaselineSettings), ("tune", TuneSettings)])
def test_every_setting_of_other_commands_is_there(name: str, kind: type[Settings]) -> None:
    assert set(terms(CHAPTERS[f"Settings of charlm {name}"])) >= set(kind.model_fields)


def settings_below(kind: type[Settings]) -> Iterator[type[Settings]]:
    yield kind
    for info in kind.model_fields.values():
        for inner in settings_classes(info.annotation):
            yield from settings_below(inner)


@pytest.mark.parametrize("root", [Experiment, BaselineSettings, TuneSettings])
def test_every_docstring_of_a_setting_is_there(root: type[Settings]) -> None:
    words = " ".join(PAGE.replace("`", "").split())
    for kind in {*settings_below(root)} - {Experiment}:
        for told in (kind.__doc__, *(info.description for info in kind.model_fields.values())):
            assert " ".join((told or "").replace("`", "").split()) in words, kind


def test_every_environment_variable_of_the_sources_is_there_and_no_other() -> None:
    sources = [path for folder in ("charlm", "scripts") for path in (ROOT / folder).rglob("*")]
    texts = [
        path.read_text(encoding="utf-8")
        for path in sources
        if path.is_file() and (path.suffix in (".py", ".c") or not path.suffix) and path.stem != "reference"
    ]
    used = {name for text in texts for name in re.findall(r"\bCHARLM_[A-Z_]+\b", text)}
    assert used >= {"CHARLM_CACHE", "CHARLM_MIRROR"}
    assert set(terms(CHAPTERS["Environment variables"])) == used


def test_every_exit_code_is_there() -> None:
    codes = {str(kind.exit_code) for kind in CharlmError.__subclasses__()}
    assert set(terms(CHAPTERS["Exit codes"])) == codes | {"0", "1", "130", "141", "143"}


def test_every_link_leads_somewhere() -> None:
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    anchors = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
    assert len(set(anchors)) == len(anchors)
    links = re.findall(r"\]\((.+?)\)", PAGE)
    assert len(links) > 60
    for link in links:
        assert link.removeprefix("#") in anchors or (PATH.parent / link).is_file(), link


def test_it_is_in_the_wheel() -> None:
    names = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert "charlm/docs/reference.md" in names
