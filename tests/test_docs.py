"""The documents are true: their commands run, their links lead somewhere, and everything that a user can set is named.

README.md, charlm/docs/*.md ──console lines──> run, page by page, each page in a folder of its own
                                          └──> or in NOT_RUN, with the reason
"""

import importlib
import itertools
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from hatchling.builders.wheel import WheelBuilder

import charlm
from charlm import formats
from charlm.api import Model
from charlm.cli import app
from charlm.data.task_settings import TaskSettings
from charlm.errors import CharlmError
from charlm.experiment import Experiment, load_experiment, read_layers
from charlm.settings import Settings, settings_classes, type_names
from charlm.suggestions.setting_keys import all_keys
from charlm.text.settings import SourceSettings
from charlm.vocab.settings import VocabSettings
from tests.fault_server import FaultServer
from tests.mirror import serve_wiki, small_dump
from tests.processes import Commands
from tests.serving.live_server import live_server
from tests.text.examples.example_cases import sentence
from tests.workspaces import small_library

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "charlm" / "docs"
PATHS = {"README": ROOT / "README.md"} | {path.stem: path for path in sorted(DOCS.glob("*.md"))}
PAGES = {name: path.read_text(encoding="utf-8") for name, path in PATHS.items()}
WRITTEN = {name: text for name, text in PAGES.items() if name != "reference"}  # the reference is generated
EVERYTHING = "\n".join(WRITTEN.values())
GROUP: Any = typer.main.get_command(app)

NOT_RUN = {
    "git clone": "needs the network",
    "cd charlm": "changes the folder of the shell",
    "source .venv/bin/activate": "changes the variables of the shell",
    "scripts/setup": "installs packages",
    "scripts/check": "a gate of its own",
    "scripts/test": "a gate of its own",
    "scripts/oracle": "needs MediaWiki, which only root can install",
    "scripts/docs": "held by tests/test_reference.py",
    "scripts/bench": "takes minutes, and measures a machine that is idle",
    "curl": "asks a server, as tests/serving does",
    "torchrun": "starts several processes; tests/training and tests/faults do that",
}
"""Beginnings of console lines that no test runs -> why."""

QUICK = (
    "--set model.body.hidden_size=16 --set model.embedding.size=8 --set training.max_steps=5 "
    "--set training.batch_size=4 --set training.validation_tokens=2000"
).split()
SHORTENED = {
    "prepare": ("--workers", "1", "--overwrite"),  # processes take longer to start than these texts to read
    "train": QUICK,
    "demo": (*QUICK, "--set", "corpus.split=98/1/1"),  # less text to score
}
"""What the commands of the pages are given beside what stands there."""

# of Typer, cli.py, torchrun, the scripts, tests/golden/record.py, lm-evaluation-harness and stanza
OPTIONS_OF_OTHERS = {
    *("--help", "--debug", "--nproc-per-node", "--faults", "--peers", "--list", "--dumps"),
    *("--model", "--tasks", "--charlm"),
}


def console_lines(text: str) -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def commands(text: str) -> list[list[str]]:
    """The `charlm` lines of the console blocks, as words."""
    split = [shlex.split(line, comments=True) for line in console_lines(text)]
    return [words for words in split if words[:1] == ["charlm"]]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


PAGES_WITH_COMMANDS = [name for name, text in WRITTEN.items() if commands(text)]


# ---- commands


@pytest.fixture(scope="module")
def mirror() -> Iterator[str]:
    """A local server in place of dumps.wikimedia.org."""
    with FaultServer() as server:
        for seed, wiki in enumerate(("simplewiki", "ltgwiki")):
            serve_wiki(server, wiki, small_dump(wiki, seed=seed))
        yield server.url()


def _write_examples(folder: Path) -> None:
    """Write texts with labels and tags."""
    for number in range(60):
        for language, name in (("Russian", f"Иванов{number}"), ("Irish", f"O'Neill {number}")):
            path = folder / "names" / f"{language}.txt"
            path.parent.mkdir(exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{name}\n")
    tickets = [f"No. {number} is late\t{'sales' if number % 2 else 'support'}\n" for number in range(100)]
    (folder / "tickets.tsv").write_text("message\tteam\n" + "".join(tickets), encoding="utf-8")
    words = ["".join(letters) for letters in itertools.product("trfbdn", "aoi", "frnl", "tsd")]
    spoken = [f"{word}\t{' '.join(word)}\n" for word in words]
    (folder / "words.tsv").write_text("text\ttarget\n" + "".join(spoken), encoding="utf-8")
    for name, vowel in (("plain", "a"), ("accented", "á")):
        lines = [f"r{vowel}ft {number}\n" for number in range(60)]
        (folder / f"{name}.txt").write_text("".join(lines), encoding="utf-8")
    for split in ("train", "dev", "test"):
        sentences = [sentence(("Rain", "NOUN"), ("fell", "VERB"), (str(number), "NUM")) for number in range(20)]
        (folder / f"xx-{split}.conllu").write_text("".join(sentences), encoding="utf-8")


@pytest.fixture(scope="module")
def shelf(charlm_server: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the pages name, a corpus and a run of text, and before them those of labels."""
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "ltgwiki-pages-articles.xml.bz2").write_bytes(small_dump("ltgwiki"))
    novel = "Все счастливые семьи похожи друг на друга.\n" * 200
    (folder / "novel.txt").write_text(novel, encoding="utf-8")
    play = "ROMEO:\nWhat light through yonder window breaks?\n\nJULIET:\nThe more I give to thee, the more I have.\n\n"
    (folder / "input.txt").write_text(play * 100, encoding="utf-8")
    reviews = "".join(f'{{"review": "No. {number}: not bad, a little long."}}\n' for number in range(200))
    (folder / "reviews.jsonl").write_text(reviews, encoding="utf-8")
    _write_examples(folder)
    charlm = Commands(charlm_server, folder, {"CHARLM_CACHE": str(folder / "cache")})  # kernels are compiled once
    charlm.succeed("prepare", "--task", "classify", "--input", "names", "--workers", "1")
    charlm.succeed("train", "--config", "lstm", *QUICK)
    writer = "--task", "generate", "--input", "names", "--workers", "1", "--out", "data/names-generate"
    charlm.succeed("prepare", *writer)
    charlm.succeed("train", "--config", "names-generate", "--out", "runs/writer", *QUICK)
    pairs = "--task transduce --input words.tsv --workers 1".split()
    charlm.succeed("prepare", *pairs)
    charlm.succeed("train", "--config", "g2p", *QUICK)
    charlm.succeed("prepare", "--workers", "1", "--source", "text", "--input", "novel.txt")
    charlm.succeed("train", "--config", "lstm", *QUICK)
    return folder


@pytest.mark.parametrize("name", PAGES_WITH_COMMANDS)
def test_the_commands_of_a_page_run(name: str, shelf: Path, mirror: str, charlm_server: str, tmp_path: Path) -> None:
    """In their order. Those of the README begin in a folder without corpora and runs."""
    folder = tmp_path / "folder"
    if name == "README":
        folder.mkdir()
        _write_examples(folder)
    else:
        shutil.copytree(shelf, folder, ignore=shutil.ignore_patterns("cache"))
    environment = {"CHARLM_MIRROR": mirror, "CHARLM_CACHE": str(shelf / "cache")}
    charlm = Commands(charlm_server, folder, environment, library=small_library(tmp_path / "library"))
    for _, command, *arguments in commands(PAGES[name]):
        if command == "serve":
            with live_server(charlm, *arguments) as server:
                server.process.send(signal.SIGTERM)
                assert server.process.wait().code == 128 + signal.SIGTERM
            continue
        ended = charlm.succeed(command, *arguments, *SHORTENED.get(command, ()))
        assert "Traceback" not in ended.stderr


def test_every_other_console_line_has_a_reason_not_to_run() -> None:
    lines = console_lines(EVERYTHING)
    other = [line for line in lines if not line.startswith("charlm ")]
    assert all(any(line.startswith(start) for start in NOT_RUN) for line in other)
    assert all(any(line.startswith(start) for line in other) for start in NOT_RUN)
    assert len(lines) - len(other) == len(commands(EVERYTHING)) >= 60


def test_the_first_pages_have_commands() -> None:
    assert {"README", "corpora", "vocabularies", "networks", "training", "evaluation"} <= set(PAGES_WITH_COMMANDS)
    assert {"sampling", "python", "lecture", "troubleshooting"} <= set(PAGES_WITH_COMMANDS)


@pytest.mark.parametrize("name", [name for name, text in WRITTEN.items() if blocks(text, "python")])
def test_the_python_of_a_page_runs(name: str, shelf: Path) -> None:
    environment = {**os.environ, "HF_HOME": str(shelf / "hub"), "HF_DATASETS_OFFLINE": "1"}
    script = "\n".join(blocks(PAGES[name], "python"))
    command = [sys.executable, "-W", "error", "-c", script]
    ended = subprocess.run(command, cwd=shelf, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout


def test_python_is_shown_in_the_readme_and_in_its_page() -> None:
    assert len(blocks(PAGES["README"], "python")) == 1
    assert len(blocks(PAGES["python"], "python")) == 7


@pytest.mark.parametrize("text", blocks(EVERYTHING, "toml"))
def test_the_configs_of_the_pages_are_valid(text: str, tmp_path: Path) -> None:
    tomllib.loads(text)
    (tmp_path / "shown.toml").write_text(text, encoding="utf-8")
    load_experiment(read_layers(str(tmp_path / "shown.toml"), (), ()))


# ---- form


def test_the_readme_is_short() -> None:
    assert len(PAGES["README"].splitlines()) <= 130


def anchors(text: str) -> set[str]:
    """As GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PATHS)
def test_every_link_leads_somewhere(name: str) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", PAGES[name])
    for link in links:
        address, _, anchor = link.partition("#")
        if re.match(r"https?:", address):
            continue
        target = (PATHS[name].parent / address).resolve() if address else PATHS[name]
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def test_every_page_is_linked_from_the_index_and_is_in_the_wheel() -> None:
    linked = set(re.findall(r"\]\((\w+)\.md\)", PAGES["index"]))
    assert linked == {path.stem for path in DOCS.glob("*.md")} - {"index"}
    included = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    files = [path for path in DOCS.rglob("*") if path.is_file()]
    assert len(files) > 12
    assert {path.relative_to(ROOT).as_posix() for path in files} <= included


def test_every_file_of_the_code_that_a_page_names_is_there() -> None:
    """The table of developing.md, whose names are patterns, is checked below."""
    for name, text in WRITTEN.items():
        for path in re.findall(r"`((?:charlm|scripts|tests)/[\w/.-]+)`", text):
            assert "NAME" in path or path == "charlm/REFERENCE.md" or (ROOT / path).exists(), f"{name}: {path}"


def test_no_page_names_a_strangers_package_or_this_machine() -> None:
    for name, text in WRITTEN.items():
        assert "charlm[" not in text, name
        assert not re.search(r"(?<!\w)/(work|tmp|root|home)/", text), name
        assert not re.search(r"pypi\.org|pythonhosted|index-url", text), name
        assert all("gave me something else" in line for line in text.splitlines() if "pip install charlm" in line), name


def test_every_option_and_setting_that_a_page_names_is_there() -> None:
    options = {
        name for command in GROUP.commands.values() for parameter in command.params for name in _names(parameter)
    }
    options |= {name for parameter in GROUP.params for name in _names(parameter)}
    settings = set(all_keys(Experiment))
    for name, text in WRITTEN.items():
        if name == "changes":  # which names old ones
            continue
        for option in re.findall(r"(?<![\w`-]{2})--[a-z][a-z-]+", text):
            assert option in options | OPTIONS_OF_OTHERS, f"{name}: {option}"
        for key in re.findall(r"`((?:corpus|model|training)\.[a-z_0-9.]*[a-z_0-9])", text):
            if key.endswith((".json", ".safetensors")) or hasattr(Model, key.removeprefix("model.")):
                continue  # files, and attributes in Python
            assert key in settings or any(each.startswith(f"{key}.") for each in settings), f"{name}: {key}"


def _names(parameter: Any) -> list[str]:
    return [*parameter.opts, *parameter.secondary_opts]


# ---- completeness


def test_troubleshooting_names_every_exit_code() -> None:
    table = PAGES["troubleshooting"][PAGES["troubleshooting"].index("| code | meaning |") :]
    codes = {kind.exit_code for kind in CharlmError.__subclasses__()} - {CharlmError.exit_code}
    assert all(re.search(rf"^\| (\d+, )?{code}(, \d+)? \|", table, re.MULTILINE) for code in codes | {1, 130, 141, 143})


def test_the_changes_name_this_version_and_the_formats_that_it_writes() -> None:
    changes = PAGES["changes"]
    assert charlm.__version__ in re.findall(r"^## ([\d.]+)$", changes, re.MULTILINE)
    rows = re.findall(r"^\| (\w+) \|.*\| (\d+) \|$", changes, re.MULTILINE)
    written = {name.lower(): str(version) for name, version in vars(formats).items() if name.isupper()}
    assert dict(rows) == written


def test_the_page_of_networks_names_every_shipped_config() -> None:
    for path in (ROOT / "configs").rglob("*.toml"):
        assert f"`{path.relative_to(ROOT / 'configs').with_suffix('').as_posix()}`" in PAGES["networks"]


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.toml")), ids=lambda path: path.stem)
def test_shipped_configs_are_valid_and_say_what_they_are_for(path: Path) -> None:
    load_experiment(read_layers(str(path), (), ()))
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert all(len(line) <= 120 for line in text.splitlines())


def test_every_command_is_in_a_page_and_every_option_has_help() -> None:
    assert set(GROUP.commands) >= {"prepare", "train", "eval", "sample", "demo"}
    assert all(re.search(rf"charlm {name}\b", EVERYTHING) for name in GROUP.commands)
    for name, command in GROUP.commands.items():
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
    text = PAGES["developing"]
    table = text[text.index("| to add |") :].partition("\n\n")[0]
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
    unions = set(re.findall(r"`([A-Z]\w+)` in `charlm/", PAGES["developing"]))
    assert unions >= {"CellSettings", "BodySettings", "HeadSettings", "OptimizerSettings", "ScheduleSettings"}
    assert unions >= {"AveragingSettings", "SingleSource", "VocabSettings"}


def _module(path: str) -> Any:
    return importlib.import_module(path.removesuffix(".py").replace("/", "."))


@pytest.mark.parametrize(("option", "union"), [("source", SourceSettings), ("vocab", VocabSettings)])
def test_the_help_of_prepare_names_every_kind(option: str, union: Any) -> None:
    (parameter,) = (each for each in GROUP.commands["prepare"].params if each.name == option)
    kinds = {kind.model_fields["type"].default for kind in settings_classes(union)}
    named = set(re.findall(r"\w+", parameter.help.partition(":")[2])) - {"or"}
    assert named == kinds, "see charlm/commands/prepare_options.py"


def test_the_help_of_prepare_explains_every_task() -> None:
    (parameter,) = (each for each in GROUP.commands["prepare"].params if each.name == "task")
    assert re.findall(r"(\w+) \(", parameter.help) == type_names(TaskSettings), "see charlm/commands/prepare_options.py"
