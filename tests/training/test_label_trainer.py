"""Training of labels and tags: known answers are found, and a resumed run equals an uninterrupted one."""

import json
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from charlm import storage
from charlm.checkpoint import load_model
from charlm.data.conditions import DocumentLabels
from charlm.data.corpus import Corpus
from charlm.data.task_settings import ClassifyTaskSettings, GenerateTaskSettings, TaskSettings
from charlm.errors import CheckpointError, SettingsError, StoppedError
from charlm.evaluation.evaluate_labels import evaluate_labels
from charlm.evaluation.label_score import LabelScore
from charlm.nn.cells.settings import CellSettings
from charlm.nn.settings import ModelSettings
from charlm.settings import Layer, type_names, validate
from charlm.training.run_directory import RunDirectory, find_checkpoint
from charlm.training.settings import TrainingSettings
from charlm.training.tasks.base import ScoringOptions
from charlm.training.tasks.build import build_decoder, build_task
from charlm.training.tasks.conditional import ConditionalValidation
from charlm.training.trainer import Trainer
from charlm.training.trainer_state import TrainingResult
from tests.examples import PROBLEMS, Example, Splits, parity, write_examples, write_problem
from tests.training.test_trainer import Recorder, fingerprint, interrupt_at, metrics, without_clock

CPU = torch.device("cpu")
TRAINING: dict[str, Any] = {
    "batch_size": 16,
    "seq_len": 8,
    "max_steps": 9,
    "validation_interval": 4,
    "log_interval": 1,
    "precision": "fp32",
    "seed": 3,
    "optimizer": {"type": "adamw", "lr": 0.02},
    "schedule": {"type": "constant", "warmup_steps": 2},
}


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Corpus]:
    folder = tmp_path_factory.mktemp("problems")
    return {name: write_problem(folder / name, name) for name in PROBLEMS}


def model_settings(body: dict[str, Any] | None = None, **model: Any) -> ModelSettings:
    tree = {"embedding": {"size": 8}, "body": {"hidden_size": 12, **(body or {})}, **model}
    return validate(ModelSettings, Layer(tree))


def train(
    run: RunDirectory,
    corpus: Corpus,
    model: ModelSettings | None = None,
    console: Recorder | None = None,
    **changes: Any,
) -> TrainingResult:
    storage.make_directory(run.root)
    settings = validate(TrainingSettings, Layer(TRAINING | changes))
    trainer = Trainer(
        model or model_settings(),
        settings,
        corpus,
        run,
        device=CPU,
        console=console or Recorder(),
        start_time=time.monotonic(),
    )
    return trainer.run()


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run")


def best(run: RunDirectory) -> dict[str, Any]:
    return json.loads(run.best_path.read_text(encoding="utf-8"))


# ---- what validations read


@pytest.mark.parametrize("task", [ClassifyTaskSettings(), GenerateTaskSettings()])
def test_a_short_validation_reads_labels_from_all_over_the_split(tmp_path: Path, task: TaskSettings) -> None:
    """Files of a class follow each other, so the first examples have one label."""
    examples: list[Example] = [(f"{letter}{index % 7}", letter) for letter in "ab" for index in range(200)]
    corpus = write_examples(tmp_path, {"train": examples, "valid": examples}, task)
    settings = validate(TrainingSettings, Layer(TRAINING | {"validation_tokens": 120}))
    task_of_corpus = build_task(corpus)
    validation = task_of_corpus.open_validation(settings, model_settings())
    if isinstance(validation, ConditionalValidation):
        assert isinstance(validation.conditions, DocumentLabels)
        counts = np.bincount(validation.conditions.labels_D)
    else:
        score = validation.score(
            task_of_corpus.new_model(model_settings()), ScoringOptions(CPU, "fp32", (0, 1), lambda _: None)
        )
        assert isinstance(score, LabelScore)
        counts = score.confusion_KL.sum(1)[:2]
    assert counts.sum() == 39
    assert counts.min() > 10


# ---- known answers


@pytest.mark.parametrize(
    ("problem", "model"),
    [
        ("first", {}),
        ("first", {"direction": "backward", "body": {"type": "window", "window": 9, "hidden_size": 32}}),
        ("first", {"direction": "both", "pooling": "max"}),
        ("parity", {"body": {"cell": {"type": "gru"}, "hidden_size": 24}}),
        ("next", {"direction": "backward", "body": {"cell": {"type": "gru"}}}),
        ("next", {"direction": "both", "embedding": {"size": 8, "context_ngrams": (2,), "context_buckets": 64}}),
        ("previous", {}),
        ("previous", {"body": {"type": "tcn", "num_blocks": 2}}),
    ],
)
def test_known_answers_are_found(
    run: RunDirectory, corpora: dict[str, Corpus], problem: str, model: dict[str, Any]
) -> None:
    """Every label and tag of texts that training has not seen is right."""
    corpus = corpora[problem]
    train(run, corpus, model_settings(**model), max_steps=500, validation_interval=40, patience=4, select="accuracy")
    loaded = load_model(find_checkpoint(run.root), CPU)
    assert corpus.labels is not None
    assert loaded.labels == corpus.labels
    decoder = build_decoder(loaded.task, loaded.labels.names if loaded.labels else ())
    for split in ("valid", "test"):
        score = evaluate_labels(loaded.model, corpus.open_examples(split), decoder, device=CPU)
        assert score.accuracy == 1.0
        assert score.labels == corpus.open_examples(split).num_targets


@pytest.mark.parametrize(("problem", "direction"), [("next", "forward"), ("previous", "backward")])
def test_what_a_direction_cannot_read_it_cannot_know(
    run: RunDirectory, corpora: dict[str, Corpus], problem: str, direction: str
) -> None:
    train(run, corpora[problem], model_settings(direction=direction), max_steps=60, validation_interval=60)
    assert 0.15 < metrics(run, "valid")[-1]["accuracy"] < 0.45, "one of four"


# ---- resuming

CELLS = type_names(CellSettings)
DIRECTIONS: dict[str, dict[str, Any]] = {
    "forward": {"direction": "forward"},
    "backward": {"direction": "backward", "pooling": "mean"},
    "layers": {"direction": "both", "bidirectional": "layers"},
    "stacks": {"direction": "both", "bidirectional": "stacks", "pooling": "max"},
}
AVERAGING = ({}, {"averaging": {"type": "ema", "decay": 0.9}})


@pytest.mark.parametrize(("cell", "direction"), [*product(CELLS, DIRECTIONS), ("batch-norm", "layers")])
def test_a_resumed_run_equals_the_uninterrupted_one_to_the_bit(
    tmp_path: Path, corpora: dict[str, Corpus], cell: str, direction: str
) -> None:
    """With dropout, averaged weights and recomputation in some, and documents that are cut."""
    number = [*product(CELLS, DIRECTIONS), ("batch-norm", "layers")].index((cell, direction))
    corpus = corpora["first" if "pooling" in DIRECTIONS[direction] else ("previous", "first")[number % 2]]
    kind = {"norm": "batch", "norm_steps": 3} if cell == "batch-norm" else {"cell": {"type": cell}}
    model = model_settings({"num_layers": 2, "dropout": 0.2, "output_dropout": 0.2, **kind}, **DIRECTIONS[direction])
    settings: dict[str, Any] = {**AVERAGING[number % 2], "max_document_tokens": 6, "select": ("bits", "f1")[number % 2]}
    if cell != "batch-norm" and number % 3 == 0:
        settings["recompute_len"] = 3
    whole, pieces = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "pieces")
    train(whole, corpus, model, **settings)
    split = (3, 4, 7)[number % 3]  # before, at and after a validation
    with pytest.raises(StoppedError, match=f"stopped at step {split}"):
        train(pieces, corpus, model, Recorder(interrupt_at(split)), **settings)
    torch.manual_seed(12345)
    outcome = train(pieces, corpus, model, **settings)
    assert outcome.steps == 9
    assert fingerprint(pieces) == fingerprint(whole)
    assert best(pieces) == best(whole)
    for kind_ in ("train", "valid"):
        assert without_clock(metrics(pieces, kind_)) == without_clock(metrics(whole, kind_))


def test_another_batch_size_redistributes_the_rest_of_the_window(run: RunDirectory, corpora: dict[str, Corpus]) -> None:
    corpus, console = corpora["first"], Recorder()
    outcome = train(run, corpus, max_steps=5)
    assert 0 < outcome.epochs < 1
    outcome = train(run, corpus, console=console, batch_size=8, max_steps=None, max_epochs=1.0)
    assert outcome.epochs == 1
    assert outcome.tokens == corpus.open_examples("train").num_targets, "each label once"
    assert any("rows 16 -> 8" in note for note in console.notes)


@pytest.mark.parametrize(
    "cursor",
    [
        {},
        {"epoch": 0, "window": 7, "batch": 0, "pieces": None},
        {"epoch": 0, "window": 0, "batch": 10**6, "pieces": None},
        {"epoch": 0, "window": 0, "batch": 0, "pieces": []},
        {"epoch": 0, "window": 0, "batch": 0, "pieces": [10**6]},
        {"epoch": 0, "chunk": 0, "spans": None},
        {"epoch": -1, "window": 0, "batch": 0, "pieces": None},
    ],
)
def test_an_impossible_cursor_is_refused(run: RunDirectory, corpora: dict[str, Corpus], cursor: dict[str, Any]) -> None:
    train(run, corpora["first"], max_steps=1)
    path = run.checkpoint(1) / "training.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | {"cursor": cursor}), encoding="utf-8")
    storage.write_manifest(run.checkpoint(1), {"format": 2})
    with pytest.raises(CheckpointError, match="cannot be resumed"):
        train(run, corpora["first"], max_steps=2)


# ---- files of a run


@pytest.mark.parametrize("problem", ["first", "next"])
def test_logs_count_labels(run: RunDirectory, corpora: dict[str, Corpus], problem: str) -> None:
    outcome = train(run, corpora[problem], max_steps=4)
    (*_, line), (*_, validation) = metrics(run), metrics(run, "valid")
    assert line.keys() == {
        *("kind", "step", "seconds", "characters_seen", "tokens", "epoch", "nats_per_token", "bits_per_label"),
        *("characters_per_second", "lr", "gradient_norm"),
    }
    assert line["tokens"] == outcome.tokens
    assert {"labels", "unseen", "correct", "nats", "accuracy", "macro_f1", "bits_per_label"} <= validation.keys()
    assert validation["labels"] == corpora[problem].open_examples("valid").num_targets
    content = best(run)
    assert content.keys() == {"checkpoint", "step", "bits_per_label", "validated", "history"}
    assert content["bits_per_label"] == content["history"][0] == validation["bits_per_label"]
    model = json.loads((run.checkpoint(4) / "model.json").read_text(encoding="utf-8"))
    assert model["format"] == 2
    assert model["task"]["type"] == ("classify" if problem == "first" else "tag")


def test_cut_documents_are_told(run: RunDirectory, corpora: dict[str, Corpus]) -> None:
    console = Recorder()
    corpus = corpora["next"]
    train(run, corpus, console=console, max_steps=1, max_document_tokens=4)
    examples = corpus.open_examples("train")
    num_cut = int((examples.ends - examples.starts > 4).sum())
    assert num_cut
    assert any(f"{num_cut} of 300 documents are longer than 4 tokens" in note for note in console.notes)


# ---- the best checkpoint


@pytest.mark.parametrize("select", ["bits", "accuracy", "f1"])
def test_the_best_checkpoint_is_that_of_the_chosen_figure(
    run: RunDirectory, corpora: dict[str, Corpus], select: str
) -> None:
    # a high learning rate, so that the figures go up and down
    optimizer = {"type": "adamw", "lr": 0.2}
    settings: dict[str, Any] = {"max_steps": 30, "validation_interval": 2, "optimizer": optimizer, "select": select}
    outcome = train(run, corpora["parity"], **settings)
    key = {"bits": "bits_per_label", "accuracy": "accuracy", "f1": "macro_f1"}[select]
    found = {line["step"]: line[key] if select == "bits" else 1 - line[key] for line in metrics(run, "valid")}
    chosen = min(found, key=lambda step: found[step])
    content = best(run)
    assert outcome.best_step == content["step"] == chosen
    assert find_checkpoint(run.root) == run.checkpoint(chosen)
    assert content["history"] == list(found.values())
    bits = next(line["bits_per_label"] for line in metrics(run, "valid") if line["step"] == chosen)
    assert content["bits_per_label"] == outcome.best_bits == bits
    if select != "bits":
        assert (content["select"], content["figure"]) == (select, found[chosen])
    again = train(run, corpora["parity"], **settings)
    assert again.already_finished
    assert (again.best_step, again.best_bits) == (chosen, bits)


def test_early_stopping_watches_the_chosen_figure(run: RunDirectory, corpora: dict[str, Corpus]) -> None:
    """Accuracy reaches 1 and stays, while the bits still fall."""
    outcome = train(run, corpora["first"], max_steps=400, validation_interval=10, patience=2, select="accuracy")
    assert outcome.ended_by == "patience"
    accuracies = [line["accuracy"] for line in metrics(run, "valid")]
    assert max(accuracies[:-2]) >= max(accuracies[-2:])
    assert outcome.best_step == 10 * (1 + accuracies.index(max(accuracies)))


# ---- labels that are rare, or that only validation has


def test_a_label_that_only_validation_has_is_wrong_and_costs_no_infinity(tmp_path: Path, run: RunDirectory) -> None:
    splits: Splits = {"train": parity(50, 1), "valid": [*parity(20, 2), ("aa", "unseen")], "test": parity(5, 3)}
    train(run, write_examples(tmp_path / "corpus", splits), max_steps=4)
    (line,) = metrics(run, "valid")
    assert (line["labels"], line["unseen"]) == (21, 1)
    assert line["bits_per_label"] is not None
    assert line["accuracy"] <= 20 / 21


def test_class_weights_raise_the_recall_of_a_rare_label(tmp_path: Path) -> None:
    """Texts that tell nothing: unweighted training predicts the frequent label, weighted training leans to neither."""
    examples: list[Example] = [("ab", "rare" if index % 10 == 0 else "frequent") for index in range(200)]
    corpus = write_examples(tmp_path / "corpus", {"train": examples, "valid": examples, "test": examples[:5]})
    probabilities: list[float] = []
    for power in (0.0, 1.0):
        run = RunDirectory(tmp_path / f"run-{power}")
        train(run, corpus, model_settings(head={"class_weights": power}), max_steps=60, validation_interval=60)
        loaded = load_model(find_checkpoint(run.root), CPU)
        ids = torch.from_numpy(corpus.vocab.encode("ab").astype("int64"))
        inputs_BT = torch.cat([ids, torch.tensor([corpus.vocab.eod_id])])[None]
        features_BTH, _ = loaded.model.eval().requires_grad_(False)(inputs_BT, loaded.model.initial_state(1))
        probabilities.append(float(loaded.model.head.logits(features_BTH[0, -1]).softmax(-1)[1]))
    assert probabilities[0] == pytest.approx(0.1, abs=0.05)
    assert probabilities[1] == pytest.approx(0.5, abs=0.1)


# ---- refusing


@pytest.mark.parametrize(
    ("problem", "model", "training", "words"),
    [
        ("first", {}, {"seq_len_varies": True}, "seq_len_varies is for texts in one stream"),
        ("first", {}, {"reset_tokens": 8}, "reset_tokens is for texts in one stream"),
        ("first", {}, {"sample_length": 9}, "sample_length is for language models"),
        ("next", {"pooling": "mean"}, {}, "one label for each document"),
        ("next", {"body": {"norm": "batch"}}, {"batch_size": 15, "micro_batches": 2}, "at least 8 documents"),
        ("next", {"head": {"type": "softmax", "tied": True}}, {}, "labels are only predicted"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    run: RunDirectory,
    corpora: dict[str, Corpus],
    problem: str,
    model: dict[str, Any],
    training: dict[str, Any],
    words: str,
) -> None:
    with pytest.raises(SettingsError, match=words):
        train(run, corpora[problem], model_settings(**model), **training)
    assert run.checkpoint_steps() == []


def test_a_small_adaptive_head_trains(run: RunDirectory, corpora: dict[str, Corpus]) -> None:
    head = {"type": "adaptive", "cutoffs": (1, 2), "div_value": 2.0}
    train(run, corpora["first"], model_settings(head=head), max_steps=150, validation_interval=150)
    assert metrics(run, "valid")[-1]["accuracy"] > 0.9
