"""Runs that read frozen language models: from two runs and a treebank to tags, alone in their checkpoints."""

import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import charlm
from charlm import storage
from charlm.data.corpus import open_corpus
from charlm.errors import StoppedError
from charlm.nn.settings import ModelSettings
from charlm.settings import Layer, validate
from charlm.training.run_directory import RunDirectory, find_checkpoint
from charlm.training.settings import TrainingSettings
from charlm.training.trainer import Trainer
from charlm.workflows.frozen_runs import find_frozen_models
from tests.label_runs import NUMBERS, prepare_examples, train
from tests.processes import Commands
from tests.training.test_label_trainer import TRAINING
from tests.training.test_trainer import CPU, Recorder, fingerprint, interrupt_at, metrics, without_clock
from tests.workspaces import snapshot, steps

BOTH = (
    *("--set", "model.embedding.type=contextual"),
    *("--set", "model.embedding.forward=forward", "--set", "model.embedding.backward=backward"),
)
TEXT = "word7 7"


@pytest.fixture(scope="module")
def made(charlm_server: str, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """Two language models, corpora with their vocabulary, and a tagger that reads both."""
    commands = Commands(charlm_server, tmp_path_factory.mktemp("contextual"))
    words = "".join(
        f"1\tword{number}\t_\tNOUN\t_\t_\t_\t_\t_\t_\n2\t{number}\t_\tNUM\t_\t_\t_\t_\t_\tSpaceAfter=No\n\n"
        for number in range(60)
    )
    (commands.folder / "bank.conllu").write_text(words, encoding="utf-8")
    lines = [line for number, text in enumerate(NUMBERS * 5) for line in (text, f"word{number} {number}")]
    (commands.folder / "novel.txt").write_text("\n".join(lines), encoding="utf-8")
    commands.succeed("prepare", "--source", "text", "--input", "novel.txt", "--workers", "1")
    train(commands, "novel", "--set", "training.batch_size=2", name="forward")
    train(commands, "novel", "--set", "training.batch_size=2", "--set", "model.direction=backward", name="backward")
    prepare_examples(commands, "tag", "bank.conllu", "tags", "--vocab-from", "forward")
    rows = "".join(f"{text}\t{text[::-1]}\n" for text in NUMBERS)
    (commands.folder / "pairs.tsv").write_text(f"text\ttarget\n{rows}", encoding="utf-8")
    train(commands, "tags", *BOTH, "--set", "model.embedding.size=4", "--set", "model.direction=both", name="tagger")
    return commands


@pytest.fixture
def own(made: Commands, tmp_path: Path) -> Commands:
    """The same in a folder of the test's own."""
    return made.within(shutil.copytree(made.folder, tmp_path / "own"))


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load((checkpoint / "model.safetensors").read_bytes())


# ---- features


def test_the_vectors_are_those_of_the_python_interface(made: Commands) -> None:
    """`hidden` of both runs, side by side, for each token of a text in a batch of rows."""
    tagger = charlm.load(made.folder / "runs" / "tagger")
    texts = [TEXT, "number 12 and more"]
    ids = [[*tagger.vocab.encode(text).tolist(), tagger.vocab.eod_id] for text in texts]
    lengths_B = torch.tensor([len(row) for row in ids])
    inputs_BT = torch.tensor([[*row, *[0] * (max(map(len, ids)) - len(row))] for row in ids])
    embedding = tagger.network.embedding
    found, _ = embedding.read_rows(inputs_BT, embedding.initial_state(2), lengths_B)
    models = [charlm.load(made.folder / "runs" / name) for name in ("forward", "backward")]
    for row, text in enumerate(texts):
        expected = torch.cat([model.hidden(text, per="token") for model in models], dim=-1)
        size = expected.shape[-1]
        torch.testing.assert_close(found[row, : len(ids[row]) - 1, :size], expected, rtol=0, atol=1e-5)


def test_training_leaves_them_as_they_were(made: Commands) -> None:
    run = RunDirectory(made.folder / "runs" / "tagger")
    found = weights(find_checkpoint(run.root))
    for name, part in (("forward", "along"), ("backward", "against")):
        before = weights(find_checkpoint(made.folder / "runs" / name))
        kept = {key: tensor for key, tensor in before.items() if not key.startswith("head.")}
        assert len(kept) > 3
        for key, tensor in kept.items():
            assert torch.equal(found.pop(f"embedding.{part}.{key}"), tensor)
    assert not any("along" in key or "against" in key for key in found)
    resumable = safetensors.torch.load((find_checkpoint(run.root) / "training.safetensors").read_bytes())
    assert any(key.startswith("optimizer.embedding.trained.") for key in resumable)
    assert not any("along" in key or "against" in key for key in resumable)


# ---- a run alone


def test_a_checkpoint_works_alone(own: Commands) -> None:
    before = own.succeed("predict", "tagger", TEXT).stdout
    figures = own.json("eval", "tagger")
    own.succeed("inspect", "tagger")
    for name in ("forward", "backward", "tagger"):
        (own.folder / "runs" / name).rename(own.folder / name)
    checkpoint = find_checkpoint(own.folder / "tagger")
    alone = shutil.copytree(checkpoint, own.folder / "alone")
    shutil.rmtree(own.folder / "tagger")
    assert own.succeed("predict", str(alone), TEXT).stdout == before
    assert own.json("eval", str(alone), "--data", "tags")["accuracy"] == figures["accuracy"] > 0.9
    assert own.json("inspect", str(alone))["network"]["frozen_weights"] > 1000


def test_a_run_goes_on_without_the_runs_that_it_reads(own: Commands) -> None:
    command = ("train", "--data", "tags", "--out", "runs/new", *BOTH)
    own.succeed(*command, "--set", "training.max_steps=2")
    for name in ("forward", "backward"):
        shutil.rmtree(own.folder / "runs" / name)
    own.succeed(*command, "--set", "training.max_steps=3")
    assert steps(own.folder / "runs" / "new")[-1] == 3
    assert "there is no run 'forward'" in own.fail(2, *command[:4], "runs/other", *BOTH)
    tuned = ("train", "--init-from", "new", "--data", "tags", "--out", "runs/tuned", "--set", "training.max_steps=1")
    own.succeed(*tuned)
    line = own.fail(2, *tuned[:-2], "--set", "model.embedding.forward=other")
    assert "has its own frozen language models" in line


def test_other_weights_are_refused_with_the_difference(own: Commands) -> None:
    command = ("train", "--data", "tags", "--out", "runs/new", *BOTH, "--set", "training.max_steps=2")
    own.succeed(*command)
    train(own, "novel", "--overwrite", "--set", "training.batch_size=2", "--set", "training.seed=9", name="forward")
    before = snapshot(own.folder)
    line = own.fail(2, *command)
    assert "model.embedding.forward: weights " in line
    assert "choose another --out, or add --overwrite" in line
    assert "model.embedding.size: 128 -> 3" in own.fail(2, *command, "--set", "model.embedding.size=3")
    assert snapshot(own.folder) == before
    own.succeed(*command, "--overwrite")


def test_a_resumed_run_equals_the_uninterrupted_one_to_the_bit(made: Commands, tmp_path: Path) -> None:
    names = {name: str(made.folder / "runs" / name) for name in ("forward", "backward")}
    embedding = {"type": "contextual", **names, "size": 4, "context_ngrams": (2,), "projection": 6, "dropout": 0.1}
    tree = {"embedding": embedding, "body": {"hidden_size": 8, "input_dropout": 0.2}, "direction": "both"}
    model = validate(ModelSettings, Layer(tree))
    corpus = open_corpus(made.folder / "data" / "tags")
    chosen = {**TRAINING, "averaging": {"type": "ema"}, "optimizer": {"type": "muon"}}

    def make(run: RunDirectory, console: Recorder) -> Trainer:
        storage.make_directory(run.root)
        return Trainer(
            model,
            validate(TrainingSettings, Layer(chosen)),
            corpus,
            run,
            device=CPU,
            console=console,
            start_time=time.monotonic(),
            frozen=find_frozen_models(model, corpus, run),
        )

    whole, pieces = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "pieces")
    make(whole, Recorder()).run()
    with pytest.raises(StoppedError, match="stopped at step 3"):
        make(pieces, Recorder(interrupt_at(3))).run()
    torch.manual_seed(12345)
    make(pieces, Recorder()).run()
    assert fingerprint(pieces) == fingerprint(whole)
    for kind in ("train", "valid"):
        assert without_clock(metrics(pieces, kind)) == without_clock(metrics(whole, kind))


def test_a_killed_run_resumes_to_the_bit(own: Commands) -> None:
    command = ("train", "--data", "tags", *BOTH, "--set", "model.body.hidden_size=8", "--set", "training.max_steps=40")
    often = ("--set", "training.checkpoint_minutes=0.0001", "--set", "training.validation_interval=10")
    own.succeed(*command, *often, "--out", "runs/whole")
    run = RunDirectory(own.folder / "runs" / "killed")
    with own.start(*command, *often, "--out", "runs/killed") as process:
        while not run.checkpoint_steps():
            time.sleep(0.01)
        process.send(signal.SIGKILL)
        process.wait()
    shutil.rmtree(own.folder / "runs" / "backward")
    own.succeed(*command, *often, "--out", "runs/killed")
    assert fingerprint(run) == fingerprint(RunDirectory(own.folder / "runs" / "whole"))


# ---- other tasks


def test_a_language_model_reads_the_one_of_its_direction(own: Commands) -> None:
    forward = BOTH[:4]
    plan = own.json("train", "--data", "novel", *forward, "--out", "runs/lm", "--dry-run")
    assert plan["frozen_weights"] > 1000
    train(own, "novel", *forward, "--set", "model.embedding.projection=8", name="lm")
    assert own.json("eval", "lm")["bits_per_character"] < 4
    assert own.succeed("sample", "lm", "--length", "30", "--seed", "1").stdout.strip()
    fast = ("max_tokens=300", "statistics_batches=1", "lr=[1e-4]", "decay=[0.01]")
    own.succeed("tune", "lm", *[part for each in fast for part in ("--set", each)])
    assert own.json("eval", "lm", "--dynamic")["bits_per_character"] > 0
    assert own.json("inspect", "lm")["network"]["frozen_weights"] == plan["frozen_weights"]
    (own.folder / "data" / "current.json").unlink()
    without_corpus = own.json("train", *forward, "--out", "runs/lm2", "--dry-run")
    assert without_corpus["frozen_weights"] == plan["frozen_weights"]
    line = own.fail(2, "train", "--data", "novel", *BOTH, "--out", "runs/no")
    assert "model.embedding.backward is for labels and tags" in line
    assert not (own.folder / "runs" / "no").exists()
    line = own.fail(2, "train", "--data", "tags", *BOTH[:2], "--set", "model.embedding.forward=lm", "--out", "runs/no")
    assert "reads frozen language models itself" in line


def test_an_encoder_reads_sources_of_the_same_vocabulary(own: Commands) -> None:
    encoder = "model.condition.encoder.embedding"
    reads = (
        *("--set", "model.condition.type=source", "--set", f"{encoder}.type=contextual"),
        *("--set", f"{encoder}.forward=forward", "--set", f"{encoder}.backward=backward"),
    )
    prepare_examples(own, "transduce", "pairs.tsv", "apart", "--vocab-from", "forward")
    line = own.fail(3, "train", "--data", "apart", *reads, "--out", "runs/no")
    assert "the vocabulary of the sources in data/apart differs" in line
    assert "--set corpus.task.source_vocab=shared" in line
    shared = ("--vocab-from", "forward", "--set", "corpus.task.source_vocab=shared")
    prepare_examples(own, "transduce", "pairs.tsv", "pairs", *shared)
    small = ("--set", "training.max_steps=3", "--set", "model.body.hidden_size=8")
    own.succeed("train", "--data", "pairs", *reads, *small, "--out", "runs/writer")
    shutil.rmtree(own.folder / "runs" / "forward")
    own.succeed("predict", "writer", TEXT)


# ---- errors


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        (("forward=backward",), 2, "reads backward; name it in model.embedding.backward, or train one with"),
        (("forward=tagger",), 2, "predicts tags, and a language model of plain text is needed"),
        (("forward=nowhere",), 2, "there is no run 'nowhere'"),
        ((), 2, "set forward, backward or both to the names of runs"),
    ],
)
def test_another_run_is_refused(made: Commands, settings: tuple[str, ...], code: int, words: str) -> None:
    chosen = [part for each in settings for part in ("--set", f"model.embedding.{each}")]
    assert words in made.fail(code, "train", "--data", "tags", *BOTH[:2], *chosen, "--out", "runs/no")
    assert not (made.folder / "runs" / "no").exists()


def test_another_vocabulary_is_refused_with_the_way_out(own: Commands) -> None:
    prepare_examples(own, "tag", "bank.conllu", "others")
    line = own.fail(3, "train", "--data", "others", *BOTH, "--out", "runs/no")
    assert "the vocabulary of data/others differs from that of runs/forward" in line
    assert "charlm prepare --data data/others --vocab-from forward" in line
    own.succeed("prepare", "--data", "data/others", "--vocab-from", "forward", "--out", "data/mended")
    own.succeed("train", "--data", "mended", *BOTH, "--out", "runs/yes", "--set", "training.max_steps=1")


def test_segments_that_are_recomputed_need_a_body_that_reads_whole_rows(own: Commands) -> None:
    command: Any = ("train", "--data", "tags", *BOTH, "--set", "training.recompute_len=4", "--out", "runs/new")
    assert "reads it from its end" in own.fail(2, *command)
    own.succeed(*command, "--set", "model.direction=both", "--set", "training.max_steps=1")
