"""Tune adaptive evaluation on validation text (`charlm tune`), and use it (`charlm eval`).

RUN ──tune──> adaptive/STEP.json (the best settings), adaptive/STEP.safetensors (mean squared gradients) ──> eval
"""

import hashlib
import itertools
import math
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch

from charlm import storage, workspace
from charlm.checkpoint import LoadedModel, checkpoint_hash
from charlm.data.batches import Batch, Cursor, make_batches
from charlm.data.corpus import Corpus
from charlm.data.store import TokenStream
from charlm.device import choose_device
from charlm.errors import CheckpointError, SettingsError, UsageError
from charlm.evaluation.calibration import score_at_temperatures
from charlm.evaluation.continuous_cache import score_with_cache
from charlm.evaluation.dynamic import GradientStatistics, gradient_statistics, score_dynamically
from charlm.evaluation.settings import CacheSettings, DynamicSettings, TemperatureSettings, TuneSettings
from charlm.settings import Layer, validate
from charlm.training.run_directory import run_of_checkpoint
from charlm.workflows.load_run import load_language_model, open_corpus_for, refuse_conditions

_BATCH_SIZE, _SEQ_LEN = 32, 64
OnStage = Callable[[str, int, int], None]
_SETTINGS_CLASSES: dict[str, type[DynamicSettings | CacheSettings | TemperatureSettings]] = {
    "dynamic": DynamicSettings,
    "cache": CacheSettings,
    "temperature": TemperatureSettings,
}


def tune_run(
    run: str | None, checkpoint: str | None, data: str | None, settings: TuneSettings, device: str, on_stage: OnStage
) -> dict[str, Any]:
    """Try all candidates on validation text, and save the best settings of each method in the run.

    Args:
        on_stage: called with the name of the stage, the number of steps done, and their total.

    Raises:
        UsageError: the corpus has no validation text.
    """
    loaded, name = load_language_model(run, checkpoint, device)
    refuse_conditions(loaded, name, "charlm tune")
    if name == workspace.BUNDLED:
        raise UsageError(
            "the bundled model cannot be tuned, because the settings are saved in the run", "name a run of your own"
        )
    corpus = open_corpus_for(loaded, data)
    chosen = choose_device(device)
    valid = _truncate(corpus.open("valid").in_direction(loaded.settings.text_direction), settings.max_tokens)
    path = _tuning_path(loaded)
    storage.make_directory(path.parent)
    storage.check_writable(path.parent)
    statistics = _collect_statistics(loaded, corpus, settings.statistics_batches, chosen, on_stage)
    temperature = _tune_temperature(loaded, valid, settings, chosen)
    dynamic = _tune_dynamic(loaded, valid, statistics, settings, chosen, on_stage)
    on_stage("cache", 0, 1)
    cache = _tune_cache(loaded, valid, settings, chosen)
    (static,) = score_at_temperatures(loaded.model, valid, [1.0], chosen).values()
    found: dict[str, Any] = {
        "tokens": valid.num_predictions,
        "static": {"nats_per_token": _mean_nats(static)},
        "dynamic": dynamic,
        "cache": cache,
        "temperature": temperature,
    }
    content = safetensors.torch.save(statistics)
    storage.write_bytes(path.with_suffix(".safetensors"), content)
    keys = {"sha256": hashlib.sha256(content).hexdigest(), "checkpoint": checkpoint_hash(loaded.directory)}
    storage.write_json(path.with_suffix(".json"), found | keys)
    return {"run": name, "saved": str(path.with_suffix(".json")), **found}


def _tune_temperature(
    loaded: LoadedModel, valid: TokenStream, settings: TuneSettings, device: torch.device
) -> dict[str, Any]:
    scored = score_at_temperatures(loaded.model, valid, settings.temperature, device)
    losses = {temperature: _mean_nats(nats) for temperature, nats in scored.items()}
    best = min(losses, key=losses.__getitem__)
    return {"temperature": best, "nats_per_token": losses[best]}


def _tune_dynamic(
    loaded: LoadedModel,
    valid: TokenStream,
    statistics: GradientStatistics,
    settings: TuneSettings,
    device: torch.device,
    on_stage: OnStage,
) -> dict[str, Any]:
    """
    Raises:
        UsageError: every learning rate diverges.
    """
    grid = [
        DynamicSettings(lr=lr, decay=decay, segment_len=settings.segment_len)
        for lr, decay in itertools.product(settings.lr, settings.decay)
    ]
    losses: list[float] = []
    for index, candidate in enumerate(grid):
        on_stage("dynamic evaluation", index, len(grid))
        loss = _mean_nats(score_dynamically(loaded.model, valid, statistics, candidate, device))
        losses.append(loss if math.isfinite(loss) else math.inf)
    best = min(range(len(grid)), key=losses.__getitem__)
    if losses[best] == math.inf:
        raise UsageError(
            "dynamic evaluation diverges with every lr that was tried", "try lower ones: --set 'lr=[1e-5]'"
        )
    return {**grid[best].model_dump(), "nats_per_token": losses[best]}


def _tune_cache(
    loaded: LoadedModel, valid: TokenStream, settings: TuneSettings, device: torch.device
) -> dict[str, Any]:
    pairs = list(itertools.product(settings.cache_theta, settings.cache_weight))
    scored = score_with_cache(loaded.model, valid, settings.cache_size, pairs, device)
    losses = {pair: _mean_nats(nats) for pair, nats in scored.items()}
    theta, share = best = min(losses, key=losses.__getitem__)
    return {"theta": theta, "share": share, "size": settings.cache_size, "nats_per_token": losses[best]}


def adapted_nats(
    loaded: LoadedModel, stream: TokenStream, method: str, device: torch.device, on_progress: Callable[[int], None]
) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
    """Score a stream in one lane with the tuned settings of a method; return the nats and the settings.

    Raises:
        UsageError: the checkpoint is not tuned.
        CheckpointError: the files of `charlm tune` are damaged.
    """
    path = _tuning_path(loaded)
    tuned = check_tuned(loaded)
    try:
        about = {key: value for key, value in tuned[method].items() if key != "nats_per_token"}
        chosen = validate(_SETTINGS_CLASSES[method], Layer(about))
        if isinstance(chosen, DynamicSettings):
            content = path.with_suffix(".safetensors").read_bytes()
            if hashlib.sha256(content).hexdigest() != tuned["sha256"]:
                raise ValueError("the gradients do not match the settings")
            statistics = safetensors.torch.load(content)
            _check_statistics(statistics, loaded)
            return score_dynamically(loaded.model, stream, statistics, chosen, device, on_progress), about
        if isinstance(chosen, CacheSettings):
            pair = (chosen.theta, chosen.share)
            found = score_with_cache(loaded.model, stream, chosen.size, [pair], device, on_progress)
            return found[pair], about
        (nats,) = score_at_temperatures(loaded.model, stream, [chosen.temperature], device, on_progress).values()
    except (AttributeError, KeyError, TypeError, ValueError, SettingsError, safetensors.SafetensorError) as error:
        raise _damaged(path, error) from error
    return nats, about


def check_tuned(loaded: LoadedModel) -> dict[str, Any]:
    """Return what `charlm tune` has saved for a checkpoint.

    Raises:
        UsageError: the checkpoint has not been tuned, or another one in its place was.
        CheckpointError: the file is damaged.
    """
    path = _tuning_path(loaded)
    try:
        tuned = storage.read_json(path.with_suffix(".json"))
        tuned_for = tuned.get("checkpoint")
    except FileNotFoundError as error:
        raise _not_tuned(loaded, "has not been tuned") from error
    except (AttributeError, ValueError) as error:
        raise _damaged(path, error) from error
    if tuned_for is None:
        raise _not_tuned(loaded, "was tuned by charlm 0.1.0, which did not record for which weights")
    if tuned_for != checkpoint_hash(loaded.directory):
        raise _not_tuned(loaded, "has been trained anew since it was tuned")
    return tuned


def _not_tuned(loaded: LoadedModel, why: str) -> UsageError:
    return UsageError(f"{loaded.directory} {why}", f"run `charlm tune {shlex.quote(str(loaded.directory))}` first")


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path}.* are damaged: {error}", "run `charlm tune` again")


def _collect_statistics(
    loaded: LoadedModel, corpus: Corpus, num_batches: int, device: torch.device, on_stage: OnStage
) -> GradientStatistics:
    # n-grams have seen the training text: a model with them hardly learns from it
    split = "train" if loaded.settings.ngram is None else "valid"
    text = corpus.open(split).in_direction(loaded.settings.text_direction)
    batches = make_batches(text, _BATCH_SIZE, _SEQ_LEN, 0)
    count = min(num_batches, batches.steps_per_epoch)

    def iterate_batches() -> Iterator[Batch]:
        cursor = Cursor()
        for index in range(count):
            on_stage("gradients", index, count)
            yield batches.batch(cursor)
            cursor = batches.next_cursor(cursor)

    found = gradient_statistics(loaded.model, iterate_batches(), device)
    return {name: tensor.cpu().contiguous() for name, tensor in found.items()}


def _check_statistics(statistics: GradientStatistics, loaded: LoadedModel) -> None:
    shapes = {name: parameter.shape for name, parameter in loaded.model.named_parameters()}
    if {name: tensor.shape for name, tensor in statistics.items()} != shapes:
        raise ValueError("the gradients belong to another network")
    if not all(bool((tensor >= 0).all() and torch.isfinite(tensor).all()) for tensor in statistics.values()):
        raise ValueError("the mean squared gradients are negative or not finite")


def _tuning_path(loaded: LoadedModel) -> Path:
    """The path, without suffix, beside the checkpoints of the run; for a single checkpoint, beside that one."""
    checkpoint = loaded.directory.resolve()
    root = run_of_checkpoint(checkpoint) or checkpoint.parent
    return workspace.relative_to_cwd(root / "adaptive" / checkpoint.name)


def _truncate(stream: TokenStream, max_tokens: int) -> TokenStream:
    return TokenStream(stream.tokens[: max_tokens + 1], stream.documents[:0])


def _mean_nats(nats: npt.NDArray[np.float32]) -> float:
    return float(nats.mean(dtype=np.float64))
