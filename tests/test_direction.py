"""A backward model through every command: it reads the text from its end, and writes what comes before the prompt."""

import json
import random
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from charlm.checkpoint import LoadedModel, load_model
from charlm.errors import SettingsError
from charlm.nn.settings import ModelSettings
from charlm.settings import Layer, validate
from tests.processes import Commands
from tests.workspaces import metrics, weights

CPU = torch.device("cpu")
CONFIG = """\
[corpus]
split = "80/10/10"

[corpus.source]
type = "text"
input = ["toy.txt"]

[model.embedding]
size = 8

[model.body]
hidden_size = 16

[training]
batch_size = 8
seq_len = 20
max_steps = 160
validation_interval = 80
precision = "fp32"

[training.optimizer]
lr = 0.02

[training.schedule]
type = "constant"
warmup_steps = 5
"""
SIDES = ("forward", "backward")


def toy_text() -> str:
    """k is always followed by z, and u preceded by q; what stands before k and after u is a toss of a coin."""
    chosen = random.Random(5)
    return "".join(f"kzqu{chosen.choice('mn')}" for _ in range(800))


def settings(direction: str, *more: str) -> list[str]:
    return ["--config", "toy.toml", "--out", f"runs/{direction}", "--set", f"model.direction={direction}", *more]


@pytest.fixture(scope="module")
def toy(charlm_server: str, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """A corpus, and a run in each direction; tests change nothing there."""
    commands = Commands(charlm_server, tmp_path_factory.mktemp("toy"))
    (commands.folder / "toy.txt").write_text(toy_text(), encoding="utf-8")
    (commands.folder / "toy.toml").write_text(CONFIG, encoding="utf-8")
    commands.succeed("prepare", "--workers", "1", "--config", "toy.toml")
    for direction in SIDES:
        commands.succeed("train", *settings(direction))
    return commands


def load(toy: Commands, direction: str) -> LoadedModel:
    run = toy.folder / "runs" / direction
    last = json.loads((run / "last.json").read_text(encoding="utf-8"))["checkpoint"]
    return load_model(run / "checkpoints" / last, CPU)


@torch.no_grad()
def after(loaded: LoadedModel, read: str) -> dict[str, float]:
    """The probability of each letter, for a model that has read <eod> and then these in this order."""
    ids = torch.tensor([[loaded.vocab.eod_id, *loaded.vocab.encode(read).tolist()]])
    features, _ = loaded.model.eval()(ids, loaded.model.initial_state(1))
    probabilities: Tensor = loaded.model.head.logits(features[0, -1]).softmax(-1)
    return {letter: float(probabilities[loaded.vocab.encode(letter)[0]]) for letter in "kzqumn"}


def test_each_direction_knows_what_is_certain_on_its_side(toy: Commands) -> None:
    forward, backward = load(toy, "forward"), load(toy, "backward")
    assert after(forward, "mkzqunk")["z"] > 0.95, "after k"
    assert after(backward, "nuqzkmu")["q"] > 0.95, "before u"
    for uncertain in (after(forward, "mkzqu"), after(backward, "nuqzk")):
        assert uncertain["m"] + uncertain["n"] > 0.95
        assert 0.2 < uncertain["m"] < 0.8


def test_the_figures_are_sums_over_the_reversed_ids(toy: Commands) -> None:
    loaded = load(toy, "backward")
    assert loaded.metadata["direction"] == loaded.settings.direction == "backward"
    ids = np.load(toy.folder / "data" / "toy" / "test.npy").tolist()[::-1]
    assert ids[0] == ids[-1] == loaded.vocab.eod_id
    nats, state = 0.0, loaded.model.eval().initial_state(1)
    with torch.no_grad():
        for given, target in pairwise(ids):
            features, state = loaded.model(torch.tensor([[given]]), state)
            nats -= float(loaded.model.head.logits(features[0, -1]).log_softmax(-1)[target])
    arguments = ("--streams", "1", "--checkpoint", "last", "--device", "cpu")
    score = toy.json("eval", "backward", *arguments)
    assert score["tokens"] == len(ids) - 1
    assert score["nats"] == pytest.approx(nats, rel=1e-5)
    assert score["characters"] == toy.json("eval", "forward", *arguments)["characters"]


def test_validation_reads_backward_too(toy: Commands) -> None:
    valid = [line for line in metrics(toy.folder / "runs" / "backward") if line["kind"] == "valid"][-1]
    score = toy.json("eval", "backward", "--split", "valid", "--checkpoint", "last", "--device", "cpu")
    assert valid["nats"] == pytest.approx(score["nats"], rel=1e-6)
    assert score["bits_per_character"] < 0.4, "a coin every five characters is a fifth of a bit"


def test_a_sample_ends_in_the_prompt(toy: Commands) -> None:
    arguments = ("--prompt", "u", "--length", "33", "--temperature", "1")
    text = toy.succeed("sample", "backward", *arguments).stdout
    assert text.endswith("kzqu\n")
    assert len(text) == 33 + len("u\n")
    assert all(
        before + following in ("kz", "zq", "qu", "um", "un", "mk", "nk") for before, following in pairwise(text[:-1])
    )
    sampled = toy.json("sample", "backward", *arguments)
    assert sampled["text"] + sampled["prompt"] + "\n" == text
    assert toy.succeed("sample", "forward", "--prompt", "k", "--length", "3").stdout == "kzqu\n"


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(toy: Commands, tmp_path: Path) -> None:
    commands = toy.within(tmp_path)
    shutil.copytree(toy.folder / "data", tmp_path / "data")
    shutil.copy(toy.folder / "toy.toml", tmp_path)
    commands.succeed("train", *settings("backward", "--set", "training.max_steps=80"))
    assert weights(tmp_path / "runs" / "backward") != weights(toy.folder / "runs" / "backward")
    commands.succeed("train", *settings("backward"))
    assert weights(tmp_path / "runs" / "backward") == weights(toy.folder / "runs" / "backward")
    assert "direction" in commands.fail(2, "train", *settings("backward", "--set", "model.direction=forward"))


def test_words_spelled_backward_have_no_ngrams() -> None:
    tree = {"direction": "backward", "embedding": {"type": "ngram"}}
    with pytest.raises(SettingsError, match=r"backward.*embedding\.type to token"):
        validate(ModelSettings, Layer(tree))
    validate(ModelSettings, Layer({**tree, "direction": "forward"}))
    validate(ModelSettings, Layer({**tree, "embedding": {"context_ngrams": (2,)}}))
