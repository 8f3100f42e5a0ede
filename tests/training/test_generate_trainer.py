"""Training of texts with a given label: known answers are found, a resumed run equals an uninterrupted one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from charlm.checkpoint import load_model
from charlm.data.conditions import DocumentLabels, LabelConditions, load_conditions
from charlm.data.corpus import Corpus
from charlm.data.document_batches import make_document_batches
from charlm.data.examples import next_token_examples
from charlm.data.task_settings import GenerateTaskSettings
from charlm.errors import CheckpointError, DataError, SettingsError, StoppedError
from charlm.evaluation.bayes import label_log_probabilities
from charlm.evaluation.score import NOT_SCORED
from charlm.evaluation.score_documents import score_documents
from charlm.nn.model import ConditionalModel
from charlm.training.run_directory import RunDirectory, find_checkpoint
from tests.examples import spelled_label, write_examples
from tests.training.test_label_trainer import TRAINING, model_settings, train
from tests.training.test_trainer import Recorder, fingerprint, interrupt_at, metrics, without_clock

CPU = torch.device("cpu")


def write(folder: Path) -> Corpus:
    splits = {"train": spelled_label(400, 1), "valid": spelled_label(100, 2), "test": spelled_label(100, 3)}
    return write_examples(folder, splits, GenerateTaskSettings())


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write(tmp_path_factory.mktemp("spelled"))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run")


def best_bits(run: RunDirectory) -> float:
    return float(json.loads(run.best_path.read_text(encoding="utf-8"))["bits_per_character"])


# ---- known answers: four bits in five characters are random


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("condition", [{"type": "label"}, {"type": "label", "into": "state"}], ids=["input", "state"])
def test_the_label_saves_the_bits_that_it_is_worth(
    run: RunDirectory, corpus: Corpus, condition: dict[str, Any], direction: str
) -> None:
    train(run, corpus, model_settings(condition=condition, direction=direction), max_steps=250)
    assert 0.78 < best_bits(run) < 0.84, "4 bits over 5 characters"


def test_without_its_label_a_text_costs_more(run: RunDirectory, corpus: Corpus) -> None:
    train(run, corpus, model_settings(condition={"type": "none"}), max_steps=250)
    unconditioned = 0.8 + 2 * (15 / 16) / 5  # the label is two bits, unless there are only hyphens
    assert best_bits(run) == pytest.approx(unconditioned, abs=0.05)


def test_bayes_rule_finds_the_label(run: RunDirectory, corpus: Corpus) -> None:
    train(run, corpus, max_steps=250)
    loaded = load_model(find_checkpoint(run.root), CPU)
    stream, conditions = corpus.open("test"), corpus.open_conditions("test")
    assert isinstance(conditions, DocumentLabels)
    assert loaded.conditions == corpus.conditions
    assert isinstance(loaded.conditions, LabelConditions)
    log_p_DL = label_log_probabilities(loaded.model, stream, loaded.conditions, device=CPU)
    np.testing.assert_allclose(np.exp(log_p_DL).sum(1), 1)
    texts = [
        corpus.vocab.decode(stream.tokens[start : end - 1])
        for start, end in zip(stream.documents["start"], stream.ends, strict=True)
    ]
    shows_label = np.array([not set(text) <= {"-", "."} for text in texts])
    assert (log_p_DL.argmax(1) == conditions.labels_D)[shows_label].all()
    assert log_p_DL[~shows_label].max() < np.log(0.5), "hyphens say nothing"


# ---- scores


def test_a_document_is_scored_alone(run: RunDirectory, corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nats of a document depend neither on the others, nor on batches, chunks and shards."""
    train(run, corpus, model_settings({"num_layers": 2}))
    model = load_model(find_checkpoint(run.root), CPU).model
    assert isinstance(model, ConditionalModel)
    stream, conditions = corpus.open("test"), corpus.open_conditions("test")
    assert isinstance(conditions, DocumentLabels)
    nats_P = score_documents(model, stream, conditions, device=CPU)
    assert np.isfinite(nats_P).all()
    for document in (0, 7, 99):
        start, end = int(stream.documents["start"][document]), int(stream.ends[document])
        bound = model.given((torch.from_numpy(conditions.labels_D[document : document + 1]),))
        tokens_BT = torch.from_numpy(stream.tokens[start - 1 : end].astype(np.int64))[None]
        features_BTH, _ = bound(tokens_BT[:, :-1], bound.initial_state(1))
        alone = bound.head.nll(features_BTH, tokens_BT[:, 1:])[0].detach().numpy()
        np.testing.assert_allclose(nats_P[start - 1 : end - 1], alone, rtol=1e-4, atol=1e-5)
    shards = [score_documents(model, stream, conditions, device=CPU, shard=(index, 3)) for index in range(3)]
    assert ((np.stack(shards) == NOT_SCORED).sum(0) == 2).all(), "each prediction belongs to one shard"
    np.testing.assert_allclose(np.max(shards, axis=0), nats_P, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr("charlm.evaluation.score_documents.MAX_ROW", 4)
    chunked_P = score_documents(model, stream, conditions, device=CPU)
    np.testing.assert_allclose(chunked_P, nats_P, rtol=1e-4, atol=1e-5)


def test_every_shard_reports_progress_equally_often(run: RunDirectory, corpus: Corpus) -> None:
    train(run, corpus)
    model = load_model(find_checkpoint(run.root), CPU).model
    stream, conditions = corpus.open("test"), corpus.open_conditions("test")
    calls: list[list[int]] = []
    for index in range(3):
        calls.append([])
        score_documents(model, stream, conditions, device=CPU, shard=(index, 3), on_progress=calls[-1].append)
    assert len({len(each) for each in calls}) == 1
    assert sum(map(sum, calls)) == stream.num_predictions


# ---- batches


def test_batches_have_the_label_of_each_document(corpus: Corpus) -> None:
    stream, conditions = corpus.open("train"), corpus.open_conditions("train")
    assert isinstance(corpus.conditions, LabelConditions)
    batches = make_document_batches(next_token_examples(stream), 16, 8, 4096, 1, conditions=conditions)
    cursor = batches.start
    seen = 0
    for _ in range(batches.steps_per_epoch):
        batch = batches.batch(cursor)
        assert batch.condition is not None
        assert batch.lengths_B is not None
        for row, label in enumerate(batch.condition[0].tolist()):
            length = int(batch.lengths_B[row])
            assert batch.inputs_BT[row, 0] == corpus.vocab.eod_id, "a document begins after an <eod>"
            assert batch.targets_BT[row, length - 1] == corpus.vocab.eod_id
            text = corpus.vocab.decode(batch.inputs_BT[row, 1:length].tolist())
            assert set(text) <= {corpus.conditions.labels.names[label], "-", "."}
            seen += 1
        cursor = batches.next_cursor(cursor)
    assert seen == 400


def test_pieces_of_long_documents_keep_their_label(run: RunDirectory, corpus: Corpus) -> None:
    console = Recorder()
    train(run, corpus, console=console, max_document_tokens=4, max_steps=250)
    assert any("400 of 400 documents are longer than 4 tokens" in note for note in console.notes)
    assert any("each of which begins afresh" in note for note in console.notes)
    stream, conditions = corpus.open("train"), corpus.open_conditions("train")
    batches = make_document_batches(next_token_examples(stream), 16, 8, 4, 1, conditions=conditions)
    assert batches.num_pieces == 800


# ---- resumed runs


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ({}, {}),
        ({"condition": {"type": "label", "into": "state"}}, {"averaging": {"type": "ema"}}),
        ({"body": {"norm": "batch"}}, {"averaging": {"type": "ema"}, "batch_size": 32}),
        ({"condition": {"type": "none"}}, {"micro_batches": 2, "recompute_len": 3}),
    ],
)
def test_a_resumed_run_equals_an_uninterrupted_one(
    tmp_path: Path, corpus: Corpus, model: dict[str, Any], changes: dict[str, Any]
) -> None:
    whole, cut = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "cut")
    train(whole, corpus, model_settings(**model), **changes)
    with pytest.raises(StoppedError):
        train(cut, corpus, model_settings(**model), Recorder(interrupt_at(5)), **changes)
    train(cut, corpus, model_settings(**model), **changes)
    assert fingerprint(whole) == fingerprint(cut)
    assert without_clock(metrics(whole, "valid")) == without_clock(metrics(cut, "valid"))


@pytest.mark.parametrize("changes", [{"micro_batches": 3}, {"recompute_len": 2}])
def test_memory_can_be_saved_without_changing_the_result(
    tmp_path: Path, corpus: Corpus, changes: dict[str, Any]
) -> None:
    plain, saving = RunDirectory(tmp_path / "plain"), RunDirectory(tmp_path / "saving")
    train(plain, corpus)
    train(saving, corpus, **changes)
    assert best_bits(plain) == pytest.approx(best_bits(saving), rel=1e-4)


def test_a_sample_is_of_the_most_frequent_label(run: RunDirectory, corpus: Corpus) -> None:
    console = Recorder()
    train(run, corpus, console=console, max_steps=250, validation_interval=250, sample_length=40)
    assert isinstance(corpus.conditions, LabelConditions)
    frequent = corpus.conditions.labels.names[int(np.argmax(corpus.conditions.counts))]
    assert any(set(note.strip()) & {frequent} for note in console.notes)


# ---- settings and files


@pytest.mark.parametrize(
    ("model", "training", "message"),
    [
        ({}, {"seq_len_varies": True}, "seq_len_varies is for texts in one stream"),
        ({}, {"reset_tokens": 16}, "reset_tokens is for texts in one stream"),
        ({}, {"select": "accuracy"}, "select"),
        ({"direction": "both"}, {}, "both"),
        ({"body": {"norm": "batch"}}, {"batch_size": 2}, "at least"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    run: RunDirectory, corpus: Corpus, model: dict[str, Any], training: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        train(run, corpus, model_settings(**model), **TRAINING | training)


@pytest.mark.parametrize("content", ['{"format": 1, "labels": ["b", "a"], "counts": [1, 1]}', '{"format": 1}', "x"])
def test_damaged_conditions_are_refused(run: RunDirectory, corpus: Corpus, content: str) -> None:
    train(run, corpus)
    checkpoint = find_checkpoint(run.root)
    (checkpoint / "conditions.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"conditions.json"):
        load_model(checkpoint, CPU)
    with pytest.raises(DataError, match="is damaged"):
        load_conditions(checkpoint)


def test_conditions_of_a_later_version_are_refused(tmp_path: Path) -> None:
    (tmp_path / "conditions.json").write_text('{"format": 9, "labels": [], "counts": []}', encoding="utf-8")
    with pytest.raises(DataError, match="has format 9"):
        load_conditions(tmp_path)
