"""The commands as functions: from names and settings to a result that can be printed.

plan_training -> describe (--dry-run) | inspect_config | run_training          evaluate_run          sample_run
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from charlm import workspace
from charlm.checkpoint import LoadedModel, load_model
from charlm.data.batches import fit_batches
from charlm.data.corpus import Corpus, open_corpus
from charlm.data.store import read_stream
from charlm.device import Precision, choose_device, keep_memory, resolve_precision
from charlm.errors import DataError, SettingsError, StorageError, UsageError
from charlm.evaluation.evaluate import evaluate
from charlm.experiment import Experiment, changes, check_corpus, find_config, load_experiment, read_layers
from charlm.nn.fused.steps import passes_for
from charlm.nn.model import LanguageModel
from charlm.nn.shapes import build_shapes
from charlm.nn.summary import summarize_network
from charlm.sampling.filters import Temperature
from charlm.sampling.generate import generate
from charlm.settings import Layer, freeze_lists, place, stack, to_toml
from charlm.storage import DirectoryLock, check_writable
from charlm.training.logs import Console
from charlm.training.run import RunDirectory, find_checkpoint
from charlm.training.start import open_run
from charlm.training.trainer import Trainer

_ASSUMED_VOCABULARY = 512


@dataclass(frozen=True)
class TrainingPlan:
    """What `charlm train` would do. `corpus` is None only in a dry run without one."""

    experiment: Experiment
    corpus: Corpus | None
    run: RunDirectory
    device: torch.device


def plan_training(
    config: str, layer: Layer, data: str | None, out: Path | None, device: str, *, need_corpus: bool
) -> TrainingPlan:
    """Settings, corpus and run directory of a command line; everything that can be wrong with them is said here."""
    experiment = load_experiment(layer)
    corpus = _find_corpus(layer, experiment, data, need_corpus=need_corpus)
    if corpus is not None:
        check_corpus(layer, corpus.card["settings"], corpus.directory)
        supplied = place("corpus", freeze_lists(corpus.card["settings"]), f"{corpus.directory}")
        experiment = load_experiment(stack([layer, supplied]))
        experiment.model.embedding.check(corpus.vocab.bags())
    name = f"{Path(config).stem}-{corpus.name if corpus else 'CORPUS'}"
    run = RunDirectory(out or workspace.RUNS / name)
    return TrainingPlan(experiment, corpus, run, choose_device(device))


def _find_corpus(layer: Layer, experiment: Experiment, data: str | None, *, need_corpus: bool) -> Corpus | None:
    """--data; else the corpus that the config names; else the current one."""
    if data is None and "corpus" in layer.tree:
        directory = workspace.DATA / experiment.corpus.name
        if not directory.is_dir() and need_corpus:
            raise UsageError(f"the corpus of this config, {directory}, is not prepared", "run `charlm prepare` with it")
    elif data is None and not need_corpus and not (workspace.DATA / "current.json").is_file():
        return None
    else:
        directory = workspace.find_data(data)
    return open_corpus(directory) if need_corpus or directory.is_dir() else None


def describe(plan: TrainingPlan) -> dict[str, Any]:
    """What a dry run shows: sizes, backend, precision, budget, and where things would be written."""
    training = plan.experiment.training
    vocab_size = plan.corpus.vocab.size if plan.corpus else _ASSUMED_VOCABULARY
    bags = plan.corpus.vocab.bags() if plan.corpus else None
    model = build_shapes(plan.experiment.model, vocab_size, bags)
    description: dict[str, Any] = {
        "run": str(plan.run.root),
        "corpus": str(plan.corpus.directory) if plan.corpus else "none prepared yet",
        "vocabulary": vocab_size if plan.corpus else f"{vocab_size} assumed",
        "parameters": model.num_parameters,
        "device": str(plan.device),
        "precision": resolve_precision(training.precision, plan.device),
        "backend": _backend(model, plan.device),
    }
    rows = training.batch_size
    if plan.corpus is not None:
        batches = fit_batches(plan.corpus.open("train"), training.batch_size, training.seq_len, training.seed)
        rows = batches.batch_size
        description["steps_per_epoch"] = batches.steps_per_epoch
    tokens = rows * training.seq_len
    activations = 4 * tokens * (model.embedding.size + model.body.floats_per_token + 2 * vocab_size)
    description["tokens_per_step"] = tokens
    description["memory"] = f"about {(16 * model.num_parameters + activations) / 2**20:,.0f} MiB"
    for budget in ("max_steps", "max_epochs", "max_minutes"):
        if getattr(training, budget) is not None:
            description[budget] = getattr(training, budget)
    description["checkpoint"] = f"about {12 * model.num_parameters / 2**20:,.0f} MiB each, at most 3 kept"
    return description


def inspect_config(config: str, overrides: Sequence[str], data: str | None, *, readable: bool) -> dict[str, Any]:
    """The network of a config, for --data, the corpus it names, or the current one; readable for people, else JSON.

    Raises:
        UsageError: there is no such config.
        SettingsError: its settings do not fit, or not to the corpus.
    """
    try:
        find_config(config)
    except SettingsError as error:
        raise UsageError(
            f"there is no {config}", f"give a dump, a corpus, a run, a checkpoint or a config ({error.cure})"
        ) from error
    plan = plan_training(config, read_layers(config, (), overrides), data, None, "cpu", need_corpus=False)
    corpus = plan.corpus
    vocab_size, bags = (corpus.vocab.size, corpus.vocab.bags()) if corpus else (_ASSUMED_VOCABULARY, None)
    summary = summarize_network(plan.experiment.model, vocab_size, bags)
    share = read_stream(corpus.directory, "train", corpus.vocab).tokens_per_character if corpus else None
    return {
        "kind": "config",
        "path": str(find_config(config)),
        "corpus": str(corpus.directory) if corpus else None,
        "vocab_size": vocab_size,
        "vocabulary": f"{corpus.vocab.type}" if corpus else "assumed, since no corpus is prepared yet",
        "network": summary.to_table(share) if readable else summary.to_json(share),
    }


def _backend(model: LanguageModel, device: torch.device) -> str:
    """What runs the time steps, and of our own passes which ones."""
    name = model.body.backend_on(device)
    return f"fused, {passes_for(torch.zeros(1, device=device)).name}" if name == "fused" else name


def run_training(plan: TrainingPlan, *, resume: bool, overwrite: bool, quiet: bool, started: float) -> dict[str, Any]:
    """Train, or go on training, and make the run the current one."""
    assert plan.corpus is not None
    console = Console(quiet=quiet)
    keep_memory(plan.device)
    check_writable(plan.run.root)
    with DirectoryLock(plan.run.root):
        toml = to_toml(plan.experiment)
        open_run(plan.run, toml, changes, resume=resume, overwrite=overwrite)
        try:
            workspace.remember(workspace.RUNS, plan.run.root)
        except StorageError as error:
            console.note(f"{plan.run.root} is not the default of later commands: {error.what}")
        trainer = Trainer(
            plan.experiment.model,
            plan.experiment.training,
            plan.corpus,
            plan.run,
            device=plan.device,
            console=console,
            started=started,
        )
        outcome = trainer.run()
    return {"run": str(plan.run.root), **asdict(outcome)}


def evaluate_run(
    run: str | None,
    checkpoint: str,
    data: str | None,
    split: str,
    streams: int | None,
    precision: Precision,
    device: str,
    on_progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """The score of a run on a split of its corpus, in every unit. `interval` is null: it is not computed yet."""
    loaded, name = _load(run, checkpoint, device)
    corpus = _corpus_of(loaded, data)
    stream = corpus.open(split).in_direction(loaded.settings.direction)
    score = evaluate(
        loaded.model,
        stream,
        streams=streams,
        device=choose_device(device),
        precision=precision,
        on_progress=lambda scored: on_progress(scored, stream.num_predictions),
    )
    return {"run": name, "split": split, **score.to_json(), "interval": None}


@dataclass(frozen=True)
class Sample:
    """Text from a run, piece by piece, and the prompt that it goes on from, or leads to."""

    prompt: str
    pieces: Iterator[str]
    is_before_prompt: bool

    def whole(self) -> Iterator[str]:
        """Prompt and text in the order in which they are read."""
        return chain(self.pieces, [self.prompt]) if self.is_before_prompt else chain([self.prompt], self.pieces)


def sample_run(
    run: str | None, checkpoint: str, prompt: str, length: int, temperature: Temperature, seed: int, device: str
) -> Sample:
    """
    Raises:
        DataError: the prompt cannot be spelled.
    """
    loaded, _ = _load(run, checkpoint, device)
    direction = loaded.settings.direction
    pieces = generate(
        loaded.model,
        loaded.vocab,
        prompt=prompt,
        length=length,
        temperature=temperature,
        seed=seed,
        device=choose_device(device),
        direction=direction,
    )
    return Sample(prompt, pieces, direction == "backward")


def _load(run: str | None, checkpoint: str, device: str) -> tuple[LoadedModel, str]:
    chosen = choose_device(device)
    path = workspace.find_run(run)
    return load_model(find_checkpoint(path, checkpoint), chosen), str(path)


def _corpus_of(loaded: LoadedModel, data: str | None) -> Corpus:
    """--data, or the corpus that the model was trained on: by its name in data/, else the current one if it is that."""
    trained_on = loaded.about["trained_on"]
    if data is not None:
        corpus = open_corpus(workspace.find_data(data))
    else:
        named = workspace.DATA / str(trained_on["corpus"])
        current = named if named.is_dir() else workspace.find_data(None)
        corpus = open_corpus(current)
        if corpus.fingerprint != trained_on["fingerprint"]:
            raise DataError(
                f"{corpus.directory} is not the corpus that the model was trained on (its fingerprint differs)",
                "name a corpus with --data to score the model on it all the same",
            )
    if corpus.vocab.to_json() != loaded.vocab.to_json() or corpus.vocab.type != loaded.vocab.type:
        raise DataError(
            f"{corpus.directory} has another vocabulary than the model",
            "score a model that was trained with that vocabulary",
        )
    return corpus
