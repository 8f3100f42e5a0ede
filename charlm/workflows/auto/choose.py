"""The settings that `charlm train` chooses where a user chose none."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch

from charlm import storage
from charlm.data.corpus import Corpus
from charlm.device import available_memory
from charlm.errors import DataError, SettingsError
from charlm.experiment import BUDGETS, DEFAULT_CONFIG, load_experiment, read_layers
from charlm.nn.ngrams.build import usual_order
from charlm.settings import Layer, lists_to_tuples, merge_layers
from charlm.settings.renamed import parse_experiment
from charlm.training.distributed import count_processes
from charlm.training.run_directory import RunDirectory
from charlm.workflows.auto.machine import measure_speed
from charlm.workflows.auto.rule import Facts, choose
from charlm.workflows.auto.speed import REFERENCE_SPEED
from charlm.workflows.training_places import find_run_directory, find_training_corpus

AUTO = "auto"
"""The name of these settings where a config can be named."""
DEFAULT_MINUTES = 10.0
_MAX_MINUTES = 60 * 24 * 365
ASSUMED_VOCAB_SIZE = 512
"""The size of the vocabulary in a dry run without a corpus."""
_ASSUMED_CHARACTERS = 5_000_000
"""The length of the training text in a dry run without a corpus."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a user asked for."""

    config: str | None
    """None, or "auto"."""
    layers: Sequence[Layer]
    """The settings, those that win last."""
    data: str | None
    out: Path | None
    device: torch.device


class CompletedSettings(NamedTuple):
    """The config that names the run, all settings, and the line that says what was chosen and why."""

    config: str
    layer: Layer
    reason: str


def complete_settings(wanted: Wanted, *, need_corpus: bool, overwrite: bool) -> CompletedSettings:
    """Put settings below those of the user: of the run if it can be resumed, else chosen for the time and the corpus.

    Without a config, a task, or a budget that is not in minutes, takes the config lstm: a run of so many steps should
    not depend on the speed of the machine.

    Args:
        overwrite: whether a run of that name will be removed.

    Raises:
        SettingsError: the corpus is not for a language model.
        DataError: the run's experiment.toml is damaged.
    """
    given = merge_layers(wanted.layers)
    load_experiment(given.merge_over(Layer({"training": {"max_minutes": DEFAULT_MINUTES}})))  # errors before the work
    corpus = find_training_corpus(given, wanted.data, need_corpus=need_corpus)
    is_plain_text = corpus is None or (corpus.labels is None and corpus.conditions is None)
    if wanted.config is None and (_has_other_budget(given) or not is_plain_text):
        return CompletedSettings(
            DEFAULT_CONFIG, merge_layers([read_layers(DEFAULT_CONFIG, (), ()), *wanted.layers]), ""
        )
    if corpus is not None and not is_plain_text:
        raise SettingsError(
            f"--config {AUTO} chooses for language models, and {corpus.directory} was prepared for another task",
            "name a config for it, such as names, tagger or g2p",
        )
    run = find_run_directory(AUTO, wanted.out, corpus)
    if run.checkpoint_steps() and not overwrite:
        return CompletedSettings(AUTO, merge_layers([_recorded_settings(run), *wanted.layers]), "")
    choice = choose(_collect_facts(given, corpus, wanted.device))
    return CompletedSettings(AUTO, merge_layers([Layer(choice.settings), *wanted.layers]), choice.reason)


def _collect_facts(given: Layer, corpus: Corpus | None, device: torch.device) -> Facts:
    train = None if corpus is None else corpus.open("train")
    vocab_size = ASSUMED_VOCAB_SIZE if corpus is None else corpus.vocab.size
    num_processes = count_processes()
    return Facts(
        minutes=_minutes(given),
        is_limited_otherwise=_has_other_budget(given),
        characters=_ASSUMED_CHARACTERS if train is None else train.count("characters"),
        tokens=_ASSUMED_CHARACTERS if train is None else train.num_predictions,
        vocab_size=vocab_size,
        speed=measure_speed(vocab_size, device) if num_processes == 1 else REFERENCE_SPEED,
        memory=available_memory(torch.device("cpu")),
        num_processes=num_processes,
        ngram_order=_ngram_order(given, vocab_size, 1.0 if train is None else train.tokens_per_character),
        first_document=0 if corpus is None else corpus.open("valid").head(1).num_predictions,
    )


def _ngram_order(given: Layer, vocab_size: int, tokens_per_character: float) -> int:
    """Return the order that the settings name, or the usual one; 0 for a network alone."""
    model = given.tree.get("model")
    ngram = cast("dict[str, Any]", model).get("ngram") if isinstance(model, dict) else None
    if ngram == "none":
        return 0
    order = cast("dict[str, Any]", ngram).get("order") if isinstance(ngram, dict) else None
    return order if isinstance(order, int) else usual_order(vocab_size, tokens_per_character)


def _has_other_budget(given: Layer) -> bool:
    """Whether settings name a budget, and none in minutes."""
    budgets = [budget for budget in BUDGETS if budget in _training(given)]
    return bool(budgets) and "max_minutes" not in budgets


def _minutes(given: Layer) -> float:
    """Return the budget in minutes; the usual one where there is none, or one that validation will refuse."""
    minutes = _training(given).get("max_minutes", DEFAULT_MINUTES)
    is_number = isinstance(minutes, int | float) and not isinstance(minutes, bool)
    return min(float(minutes), _MAX_MINUTES) if is_number and minutes > 0 else DEFAULT_MINUTES


def _training(given: Layer) -> dict[str, Any]:
    training = given.tree.get("training")
    return cast("dict[str, Any]", training) if isinstance(training, dict) else {}


def _recorded_settings(run: RunDirectory) -> Layer:
    """Return the settings of a run that can be resumed, without its corpus.

    Raises:
        DataError: its experiment.toml is damaged.
    """
    try:
        recorded = lists_to_tuples(parse_experiment(storage.read_text(run.experiment_path)))
        return Layer({root: recorded[root] for root in ("model", "training")})
    except (ValueError, KeyError, RecursionError) as error:
        raise DataError(
            f"{run.experiment_path} is damaged: {error}", "choose another --out, or add --overwrite"
        ) from error
