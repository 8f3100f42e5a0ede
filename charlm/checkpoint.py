"""Checkpoints: self-contained directories from which a run resumes and a model samples, without pickles.

step-000001000/
  model.safetensors      the weights that are scored
  model.json             settings by type name, vocabulary and n-gram sizes, direction, format version, training corpus,
                         and what the frozen language models in it are
  vocab.json             the vocabulary
  labels.json            the labels or tags that the model predicts; absent for a language model
  conditions.json        the labels that a language model can be given; absent without such conditions
  source/vocab.json      the vocabulary of the texts that it is given; absent without such conditions
  ngrams.safetensors     the tables of its n-gram component, which hold training text; absent without one
  training.safetensors   optimizer, RNG, carried state        } for resuming only
  training.json          step, data cursor, best score, time  }
  manifest.json          sizes and SHA-256 of all other files; written last, it marks the checkpoint as complete
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from charlm import formats, storage
from charlm.data.conditions import LabelConditions, load_conditions
from charlm.data.labels import Labels, load_labels
from charlm.data.source_texts import SourceConditions, load_source_conditions
from charlm.data.task_settings import LANGUAGE_TASK, TaskSettings, TransduceTaskSettings, parse_task
from charlm.errors import CheckpointError, SettingsError
from charlm.nn.build import Interface, LabelInputs, Outputs, SourceInputs, build_meta_model
from charlm.nn.embeddings.bag_layout import BagLayout
from charlm.nn.embeddings.frozen import (
    FrozenDescription,
    FrozenModel,
    FrozenModels,
    frozen_models,
)
from charlm.nn.model import LanguageModel
from charlm.nn.ngrams.files import NgramDescription, load_ngrams, parse_ngrams, save_ngrams
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.settings import ModelSettings
from charlm.settings import Layer, lists_to_tuples, validate
from charlm.tensor_files import CHECKPOINT_CURE, read_tensors, write_tensors
from charlm.version import __version__
from charlm.vocab.base import Vocab
from charlm.vocab.build import load_vocab


@dataclass(frozen=True)
class ResumeData:
    """The data that a resumed run needs besides the model: JSON `metadata`, and `tensors`."""

    metadata: dict[str, Any]
    tensors: dict[str, Tensor] = field(default_factory=dict[str, Tensor])


@dataclass(frozen=True)
class ModelDescription:
    """The checked content of a checkpoint's model.json; `metadata` is all of it."""

    settings: ModelSettings
    vocab_size: int
    bags: BagLayout | None
    metadata: dict[str, Any]
    task: TaskSettings = LANGUAGE_TASK
    labels: Labels | None = None

    conditions: LabelConditions | SourceConditions | None = None
    frozen: FrozenModels = field(default_factory=dict[str, FrozenModel])
    """The frozen language models in it, without weights, by the setting that named them."""
    ngrams: NgramDescription | None = None
    """The tables of its n-gram component."""

    @property
    def interface(self) -> Interface | None:
        """What the task predicts or gives; None for a language model."""
        return make_interface(self.task, self.labels, self.conditions)


def make_interface(
    task: TaskSettings,
    labels: Labels | None,
    conditions: LabelConditions | SourceConditions | None,
    vocab: Vocab | None = None,
) -> Interface | None:
    """Return what a task predicts or gives; None for a language model.

    Args:
        vocab: of what is written; None if the ids that can be copied will be loaded from a checkpoint.
    """
    if labels is not None:
        return Outputs(labels.size, task.per_document)
    match conditions:
        case None:
            return None
        case LabelConditions():
            return LabelInputs(conditions.size)
        case SourceConditions():
            copy_ids = (-1,) * conditions.size if vocab is None else conditions.copy_ids(vocab)
            return SourceInputs(conditions.size, copy_ids)


@dataclass(frozen=True)
class LoadedModel:
    """A model with its vocabulary. `metadata` is the content of model.json."""

    model: LanguageModel
    settings: ModelSettings
    vocab: Vocab
    metadata: dict[str, Any]
    directory: Path
    task: TaskSettings = LANGUAGE_TASK
    labels: Labels | None = None
    """The labels or tags that the model predicts; None for a language model."""
    conditions: LabelConditions | SourceConditions | None = None
    """The labels, or the vocabulary of the sources, that the model can be given; None for a model without conditions,
    or one that was given something."""


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
    """Write a checkpoint, replacing an earlier one; it is incomplete until its manifest is written."""
    _clear_directory(directory)
    write_tensors(directory / "model.safetensors", dict(model.state_dict()))
    ngrams = None
    if isinstance(model, NgramLanguageModel):
        ngrams = save_ngrams(directory, model.ngram_head.lookup.tables)
        assert settings.ngram is not None, "the model was built from these settings"
        known_order = settings.ngram.model_copy(update={"order": ngrams.order})
        settings = settings.model_copy(update={"ngram": known_order})
    layout = model.embedding.bag_layout
    names = labels or conditions
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
    storage.write_manifest(directory, {"format": version})


def save_fp16(directory: Path, loaded: LoadedModel, metadata: Mapping[str, Any]) -> None:
    """Write a model for distribution: weights in fp16, half as large, without the data for resuming.

    Args:
        metadata: entries added to model.json, for example a licence.
    """
    _clear_directory(directory)
    tensors = {
        name: tensor.half() if tensor.dtype == torch.float32 else tensor
        for name, tensor in loaded.model.state_dict().items()
    }
    write_tensors(directory / "model.safetensors", tensors)
    storage.write_json(directory / "model.json", {**loaded.metadata, **metadata})
    if isinstance(loaded.model, NgramLanguageModel):
        save_ngrams(directory, loaded.model.ngram_head.lookup.tables)
    loaded.vocab.save(directory)
    storage.write_manifest(directory, {"format": int(loaded.metadata["format"])})


def _clear_directory(directory: Path) -> None:
    storage.remove_tree(directory / storage.MANIFEST)  # first: a checkpoint with a manifest must be complete
    storage.remove_tree(directory)
    storage.make_directory(directory)


def describe_model(directory: Path) -> ModelDescription:
    """Read and check the description of a checkpoint's model, without its weights.

    Raises:
        CheckpointError: the checkpoint is incomplete, damaged, foreign, or written by a newer charlm.
    """
    manifest = storage.verify_manifest(directory, CHECKPOINT_CURE)
    _check_version(directory, manifest)
    metadata = _read_json_object(directory / "model.json")
    _check_version(directory, metadata)
    try:
        settings = validate(ModelSettings, Layer(lists_to_tuples(metadata["settings"])))
        if metadata["direction"] != settings.direction:
            raise ValueError(f"its direction is {metadata['direction']}, but its settings say {settings.direction}")
        if not all(isinstance(metadata["trained_on"][key], str) for key in ("corpus", "fingerprint")):
            raise TypeError("trained_on")
        layout = metadata.get("bags")
        bags = None if layout is None else validate(BagLayout, Layer(lists_to_tuples(layout)))
        task = parse_task(metadata)
        labels = load_labels(directory) if task.has_labels else None
        conditions = None
        if isinstance(task, TransduceTaskSettings):
            conditions = load_source_conditions(directory, task)
        elif task.has_conditions:
            conditions = load_conditions(directory)
        frozen = {
            setting: FrozenModel(validate(FrozenDescription, Layer(lists_to_tuples(entry))))
            for setting, entry in dict(metadata.get("frozen", {})).items()
        }
        ngrams = None if settings.ngram is None else parse_ngrams(metadata["ngrams"])
        return ModelDescription(
            settings, int(metadata["vocab_size"]), bags, metadata, task, labels, conditions, frozen, ngrams
        )
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError, SettingsError) as error:
        raise _invalid_model_json(directory, error) from error


def load_model(directory: Path, device: torch.device) -> LoadedModel:
    """Read and check the model of a checkpoint.

    Raises:
        CheckpointError: the checkpoint is incomplete, damaged, foreign, or written by a newer charlm.
    """
    described = describe_model(directory)
    try:
        model = build_meta_model(
            described.settings,
            described.vocab_size,
            described.bags,
            described.interface,
            described.frozen,
            None if described.ngrams is None else described.ngrams.order,
        )
    except (TypeError, ValueError, RuntimeError, SettingsError) as error:
        raise _invalid_model_json(directory, error) from error
    vocab = load_vocab(directory)
    if vocab.size != described.vocab_size:
        raise CheckpointError(
            f"{directory}: the vocabulary has {vocab.size} ids, the model {described.vocab_size}", CHECKPOINT_CURE
        )
    expected = model.state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    weights = read_tensors(directory / "model.safetensors", shapes, device)
    if all(tensor.dtype == torch.float16 for tensor in weights.values() if tensor.is_floating_point()):
        weights = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    for name, tensor in weights.items():
        if tensor.dtype != expected[name].dtype:
            raise CheckpointError(f"{directory / 'model.safetensors'}: {name} is {tensor.dtype}", CHECKPOINT_CURE)
        if not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{directory / 'model.safetensors'}: {name} holds values that are not finite", CHECKPOINT_CURE
            )
    model.load_state_dict(weights, assign=True)
    if isinstance(model, NgramLanguageModel):
        assert described.ngrams is not None, "describe_model has read it"
        tables = load_ngrams(directory, described.vocab_size, described.ngrams)
        model.ngram_head.lookup.set_tables(tables, device, torch.get_default_dtype())
    try:
        model.check_buffers()
    except ValueError as error:
        raise CheckpointError(f"{directory / 'model.safetensors'} is damaged: {error}", CHECKPOINT_CURE) from error
    return LoadedModel(
        model.requires_grad_(True),
        described.settings,
        vocab,
        described.metadata,
        directory,
        described.task,
        described.labels,
        described.conditions,
    )


def _invalid_model_json(directory: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{directory / 'model.json'} does not describe a model: {error}", CHECKPOINT_CURE)


def weights_hash(directory: Path) -> str:
    """Return the SHA-256 of a checkpoint's weights, which copies have too; the manifest must have been verified.

    Raises:
        CheckpointError: the manifest does not name them.
    """
    manifest = _read_json_object(directory / storage.MANIFEST)
    try:
        return str(manifest["files"]["model.safetensors"]["sha256"])
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{directory / storage.MANIFEST} is damaged", CHECKPOINT_CURE) from error


def checkpoint_hash(directory: Path) -> str:
    """Return the SHA-256 of a checkpoint's manifest, and so of all its files; copies have it too."""
    return storage.sha256(directory / storage.MANIFEST)


def load_resume_data(directory: Path) -> ResumeData:
    """Read the data for resuming, to the CPU; the manifest must have been verified (`load_model` verifies it)."""
    return ResumeData(_read_json_object(directory / "training.json"), read_tensors(directory / "training.safetensors"))


def _read_json_object(path: Path) -> dict[str, Any]:
    try:
        content = storage.read_json(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged", CHECKPOINT_CURE) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is damaged", CHECKPOINT_CURE)
    return content


def _check_version(directory: Path, content: Mapping[str, Any]) -> None:
    version = content.get("format")
    if not isinstance(version, int):
        raise CheckpointError(f"{directory} was not written by charlm", CHECKPOINT_CURE)
    if version > formats.TASK_CHECKPOINT:
        raise CheckpointError(
            f"{directory} has format {version}, written by charlm {content.get('charlm', 'of a later version')}",
            f"upgrade charlm; this one reads up to format {formats.TASK_CHECKPOINT}",
        )
