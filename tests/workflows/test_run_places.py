"""Names and places of runs and corpora: what they are called, where they go, and how a run finds its corpus again."""

import inspect
import os
import shutil
from pathlib import Path

import pytest
from typer.main import get_command

import charlm
from charlm import storage
from charlm.cli import app
from charlm.errors import OptionError
from charlm.text.settings import HubSettings, MixSettings, TextSettings, WikipediaSettings
from charlm.training.run_directory import RunDirectory
from charlm.vocab.settings import CopiedSettings
from charlm.workflows.plan_training import config_name, run_name
from tests.golden.test_golden import GOLDEN
from tests.processes import Commands
from tests.workspaces import CONFIG, DATA, RUN, snapshot, texts, write_texts

PREPARE = ("prepare", "--workers", "1", "--source", "text", "--input")
TRAIN = ("train", "--config", "tiny")
FINE = ("--set", "training.max_steps=1", "--set", "training.batch_size=4", "--set", "training.seq_len=32")

# ---- default names


NAMES = [
    (config_name("configs/tiny.toml"), "tiny"),
    (config_name("ideas/gru"), "gru"),
    (config_name("lstm.v2"), "lstm.v2"),
    (config_name("configs/lstm.v2.toml"), "lstm.v2"),
    (run_name("base.1"), "base.1"),
    (run_name("runs/base.2/"), "base.2"),
    (run_name("runs/base/checkpoints/step-000000020"), "base"),
    (run_name("bundled"), "bundled"),
    (TextSettings(input=("data.v1.txt",)).name, "data.v1"),
    (TextSettings(input=("data.v1",)).name, "data.v1"),
    (TextSettings(input=("data.v2/",)).name, "data.v2"),
    (TextSettings(input=("europarl.en.gz",)).name, "europarl.en"),
    (TextSettings(input=("books.2024/**/*.txt",)).name, "books.2024"),
    (TextSettings(input=("a/novel.TXT",)).name, "novel"),
    (TextSettings(input=(".hidden",)).name, ".hidden"),
    (TextSettings(input=("/",)).name, "text"),
    (HubSettings(input=("data.v1.jsonl.gz",)).name, "data.v1"),
    (HubSettings(input=("data.v2",)).name, "data.v2"),
    (WikipediaSettings(input=("my.v1.xml.bz2",)).name, "my.v1"),
    (WikipediaSettings(input=("ltgwiki-20240101-pages-articles.xml.bz2",)).name, "ltgwiki"),
    (WikipediaSettings(input=("https://a.org/b%20c.v1.xml.bz2?x=1.2",)).name, "b c.v1"),
    (CopiedSettings(directory="data/ltg.v1").suffix, "-ltg.v1"),
    (CopiedSettings(directory="runs/base.1/checkpoints/step-000000020").suffix, "-base.1"),
]


@pytest.mark.parametrize(
    ("found", "expected"), NAMES, ids=[f"{number} {name}" for number, (_, name) in enumerate(NAMES)]
)
def test_default_names_keep_what_tells_inputs_apart(found: str, expected: str) -> None:
    assert found == expected


def test_a_dot_is_the_folder_that_it_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "base.1"
    (folder / "checkpoints").mkdir(parents=True)
    monkeypatch.chdir(folder)
    assert run_name(".") == "base.1"
    assert run_name("checkpoints/step-000000020") == "base.1"
    assert CopiedSettings(directory=".").suffix == "-base.1"
    assert CopiedSettings(directory="checkpoints/step-000000020").suffix == "-base.1"
    assert TextSettings(input=(".",)).name == "base.1"


def test_ids_in_a_mix_begin_as_they_did() -> None:
    """The ids decide the split, so equal inputs stay in equal splits."""
    mix = MixSettings(
        sources=(
            TextSettings(input=("data.v1.txt",)),
            TextSettings(input=("data.v2",)),
            HubSettings(input=("data.v1.jsonl",)),
            WikipediaSettings(input=("my.v1.xml.bz2",)),
        )
    )
    assert mix.names == ("data.v1", "data", "data-2", "my")
    assert mix.name == "data.v1+data.v2+data.v1-2+my.v1"


def test_runs_that_began_with_two_runs_have_two_names(workspace: Commands) -> None:
    for name in ("base.1", "base.2"):
        shutil.copytree(workspace.folder / RUN, workspace.folder / "runs" / name)
        assert workspace.json("train", "--init-from", name, *FINE)["run"] == f"runs/{name}-texts"
    inside = workspace.within(workspace.folder / RUN)
    data = str(workspace.folder / DATA)
    assert inside.json("train", "--init-from", ".", "--data", data, *FINE)["run"] == "runs/tiny-texts-texts"


def test_a_vocabulary_of_the_folder_itself_names_the_corpus(workspace: Commands) -> None:
    inside = workspace.within(workspace.folder / RUN)
    data = str(workspace.folder / DATA)
    assert inside.json("prepare", "--data", data, "--vocab-from", ".")["data"] == "data/texts-tiny-texts"


def test_a_link_names_run_and_corpus(workspace: Commands) -> None:
    (workspace.folder / "data/link").symlink_to("texts")
    assert workspace.json(*TRAIN, "--data", "link", *FINE)["run"] == "runs/tiny-link"
    assert workspace.json("prepare", "--data", "link", "--vocab", "byte")["data"] == "data/link-byte"
    (workspace.folder / "runs/linked").symlink_to(RUN.name)
    assert "linked" in [run["name"] for run in workspace.json("runs")["runs"]]
    rows = workspace.json("compare", "linked", RUN.name, "--data", "texts")["rows"]
    assert [row["model"] for row in rows] == ["linked", RUN.name]


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[1m\u2028", ""])
def test_a_name_that_breaks_lines_is_refused_at_once(workspace: Commands, name: str) -> None:
    before = snapshot(workspace.folder)
    for command in ((*PREPARE, "texts"), ("prepare", "--data", "texts", "--vocab", "byte"), TRAIN, ("report",)):
        line = workspace.fail(2, *command, "--out", f"runs/{name}" if name else "")
        assert ("another control character" if name else "--out is empty") in line
    assert snapshot(workspace.folder) == before


def test_a_default_name_that_breaks_lines_is_refused(workspace: Commands) -> None:
    shutil.copytree(workspace.folder / RUN, workspace.folder / "runs" / "a\nb")
    (workspace.folder / "a\nb.txt").write_text("text", encoding="utf-8")
    (workspace.folder / "configs" / "a\nb.toml").write_text(CONFIG, encoding="utf-8")
    before = snapshot(workspace.folder)
    for command in (
        (*PREPARE, "a\nb.txt"),
        ("prepare", "--data", "texts", "--vocab-from", "a\nb"),
        ("train", "--init-from", "a\nb"),
        ("train", "--config", "a\nb"),
    ):
        assert "control character; choose another --out" in workspace.fail(2, *command)
    assert snapshot(workspace.folder) == before


# ---- outputs


def test_an_output_goes_into_the_folder_that_a_link_points_to(workspace: Commands) -> None:
    """Also where that folder does not exist yet."""
    folder = workspace.folder
    for kind, command in (("corpus", (*PREPARE, "texts")), ("run", TRAIN), ("report", ("report", "--no-png"))):
        for state in ("empty", "missing"):
            target, link = folder / "disk" / f"{kind}-{state}", folder / f"link-{kind}-{state}"
            (target if state == "empty" else target.parent).mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
            workspace.succeed(*command, "--out", link.name)
            assert link.is_symlink(), (kind, state)
            assert target.is_dir(), (kind, state)
            assert list(target.iterdir()), (kind, state)
    assert not list(folder.glob(".*partial"))
    assert not list((folder / "disk").glob(".*"))
    before = snapshot(folder / "disk")
    assert "already prepared" in workspace.succeed(*PREPARE, "texts", "--out", "link-corpus-empty").stderr
    workspace.succeed(*PREPARE, "texts", "--out", "link-corpus-empty", "--overwrite")
    assert snapshot(folder / "disk") == before
    assert (folder / "link-corpus-empty").is_symlink()
    workspace.succeed("eval", "link-run-empty", "--data", "link-corpus-missing")


def test_an_output_in_the_working_directory(workspace: Commands, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    inside, here = workspace.within(folder), folder.stat().st_ino
    source = str(workspace.folder / "texts")
    inside.succeed(*PREPARE, source, "--out", ".")
    assert folder.stat().st_ino == here, "a shell in it still is"
    kept = {path.name for path in (workspace.folder / DATA).iterdir()}
    assert {path.name for path in folder.iterdir()} == {*kept, "data"}, "data/current.json names it"
    assert "already prepared" in inside.succeed(*PREPARE, source, "--out", ".").stderr
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    before = snapshot(folder)
    inside.succeed(*PREPARE, source, "--out", ".", "--overwrite")
    assert snapshot(folder) == before
    assert "split: auto -> 90/10" in inside.fail(2, *PREPARE, source, "--out", ".", "--set", "corpus.split=90/10")
    corpus = str(folder)
    (tmp_path / "run").mkdir()
    inside = workspace.within(tmp_path / "run")
    config = str(workspace.folder / "configs/tiny.toml")
    inside.succeed("train", "--config", config, "--data", corpus, "--out", ".")
    assert "is finished" in inside.succeed("train", "--config", config, "--data", corpus, "--out", ".").stdout
    assert inside.json("eval")["run"] == "."
    (tmp_path / "run/notes.txt").write_text("mine", encoding="utf-8")
    inside.succeed("train", "--config", config, "--data", corpus, "--out", ".", "--overwrite", *FINE)
    assert (tmp_path / "run/notes.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("command", ["prepare", "train"])
@pytest.mark.parametrize("out", [".", "link", "..", "there"])
def test_a_folder_with_other_things_is_refused_at_once(workspace: Commands, command: str, out: str) -> None:
    folder = workspace.folder
    (folder / "there").mkdir()
    (folder / "there/thesis.txt").write_text("years of work", encoding="utf-8")
    (folder / "link").symlink_to("there")
    (folder / "there/deeper").mkdir()
    before = {path.relative_to(folder.parent): path.lstat().st_mtime_ns for path in folder.parent.rglob("*")}
    inside = workspace.within(folder / "there/deeper") if out == ".." else workspace
    arguments = {
        "prepare": (*PREPARE, str(folder / "texts")),
        "train": ("train", "--config", str(folder / "configs/tiny.toml"), "--data", str(folder / DATA)),
    }[command]
    for overwrite in ((), ("--overwrite",)):
        assert "choose another --out" in inside.fail(2, *arguments, "--out", out, *overwrite)
    after = {path.relative_to(folder.parent): path.lstat().st_mtime_ns for path in folder.parent.rglob("*")}
    assert after.keys() == before.keys()


def test_a_corpus_keeps_what_lies_beside_it_when_it_is_made_anew(workspace: Commands) -> None:
    """`data` itself may be a corpus, with others below it."""
    shutil.rmtree(workspace.folder / "data")
    workspace.succeed(*PREPARE, "texts", "--out", "data")
    workspace.succeed(*PREPARE, "texts/00.txt", "--out", "data/other")
    workspace.succeed(*PREPARE, "texts", "--out", "data", "--vocab", "byte", "--overwrite")
    assert storage.read_json(workspace.folder / "data/corpus.json")["vocabulary"]["type"] == "byte"
    assert (workspace.folder / "data/other/corpus.json").is_file()
    assert (workspace.folder / "data/current.json").is_file()
    assert not list((workspace.folder / "data").glob(".*"))
    assert not list(workspace.folder.glob(".*"))


def test_a_corpus_that_was_half_moved_is_made_again(workspace: Commands, tmp_path: Path) -> None:
    """The process was killed while it filled the working directory; corpus.json comes last."""
    folder = tmp_path / "here"
    (folder / ".partial").mkdir(parents=True)
    for name in ("vocab.json", "train.npy"):
        shutil.copy(workspace.folder / DATA / name, folder / name)
    (folder / ".partial/corpus.json").write_text("{}", encoding="utf-8")
    inside = workspace.within(folder)
    inside.succeed(*PREPARE, str(workspace.folder / "texts"), "--out", ".")
    assert snapshot(folder / "documents") == snapshot(workspace.folder / DATA / "documents")
    assert not (folder / ".partial").exists()


# ---- the corpus of a run


@pytest.fixture
def furnished(commands: Commands) -> Commands:
    """Texts and a config, without a corpus."""
    write_texts(commands.folder / "texts", texts(3))
    (commands.folder / "tiny.toml").write_text(CONFIG, encoding="utf-8")
    return commands


def train_on(commands: Commands, place: str) -> float:
    """Prepare a corpus in `place` and train on it; return the score of the run."""
    commands.succeed(*PREPARE, "texts", "--out", place)
    commands.succeed("train", "--config", "tiny.toml", "--data", place, "--out", "runs/r", *FINE)
    nats: float = commands.json("eval", "r")["nats"]
    return nats


@pytest.mark.parametrize("place", ["elsewhere/corpus", "data", "data/deep/corpus", "link/corpus"])
def test_a_run_finds_its_corpus_where_it_was(furnished: Commands, place: str, tmp_path: Path) -> None:
    """Also after the current corpus is another one, from another folder, and when the whole folder was moved."""
    if place.startswith("link"):
        (furnished.folder / "disk").mkdir()
        (furnished.folder / "link").symlink_to("disk")
    nats = train_on(furnished, place)
    furnished.succeed(*PREPARE, "texts/00.txt", "--out", "data/other")
    assert furnished.json("eval", "r")["nats"] == nats
    (furnished.folder / "data/current.json").unlink()
    assert furnished.json("eval", "r")["nats"] == nats
    moved = tmp_path / "moved"
    shutil.copytree(furnished.folder, moved, symlinks=True, ignore=shutil.ignore_patterns("moved"))
    hidden = furnished.folder / place
    hidden.rename(furnished.folder / "away")
    assert furnished.within(moved).json("eval", "r")["nats"] == nats
    assert furnished.within(moved / "runs").json("eval", "../runs/r")["nats"] == nats
    assert "novelty" in furnished.within(moved).json("sample", "r", "--length", "20", "--novelty", "")
    assert furnished.within(moved).json("inspect", "r")["network"]["operations"]["per"] == "character"


def test_a_corpus_outside_of_the_project_is_remembered_by_its_whole_path(furnished: Commands, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    furnished.succeed(*PREPARE, "texts", "--out", "corpus")
    inside = furnished.within(project)
    inside.succeed("train", "--config", "../tiny.toml", "--data", "../corpus", "--out", "runs/r", *FINE)
    nats = inside.json("eval", "r")["nats"]
    project.rename(tmp_path / "renamed")
    assert furnished.within(tmp_path / "renamed").json("eval", "r")["nats"] == nats


def test_a_run_that_does_not_find_its_corpus_says_where_it_looked(furnished: Commands) -> None:
    nats = train_on(furnished, "elsewhere/corpus")
    (furnished.folder / "elsewhere").rename(furnished.folder / "away")
    (furnished.folder / "data/current.json").unlink()
    line = furnished.fail(2, "eval", "r")
    assert "there is none in elsewhere/corpus, there is none in data/corpus; name the corpus with --data" in line
    furnished.succeed(*PREPARE, "texts/00.txt", "--out", "elsewhere/corpus")
    line = furnished.fail(3, "eval", "r")
    assert "elsewhere/corpus is another one, there is none in data/corpus; name the corpus with --data" in line
    assert furnished.json("eval", "r", "--data", "away/corpus")["nats"] == nats
    furnished.succeed("train", "--config", "tiny.toml", "--data", "away/corpus", "--out", "runs/r", *FINE)
    assert furnished.json("eval", "r")["nats"] == nats, "training again remembers the new place"


def test_a_checkpoint_alone_finds_its_corpus_by_name(furnished: Commands) -> None:
    nats = train_on(furnished, "data/corpus")
    shutil.copytree(next((furnished.folder / "runs/r/checkpoints").iterdir()), furnished.folder / "alone")
    assert furnished.json("eval", "alone")["nats"] == nats


def test_a_run_of_0_1_0_finds_its_corpus_by_name_or_as_the_current_one(commands: Commands) -> None:
    for kept in ("data/char", "runs/lstm"):
        shutil.copytree(GOLDEN / kept, commands.folder / kept)
    nats = commands.json("eval", "lstm")["nats"]
    (commands.folder / "data/char").rename(commands.folder / "data/renamed")
    assert "there is none in data/char" in commands.fail(2, "eval", "lstm")
    storage.write_json(commands.folder / "data/current.json", {"path": "data/renamed"})
    assert commands.json("eval", "lstm")["nats"] == nats


# ---- other corpora than the run's


def test_novelty_compares_text_of_any_vocabulary(workspace: Commands) -> None:
    workspace.succeed("prepare", "--data", str(DATA), "--vocab", "word")
    command = ("sample", str(RUN), "--length", "60", "--novelty")
    own = workspace.json(*command, "")["novelty"]
    assert workspace.json(*command, "texts-word")["novelty"] == own
    assert "novelty" in workspace.json("sample", "bundled", "--length", "20", "--novelty", "texts-word")


def test_characters_seen_are_those_of_the_training_text(workspace: Commands) -> None:
    """Another corpus with the same vocabulary has other tokens per character: all its letters are spelled in bytes."""
    seen = workspace.json("compare", str(RUN))["rows"][0]["characters_seen"]
    (workspace.folder / "other.txt").write_text("ЩЪЫ ЭЮЯ " * 300, encoding="utf-8")
    workspace.succeed(*PREPARE, "other.txt")
    workspace.succeed("prepare", "--data", "other", "--vocab-from", str(RUN), "--out", "data/re")
    compare = ("compare", str(RUN), "--data", "re")
    assert workspace.json(*compare)["rows"][0]["characters_seen"] == seen
    shutil.rmtree(workspace.folder / DATA)
    assert workspace.json(*compare)["rows"][0]["characters_seen"] == pytest.approx(seen, rel=1e-3), "from the log"
    (workspace.folder / RUN / "metrics.jsonl").unlink()
    assert workspace.json(*compare)["rows"][0]["characters_seen"] is None


# ---- --checkpoint


CHECKPOINT = {
    "eval": ("eval", "{run}", "--text", "texts/00.txt"),
    "sample": ("sample", "{run}", "--length", "5"),
    "tune": ("tune", "{run}"),
    "compare": ("compare", "{run}"),
    "explain": ("explain", "{run}", "text"),
    "predict": ("predict", "{run}", "text"),
    "serve": ("serve", "{run}", "--port", "0"),
    "export": ("export", "{run}", "--format", "hub"),
    "compress": ("compress", "{run}", "texts/00.txt"),
    "decompress": ("decompress", "{run}", "texts/00.txt", "--out", "new"),
}
"""Every command with --checkpoint."""


def test_every_command_that_takes_a_checkpoint_is_in_the_table() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert {name for name, each in commands.items() if any(p.name == "checkpoint" for p in each.params)} == set(
        CHECKPOINT
    )
    assert "checkpoint" in inspect.signature(charlm.load).parameters


@pytest.mark.parametrize("which", ["best", "20"])
@pytest.mark.parametrize("name", CHECKPOINT)
def test_no_checkpoint_is_chosen_from_a_checkpoint(toured: Commands, name: str, which: str) -> None:
    checkpoint = RUN / "checkpoints/step-000000010"
    command = [part.format(run=checkpoint) for part in CHECKPOINT[name]]
    line = toured.fail(2, *command, "--checkpoint", which)
    assert f"--checkpoint {which} chooses a checkpoint of a run, and {checkpoint} is a single checkpoint; leave" in line
    assert "or name the run instead of its checkpoint" in line
    command = [part.format(run="bundled") for part in CHECKPOINT[name]]
    line = toured.fail(2, *command, "--checkpoint", which)
    assert "the bundled model is a single one; leave --checkpoint out" in line


def test_the_bundled_model_by_default_has_no_checkpoints_either(commands: Commands) -> None:
    assert "leave --checkpoint out" in commands("sample", "--checkpoint", "last").error


def test_python_names_the_argument(toured: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toured.folder)
    with pytest.raises(OptionError, match=r"^checkpoint last chooses .*; leave checkpoint out, or name the run"):
        charlm.load(str(RunDirectory(RUN).checkpoint(10)), checkpoint="last")
    with pytest.raises(OptionError, match="leave checkpoint out"):
        charlm.load("bundled", checkpoint="best")
    charlm.load("bundled")


def test_names_of_directories_keep_links(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert storage.directory_name(tmp_path / "link") == "link"
    assert storage.directory_name(Path(os.sep)) == ""
