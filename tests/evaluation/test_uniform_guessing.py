"""A score that is worse than uniform guessing is named wherever a score is shown, with the cure."""

import json
import math
import shutil

import pytest

from charlm.evaluation.uniform_guessing import describe_worse_than_uniform, uniform_bits
from tests.processes import Commands

DIVERGING = ("--config", "tiny", "--out", "runs/absurd", "--set", "training.optimizer.lr=1e6")
SENTENCE = "worse than uniform guessing"
CURE = "lower training.optimizer.lr"


def test_uniform_guessing_costs_the_logarithm_of_the_vocabulary() -> None:
    assert uniform_bits(256, 100, 100) == 8.0
    assert uniform_bits(256, 25, 100) == 2.0, "a token of four characters"
    assert uniform_bits(256, 1, 0) is None


@pytest.mark.parametrize("bits", [None, 0.5, 7.9, 8.0])
def test_scores_that_are_as_good_as_guessing_have_no_warning(bits: float | None) -> None:
    assert describe_worse_than_uniform("run", bits, 8.0) is None
    assert describe_worse_than_uniform("run", bits, None) is None


@pytest.fixture(scope="module")
def absurd(toured: Commands, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """A workspace with a run that learned nothing, beside the one that did."""
    commands = toured.within(shutil.copytree(toured.folder, tmp_path_factory.mktemp("absurd") / "workspace"))
    ended = commands.succeed("train", *DIVERGING)
    assert ended.stderr.count(SENTENCE) >= 2, "at its validations and at the end"
    assert "(best)" not in ended.stderr
    assert SENTENCE in ended.error
    assert CURE in ended.error
    return commands


def test_training_tells_the_bits_of_uniform_guessing(absurd: Commands) -> None:
    again = absurd.succeed("train", *DIVERGING)
    assert "is finished" in again.stdout
    assert CURE in again.error, "a finished run is no better the second time"
    result = json.loads(absurd.succeed("train", *DIVERGING, "--json").stdout)
    assert result["best_bits_per_character"] > result["uniform_bits_per_character"]
    vocab_size = absurd.json("inspect", "runs/absurd")["vocab_size"]
    assert result["uniform_bits_per_character"] == pytest.approx(math.log2(vocab_size), rel=0.01)


@pytest.mark.parametrize("command", [("eval",), ("eval", "tiny-texts"), ("compare", "tiny-texts")])
def test_scores_of_the_run_have_the_warning(absurd: Commands, command: tuple[str, ...]) -> None:
    ended = absurd.succeed(*command, "runs/absurd", "--split", "valid")
    assert ended.stderr.count(SENTENCE) == 1, "only of the run that learned nothing"
    assert CURE in ended.error


def test_a_text_that_the_model_does_not_know_is_no_reason_to_train_again(absurd: Commands) -> None:
    (absurd.folder / "digits.txt").write_text("0123456789" * 20, encoding="utf-8")
    ended = absurd.succeed("eval", "tiny-texts", "--text", "digits.txt")
    assert "give text like that of its training" in ended.error
    assert CURE not in ended.stderr


def test_the_list_of_runs_has_the_warning(absurd: Commands) -> None:
    assert absurd.succeed("runs").stdout.count(SENTENCE) == 1
