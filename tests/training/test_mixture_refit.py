"""Mixture weights that are fitted at validations: what is scored and saved has them, and training goes on without."""

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from charlm import storage
from charlm.checkpoint import load_model, load_resume_data
from charlm.data.corpus import Corpus
from charlm.data.store import DOCUMENT_DTYPE, TokenStream
from charlm.errors import StoppedError
from charlm.evaluation.evaluate import evaluate
from charlm.nn.ngrams.mixture_examples import MixtureExamples
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.settings import ModelSettings
from charlm.settings import Layer, validate
from charlm.training import mixture_refit
from charlm.training.optim.settings import AveragingSettings, EMASettings, NoAveragingSettings
from charlm.training.run_directory import RunDirectory
from charlm.training.tasks import language as language_module
from charlm.training.tasks.base import ScoringOptions
from charlm.training.trainer import Trainer
from tests.corpora import build_corpus
from tests.training.test_trainer import CPU, Recorder, fingerprint, interrupt_at, metrics, training, without_clock

MODEL = {"embedding": {"size": 8}, "body": {"hidden_size": 16, "output_dropout": 0.2}}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """120 documents of ten words."""
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefgh", k=rng.randint(2, 6))) for _ in range(40)]
    texts = {f"{i:03d}.txt": " ".join(rng.choices(words, k=60)) for i in range(120)}
    return build_corpus(tmp_path_factory.mktemp("words"), texts)


def train(
    run: RunDirectory,
    corpus: Corpus,
    console: Recorder | None = None,
    averaging: AveragingSettings | None = None,
    epochs: int = 8,
) -> None:
    ngram = {"order": 4, "refit_epochs": epochs}
    settings = validate(ModelSettings, Layer({**MODEL, "ngram": ngram}))
    storage.make_directory(run.root)
    options = training(averaging=averaging or NoAveragingSettings())
    Trainer(
        settings, options, corpus, run, device=CPU, console=console or Recorder(), start_time=time.monotonic()
    ).run()


AVERAGING = {"trained": NoAveragingSettings(), "averaged": EMASettings(decay=0.9)}


@pytest.mark.parametrize("averaging", AVERAGING)
@pytest.mark.parametrize("split", [10, 17, 22], ids=["before a validation", "between", "before the last validation"])
def test_a_resumed_run_equals_the_uninterrupted_one(tmp_path: Path, corpus: Corpus, split: int, averaging: str) -> None:
    whole, pieces = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "pieces")
    train(whole, corpus, averaging=AVERAGING[averaging])
    with pytest.raises(StoppedError):
        train(pieces, corpus, Recorder(interrupt_at(split)), AVERAGING[averaging])
    torch.randn(7)
    train(pieces, corpus, averaging=AVERAGING[averaging])
    assert fingerprint(pieces) == fingerprint(whole)
    for kind in ("train", "valid"):
        assert without_clock(metrics(pieces, kind)) == without_clock(metrics(whole, kind))


def test_the_saved_model_has_the_score_of_the_second_half(tmp_path: Path, corpus: Corpus) -> None:
    run = RunDirectory(tmp_path / "run")
    train(run, corpus)
    model = load_model(run.checkpoint(22), CPU).model
    halves = corpus.open("valid").halves()
    assert halves is not None
    score = evaluate(model, halves[1], device=CPU)
    assert score.bits == pytest.approx(metrics(run, "valid")[-1]["bits_per_character"], abs=1e-9)


def test_training_goes_on_without_the_fitted_weights(tmp_path: Path, corpus: Corpus) -> None:
    fitted, plain = RunDirectory(tmp_path / "fitted"), RunDirectory(tmp_path / "plain")
    train(fitted, corpus)
    train(plain, corpus, epochs=0)
    assert without_clock(metrics(fitted)) == without_clock(metrics(plain))
    unfitted = load_resume_data(fitted.checkpoint(22)).tensors
    saved = {run: dict(load_model(run.checkpoint(22), CPU).model.named_parameters()) for run in (fitted, plain)}
    names = [name for name in saved[plain] if f"unfitted.{name.removeprefix('head.')}" in unfitted]
    assert len(names) == 5
    for name, weights in saved[plain].items():
        if name in names:
            assert not torch.equal(saved[fitted][name], weights)
            assert torch.equal(unfitted[f"unfitted.{name.removeprefix('head.')}"], weights)
        else:
            assert torch.equal(saved[fitted][name], weights)


def test_a_finished_run_says_so_without_counting_again(
    tmp_path: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory(tmp_path / "run")
    train(run, corpus)
    before = {path: path.read_bytes() for path in run.root.rglob("*") if path.is_file()}
    monkeypatch.setattr(language_module, "count_training_text", None)
    train(run, corpus)
    assert {path: path.read_bytes() for path in run.root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("num_ids", "num_read"), [(40, 40), (99, 99), (5000, 99)])
def test_weights_are_fitted_on_a_bounded_text(
    tmp_path: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch, num_ids: int, num_read: int
) -> None:
    """The first document of the text is shorter than the limit of 100 ids, as long, or much longer."""
    run = RunDirectory(tmp_path / "run")
    train(run, corpus, epochs=0)
    model = load_model(run.checkpoint(22), CPU).model
    assert isinstance(model, NgramLanguageModel)
    ids = np.arange(1 + num_ids + 5000) % corpus.vocab.size
    counts = [(1, num_ids, 1, num_ids), (1 + num_ids, 5000, 1, 5000)]
    text = TokenStream(ids.astype(corpus.vocab.id_dtype), np.array(counts, dtype=DOCUMENT_DTYPE))
    read: list[int] = []

    def note_lengths(head: object, fitted: MixtureExamples, held_out: MixtureExamples, epochs: int) -> None:
        del head, epochs
        read.extend((len(fitted), len(held_out)))

    monkeypatch.setattr(mixture_refit, "_MAX_TOKENS", 100)
    monkeypatch.setattr(mixture_refit, "refit_mixture", note_lengths)
    mixture_refit.refit_on_text(model, text, text, 8, ScoringOptions(CPU, "fp32", (0, 1), lambda _: None))
    assert read == [num_read, num_read]


def test_a_validation_text_of_one_document_is_scored_whole(tmp_path: Path) -> None:
    corpus = build_corpus(tmp_path / "corpus", {"a.txt": "abcde fgh, " * 200})
    assert corpus.open("valid").halves() is None
    run = RunDirectory(tmp_path / "run")
    train(run, corpus)
    model = load_model(run.checkpoint(22), CPU).model
    assert isinstance(model, NgramLanguageModel)
    score: Any = evaluate(model, corpus.open("valid"), device=CPU)
    assert score.bits == pytest.approx(metrics(run, "valid")[-1]["bits_per_character"], abs=1e-9)
    assert not [name for name in load_resume_data(run.checkpoint(22)).tensors if name.startswith("unfitted.")]
