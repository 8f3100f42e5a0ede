"""The parts of a transducer that start from the weights of a language model.

    vocabulary of the language model = that of targets ──> its embedding and body start the decoder, and its head if the
                                                           decoder's has the same form: soft attention without copying
                                     = that of sources ──> its embedding and body start the encoder

The settings of these parts come from the language model; all other weights are drawn.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from torch import Tensor

from charlm.checkpoint import LoadedModel, ModelDescription, describe_model, make_interface
from charlm.data.corpus import Corpus
from charlm.data.source_texts import SourceConditions
from charlm.errors import DataError, SettingsError
from charlm.experiment import Experiment, load_experiment
from charlm.nn.build import build_meta_model
from charlm.settings import Layer, lists_to_tuples, merge_layers, single_value_layer
from charlm.training.run_directory import RunDirectory
from charlm.vocab.build import load_vocab
from charlm.workflows.frozen_runs import find_frozen_models

TransducerPart = Literal["encoder", "decoder"]

_PREFIXES: Mapping[TransducerPart, Mapping[str, str]] = {
    "decoder": {"embedding.": "embedding.", "body.": "body.", "head.": "head."},
    "encoder": {"embedding.": "encoder.embedding.", "body.": "encoder.body."},
}
"""Part -> the beginnings of names in the language model, and in the transducer."""


def can_start_parts(checkpoint: Path, corpus: Corpus | None) -> bool:
    """Return whether a checkpoint is of a language model, and the corpus one of sources and targets."""
    if corpus is None or not isinstance(corpus.conditions, SourceConditions):
        return False
    described = describe_model(checkpoint)
    return described.labels is None and described.conditions is None


def plan_parts(
    checkpoint: Path, layer: Layer, corpus: Corpus, run: RunDirectory
) -> tuple[Experiment, tuple[TransducerPart, ...]]:
    """Return the experiment of a transducer, and the parts of it that start from a language model.

    Args:
        run: the run that is to be trained.

    Raises:
        DataError: the language model has neither the vocabulary of targets nor that of sources.
        SettingsError: the settings make another network of a part; or an encoder cannot start from a backward model; or
            the language model has frozen ones.
    """
    described = describe_model(checkpoint)
    if described.frozen:
        raise SettingsError(
            f"--init-from {checkpoint} reads frozen language models, and a part of a transducer cannot start from it",
            "name a run with another embedding",
        )
    vocab, conditions = load_vocab(checkpoint), corpus.conditions
    assert isinstance(conditions, SourceConditions), "can_start_parts has looked"
    known: dict[TransducerPart, bool] = {
        "decoder": vocab.is_same(corpus.vocab),
        "encoder": vocab.is_same(conditions.vocab),
    }
    parts: tuple[TransducerPart, ...] = tuple(part for part, is_known in known.items() if is_known)
    if not parts:
        raise DataError(
            f"the vocabulary of {checkpoint} is neither that of the targets nor that of the sources of"
            f" {corpus.directory}",
            "train the language model on a corpus with that vocabulary: charlm prepare --vocab-from",
        )
    experiment = load_experiment(
        merge_layers([*(_settings_layer(checkpoint, described, part) for part in parts), layer])
    )
    interface = make_interface(corpus.task, corpus.labels, conditions, corpus.vocab)
    frozen = find_frozen_models(experiment.model, corpus, run)
    model = build_meta_model(experiment.model, corpus.vocab.size, corpus.vocab.bags(), interface, frozen)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    language_model = build_meta_model(described.settings, described.vocab_size, described.bags)
    for part in parts:
        if part == "decoder" and described.settings.direction != experiment.model.direction:
            raise SettingsError(
                f"{checkpoint} reads {described.settings.direction}, and the decoder {experiment.model.direction}",
                f"set model.direction={described.settings.direction}",
            )
        for name, tensor in language_model.state_dict().items():
            target = _name_in(part, name)
            if target is not None and not name.startswith("head.") and shapes.get(target) != tuple(tensor.shape):
                raise SettingsError(
                    f"--init-from {checkpoint} is another network than the {part} of the settings",
                    f"leave out the settings of the embedding and the body of the {part}"
                    + (", and read sources forward" if part == "encoder" else ""),
                )
    return experiment, parts


def part_tensors(
    loaded: LoadedModel, parts: tuple[TransducerPart, ...], wanted: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the tensors of a language model that a transducer starts from, by their names in the transducer.

    Args:
        wanted: the tensors of the transducer. A head of another shape is left out.
    """
    found: dict[str, Tensor] = {}
    for part in parts:
        for name, tensor in loaded.model.state_dict().items():
            target = _name_in(part, name)
            if target is not None and target in wanted and wanted[target].shape == tensor.shape:
                found[target] = tensor
    return found


def _settings_layer(checkpoint: Path, described: ModelDescription, part: TransducerPart) -> Layer:
    settings = lists_to_tuples(described.settings.model_dump(mode="json", exclude_none=True))
    key = "model" if part == "decoder" else "model.condition.encoder"
    values = {name: settings[name] for name in ("embedding", "body")}
    layers = [single_value_layer(key, {**values, "direction": settings["direction"]}, f"{checkpoint}")]
    if part == "encoder":
        layers.append(single_value_layer("model.condition.type", "source", f"{checkpoint}"))
    return merge_layers(layers)


def _name_in(part: TransducerPart, name: str) -> str | None:
    """Return the name that a tensor of a language model has in a transducer; None if the part does not use it."""
    for prefix, other in _PREFIXES[part].items():
        if name.startswith(prefix):
            return other + name.removeprefix(prefix)
    return None
