"""An experiment: configs by name, and what a prepared corpus or an earlier run has to say about its settings."""

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from charlm.errors import SettingsError
from charlm.experiment import (
    Experiment,
    changed_settings,
    check_corpus,
    find_config,
    load_experiment,
    read_layers,
)
from charlm.settings import Difference, to_toml
from charlm.workspace import config_directories

PREPARED = ["corpus.source.type=text", 'corpus.source.input=["/a/b.txt"]', "corpus.vocab.min_count=2"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path) -> Iterator[None]:
    """In an empty folder, as after an installation."""
    before = Path.cwd()
    os.chdir(tmp_path)
    yield
    os.chdir(before)


def test_every_packaged_config_is_an_experiment() -> None:
    names = {path.stem for folder in config_directories() for path in folder.glob("*.toml")}
    assert {"lstm", "gru", "sample"} <= names
    for name in names:
        load_experiment(read_layers(name, (), ()))


def test_a_config_is_a_path_or_else_a_name(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "mine.toml").touch()
    (tmp_path / "lstm").touch()
    assert find_config("mine") == Path("configs/mine.toml")
    assert find_config("lstm") == Path("lstm")
    with pytest.raises(SettingsError, match='did you mean "mine"'):
        find_config("mien")


def prepared(*overrides: str) -> dict[str, Any]:
    return load_experiment(read_layers(None, (), overrides)).corpus.to_record()


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        PREPARED,
        ['corpus.source.input=["/elsewhere/b.txt"]'],
        ["corpus.vocab.min_count=2", "training.batch_size=3"],
        ["corpus.split=auto"],
    ],
)
def test_what_agrees_with_a_corpus_may_be_said_again(overrides: list[str]) -> None:
    check_corpus(read_layers(None, (), overrides), prepared(*PREPARED), Path("data/x"))


@pytest.mark.parametrize(
    ("override", "difference"),
    [
        ("corpus.source.type=sample", "corpus.source.type: text -> sample"),
        ('corpus.source.input=["c.txt"]', "corpus.source.input"),
        ("corpus.vocab.min_count=3", "corpus.vocab.min_count: 2 -> 3"),
        ("corpus.vocab.max_size=3", "corpus.vocab.max_size: None -> 3"),
        ("corpus.split=90/10", "corpus.split: auto -> 90/10"),
        ("corpus.split=None", "corpus.split: auto -> None"),
    ],
)
def test_what_contradicts_a_corpus_is_refused(override: str, difference: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_corpus(read_layers(None, (), [override]), prepared(*PREPARED), Path("data/x"))
    assert difference in caught.value.what


def test_mirrors_and_contacts_say_nothing_about_a_text() -> None:
    overrides = ['corpus.source.mirrors=["http://a"]', "corpus.source.contact=me@example.org"]
    assert prepared(*overrides) == prepared()
    check_corpus(read_layers(None, (), overrides), prepared(), Path("data/x"))


def test_another_budget_is_no_change() -> None:
    def load(*overrides: str) -> Experiment:
        return load_experiment(read_layers(None, (), overrides))

    before = tomllib.loads(to_toml(load("training.max_steps=5")))
    assert changed_settings(before, load("training.max_steps=9", "training.max_minutes=3")) == []
    assert changed_settings(before, load("training.max_epochs=9.0")) == []
    assert changed_settings(before, load("training.max_steps=5", "training.seed=1")) == [
        Difference("training.seed", 0, 1)
    ]


@pytest.mark.parametrize("damage", [{"corpus": 3}, {"training": {"seed": "x"}}, {"model": {"later_setting": 1}}])
def test_settings_that_this_version_does_not_know_are_differences(damage: dict[str, Any]) -> None:
    experiment = load_experiment(read_layers(None, (), ["training.max_steps=5"]))
    assert changed_settings({**tomllib.loads(to_toml(experiment)), **damage}, experiment)
