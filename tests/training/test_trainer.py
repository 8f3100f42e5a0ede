"""Training: the loss falls, a resumed run equals an uninterrupted one, and checkpoints survive failures."""

import errno
import hashlib
import json
import math
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from charlm import storage
from charlm.checkpoint import load_model
from charlm.data.batches import Batch
from charlm.data.corpus import Corpus
from charlm.errors import CheckpointError, DataError, DivergedError, StoppedError, StorageError
from charlm.evaluation.score import Score
from charlm.nn.bodies.settings import BodySettings, RecurrentSettings, RGLRUSettings, TCNSettings, WindowSettings
from charlm.nn.cells.settings import GRUSettings, LSTMSettings, MinGRUSettings, RNNSettings
from charlm.nn.embeddings.settings import TokenEmbeddingSettings
from charlm.nn.settings import ModelSettings
from charlm.training.logs import metrics_file
from charlm.training.logs.console import Console, ProgressMetrics
from charlm.training.model_updater import ModelUpdater, UpdateResult
from charlm.training.optim.schedules import ScheduleInput
from charlm.training.optim.settings import AdamWSettings, ConstantSettings, CosineSettings
from charlm.training.run_directory import RunDirectory, find_checkpoint
from charlm.training.settings import TrainingSettings
from charlm.training.tasks import language as language_module
from charlm.training.trainer import Trainer
from charlm.training.trainer_state import TrainingResult
from tests.corpora import build_corpus
from tests.faulty_disk import STORAGE_MODULES

CPU = torch.device("cpu")
OnStep = Callable[[int], object]


class Recorder(Console):
    """A console that keeps its notes, and calls `on_step` after each step."""

    def __init__(self, on_step: OnStep | None = None) -> None:
        super().__init__(quiet=True)
        self.notes: list[str] = []
        self._on_step = on_step

    def note(self, text: str) -> None:
        self.notes.append(text)

    def show_progress(self, metrics: ProgressMetrics) -> None:
        if self._on_step is not None:
            self._on_step(metrics.step)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """600 repetitive characters: 15 steps of 4 rows and 8 characters an epoch."""
    return build_corpus(tmp_path_factory.mktemp("repetitive"), {"a.txt": "abcde fgh, " * 54})


def training(**changes: Any) -> TrainingSettings:
    chosen: dict[str, Any] = {
        "batch_size": 4,
        "seq_len": 8,
        "max_steps": 22,
        "validation_interval": 10,
        "log_interval": 1,
        "precision": "fp32",
        "seed": 3,
        "optimizer": AdamWSettings(lr=0.02, weight_decay=0.01),
        "schedule": CosineSettings(warmup_steps=3),
    }
    return TrainingSettings(**chosen | changes)


def make(
    run: RunDirectory,
    corpus: Corpus,
    *,
    console: Recorder | None = None,
    cell: LSTMSettings | GRUSettings | None = None,
    num_layers: int = 2,
    dropout: float = 0.2,
    body: BodySettings | None = None,
    **changes: Any,
) -> Trainer:
    body = body or RecurrentSettings(
        hidden_size=16, num_layers=num_layers, dropout=dropout, output_dropout=dropout, cell=cell or LSTMSettings()
    )
    storage.make_directory(run.root)
    return Trainer(
        ModelSettings(embedding=TokenEmbeddingSettings(size=8), body=body),
        training(**changes),
        corpus,
        run,
        device=CPU,
        console=console or Recorder(),
        start_time=time.monotonic(),
    )


def train(run: RunDirectory, corpus: Corpus, **arguments: Any) -> TrainingResult:
    return make(run, corpus, **arguments).run()


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run")


def metrics(run: RunDirectory, kind: str = "train") -> list[dict[str, Any]]:
    lines = map(json.loads, run.metrics_path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line["kind"] == kind]


def without_clock(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in entry.items() if k not in ("seconds", "characters_per_second")} for entry in entries]


def fingerprint(run: RunDirectory) -> dict[str, Any]:
    """Everything of the last checkpoint that a step depends on: weights, optimizer, random generator, carried state."""
    directory = run.checkpoint(run.checkpoint_steps()[-1])
    names = ("model.safetensors", "training.safetensors", "model.json", "vocab.json")
    hashes: dict[str, Any] = {name: hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in names}
    facts = json.loads((directory / "training.json").read_text(encoding="utf-8"))
    return hashes | {key: value for key, value in facts.items() if key != "seconds"}


def interrupt_at(*steps: int, number: int = signal.SIGINT) -> OnStep:
    return lambda step: os.kill(os.getpid(), number) if step in steps else None


# ---- learning


@pytest.mark.parametrize("cell", [LSTMSettings(), GRUSettings()])
def test_the_loss_falls(run: RunDirectory, corpus: Corpus, cell: Any) -> None:
    chosen = {"cell": cell, "num_layers": 1, "dropout": 0.0, "schedule": ConstantSettings(warmup_steps=0)}
    outcome = train(run, corpus, **chosen, max_steps=120, validation_interval=60, log_interval=10)
    first, last = metrics(run)[0]["bits_per_character"], metrics(run)[-1]["bits_per_character"]
    assert first > 2.5
    assert last < 0.2 * first
    assert outcome.best_bits is not None
    assert outcome.best_bits < 0.2 * first
    assert (outcome.steps, outcome.epochs) == (120, 8)
    assert min(entry["bits_per_character"] for entry in metrics(run, "valid")) == outcome.best_bits


def test_every_token_is_counted_once_an_epoch(run: RunDirectory, corpus: Corpus) -> None:
    outcome = train(run, corpus, max_steps=None, max_epochs=2.0)
    assert outcome.tokens == 2 * corpus.open("train").num_predictions
    assert outcome.epochs == 2


def test_a_run_of_no_steps_models_the_token_frequencies(run: RunDirectory, corpus: Corpus) -> None:
    outcome = train(run, corpus, max_steps=0)
    assert (outcome.steps, outcome.tokens) == (0, 0)
    assert load_model(find_checkpoint(run.root), CPU).vocab.size == corpus.vocab.size
    ids = corpus.open("train").tokens[1:].tolist()
    frequencies = [count / len(ids) for count in Counter(ids).values()]
    entropy = -sum(frequency * math.log2(frequency) for frequency in frequencies)
    assert outcome.best_bits == pytest.approx(entropy, abs=0.6)


def test_a_text_too_short_for_all_rows_uses_fewer_rows_and_says_so(run: RunDirectory, corpus: Corpus) -> None:
    console = Recorder()
    outcome = train(run, corpus, console=console, batch_size=1000, seq_len=100, max_steps=2)
    assert outcome.steps == 2
    assert "the training text fills 4 rows of 100, not 1000: using a batch of 4" in console.notes


@pytest.mark.parametrize(("changes", "said"), [({}, False), ({"norm": "layer"}, False), ({"backend": "plain"}, True)])
def test_a_cell_without_a_fast_backend_is_noted_once(
    run: RunDirectory, corpus: Corpus, changes: dict[str, Any], said: bool
) -> None:
    console = Recorder()
    train(run, corpus, console=console, body=recurrent(**changes), max_steps=4)
    assert sum("step by step (plain)" in note for note in console.notes) == said


# ---- resuming


def recurrent(**changes: Any) -> RecurrentSettings:
    sizes = {"hidden_size": 16, "num_layers": 2, "dropout": 0.2, "output_dropout": 0.2}
    return RecurrentSettings.model_validate({**sizes, **changes})


NETWORKS: dict[str, BodySettings] = {
    "lstm": recurrent(),
    "gru": recurrent(cell=GRUSettings()),
    "rnn": recurrent(cell=RNNSettings()),
    "layer": recurrent(norm="layer"),
    "batch": recurrent(norm="batch", norm_steps=5),
    "weight": recurrent(norm="weight", weight_drop=0.3),
    "noisy": recurrent(zoneout=0.2, zoneout_hidden=0.1, recurrent_dropout=0.2),
    "strided": recurrent(strides=(1, 3), dilations=(3, 1), skip="dense"),
    "window": WindowSettings(window=5, hidden_size=16, dropout=0.2),
    "tcn": TCNSettings(hidden_size=8, num_blocks=2, dropout=0.2),
    "mingru": recurrent(cell=MinGRUSettings(), zoneout=0.2),
    "rglru": RGLRUSettings(hidden_size=8, num_blocks=2, dropout=0.2),
}


@pytest.mark.parametrize(("network", "split"), [("lstm", 3), *((network, 17) for network in NETWORKS)])
def test_a_resumed_run_equals_the_uninterrupted_one_to_the_bit(
    tmp_path: Path, corpus: Corpus, network: str, split: int
) -> None:
    """With dropout, a schedule, carried state, and across the border of an epoch (15 steps)."""
    whole, pieces = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "pieces")
    body = NETWORKS[network]
    train(whole, corpus, body=body)
    with pytest.raises(StoppedError, match=f"stopped at step {split}"):
        train(pieces, corpus, body=body, console=Recorder(interrupt_at(split)))
    assert pieces.checkpoint_steps()[-1] == split
    torch.manual_seed(12345)
    torch.randn(7)
    console = Recorder()
    outcome = train(pieces, corpus, body=body, console=console)
    assert any(f"from step {split}" in note for note in console.notes)
    assert fingerprint(pieces) == fingerprint(whole)
    for kind in ("train", "valid"):
        assert without_clock(metrics(pieces, kind)) == without_clock(metrics(whole, kind))
    assert outcome.steps == 22


def test_equal_seeds_give_equal_runs(tmp_path: Path, corpus: Corpus) -> None:
    runs = [RunDirectory(tmp_path / name) for name in "abc"]
    for run, seed in zip(runs, (3, 3, 4), strict=True):
        train(run, corpus, max_steps=3, seed=seed)
    assert fingerprint(runs[0]) == fingerprint(runs[1])
    assert fingerprint(runs[0])["model.safetensors"] != fingerprint(runs[2])["model.safetensors"]


def test_a_crash_loses_the_steps_and_lines_after_the_checkpoint(tmp_path: Path, corpus: Corpus) -> None:
    whole, crashed = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "crashed")
    for run in (whole, crashed):
        train(run, corpus)
    shutil.rmtree(crashed.checkpoint(22))
    with open(crashed.metrics_path, "ab") as file:
        file.write(b'{"kind": "train", "step": 23, "to')
    train(crashed, corpus)
    assert fingerprint(crashed) == fingerprint(whole)
    assert without_clock(metrics(crashed)) == without_clock(metrics(whole))


def test_a_crash_before_the_first_checkpoint_leaves_no_lines_behind(run: RunDirectory, corpus: Corpus) -> None:
    storage.make_directory(run.root)
    for step in range(1, 6):
        metrics_file.append(run.metrics_path, {"kind": "train", "step": step, "nats_per_token": -1})
    train(run, corpus, max_steps=3)
    assert [entry["step"] for entry in metrics(run)] == [1, 2, 3]
    assert all(entry["nats_per_token"] > 0 for entry in metrics(run))


def test_an_incomplete_checkpoint_is_ignored(tmp_path: Path, corpus: Corpus) -> None:
    whole, crashed = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "crashed")
    for run in (whole, crashed):
        train(run, corpus)
    (crashed.checkpoint(22) / "manifest.json").unlink()
    (crashed.checkpoint(22) / "model.safetensors").write_bytes(b"torn")
    train(crashed, corpus)
    assert fingerprint(crashed) == fingerprint(whole)


def test_a_longer_budget_continues_the_run(run: RunDirectory, corpus: Corpus) -> None:
    train(run, corpus, max_steps=5)
    outcome = train(run, corpus, max_steps=9)
    assert (outcome.steps, outcome.already_finished) == (9, False)
    assert [entry["step"] for entry in metrics(run)] == list(range(1, 10))


def test_a_finished_run_says_so_and_changes_nothing(run: RunDirectory, corpus: Corpus) -> None:
    first = train(run, corpus, max_steps=5)
    before = {path: path.read_bytes() for path in run.root.rglob("*") if path.is_file()}
    again = train(run, corpus, max_steps=5)
    assert again.already_finished
    assert (again.steps, again.tokens, again.best_step) == (first.steps, first.tokens, first.best_step)
    assert again.best_bits == first.best_bits
    assert {path: path.read_bytes() for path in run.root.rglob("*") if path.is_file()} == before


def test_a_run_that_resumes_with_other_micro_batches_says_so(run: RunDirectory, corpus: Corpus) -> None:
    train(run, corpus, max_steps=2)
    console = Recorder()
    train(run, corpus, max_steps=4, micro_batches=2, console=console)
    assert "resuming with other micro-batches 1 -> 2: not bit-exact" in console.notes


def test_a_best_checkpoint_that_was_removed_is_the_best_no_longer(run: RunDirectory, corpus: Corpus) -> None:
    """Somebody went back to an older checkpoint, whose best one was removed when a later one was better."""
    train(run, corpus, max_steps=10, validation_interval=5)
    facts_path = run.checkpoint(10) / "training.json"
    facts = json.loads(facts_path.read_text(encoding="utf-8"))
    last_bits = facts["validations"]["history"][-1]
    facts["validations"] |= {"step": 2, "bits_per_character": last_bits - 1}
    facts_path.write_text(json.dumps(facts), encoding="utf-8")
    storage.write_manifest(run.checkpoint(10), {"format": 1})
    run.best_path.unlink()
    console = Recorder()
    outcome = train(run, corpus, max_steps=10, validation_interval=5, console=console)
    assert (outcome.already_finished, outcome.best_step, outcome.best_bits) == (True, 10, last_bits)
    assert find_checkpoint(run.root) == run.checkpoint(10)
    assert "the best checkpoint, of step 2, was removed: step-000000010 takes its place" in console.notes
    train(run, corpus, max_steps=15, validation_interval=5)
    assert find_checkpoint(run.root).name in ("step-000000010", "step-000000015")


@pytest.mark.parametrize(
    ("budget", "note"),
    [
        ({"max_steps": 0}, "training.max_steps is 0: the weights are new"),
        ({"max_steps": None, "max_tokens": 0}, "training.max_tokens is 0: the weights are new"),
        (
            {"max_minutes": 1e-9},
            "the time was over before the first step: the weights are new; raise training.max_minutes",
        ),
    ],
)
def test_a_run_without_a_step_says_why_and_is_finished(
    run: RunDirectory, corpus: Corpus, budget: dict[str, Any], note: str
) -> None:
    console = Recorder()
    first = train(run, corpus, console=console, **budget)
    assert [text for text in console.notes if "the weights are new" in text] == [note]
    again = train(run, corpus, **budget)
    assert (first.steps, first.already_finished, again.steps, again.already_finished) == (0, False, 0, True)
    assert again.best_bits == first.best_bits
    assert train(run, corpus, max_steps=2).steps == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_and_saves(run: RunDirectory, corpus: Corpus, number: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(StoppedError) as caught:
        train(run, corpus, console=Recorder(interrupt_at(4, number=number)))
    assert caught.value.exit_code == 128 + number
    assert run.checkpoint_steps() == [4]
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("step", [10, 22])
def test_a_signal_before_a_validation_only_delays_it(run: RunDirectory, corpus: Corpus, step: int) -> None:
    """Stopped at a step before its validation, the last step included: the rerun validates it and finds the best."""
    with pytest.raises(StoppedError):
        train(run, corpus, console=Recorder(interrupt_at(step)))
    assert run.checkpoint_steps()[-1] == step
    outcome = train(run, corpus)
    assert outcome.steps == 22
    validated = {entry["step"]: entry["bits_per_character"] for entry in metrics(run, "valid")}
    assert set(validated) == {10, 20, 22}
    best = min(validated, key=lambda step: validated[step])
    assert (outcome.best_step, outcome.best_bits) == (best, validated[best])
    assert find_checkpoint(run.root) == run.checkpoint(best)
    again = train(run, corpus)
    assert again.already_finished
    assert (again.best_step, again.best_bits) == (best, validated[best])
    assert len(metrics(run, "valid")) == 3


def test_a_signal_during_a_validation_stops_at_once_and_the_rerun_repeats_it(
    run: RunDirectory, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = language_module.evaluate

    def interrupted(*arguments: Any, **keywords: Any) -> Score:
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(*arguments, **keywords)

    monkeypatch.setattr(language_module, "evaluate", interrupted)
    with pytest.raises(StoppedError):
        train(run, corpus, max_steps=5)
    assert run.checkpoint_steps() == [5]
    monkeypatch.setattr(language_module, "evaluate", evaluate)
    outcome = train(run, corpus, max_steps=5)
    assert outcome.best_step == 5
    assert outcome.best_bits is not None
    assert [entry["step"] for entry in metrics(run, "valid")] == [5]


# ---- refusing


def test_another_corpus_is_refused(run: RunDirectory, corpus: Corpus, tmp_path: Path) -> None:
    train(run, corpus, max_steps=2)
    other = build_corpus(tmp_path / "other", {"a.txt": "abcde fhg, " * 54})
    assert other.vocab.size == corpus.vocab.size
    with pytest.raises(DataError, match="fingerprint"):
        train(run, other, max_steps=4)


def test_a_changed_token_is_refused(run: RunDirectory, corpus: Corpus, tmp_path: Path) -> None:
    copy = Corpus(shutil.copytree(corpus.directory, tmp_path / "copy"), corpus.metadata, corpus.vocab)
    content = bytearray((copy.directory / "train.npy").read_bytes())
    content[-1] ^= 1
    (copy.directory / "train.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"train\.npy was changed"):
        train(run, copy)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("step", math.inf),
        ("step", None),
        ("seconds", "x"),
        ("tokens", []),
        ("validations", 5),
        ("validations", {}),
        ("cursor", {}),
        ("cursor", {"epoch": 0, "chunk": 10**9, "spans": None}),
        ("cursor", {"epoch": -1, "chunk": 0, "spans": None}),
        ("cursor", {"epoch": 0, "chunk": 0, "spans": []}),
        ("rows", -1),
        ("rows", None),
    ],
)
def test_a_checkpoint_with_impossible_metadata_is_refused(
    run: RunDirectory, corpus: Corpus, name: str, value: object
) -> None:
    train(run, corpus, max_steps=2)
    directory = run.checkpoint(2)
    facts = json.loads((directory / "training.json").read_text(encoding="utf-8"))
    (directory / "training.json").write_text(json.dumps(facts | {name: value}), encoding="utf-8")
    storage.write_manifest(directory, {"format": 1})
    with pytest.raises(CheckpointError):
        train(run, corpus, max_steps=4)


def without(name: str) -> Callable[[dict[str, torch.Tensor]], object]:
    return lambda tensors: tensors.pop(next(key for key in tensors if name in key))


def narrowed(name: str) -> Callable[[dict[str, torch.Tensor]], object]:
    def narrow(tensors: dict[str, torch.Tensor]) -> None:
        key = next(key for key in tensors if name in key)
        tensors[key] = tensors[key][:1].clone()

    return narrow


@pytest.mark.parametrize(
    "damage",
    [
        *(without(name) for name in ("rng", "state.001", "exp_avg_sq", ".step")),
        *(narrowed(name) for name in ("rng", "state.001", "head.bias_V.exp_avg")),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_before_it_trains(
    run: RunDirectory, corpus: Corpus, damage: Callable[[dict[str, torch.Tensor]], object]
) -> None:
    from safetensors.torch import load_file, save_file

    train(run, corpus, max_steps=2)
    path = run.checkpoint(2) / "training.safetensors"
    tensors = load_file(path)
    damage(tensors)
    save_file(tensors, path)
    storage.write_manifest(run.checkpoint(2), {"format": 1})
    with pytest.raises(CheckpointError):
        train(run, corpus, max_steps=4)


# ---- diverging


def test_three_steps_that_are_not_finite_end_the_run_and_save_nothing(run: RunDirectory, corpus: Corpus) -> None:
    console = Recorder()
    with pytest.raises(DivergedError, match="none was saved yet"):
        train(run, corpus, console=console, optimizer=AdamWSettings(lr=1e38), schedule=ConstantSettings(warmup_steps=0))
    assert run.checkpoint_steps() == []
    assert sum("the update is skipped" in note for note in console.notes) == 3


def poison(trainers: list[Trainer], at: int, until: int) -> OnStep:
    """Make the model's output NaN after step `at`, and repair it after step `until`."""

    def on_step(step: int) -> None:
        bias_V = dict(trainers[0]._updater.model.head.named_parameters())["bias_V"]  # pyright: ignore[reportPrivateUsage]
        if step in (at, until):
            with torch.no_grad():
                bias_V[0] = math.nan if step == at else 0.0

    return on_step


def test_divergence_names_the_last_good_checkpoint_and_leaves_it(run: RunDirectory, corpus: Corpus) -> None:
    trainers: list[Trainer] = []
    trainers.append(make(run, corpus, console=Recorder(poison(trainers, 12, 99))))
    with pytest.raises(DivergedError, match=r"last good checkpoint is .*step-000000010"):
        trainers[0].run()
    assert run.checkpoint_steps() == [10]
    load_model(run.checkpoint(10), CPU)
    assert train(run, corpus).steps == 22


def test_two_nonfinite_steps_are_skipped(run: RunDirectory, corpus: Corpus) -> None:
    trainers: list[Trainer] = []
    console = Recorder(poison(trainers, 4, 6))
    trainers.append(make(run, corpus, console=console))
    assert trainers[0].run().steps == 22
    assert sum("the update is skipped" in note for note in console.notes) == 2
    assert [entry["nats_per_token"] is None for entry in metrics(run)[:8]] == [False] * 4 + [True] * 2 + [False] * 2


def test_skipped_steps_do_not_count_in_the_loss_of_a_line(
    run: RunDirectory, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = ModelUpdater.update

    def skipping(updater: ModelUpdater, batch: Batch, schedule_input: ScheduleInput, **scored: Any) -> UpdateResult:
        found = update(updater, batch, schedule_input, **scored)
        return replace(found, nats=math.nan, applied=False) if schedule_input.step in (6, 7) else found

    train(run, corpus, max_steps=10)
    whole = metrics(run)
    monkeypatch.setattr(ModelUpdater, "update", skipping)
    other = RunDirectory(run.root.with_name("skipped"))
    train(other, corpus, max_steps=10, log_interval=10)
    *_, line = metrics(other)
    others = [entry["nats_per_token"] for entry in whole if entry["step"] in (4, 5, 6, 9, 10)]
    assert line["nats_per_token"] == pytest.approx(sum(others) / len(others))
    assert line["bits_per_character"] is not None
    assert line["tokens"] == whole[-1]["tokens"], "skipped steps count their tokens"


# ---- logs


def test_a_failing_tensorboard_directory_does_not_stop_training(run: RunDirectory, corpus: Corpus) -> None:
    """A validation with a sample runs meanwhile. Events before and after the failure can be read."""
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    board, aside = run.root / "tensorboard", run.root / "aside"

    def on_step(step: int) -> None:
        if step == 3:
            board.rename(aside)
            board.touch()
        elif step == 15:
            board.unlink()
            aside.rename(board)

    console = Recorder(on_step)
    assert train(run, corpus, console=console, tensorboard=True, sample_length=9).steps == 22
    assert sum("TensorBoard data is incomplete" in note for note in console.notes) == 1
    told = shown_on(board)
    assert [step for step, _ in told["train/bits_per_character"]] == [1, 2, 3, *range(16, 23)]
    assert [value for _, value in told["train/bits_per_character"]] == pytest.approx(
        [entry["bits_per_character"] for entry in metrics(run) if entry["step"] not in range(4, 16)], rel=1e-6
    )
    assert [step for step, _ in told["valid/bits_per_character"]] == [20, 22]
    samples = [text for note in console.notes if note.startswith("  | ") for text in [note.removeprefix("  | ")]]
    assert [text.decode() for _, text in told["sample/text_summary"]] == [f"```\n{text}\n```" for text in samples[1:]]


def test_tensorboard_shows_a_run_whose_clock_was_set_back(
    run: RunDirectory, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of each attempt sorts after the older ones, whatever the clock says."""
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    now = time.time()
    for attempt, steps in enumerate((8, 15, 22)):
        monkeypatch.setattr(time, "time", lambda attempt=attempt: now - 1e6 * attempt)
        train(run, corpus, tensorboard=True, max_steps=steps)
    told = shown_on(run.root / "tensorboard")
    assert [step for step, _ in told["train/bits_per_character"]] == [*range(1, 23)]


def shown_on(board: Path) -> dict[str, list[tuple[int, Any]]]:
    """Return what TensorBoard reads from its directory: steps and values by name."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read: Any = EventAccumulator(str(board))
    read.Reload()
    tags = read.Tags()
    scalars = {name: [(each.step, each.value) for each in read.Scalars(name)] for name in tags["scalars"]}
    texts = {name: [(e.step, e.tensor_proto.string_val[0]) for e in read.Tensors(name)] for name in tags["tensors"]}
    return scalars | texts


@pytest.mark.parametrize("text", ["\x1b]0;title\x07", "\u202eback"])
def test_control_characters_in_samples_are_escaped(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    Console().note(f"  | {text}")
    assert capsys.readouterr().err == f"  | {text.encode('unicode_escape').decode()}\n"


# ---- checkpoints


def test_the_last_two_checkpoints_and_the_best_are_kept(
    run: RunDirectory, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    nats = iter([5.0, 1.0, 4.0, 3.0, 2.0, 6.0])
    monkeypatch.setattr(language_module, "evaluate", lambda *_, **__: Score(next(nats), 1, 1, 1, 1))
    outcome = train(run, corpus, max_steps=12, validation_interval=2)
    assert outcome.best_step == 4
    assert run.checkpoint_steps() == [4, 10, 12]
    assert find_checkpoint(run.root) == run.checkpoint(4)
    assert json.loads((run.root / "last.json").read_text(encoding="utf-8"))["step"] == 12


class Disk:
    """A disk that is full while `full` says so."""

    def __init__(self, full: Callable[[Path], bool], patch: pytest.MonkeyPatch) -> None:
        self.is_full = full
        self.refused = 0
        for module in STORAGE_MODULES:
            patch.setattr(module, "open", self.open, raising=False)

    def open(self, path: Path, *arguments: Any, **keywords: Any) -> Any:
        if self.is_full(Path(path)):
            self.refused += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return open(path, *arguments, **keywords)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(lambda _: False, monkeypatch)


@pytest.mark.parametrize("everything", [False, True])
def test_saving_to_a_full_disk_is_tried_again_and_old_checkpoints_stay(
    run: RunDirectory, corpus: Corpus, disk: Disk, everything: bool
) -> None:
    step = 0

    def on_step(now: int) -> None:
        nonlocal step
        step = now

    disk.is_full = lambda path: 3 <= step < 7 and (everything or "checkpoints" in path.parts)
    console = Recorder(on_step)
    outcome = train(run, corpus, console=console, validation_interval=2, max_steps=10)
    assert outcome.steps == 10
    assert disk.refused
    assert sum("the next interval tries again" in note for note in console.notes) == 2
    assert run.checkpoint_steps()[-1] == 10
    found = load_model(find_checkpoint(run.root), CPU)
    assert found.metadata["trained_on"]["step"] == outcome.best_step
    assert not list(run.root.rglob(".*.tmp"))


@pytest.mark.parametrize("everything", [False, True])
def test_a_full_disk_ends_the_run_after_three_attempts(
    run: RunDirectory, corpus: Corpus, disk: Disk, everything: bool
) -> None:
    step = 0

    def on_step(now: int) -> None:
        nonlocal step
        step = now

    disk.is_full = lambda path: step > 2 and (everything or "checkpoints" in path.parts)
    with pytest.raises(StorageError, match="No space left"):
        train(run, corpus, console=Recorder(on_step), validation_interval=2, max_steps=20)
    assert step == 8, "validated at 4, 6 and 8"
    assert run.checkpoint_steps() == [2]
    disk.is_full = lambda _: False
    assert train(run, corpus, validation_interval=2, max_steps=20).steps == 20


def test_a_best_checkpoint_that_could_not_be_saved_does_not_replace_the_saved_one(
    run: RunDirectory, corpus: Corpus, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    nats = iter([2.0, 1.0, 4.0, 3.0, 5.0])
    monkeypatch.setattr(language_module, "evaluate", lambda *_, **__: Score(next(nats), 1, 1, 1, 1))
    step = 0

    def on_step(now: int) -> None:
        nonlocal step
        step = now

    disk.is_full = lambda path: step == 4 and "checkpoints" in path.parts
    outcome = train(run, corpus, console=Recorder(on_step), validation_interval=2, max_steps=10)
    assert outcome.best_step == 2
    assert run.checkpoint_steps() == [2, 8, 10]
    assert find_checkpoint(run.root) == run.checkpoint(2)


def test_checkpoints_are_saved_every_few_minutes_too(run: RunDirectory, corpus: Corpus) -> None:
    train(run, corpus, validation_interval=1000, checkpoint_minutes=1e-9, max_steps=5)
    assert run.checkpoint_steps() == [4, 5]
    assert [entry["step"] for entry in metrics(run, "valid")] == [5]
    assert find_checkpoint(run.root) == run.checkpoint(5)
    assert (run.root / "best.json").is_file()


def test_minutes_end_a_run_and_earlier_attempts_are_counted(run: RunDirectory, corpus: Corpus) -> None:
    torch.optim.AdamW([torch.zeros(1)])  # whose first import takes seconds
    budget: dict[str, Any] = {"max_steps": None, "max_minutes": 1 / 60, "validation_interval": 10**6}
    outcome = train(run, corpus, **budget)
    assert outcome.steps > 0
    assert outcome.seconds >= 1
    again = train(run, corpus, **budget)
    assert (again.already_finished, again.steps) == (True, outcome.steps)
