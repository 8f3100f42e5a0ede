"""Runs with an n-gram component: every command reads them, and they resume to the bit."""

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import torch

import charlm
from charlm.checkpoint import load_model
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.sampling.fast.fused import FusedNgramStepper
from charlm.sampling.fast.stepper import choose_stepper
from charlm.training.run_directory import find_checkpoint
from tests.processes import Commands
from tests.workspaces import weights

NGRAMS = ("--set", "model.ngram.min_count=1", "--set", "model.ngram.block_tokens=500")
SHORT = ("--set", "training.validation_interval=10", "--set", "training.batch_size=4")


def train(commands: Commands, run: str, *options: str, steps: int = 30) -> None:
    length = ("--set", f"training.max_steps={steps}")
    commands.succeed("train", "--config", "tiny", "--data", "texts", "--out", f"runs/{run}", *SHORT, *length, *options)


@pytest.fixture(scope="module")
def made(toured: Commands, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    folder = tmp_path_factory.mktemp("ngrams")
    commands = toured.within(shutil.copytree(toured.folder, folder / "it"))
    train(commands, "ngrams", *NGRAMS)
    train(commands, "alone")
    train(commands, "backward", *NGRAMS, "--set", "model.direction=backward", "--set", "model.ngram.order=4")
    return commands


@pytest.fixture
def own(made: Commands, tmp_path: Path) -> Commands:
    """The same in a folder of the test's own."""
    return made.within(shutil.copytree(made.folder, tmp_path / "own"))


def test_the_score_is_that_of_the_mixture_and_of_its_parts(made: Commands) -> None:
    found = made.json("eval", "ngrams")
    assert set(found["parts"]) == {"network", "ngrams"}
    assert found["bits_per_character"] < found["parts"]["network"]
    assert found["bits_per_character"] < made.json("eval", "alone")["bits_per_character"]
    shown = made.succeed("eval", "ngrams").stdout
    assert f"{found['parts']['network']:.4f} bits per character" in shown
    assert "parts" not in made.json("eval", "alone")


@pytest.mark.parametrize("run", ["ngrams", "backward"])
def test_the_score_does_not_depend_on_the_streams(made: Commands, run: str) -> None:
    one, many = (made.json("eval", run, "--streams", str(streams))["nats"] for streams in (1, 7))
    assert one == pytest.approx(many, rel=1e-5)


def test_further_scores(own: Commands) -> None:
    own.succeed("tune", "ngrams")
    found = own.json("eval", "ngrams", "--dynamic", "--cache", "--calibrated", "--mix", "--mix-online")
    for method in ("dynamic", "cache", "temperature", "mix", "recall"):
        assert found[method]["bits_per_character"] < found["bits_per_character"] + 0.2
    assert len(own.json("eval", "ngrams", "alone")["runs"]) == 2


def test_an_ensemble_with_a_network(made: Commands) -> None:
    found = made.json("eval", "ngrams", "alone", "--ensemble")
    assert "parts" not in found
    assert found["bits_per_character"] > 0


def test_text_of_the_fast_step_is_that_of_the_model(made: Commands) -> None:
    """Greedy text of `sample` is the likeliest token of the model at each step."""
    text = made.succeed("sample", "ngrams", "--prompt", "Это ", "--length", "40", "--temperature", "0").stdout
    with_state = charlm.load(str(made.folder / "runs/ngrams"))
    loaded = load_model(_checkpoint(made, "ngrams"), torch.device("cpu"))
    model = loaded.model.eval()
    assert isinstance(model, NgramLanguageModel)
    ids = [loaded.vocab.eod_id, *loaded.vocab.encode("Это ")]
    with torch.no_grad():
        features, state = model(torch.tensor([ids]), model.initial_state(1))
        assert isinstance(choose_stepper(model, state), FusedNgramStepper)
        for _ in range(36):
            ids.append(int(model.head.logits(features[:, -1]).argmax()))
            features, state = model(torch.tensor([ids[-1:]]), state)
    expected = loaded.vocab.decode(ids[1:])
    assert expected[:30] in text
    assert with_state.hidden("это").shape == (3, model.body.features_size)


@pytest.mark.parametrize(
    "options",
    [
        ("--count", "3", "--top-p", "0.9", "--seed", "3"),
        ("--precision", "int8", "--count", "2", "--seed", "3"),
        ("--beams", "3"),
        ("--regex", "[а-я ]{5,20}", "--seed", "3"),
        ("--deterministic", "--count", "2", "--seed", "3"),
    ],
)
def test_every_way_of_sampling(made: Commands, options: tuple[str, ...]) -> None:
    first, second = (made.succeed("sample", "ngrams", "--length", "20", *options) for _ in range(2))
    assert first.stdout.strip()
    assert first.stdout == second.stdout


def test_surprisal_of_each_character(made: Commands) -> None:
    """They add up to the score of the text."""
    (made.folder / "line.txt").write_text("он был в", encoding="utf-8")
    for run in ("ngrams", "backward"):
        explained = made.json("explain", run, "он был в")
        scored = made.json("eval", run, "--text", "line.txt")
        assert explained["nats"] == pytest.approx(scored["nats"], rel=1e-5)
        bits = sum(each["bits"] for each in explained["surprisals"])
        assert bits == pytest.approx(scored["nats"] / math.log(2), rel=1e-4)


def test_checkpoints_are_described(made: Commands) -> None:
    assert "holds n-grams of the training text" in made.succeed("inspect", "runs/ngrams").stdout
    assert made.json("inspect", "runs/ngrams")["ngrams"]["order"] == 12


def test_a_saved_conversation_with_impossible_contexts_is_refused(made: Commands) -> None:
    """The fast step would read beside the tables."""
    loaded = load_model(_checkpoint(made, "ngrams"), torch.device("cpu"))
    state = loaded.model.initial_state(1)
    loaded.model.check_state(state)
    for wrong in (-2, 1 << 40):
        contexts = state[0].clone()
        contexts[0, 3] = wrong
        with pytest.raises(ValueError, match="contexts that the n-grams do not have"):
            loaded.model.check_state((contexts, *state[1:]))


def test_forbidden_settings_are_found_before_anything_is_written(made: Commands) -> None:
    line = made.fail(
        2,
        "train",
        "--config",
        "tiny",
        "--data",
        "texts",
        "--out",
        "runs/no",
        *NGRAMS,
        "--set",
        "model.head.label_smoothing=0.1",
    )
    assert "model.head.label_smoothing does not go with model.ngram" in line
    assert not (made.folder / "runs/no").exists()


def test_a_dry_run_counts(made: Commands) -> None:
    found = made.json("train", "--config", "tiny", "--data", "texts", "--out", "runs/dry", *NGRAMS, "--dry-run")
    trained = made.json("inspect", "runs/ngrams")
    assert found["parameters"] == trained["parameters"]
    assert found["ngrams"].startswith(f"{trained['ngrams']['ngrams']:,} of up to 12 tokens")


def test_a_time_that_counting_uses_up_is_said(own: Commands) -> None:
    time = ("--set", "training.max_minutes=1e-6", "--out", "runs/short")
    said = own.succeed("train", "--config", "laptop", "--data", "texts", *time).stderr
    assert "counting n-grams of up to 12 tokens in" in said
    assert "the time was over before the first step" in said


def test_a_resumed_run_equals_a_whole_one(own: Commands) -> None:
    train(own, "whole", *NGRAMS, steps=20)
    train(own, "parts", *NGRAMS, steps=9)
    train(own, "parts", *NGRAMS, steps=20)
    whole, parts = (own.folder / "runs" / name for name in ("whole", "parts"))
    assert weights(whole) == weights(parts)


def test_fine_tuning_takes_the_ngrams_of_the_new_text(own: Commands) -> None:
    (own.folder / "new.txt").write_text("кот на окне спит. " * 400, encoding="utf-8")
    own.succeed("prepare", "--source", "text", "--input", "new.txt", "--vocab-from", "ngrams", "--out", "data/new")
    own.succeed(
        "train",
        "--init-from",
        "ngrams",
        "--data",
        "new",
        "--out",
        "runs/tuned",
        *SHORT,
        "--set",
        "training.max_steps=4",
    )
    tables = [_tables(own, run) for run in ("ngrams", "tuned")]
    assert tables[0].order == tables[1].order
    assert tables[0].num_ngrams != tables[1].num_ngrams


def test_a_config_may_ask_for_the_usual_order(made: Commands) -> None:
    content = cast("Mapping[str, Any]", json.loads((_checkpoint(made, "ngrams") / "model.json").read_bytes()))
    assert content["ngrams"]["order"] == content["settings"]["ngram"]["order"] == 12


def _checkpoint(commands: Commands, run: str) -> Path:
    return find_checkpoint(commands.folder / "runs" / run)


def _tables(commands: Commands, run: str) -> Any:
    model = load_model(_checkpoint(commands, run), torch.device("cpu")).model
    assert isinstance(model, NgramLanguageModel)
    return model.ngram_head.lookup.tables
