"""`charlm.load` of models of labels and tags: they predict as the command does, and refuse what is not for them."""

import json
import shutil
from collections.abc import Callable, Iterator

import pytest
import torch

import charlm
from charlm.api import Model
from charlm.errors import OptionError, UsageError
from tests.label_runs import NUMBERS, make_language_run, train
from tests.processes import Commands


@pytest.fixture(scope="module")
def labels(labelled: Commands, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    commands = labelled.within(shutil.copytree(labelled.folder, tmp_path_factory.mktemp("labels") / "folder"))
    train(commands, "labels", name="causal")
    make_language_run(commands)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(commands.folder)
        yield commands


def test_predictions_are_those_of_the_command(labels: Commands) -> None:
    model = charlm.load("labels")
    assert model.labels == ("even", "odd")
    found = model.predict(iter(NUMBERS[:5]), top=2)
    printed = labels.succeed("predict", "labels", *NUMBERS[:5], "--top", "2").stdout.splitlines()
    for each, line in zip(found, printed, strict=True):
        expected = json.loads(line)
        assert (each.text, each.labels[0].label) == (expected["text"], expected["label"])
        assert {each.label: each.probability for each in each.labels} == pytest.approx(expected["labels"], abs=1e-5)
    assert model.predict([]) == []
    alone = model.predict(NUMBERS[0])
    assert (alone.text, alone.labels[0].label) == (NUMBERS[0], found[0].labels[0].label)


def test_inspect_shows_the_network_of_labels_and_tags(labels: Commands) -> None:
    weighted = ("--set", "model.head.class_weights=0.5", "--set", "model.pooling=max")
    train(labels, "labels", "--set", "model.direction=both", *weighted, name="weighted")
    for run in ("labels", "tags", "weighted"):
        network = json.loads(labels.succeed("inspect", f"runs/{run}", "--json").stdout)["network"]
        *_, head = network["parts"]
        assert (head["name"], head["outputs"]) == ("head", 2)
        directions = ["layer 1"] if run == "tags" else ["forward 1", "backward 1"]
        assert [part["name"] for part in network["parts"]] == ["embedding", *directions, "head"]
        model = charlm.load(run).network
        assert network["parameters"] == model.num_parameters


def test_tags_of_texts(labels: Commands) -> None:
    del labels
    model = charlm.load("tags")
    first, empty = model.predict(["word7 7", ""])
    assert [(tag.start, tag.end) for tag in first.tags] == [(0, 5), (6, 7)]
    assert empty.tags == ()
    with pytest.raises(OptionError, match=r"top is for labels of documents.*; leave top out"):
        model.predict("word7", top=2)


def test_features_of_a_causal_model_are_those_of_what_it_has_read(labels: Commands) -> None:
    del labels
    model = charlm.load("causal")
    features = model.hidden("number 8")
    assert features.shape == (8, model.network.body.features_size)
    torch.testing.assert_close(model.hidden("number")[:6], features[:6])
    long = "number " * 100
    torch.testing.assert_close(model.hidden(long)[:400], model.hidden(long[:400]))
    assert model.hidden("").shape == (0, model.network.body.features_size)


CALLS: dict[str, tuple[str, Callable[[Model], object], str]] = {
    "score": ("labels", lambda model: model.score("a"), "charlm eval"),
    "sample": ("labels", lambda model: model.sample("a"), "model.predict"),
    "stream": ("tags", lambda model: model.stream("a"), "model.predict"),
    "hidden": ("labels", lambda model: model.hidden("a"), "reads texts from their ends"),
    "predict": ("language", lambda model: model.predict("a"), "is a language model.*model.score"),
}
"""Method -> a run that it is not for, a call, and what the error says."""


@pytest.mark.parametrize("method", CALLS)
def test_what_a_model_cannot_do_is_refused(labels: Commands, method: str) -> None:
    del labels
    run, call, message = CALLS[method]
    with pytest.raises(UsageError, match=message):
        call(charlm.load(run))
