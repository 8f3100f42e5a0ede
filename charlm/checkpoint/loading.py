"""The model of a checkpoint, with its weights and its vocabulary."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from charlm.checkpoint.description import describe_model
from charlm.checkpoint.json_files import invalid_model_json
from charlm.data.conditions import LabelConditions
from charlm.data.labels import Labels
from charlm.data.source_texts import SourceConditions
from charlm.data.task_settings import LANGUAGE_TASK, TaskSettings
from charlm.errors import CheckpointError, SettingsError
from charlm.nn.build import build_meta_model
from charlm.nn.model import LanguageModel
from charlm.nn.ngrams.files import load_ngrams
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.settings import ModelSettings
from charlm.tensor_files import CHECKPOINT_CURE, read_tensors
from charlm.vocab.base import Vocab
from charlm.vocab.build import load_vocab


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
        raise invalid_model_json(directory, error) from error
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
