"""Transducers whose encoder or decoder starts from a language model."""

import json
import random
import re

import pytest
import torch
from safetensors.torch import load_file

from tests.label_runs import train
from tests.processes import Commands

_SIZES = "--set", "model.body.hidden_size=10", "--set", "model.embedding.size=6"
_PAIRS = "--task", "transduce", "--input", "pairs.tsv"
_FEW = "--set", "training.max_steps=1", "--set", "training.optimizer.lr=1e-9"
_SOURCE = "--set", "model.condition.type=source"


@pytest.fixture(scope="module")
def runs(charlm_server: str, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """A corpus `pairs`, and language models `of_targets` and `of_sources` with its vocabularies."""
    commands = Commands(charlm_server, tmp_path_factory.mktemp("parts"))
    chance = random.Random(1)
    words = ["".join(chance.choices("abcd", k=chance.randint(3, 6))) for _ in range(150)]
    rows = "".join(f"{word}\t{word[::-1].upper()}\n" for word in dict.fromkeys(words))
    (commands.folder / "pairs.tsv").write_text("text\ttarget\n" + rows, encoding="utf-8")
    commands.succeed("prepare", *_PAIRS, "--out", "data/pairs")
    for name, vocab in (("of_targets", "pairs"), ("of_sources", "pairs/source")):
        (commands.folder / f"{name}.txt").write_text("abcd ABCD\n" * 60, encoding="utf-8")
        source = "--source", "text", "--input", f"{name}.txt"
        commands.succeed("prepare", *source, "--vocab-from", vocab, "--out", f"data/{name}")
        train(commands, name, *_SIZES)
    return commands


def test_the_vocabulary_decides_which_part_starts(runs: Commands) -> None:
    for name, part, prefix in (("of_targets", "decoder", ""), ("of_sources", "encoder", "encoder.")):
        target = "runs/from_" + name
        ended = runs.succeed("train", "--data", "pairs", "--init-from", name, "--out", target, *_FEW, *_SOURCE)
        assert f"starting the {part} from the weights of" in ended.stderr
        started = load_file(next((runs.folder / target).rglob("model.safetensors")))
        run = runs.folder / "runs" / name
        best = json.loads((run / "best.json").read_text(encoding="utf-8"))["step"]
        known = load_file(run / f"checkpoints/step-{best:09d}/model.safetensors")
        body = [key for key in known if key.startswith(("embedding.", "body."))]
        assert body
        for key in body:
            assert torch.allclose(started[prefix + key], known[key], atol=1e-6), key


def test_a_killed_run_needs_the_language_model_no_more(runs: Commands) -> None:
    arguments = "train", "--data", "pairs", "--init-from", "of_targets", "--out", "runs/again", *_SOURCE
    runs.succeed(*arguments, *_FEW)
    runs.succeed(*arguments, *_FEW, "--set", "training.max_steps=2")
    state = json.loads((runs.folder / "runs/again/last.json").read_text(encoding="utf-8"))
    assert state["step"] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--init-from", "of_targets", "--set", "model.body.hidden_size=11"), 2, "another network than the decoder"),
        (
            ("--init-from", "of_targets", "--set", "model.direction=backward"),
            2,
            "reads forward, and the decoder backward",
        ),
        (("--init-from", "of_sources", "--set", "model.condition.encoder.direction=both"), 2, "read sources forward"),
    ],
)
def test_what_does_not_fit_is_refused(runs: Commands, arguments: tuple[str, ...], code: int, words: str) -> None:
    assert re.search(words, runs.fail(code, "train", "--data", "pairs", "--out", "runs/no", *arguments, *_SOURCE))


def test_another_vocabulary_is_refused(runs: Commands) -> None:
    (runs.folder / "other.txt").write_text("xyz xyz\n" * 60, encoding="utf-8")
    runs.succeed("prepare", "--workers", "1", "--source", "text", "--input", "other.txt", "--out", "data/other")
    train(runs, "other", *_SIZES)
    found = runs.fail(3, "train", "--data", "pairs", "--init-from", "other", "--out", "runs/no", *_SOURCE)
    assert re.search("neither that of the targets nor that of the sources", found)
