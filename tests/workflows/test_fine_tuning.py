"""A model that goes on learning from another text, with the vocabulary it has."""

from pathlib import Path

import pytest

from tests.processes import Commands
from tests.workspaces import RUN, metrics, steps, write_texts

OTHER = {"a.txt": "the quick brown fox jumps over the lazy dog, and then again and again. é\n" * 60}


@pytest.fixture
def tuned(workspace: Commands) -> Commands:
    """A second corpus, encoded as the run's own one is."""
    write_texts(workspace.folder / "other", OTHER)
    workspace.succeed("prepare", "--workers", "1", "--source", "text", "--input", "other")
    workspace.succeed("prepare", "--data", "other", "--vocab-from", str(RUN))
    return workspace


FP32 = ("--set", "training.precision=fp32")  # as `eval` computes, whatever the machine is fast at


def test_it_starts_from_the_weights_of_the_run(tuned: Commands) -> None:
    before = tuned.json("eval", str(RUN), "--data", "other-tiny-texts", "--split", "valid")["bits_per_character"]
    command = ("train", "--init-from", str(RUN), "--data", "other-tiny-texts", "--set", "training.batch_size=4")
    trained = tuned.succeed(*command, "--set", "training.max_steps=1", "--set", "training.optimizer.lr=1e-9", *FP32)
    assert f"starting from the weights of {RUN}" in trained.stderr
    run = tuned.folder / "runs" / "tiny-texts-other-tiny-texts"
    assert metrics(run)[-1]["bits_per_character"] == pytest.approx(before, rel=1e-5)
    faster = ("--set", "training.optimizer.lr=0.02", "--set", "training.schedule.warmup_steps=0")
    tuned.succeed(*command, "--out", "runs/longer", "--set", "training.max_steps=40", *faster)
    assert metrics(tuned.folder / "runs" / "longer")[-1]["bits_per_character"] < before - 0.3


def test_it_resumes(tuned: Commands) -> None:
    command = ("train", "--init-from", "tiny-texts", "--data", "other-tiny-texts", "--out", "runs/tuned")
    tuned.succeed(*command, "--set", "training.max_steps=2")
    tuned.succeed(*command, "--set", "training.max_steps=5")
    assert steps(tuned.folder / "runs" / "tuned")[-1] == 5


def test_another_vocabulary_is_refused_with_the_way_out(tuned: Commands) -> None:
    line = tuned.fail(3, "train", "--init-from", str(RUN), "--data", "other")
    assert "the vocabulary of data/other differs from that of" in line
    assert f"charlm prepare --data data/other --vocab-from {RUN}" in line


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("--set", "model.body.hidden_size=24"), "model.hidden_size: 16 -> 24"),
        (("--config", "tiny", "--set", "model.body.num_layers=2"), "num_layers: 1 -> 2"),
        (("--set", "model.direction=backward"), "direction: forward -> backward"),
    ],
)
def test_settings_of_another_network_are_refused(tuned: Commands, settings: tuple[str, ...], words: str) -> None:
    line = tuned.fail(2, "train", "--init-from", str(RUN), "--data", "other-tiny-texts", *settings)
    assert words.rsplit(".", maxsplit=1)[-1] in line
    assert "leave out --config and these settings" in line


def test_dropout_may_change(tuned: Commands) -> None:
    command = ("train", "--init-from", str(RUN), "--data", "other-tiny-texts", "--set", "training.max_steps=1")
    tuned.succeed(*command, "--set", "model.body.output_dropout=0.3")


def test_a_copied_vocabulary_is_the_same_again(tuned: Commands) -> None:
    assert "already prepared" in tuned.succeed("prepare", "--data", "other", "--vocab-from", str(RUN)).stderr
    vocabularies = [
        (tuned.folder / place / "vocab.json").read_bytes() for place in ("data/other-tiny-texts", Path("data/texts"))
    ]
    assert vocabularies[0] == vocabularies[1]


def test_another_batch_goes_on_and_says_so(workspace: Commands) -> None:
    command = ("train", "--config", "tiny", "--out", "runs/other-batch", "--set", "training.max_steps=9")
    workspace.succeed(*command, "--set", "training.max_steps=4")
    ended = workspace.succeed(*command, "--set", "training.batch_size=3")
    assert "rows 4 -> 3: not bit-exact; the rest of the epoch is redistributed over the new batch" in ended.stderr
    assert steps(workspace.folder / "runs/other-batch")[-1] == 9
