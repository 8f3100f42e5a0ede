"""What a training would be, without it: sizes, backend, precision, budget, and where things would be written."""

from collections.abc import Sequence
from typing import Any

import torch
from tqdm import tqdm

from charlm.data.store import count_ids, read_stream
from charlm.data.vocabulary_report import measure_usage
from charlm.device import available_memory, resolve_precision
from charlm.errors import SettingsError, UsageError
from charlm.experiment import BUDGETS, find_config, read_layers
from charlm.nn.build import build_meta_model
from charlm.nn.fused.steps import kernels_for
from charlm.nn.model import LanguageModel
from charlm.nn.summary import summarize_network
from charlm.training.resume import open_batches
from charlm.training.settings import TrainingSettings
from charlm.workflows.estimate_training import estimate
from charlm.workflows.plan_training import TrainingPlan, plan_training

ASSUMED_VOCAB_SIZE = 512


def describe(plan: TrainingPlan, *, num_ranks: int = 1, measure_speed: bool = False) -> dict[str, Any]:
    """What a dry run shows: sizes, backend, precision, memory, budget, and where things would be written.

    Args:
        num_ranks: processes that train together; the memory is that of one of them.
        measure_speed: whether to train for two seconds, for the speed and the time to finish.
    """
    training = plan.experiment.training
    vocab_size = plan.corpus.vocab.size if plan.corpus else ASSUMED_VOCAB_SIZE
    bags = plan.corpus.vocab.bags() if plan.corpus else None
    model = build_meta_model(plan.experiment.model, vocab_size, bags)
    description: dict[str, Any] = {
        "run": str(plan.run.root),
        "corpus": str(plan.corpus.directory) if plan.corpus else "none prepared yet",
        "vocabulary": vocab_size if plan.corpus else f"{vocab_size} assumed",
        "parameters": model.num_parameters,
        "device": str(plan.device),
        "precision": resolve_precision(training.precision, plan.device),
        "backend": _backend_name(model, plan.device),
    }
    requested_rows = rows = training.batch_size * num_ranks
    if plan.corpus is not None:
        train = plan.corpus.open("train")
        batches = open_batches(train, training, plan.experiment.model, num_ranks)
        rows = batches.batch_size
        if rows < requested_rows:
            description["batch"] = f"{rows} rows: the text does not fill {requested_rows}"
        description["characters_per_epoch"] = train.count("characters")
        description["steps_per_epoch"] = batches.steps_per_epoch
        for split in ("train", "valid"):
            stream = plan.corpus.open(split)
            counts = count_ids(stream, vocab_size)
            coverage = measure_usage(plan.corpus.vocab, counts, stream.count("characters")).get("coverage")
            if coverage is not None:
                description[f"coverage_of_{split}"] = coverage
    description["tokens_per_step"] = rows * training.seq_len
    description |= _estimate_memory(model, training, rows // num_ranks, vocab_size, plan.device)
    for budget in BUDGETS:
        if getattr(training, budget) is not None:
            description[budget] = getattr(training, budget)
    if measure_speed and plan.corpus is not None:
        found = estimate(plan, plan.corpus)
        description["characters_per_second"] = round(found.characters_per_second)
        description["time"] = f"about {tqdm.format_interval(found.seconds)}, validations not counted"
    description["checkpoint"] = f"about {12 * model.num_parameters / 2**20:,.0f} MiB each, at most 3 kept"
    return description


def _estimate_memory(
    model: LanguageModel, training: TrainingSettings, rows: int, vocab_size: int, device: torch.device
) -> dict[str, str]:
    """Weights, gradients, an average and two moments for each parameter, and what the backward pass needs."""
    num_copies = 4 + (training.averaging.type != "none")
    steps = min(training.seq_len, training.segment_len or training.seq_len)
    tokens = -(-rows // training.accumulation) * steps
    activations = tokens * (model.embedding.size + model.body.activations_per_token + 2 * vocab_size)
    needed = 4 * (num_copies * model.num_parameters + sum(b.numel() for b in model.buffers()) + activations)
    found = available_memory(device)
    return {
        "memory": f"about {needed / 2**20:,.0f} MiB needed"
        + ("" if found is None else f", {found / 2**20:,.0f} MiB free")
        + (": too little" if found is not None and needed > found else "")
    }


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
    vocab_size, bags = (corpus.vocab.size, corpus.vocab.bags()) if corpus else (ASSUMED_VOCAB_SIZE, None)
    summary = summarize_network(plan.experiment.model, vocab_size, bags)
    tokens_per_character = read_stream(corpus.directory, "train", corpus.vocab).tokens_per_character if corpus else None
    return {
        "kind": "config",
        "path": str(find_config(config)),
        "corpus": str(corpus.directory) if corpus else None,
        "vocab_size": vocab_size,
        "vocabulary": f"{corpus.vocab.type}" if corpus else "assumed, since no corpus is prepared yet",
        "network": summary.to_table(tokens_per_character) if readable else summary.to_json(tokens_per_character),
    }


def _backend_name(model: LanguageModel, device: torch.device) -> str:
    """What runs the time steps, and of our own passes which ones."""
    name = model.body.backend_name(device)
    return f"fused, {kernels_for(torch.zeros(1, device=device)).name}" if name == "fused" else name
