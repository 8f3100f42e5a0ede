"""Describe a training before it begins: sizes, backend, precision, memory, budget and folders."""

from typing import Any

import torch
from tqdm import tqdm

from charlm import terminal
from charlm.data.store import count_ids
from charlm.data.vocabulary_report import measure_usage
from charlm.device import Precision, autocast, available_memory, resolve_precision
from charlm.experiment import BUDGETS
from charlm.nn.build import build_meta_model
from charlm.nn.conditions.source import Transducer
from charlm.nn.embeddings.frozen import frozen_models
from charlm.nn.fused.steps import kernels_for
from charlm.nn.model import LanguageModel
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.training.settings import TrainingSettings
from charlm.training.tasks.base import TrainingBatches
from charlm.training.tasks.build import build_task
from charlm.workflows.estimate_training import estimate
from charlm.workflows.plan_training import TrainingPlan


def announce(plan: TrainingPlan, model: LanguageModel, batches: TrainingBatches, num_ranks: int) -> str:
    """Return the line that a new run prints when it begins.

    Args:
        num_ranks: processes that train together; the memory is that of one of them.
    """
    training, vocab_size = plan.experiment.training, plan.vocab_size
    facts: dict[str, Any] = {"parameters": model.num_parameters, **_count_frozen(model), "vocabulary": vocab_size}
    facts |= _coverage(plan, "valid")
    if isinstance(model, NgramLanguageModel):
        facts["n-grams"] = model.ngram_head.lookup.tables.num_ngrams
    precision = resolve_precision(training.precision, plan.device)
    facts |= {"backend": _backend_name(model, plan.device, precision)}
    facts |= {"precision": precision, "device": str(plan.device)}
    rows = batches.batch_size // num_ranks
    facts |= _estimate_memory(model, training, rows, vocab_size, plan.device, longest=batches.seq_len)
    described = [f"{name.replace('_', ' ')} {terminal.format_value(value)}" for name, value in facts.items()]
    processes = [f"{num_ranks} processes"] if num_ranks > 1 else []
    return f"{plan.run.root}: {' · '.join([*described, *processes])}"


def describe(plan: TrainingPlan) -> dict[str, Any]:
    """Return the table of a dry run: sizes, backend, precision, memory, budget, folders, and the speed that two seconds
    of training had."""
    training, vocab_size = plan.experiment.training, plan.vocab_size
    settings = plan.experiment.model
    task = build_task(plan.corpus) if plan.corpus else None
    bags = plan.corpus.vocab.bags() if plan.corpus else None
    precision = resolve_precision(training.precision, plan.device)
    order = task.ngram_order(settings) if task else None
    model = build_meta_model(settings, vocab_size, bags, task.interface if task else None, plan.frozen, order)
    description: dict[str, Any] = {
        **({"chosen": plan.reason} if plan.reason else {}),
        "run": str(plan.run.root),
        "corpus": str(plan.corpus.directory) if plan.corpus else "none prepared yet",
        "vocabulary": vocab_size if plan.corpus else f"{vocab_size} assumed",
        "parameters": model.num_parameters,
        **_count_frozen(model),
        "device": str(plan.device),
        "precision": precision,
        "backend": _backend_name(model, plan.device, precision),
    }
    rows, longest = training.batch_size, training.seq_len
    if plan.corpus is not None and task is not None:
        train = plan.corpus.open("train")
        batches = task.open_batches(training, settings, 1)
        rows, longest = batches.batch_size, batches.seq_len
        if rows < training.batch_size:
            description["batch"] = f"{rows} rows, as the text does not fill {training.batch_size}"
        description["characters_per_epoch"] = train.count("characters")
        description["steps_per_epoch"] = batches.steps_per_epoch
        description |= _coverage(plan, "train") | _coverage(plan, "valid")
    description["tokens_per_step"] = rows * training.seq_len
    description |= _estimate_memory(model, training, rows, vocab_size, plan.device, longest=longest)
    for budget in BUDGETS:
        if getattr(training, budget) is not None:
            description[budget] = getattr(training, budget)
    if plan.corpus is not None and task is not None:
        found = estimate(plan, plan.corpus, task)
        description["characters_per_second"] = round(found.characters_per_second)
        description["time"] = f"about {tqdm.format_interval(found.seconds)} without validations"
    checkpoint_bytes = 12 * model.num_parameters + 4 * sum(each.num_weights for each in frozen_models(model))
    if task is not None and (tables := task.ngram_tables(settings)) is not None:
        description["ngrams"] = (
            f"{tables.num_ngrams:,} of up to {tables.order} tokens, {tables.num_bytes / 2**20:,.0f} MiB"
        )
        checkpoint_bytes += sum(array.nbytes for array in tables.to_arrays().values())
    description["checkpoint"] = f"about {checkpoint_bytes / 2**20:,.0f} MiB each, at most 3 kept"
    return description


def _coverage(plan: TrainingPlan, split: str) -> dict[str, Any]:
    """Return the fraction of characters that are not spelled in bytes; empty for a vocabulary that spells none."""
    assert plan.corpus is not None
    stream = plan.corpus.open(split)
    found = measure_usage(plan.corpus.vocab, count_ids(stream, plan.vocab_size), stream.count("characters"))
    return {f"coverage_of_{split}": found["coverage"]} if found.get("coverage") is not None else {}


def _estimate_memory(
    model: LanguageModel, training: TrainingSettings, rows: int, vocab_size: int, device: torch.device, *, longest: int
) -> dict[str, str]:
    """Estimate the memory of weights, gradients, two moments, an average, and activations of the backward pass.

    Args:
        longest: the length of the longest row in tokens; sources are taken to be as long.
    """
    num_copies = 4 + (training.averaging.type != "none")
    steps = min(training.seq_len, training.recompute_len or training.seq_len)
    tokens = -(-rows // training.micro_batches) * steps
    activations = tokens * (model.embedding.size + model.body.activations_per_token + 2 * vocab_size)
    if isinstance(model, Transducer):
        pairs = min(steps, longest) * model.activations_per_pair
        activations += tokens * (model.encoder.body.activations_per_token + pairs)
    if isinstance(model, NgramLanguageModel) and (tables := model.ngram_head.lookup.known_tables) is not None:
        activations += tables.num_bytes // 4
    fixed = sum(b.numel() for b in model.buffers()) + sum(each.num_weights for each in frozen_models(model))
    needed = 4 * (num_copies * model.num_parameters + fixed + activations)
    found = available_memory(device)
    return {
        "memory": f"about {needed / 2**20:,.0f} MiB needed"
        + ("" if found is None else f", {found / 2**20:,.0f} MiB free")
        + (": too little" if found is not None and needed > found else "")
    }


def _count_frozen(model: LanguageModel) -> dict[str, int]:
    """Return the number of weights of frozen language models; empty if there are none."""
    weights = sum(each.num_weights for each in frozen_models(model))
    return {"frozen_weights": weights} if weights else {}


def _backend_name(model: LanguageModel, device: torch.device, precision: Precision) -> str:
    """Return the implementation of the time steps, with the kind of the fused kernels."""
    with autocast(precision, device):
        name = model.body.backend_name(device)
    return f"fused, {kernels_for(torch.zeros(1, device=device)).name}" if name == "fused" else name
