"""Checkpoints are written here: whole ones for resuming, and small ones for distribution."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from charlm import formats, storage
from charlm.checkpoint.loading import LoadedModel
from charlm.checkpoint.resume_data import ResumeData
from charlm.data.conditions import LabelConditions
from charlm.data.labels import Labels
from charlm.data.source_texts import SourceConditions
from charlm.data.task_settings import LANGUAGE_TASK, TaskSettings
from charlm.errors import CheckpointError, StorageError
from charlm.nn.embeddings.frozen import frozen_models
from charlm.nn.model import LanguageModel
from charlm.nn.ngrams.files import save_ngrams
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.settings import ModelSettings
from charlm.tensor_files import write_tensors
from charlm.version import __version__
from charlm.vocab.base import Vocab


def save_checkpoint(
    directory: Path,
    *,
    model: LanguageModel,
    settings: ModelSettings,
    vocab: Vocab,
    trained_on: Mapping[str, Any],
    training: ResumeData,
    task: TaskSettings = LANGUAGE_TASK,
    labels: Labels | None = None,
    conditions: LabelConditions | SourceConditions | None = None,
) -> None:
    """Write a checkpoint, which appears whole: an earlier one stays until the new one is complete and verified.

    Raises:
        StorageError: it cannot be written, or what was written is not what is read back.
    """
    with storage.atomic_directory(directory) as folder:
        _write_checkpoint(
            folder,
            model=model,
            settings=settings,
            vocab=vocab,
            trained_on=trained_on,
            training=training,
            task=task,
            names=labels or conditions,
        )


def _write_checkpoint(
    directory: Path,
    *,
    model: LanguageModel,
    settings: ModelSettings,
    vocab: Vocab,
    trained_on: Mapping[str, Any],
    training: ResumeData,
    task: TaskSettings,
    names: Labels | LabelConditions | SourceConditions | None,
) -> None:
    write_tensors(directory / "model.safetensors", dict(model.state_dict()))
    ngrams = None
    if isinstance(model, NgramLanguageModel):
        ngrams = save_ngrams(directory, model.ngram_head.lookup.tables)
        assert settings.ngram is not None, "the model was built from these settings"
        known_order = settings.ngram.model_copy(update={"order": ngrams.order})
        settings = settings.model_copy(update={"ngram": known_order})
    layout = model.embedding.bag_layout
    frozen = {reader.setting: reader.description for reader in frozen_models(model)}
    version = formats.TASK_CHECKPOINT if names is not None or frozen or ngrams else formats.CHECKPOINT
    metadata = {
        "format": version,
        "charlm": __version__,
        "settings": settings.model_dump(mode="json", exclude_none=True),
        "vocab_size": vocab.size,
        "bags": None if layout is None else layout.model_dump(mode="json"),
        "direction": settings.direction,
        "parameters": model.num_parameters,
        "trained_on": dict(trained_on),
    }
    if frozen:
        metadata["frozen"] = {
            setting: description.model_dump(mode="json", exclude_none=True) for setting, description in frozen.items()
        }
    if ngrams is not None:
        metadata["ngrams"] = ngrams.model_dump(mode="json")
    if names is not None:
        metadata["task"] = task.model_dump(mode="json")
        names.save(directory)
    storage.write_json(directory / "model.json", metadata)
    vocab.save(directory)
    write_tensors(directory / "training.safetensors", training.tensors)
    storage.write_json(directory / "training.json", training.metadata)
    _complete(directory, version)


def save_fp16(directory: Path, loaded: LoadedModel, metadata: Mapping[str, Any]) -> None:
    """Write a model for distribution: weights in fp16, half as large, without the data for resuming.

    Args:
        metadata: entries added to model.json, for example a licence.
    """
    tensors = {
        name: tensor.half() if tensor.dtype == torch.float32 else tensor
        for name, tensor in loaded.model.state_dict().items()
    }
    with storage.atomic_directory(directory) as folder:
        write_tensors(folder / "model.safetensors", tensors)
        storage.write_json(folder / "model.json", {**loaded.metadata, **metadata})
        if isinstance(loaded.model, NgramLanguageModel):
            save_ngrams(folder, loaded.model.ngram_head.lookup.tables)
        loaded.vocab.save(folder)
        _complete(folder, int(loaded.metadata["format"]))


def _complete(directory: Path, version: int) -> None:
    """Write the manifest, and check that all files are read back as they were written.

    Raises:
        StorageError: they are not.
    """
    storage.write_manifest(directory, {"format": version})
    try:
        storage.verify_manifest(directory, "check the disk")
    except CheckpointError as error:
        raise StorageError(error.what, error.cure) from error
