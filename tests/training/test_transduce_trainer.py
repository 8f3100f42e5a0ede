"""Training of transducers: known answers are found, a resumed run equals an uninterrupted one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from charlm import storage
from charlm.checkpoint import load_model
from charlm.data.corpus import Corpus
from charlm.data.document_batches import make_document_batches
from charlm.data.examples import next_token_examples
from charlm.data.source_texts import SourceConditions
from charlm.errors import CheckpointError, SettingsError, StoppedError
from charlm.evaluation.score import NOT_SCORED
from charlm.evaluation.score_documents import score_documents
from charlm.evaluation.transduction.answers import collect_questions
from charlm.evaluation.transduction.beam_search import BeamOptions
from charlm.evaluation.transduction.score import TransductionScore
from charlm.evaluation.transduction.transduce import TransducerEnsemble
from charlm.nn.model import ConditionalModel
from charlm.training.run_directory import RunDirectory, find_checkpoint
from charlm.training.settings import TrainingSettings
from charlm.training.tasks.base import ScoringOptions
from charlm.training.tasks.build import build_task
from tests.examples import doubled, spelled_label, write_examples, write_pairs
from tests.training.test_label_trainer import TRAINING, model_settings, train
from tests.training.test_trainer import Recorder, fingerprint, interrupt_at, metrics, without_clock

CPU = torch.device("cpu")
READER = {"embedding": {"size": 8}, "body": {"hidden_size": 12}}
KINDS: dict[str, dict[str, Any]] = {
    "additive": {"attention": {"type": "additive", "size": 12}},
    "dot-copying": {"attention": {"type": "dot", "size": 12}, "copying": True},
    "monotonic": {"attention": {"type": "monotonic", "size": 12}},
}


def source(kind: str = "additive", **changes: Any) -> dict[str, Any]:
    return {"type": "source", "encoder": READER, **KINDS[kind], **changes}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    splits = {"train": doubled(200, 1), "valid": doubled(60, 2), "test": doubled(30, 3)}
    return write_pairs(tmp_path_factory.mktemp("doubled") / "corpus", splits)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run")


def loaded_ensemble(run: RunDirectory) -> TransducerEnsemble:
    loaded = load_model(find_checkpoint(run.root), CPU)
    assert isinstance(loaded.model, ConditionalModel)
    return TransducerEnsemble([loaded.model], loaded.vocab, loaded.settings.text_direction, CPU)


# ---- known answers


@pytest.mark.parametrize(
    ("kind", "direction", "reader"),
    [
        ("additive", "forward", {"direction": "both"}),
        ("dot-copying", "backward", {}),
        ("monotonic", "forward", {"body": {"cell": {"type": "gru"}, "hidden_size": 12}}),
    ],
)
def test_known_answers_are_found(
    run: RunDirectory, tmp_path: Path, corpus: Corpus, kind: str, direction: str, reader: dict[str, Any]
) -> None:
    """The last validation finds nearly all texts that training has seen, and no loss is infinite."""
    if kind == "dot-copying":
        pairs = {split: [(a, a) for a, _ in doubled(200, seed)] for seed, split in enumerate(("train", "valid"))}
        corpus = write_pairs(tmp_path / "copies", pairs)
    condition = source(kind, encoder={**READER, **reader})
    model = model_settings({"hidden_size": 24}, condition=condition, direction=direction)
    train(run, corpus, model, max_steps=300, validation_interval=100, select="accuracy")
    losses = [line["bits_per_character"] for line in metrics(run)]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.3 * losses[0]
    assert metrics(run, "valid")[-1]["exact_match"] > 0.9
    best = json.loads(run.best_path.read_text(encoding="utf-8"))
    assert best["select"] == "accuracy"
    assert best["figure"] == pytest.approx(min(line["error_rate"] for line in metrics(run, "valid")))
    loaded = load_model(find_checkpoint(run.root), CPU)
    assert isinstance(loaded.conditions, SourceConditions)
    written = loaded_ensemble(run).transduce([loaded.conditions.encode("cab")], BeamOptions(2))[0][0]
    assert written.text == ("cab" if kind == "dot-copying" else "CCAABB")


def test_without_its_source_a_target_costs_its_entropy(run: RunDirectory, corpus: Corpus) -> None:
    """One of four letters, twice: 2 bits for 2 characters; and always 3 letters."""
    train(
        run,
        corpus,
        model_settings({"hidden_size": 24}, condition={"type": "none"}),
        max_steps=120,
        validation_interval=60,
    )
    last = metrics(run, "valid")[-1]
    assert last["bits_per_character"] == pytest.approx(1, abs=0.15)
    assert last["exact_match"] < 0.1
    texts = {each[0].text for each in loaded_ensemble(run).transduce([np.arange(2), np.arange(3)], BeamOptions(2))}
    assert len(texts) == 1, "nothing depends on the source"


# ---- validations


def test_the_shards_of_a_validation_add_up(run: RunDirectory, corpus: Corpus) -> None:
    model = model_settings(condition=source())
    train(run, corpus, model)
    loaded = load_model(find_checkpoint(run.root), CPU)
    validation = build_task(corpus).open_validation(TrainingSettings(max_steps=1), model)

    def score(index: int, number: int) -> TransductionScore:
        found = validation.score(loaded.model, ScoringOptions(CPU, "fp32", (index, number), lambda _: None))
        assert isinstance(found, TransductionScore)
        return found

    whole, shards = score(0, 1), [score(index, 3) for index in range(3)]
    sums = [sum(column) for column in zip(*(each.sums() for each in shards), strict=True)]
    together = shards[0].with_sums(sums).to_json()
    assert together == pytest.approx(whole.to_json(), rel=1e-5)
    last = metrics(run, "valid")[-1]
    assert {key: last[key] for key in ("sources", "symbols")} == {key: together[key] for key in ("sources", "symbols")}


def test_a_target_is_scored_alone(run: RunDirectory, corpus: Corpus) -> None:
    """Its nats depend neither on the others, nor on batches and shards."""
    train(run, corpus, model_settings(condition=source("monotonic")))
    model = load_model(find_checkpoint(run.root), CPU).model
    assert isinstance(model, ConditionalModel)
    stream, sources = corpus.open("test"), corpus.open_sources("test")
    nats_P = score_documents(model, stream, sources, device=CPU)
    for document in (0, 7, 29):
        start, end = int(stream.documents["start"][document]), int(stream.ends[document])
        bound = model.given(tuple(map(torch.from_numpy, sources.select(np.array([document])))))
        tokens_BT = torch.from_numpy(stream.tokens[start - 1 : end].astype(np.int64))[None]
        features, _ = bound(tokens_BT[:, :-1], bound.initial_state(1))
        alone = bound.head.nll(features, tokens_BT[:, 1:])[0].detach().numpy()
        np.testing.assert_allclose(nats_P[start - 1 : end - 1], alone, rtol=1e-4, atol=1e-5)
    shards = [score_documents(model, stream, sources, device=CPU, shard=(index, 3)) for index in range(3)]
    assert ((np.stack(shards) == NOT_SCORED).sum(0) == 2).all(), "each prediction belongs to one shard"
    np.testing.assert_allclose(np.max(shards, axis=0), nats_P, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_the_probability_of_a_written_text_is_that_of_its_tokens(
    run: RunDirectory, corpus: Corpus, direction: str
) -> None:
    train(run, corpus, model_settings(condition=source(), direction=direction), max_steps=60, validation_interval=60)
    ensemble = loaded_ensemble(run)
    targets, sources = corpus.open("test"), corpus.open_sources("test")
    nats_P = score_documents(
        ensemble.models[0],
        targets.in_direction(ensemble.direction),
        sources.in_direction(ensemble.direction),
        device=CPU,
    )
    nats_D = np.add.reduceat(nats_P, targets.in_direction(ensemble.direction).documents["start"] - 1)
    if direction == "backward":
        nats_D = nats_D[::-1]
    questions = collect_questions(targets, sources, None, corpus.vocab)
    found = ensemble.transduce([each.source for each in questions], BeamOptions(60))
    of_source = {each.source.tobytes(): texts for each, texts in zip(questions, found, strict=True)}
    texts = [
        corpus.vocab.decode(targets.tokens[a : b - 1])
        for a, b in zip(targets.documents["start"], targets.ends, strict=True)
    ]
    checked = 0
    for ids, text, nats in zip(sources.split_ids(), texts, nats_D.tolist(), strict=True):
        for each in of_source[ids.tobytes()]:
            if each.text == text:
                assert each.probability == pytest.approx(np.exp(-nats), rel=1e-3)
                checked += 1
    assert checked > 3


# ---- batches


def test_batches_have_the_source_of_each_target(corpus: Corpus) -> None:
    stream, conditions = corpus.open("train"), corpus.open_conditions("train")
    assert isinstance(corpus.conditions, SourceConditions)
    batches = make_document_batches(next_token_examples(stream), 16, 8, 4096, 1, conditions=conditions)
    cursor = batches.start
    seen = 0
    for _ in range(batches.steps_per_epoch):
        batch = batches.batch(cursor)
        assert batch.condition is not None
        assert batch.lengths_B is not None
        source_NS, lengths_N = batch.condition
        for row in range(len(batch.inputs_BT)):
            written = corpus.vocab.decode(batch.inputs_BT[row, 1 : int(batch.lengths_B[row])].tolist())
            given = corpus.conditions.vocab.decode(source_NS[row, : int(lengths_N[row])].tolist())
            assert written == "".join(letter.upper() * 2 for letter in given)
            seen += 1
        cursor = batches.next_cursor(cursor)
    assert seen == 200


# ---- resumed runs


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ({"condition": source()}, {"select": "accuracy"}),
        ({"condition": source("monotonic")}, {"averaging": {"type": "ema"}, "micro_batches": 2}),
        ({"condition": source(layers_after=1), "body": {"dropout": 0.2}}, {"batch_size": 32}),
        ({"condition": {"type": "none"}, "direction": "backward"}, {"averaging": {"type": "ema"}}),
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
    model = model_settings(condition=source())
    train(plain, corpus, model)
    train(saving, corpus, model, **changes)
    for one, other in zip(metrics(plain), metrics(saving), strict=True):
        assert one["bits_per_character"] == pytest.approx(other["bits_per_character"], rel=1e-4)


# ---- settings and files


@pytest.mark.parametrize(
    ("model", "training", "message"),
    [
        ({}, {"seq_len_varies": True}, "seq_len_varies is for texts in one stream"),
        ({}, {"reset_tokens": 16}, "reset_tokens is for texts in one stream"),
        ({}, {"select": "f1"}, r'training.select = "f1" is for labels and tags'),
        ({}, {"sample_length": 20}, "sample_length is for models that write freely"),
        ({"direction": "both"}, {}, "both"),
        ({"condition": {"type": "label"}}, {}, "the condition label is for .* --task generate"),
        (
            {"condition": {"type": "source", "layers_after": 1, "attention": {"type": "monotonic"}}},
            {},
            "soft attention",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    run: RunDirectory, corpus: Corpus, model: dict[str, Any], training: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        train(run, corpus, model_settings(**model), **TRAINING | training)


def test_other_tasks_have_no_source(run: RunDirectory, tmp_path: Path) -> None:
    from charlm.data.task_settings import GenerateTaskSettings

    examples = {split: spelled_label(40, seed) for seed, split in enumerate(("train", "valid"))}
    for name, task in (("generate", GenerateTaskSettings()), ("classify", None)):
        other = write_examples(tmp_path / name, examples, task)
        with pytest.raises(SettingsError, match=r"the condition source is for .*--task transduce"):
            train(run, other, model_settings(condition=source()))


def remove(checkpoint: Path) -> None:
    shutil.rmtree(checkpoint / "source")


def garble(checkpoint: Path) -> None:
    (checkpoint / "source/vocab.json").write_text("{", encoding="utf-8")


def exchange(checkpoint: Path) -> None:
    shutil.copy(checkpoint / "vocab.json", checkpoint / "source/vocab.json")


@pytest.mark.parametrize("damage", [remove, garble, exchange])
def test_a_damaged_vocabulary_of_sources_is_refused(
    run: RunDirectory, corpus: Corpus, damage: Callable[[Path], None]
) -> None:
    train(run, corpus, model_settings(condition=source()))
    checkpoint = find_checkpoint(run.root)
    storage.verify_manifest(checkpoint, "")
    assert "source/vocab.json" in json.loads((checkpoint / "manifest.json").read_text(encoding="utf-8"))["files"]
    damage(checkpoint)
    with pytest.raises(CheckpointError, match="source"):
        load_model(checkpoint, CPU)
