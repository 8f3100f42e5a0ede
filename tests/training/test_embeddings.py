"""Runs with n-gram and context embeddings: from text to samples, resuming to the bit, and their checkpoints."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from charlm import storage
from charlm.checkpoint import load_model
from charlm.data.corpus import Corpus
from charlm.errors import CheckpointError, StoppedError
from charlm.evaluation.evaluate import evaluate
from charlm.nn.bodies.settings import RecurrentSettings
from charlm.nn.build import build_model
from charlm.nn.embeddings.settings import EmbeddingSettings, NgramEmbeddingSettings, TokenEmbeddingSettings
from charlm.nn.settings import ModelSettings
from charlm.sampling.filters import Temperature
from charlm.sampling.generate import prime_generator
from charlm.sampling.plan import SamplingPlan
from charlm.training.run_directory import RunDirectory, find_checkpoint
from charlm.training.trainer import Trainer
from charlm.vocab.settings import NgramSettings
from tests.corpora import build_corpus
from tests.processes import Commands
from tests.training.test_trainer import CPU, Recorder, fingerprint, interrupt_at, metrics, training, without_clock

CONTEXT: dict[str, Any] = {"context_ngrams": (2, 3), "context_buckets": 64, "context_dropout": 0.2}
EMBEDDINGS: dict[str, EmbeddingSettings] = {
    "context": TokenEmbeddingSettings(size=8, **CONTEXT),
    "ngram": NgramEmbeddingSettings(size=8, combiner="mean"),
    "both": NgramEmbeddingSettings(size=8, **CONTEXT),
}
WORDS = "мама мыла раму, папа мыл рамы. "
RARE = ["мамин", "рамой", "папины", "мылом", "рамку"]
"""Each occurs once, so they are unknown words."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    text = "".join(f"{WORDS * 6}{word} " for word in RARE)
    vocab = NgramSettings(min_count=2, min_ngram_count=1)
    return build_corpus(tmp_path_factory.mktemp("words"), {"a.txt": text}, split="80/10/10", vocab=vocab)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run")


def make(run: RunDirectory, corpus: Corpus, case: str, console: Recorder | None = None, **changes: Any) -> Trainer:
    body = RecurrentSettings(hidden_size=16, dropout=0.2, output_dropout=0.2)
    model = ModelSettings.model_validate({"embedding": EMBEDDINGS[case], "body": body})
    storage.make_directory(run.root)
    chosen = {"validation_interval": 4, **changes}
    return Trainer(
        model, training(**chosen), corpus, run, device=CPU, console=console or Recorder(), start_time=time.monotonic()
    )


every_embedding = pytest.mark.parametrize("case", EMBEDDINGS)


@every_embedding
@pytest.mark.parametrize("split", [3, 14])
def test_a_resumed_run_equals_the_uninterrupted_one_to_the_bit(
    tmp_path: Path, corpus: Corpus, case: str, split: int
) -> None:
    whole, pieces = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "pieces")
    make(whole, corpus, case).run()
    with pytest.raises(StoppedError, match=f"stopped at step {split}"):
        make(pieces, corpus, case, Recorder(interrupt_at(split))).run()
    torch.manual_seed(12345)
    make(pieces, corpus, case).run()
    assert fingerprint(pieces) == fingerprint(whole)
    for kind in ("train", "valid"):
        assert without_clock(metrics(pieces, kind)) == without_clock(metrics(whole, kind))


@every_embedding
def test_the_loss_falls_and_the_checkpoint_is_enough_to_score_and_sample(
    run: RunDirectory, corpus: Corpus, case: str
) -> None:
    make(run, corpus, case, max_steps=120, validation_interval=60).run()
    entries = metrics(run)
    assert entries[-1]["bits_per_character"] < 0.5 * entries[0]["bits_per_character"]
    loaded = load_model(find_checkpoint(run.root), CPU)
    stream = corpus.open("train")
    scores = [evaluate(loaded.model, stream, num_lanes=streams, device=CPU) for streams in (1, 3)]
    assert scores[0].tokens == scores[1].tokens == stream.num_predictions
    assert scores[0].nats == pytest.approx(scores[1].nats, rel=1e-4), "warm-ups are longer than this text"

    def sampling(seed: int) -> SamplingPlan:
        return SamplingPlan(40, (Temperature(1.0),), seed)

    text = [
        "".join(prime_generator(loaded.model, loaded.vocab, "рамочка", sampling(seed), CPU).stream_generate())
        for seed in (1, 1, 2)
    ]
    assert text[0] == text[1] != text[2]
    assert len(text[0]) == 40


# ---- checkpoints


@pytest.fixture
def checkpoint(run: RunDirectory, corpus: Corpus) -> Path:
    make(run, corpus, "both", max_steps=1).run()
    return find_checkpoint(run.root)


def test_the_bags_are_read_from_the_checkpoint(checkpoint: Path, corpus: Corpus) -> None:
    about = json.loads((checkpoint / "model.json").read_text(encoding="utf-8"))
    bags = corpus.vocab.bags()
    assert bags is not None
    assert about["bags"]["num_ngrams"] == bags.num_ngrams
    loaded = load_model(checkpoint, CPU).model
    anew = build_model(ModelSettings.model_validate({"embedding": EMBEDDINGS["both"]}), corpus.vocab.size, bags)
    names = [name for name, _ in loaded.named_buffers()]
    assert len(names) == 3
    assert all(torch.equal(loaded.get_buffer(name), anew.get_buffer(name)) for name in names)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"num_ngrams": 2**31}, "does not fit model.json"),
        ({"num_entries": 2**40}, "does not fit model.json"),
        ({"num_entries": 1}, "does not describe a model"),
        ({"end_id": 10**6}, "does not describe a model"),
        ({"n": -1}, "does not describe a model"),
        ({"boundary": [300]}, "does not describe a model"),
        ({"extra": 1}, "does not describe a model"),
    ],
)
def test_a_layout_with_wrong_sizes_is_refused_before_anything_is_allocated(
    checkpoint: Path, change: dict[str, Any], complaint: str
) -> None:
    path = checkpoint / "model.json"
    about = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(about | {"bags": about["bags"] | change}), encoding="utf-8")
    storage.write_manifest(checkpoint, {"format": 1})
    with pytest.raises(CheckpointError, match=complaint):
        load_model(checkpoint, CPU)


@pytest.mark.parametrize("bags", [None, 3, []])
def test_an_invalid_layout_is_refused(checkpoint: Path, bags: Any) -> None:
    path = checkpoint / "model.json"
    about = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(about | {"bags": bags}), encoding="utf-8")
    storage.write_manifest(checkpoint, {"format": 1})
    with pytest.raises(CheckpointError, match="does not describe a model"):
        load_model(checkpoint, CPU)


def test_bags_with_ids_out_of_range_are_refused(checkpoint: Path) -> None:
    import safetensors.torch

    path = checkpoint / "model.safetensors"
    tensors = safetensors.torch.load(path.read_bytes())
    tensors["embedding.tokens.rows_E"][0] = 10**9
    path.write_bytes(safetensors.torch.save(tensors))
    storage.write_manifest(checkpoint, {"format": 1})
    with pytest.raises(CheckpointError, match="contains an n-gram that does not exist"):
        load_model(checkpoint, CPU)


# ---- the command line


def test_from_text_to_samples_by_commands(commands: Commands) -> None:
    (commands.folder / "novel.txt").write_text(WORDS * 60, encoding="utf-8")
    commands.succeed(
        "prepare", "--workers", "1", "--source", "text", "--input", "novel.txt", "--set", "corpus.vocab.type=ngram"
    )
    chosen = {
        "model.embedding": "{type='ngram', size=8, context_ngrams=[2, 3]}",
        "model.body.hidden_size": 16,
        "training": "{max_steps=6, batch_size=2, seq_len=16}",
    }
    settings = [part for key, value in chosen.items() for part in ("--set", f"{key}={value}")]
    plan = commands.json("train", "--dry-run", "--json", *settings)
    trained = commands.json("train", "--json", *settings)
    assert trained["parameters"] == plan["parameters"]
    assert commands.json("eval", "--json")["bits_per_character"] > 0
    assert len(commands.succeed("sample", "--prompt", "маляр", "--length", "20").stdout) >= 20


def test_an_ngram_embedding_without_ngrams_is_refused_before_anything_is_written(commands: Commands) -> None:
    (commands.folder / "novel.txt").write_text(WORDS * 60, encoding="utf-8")
    commands.succeed("prepare", "--workers", "1", "--source", "text", "--input", "novel.txt")
    refused = commands("train", "--set", "model.embedding.type=ngram", "--out", "runs/x")
    assert refused.code == 2
    assert "corpus.vocab.type=ngram" in refused.error
    assert not (commands.folder / "runs" / "x").exists()
