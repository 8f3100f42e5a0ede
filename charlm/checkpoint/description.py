"""What a checkpoint says about its model, without its weights: model.json and the files of names beside it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charlm import storage
from charlm.checkpoint.json_files import check_version, invalid_model_json, read_json_object
from charlm.data.conditions import LabelConditions, load_conditions
from charlm.data.labels import Labels, load_labels
from charlm.data.source_texts import SourceConditions, load_source_conditions
from charlm.data.task_settings import LANGUAGE_TASK, TaskSettings, TransduceTaskSettings, parse_task
from charlm.errors import SettingsError
from charlm.nn.build import Interface, LabelInputs, Outputs, SourceInputs
from charlm.nn.embeddings.bag_layout import BagLayout
from charlm.nn.embeddings.frozen import FrozenDescription, FrozenModel, FrozenModels
from charlm.nn.ngrams.files import NgramDescription, parse_ngrams
from charlm.nn.settings import ModelSettings
from charlm.settings import Layer, lists_to_tuples, validate
from charlm.tensor_files import CHECKPOINT_CURE
from charlm.vocab.base import Vocab


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


def describe_model(directory: Path) -> ModelDescription:
    """Read and check the description of a checkpoint's model, without its weights.

    Raises:
        CheckpointError: the checkpoint is incomplete, damaged, foreign, or written by a newer charlm.
    """
    manifest = storage.verify_manifest(directory, CHECKPOINT_CURE)
    check_version(directory, manifest)
    metadata = read_json_object(directory / "model.json")
    check_version(directory, metadata)
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
        raise invalid_model_json(directory, error) from error


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
