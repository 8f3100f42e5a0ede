"""One self-contained directory per checkpoint: it samples and resumes alone, and nothing in it is a pickle.

step-000001000/
  model.safetensors      the weights that are scored
  model.json             settings by type name, vocabulary and n-gram sizes, direction, format version, what it was
                         trained on
  vocab.json             the vocabulary
  training.safetensors   optimizer, RNG, carried state        } what only resuming needs
  training.json          step, data cursor, best score, time  }
  manifest.json          sizes and SHA-256 of the others: written last, it is what makes the checkpoint exist
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from charlm import __version__, storage
from charlm.errors import CheckpointError, SettingsError
from charlm.nn.model import LanguageModel
from charlm.nn.settings import BagLayout, ModelSettings
from charlm.settings import Layer, freeze_lists, validate
from charlm.vocab.base import Vocab
from charlm.vocab.settings import load_vocab

FORMAT_VERSION = 1
_CURE = "copy the whole checkpoint directory again, or use another checkpoint (--checkpoint)"


@dataclass(frozen=True)
class TrainingState:
    """What a resumed run needs beyond the model. `facts` is JSON, `tensors` the rest."""

    facts: dict[str, Any]
    tensors: dict[str, Tensor] = field(default_factory=dict[str, Tensor])


@dataclass(frozen=True)
class LoadedModel:
    """A model with its vocabulary. `about` is the content of model.json."""

    model: LanguageModel
    vocab: Vocab
    about: dict[str, Any]
    directory: Path


def save_checkpoint(
    directory: Path,
    *,
    model: LanguageModel,
    settings: ModelSettings,
    vocab: Vocab,
    trained_on: Mapping[str, Any],
    training: TrainingState,
) -> None:
    """Write a checkpoint; until its manifest is there, it does not exist. Another one in the way is removed."""
    storage.remove_tree(directory / storage.MANIFEST)  # first: a checkpoint is whole, or has none
    storage.remove_tree(directory)
    storage.make_directory(directory)
    _write_tensors(directory / "model.safetensors", dict(model.state_dict()))
    layout = model.embedding.bag_layout
    about = {
        "format": FORMAT_VERSION,
        "charlm": __version__,
        "settings": settings.model_dump(mode="json", exclude_none=True),
        "vocab_size": vocab.size,
        "bags": None if layout is None else layout.model_dump(mode="json"),
        "direction": "forward",
        "trained_on": dict(trained_on),
    }
    storage.write_json(directory / "model.json", about)
    vocab.save(directory)
    _write_tensors(directory / "training.safetensors", training.tensors)
    storage.write_json(directory / "training.json", training.facts)
    storage.write_manifest(directory, {"format": FORMAT_VERSION})


def is_complete(directory: Path) -> bool:
    return (directory / storage.MANIFEST).is_file()


def load_model(directory: Path, device: torch.device) -> LoadedModel:
    """Read and check the model of a checkpoint.

    Raises:
        CheckpointError: it is incomplete, damaged, foreign, or written by a newer charlm.
    """
    manifest = storage.verify_manifest(directory, _CURE)
    _check_version(directory, manifest)
    about = _read_object(directory / "model.json")
    _check_version(directory, about)
    try:
        settings = validate(ModelSettings, Layer(freeze_lists(about["settings"])))
        vocab_size = int(about["vocab_size"])
        if about["direction"] != "forward":
            raise ValueError(about["direction"])
        if not all(isinstance(about["trained_on"][key], str) for key in ("corpus", "fingerprint")):
            raise TypeError("trained_on")
        layout = about.get("bags")
        bags = None if layout is None else validate(BagLayout, Layer(freeze_lists(layout)))
        with torch.device("meta"), _NoInitialisation():
            model = settings.build(vocab_size, bags)
    except (KeyError, TypeError, ValueError, RuntimeError, SettingsError) as error:
        raise CheckpointError(f"{directory / 'model.json'} does not describe a model: {error}", _CURE) from error
    vocab = load_vocab(directory)
    if vocab.size != vocab_size:
        raise CheckpointError(f"{directory}: the vocabulary has {vocab.size} ids, the model {vocab_size}", _CURE)
    expected = model.state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    weights = _read_tensors(directory / "model.safetensors", shapes, device)
    for name, tensor in weights.items():
        if tensor.dtype != expected[name].dtype:
            raise CheckpointError(f"{directory / 'model.safetensors'}: {name} is {tensor.dtype}", _CURE)
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{directory / 'model.safetensors'}: {name} holds values that are not finite", _CURE)
    model.load_state_dict(weights, assign=True)
    try:
        model.embedding.check()
    except ValueError as error:
        raise CheckpointError(f"{directory / 'model.safetensors'} is damaged: {error}", _CURE) from error
    return LoadedModel(model.requires_grad_(True), vocab, about, directory)


class _NoInitialisation(TorchFunctionMode):
    """Leaves out what torch.nn.init would do: the weights come from a file, and meta tensors have none.

    Drawing numbers on the meta device also imports torch._dynamo, 1.7 s that a sample would wait for.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return (kwargs or {}).get("tensor", args[0] if args else None)
        return func(*args, **(kwargs or {}))


def load_training(directory: Path) -> TrainingState:
    """Read what resuming needs; on the CPU. The manifest must have been verified (`load_model` does)."""
    return TrainingState(_read_object(directory / "training.json"), _read_tensors(directory / "training.safetensors"))


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    storage.write_bytes(path, safetensors.torch.save(contiguous))


def _read_tensors(
    path: Path, expected: Mapping[str, tuple[int, ...]] | None = None, device: torch.device | None = None
) -> dict[str, Tensor]:
    """The tensors of a file; with `expected`, exactly those names and shapes, compared before anything is allocated."""
    try:
        with safetensors.safe_open(path, framework="pt", device=str(device or "cpu")) as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not a dict
            if expected is not None and found != expected:
                wrong = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
                raise CheckpointError(f"{path} does not fit model.json: {', '.join(wrong[:3])}", _CURE)
            return {name: file.get_tensor(name) for name in found}
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged: {error}", _CURE) from error


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = storage.read_json(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged", _CURE) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is damaged", _CURE)
    return content


def _check_version(directory: Path, content: Mapping[str, Any]) -> None:
    version = content.get("format")
    if not isinstance(version, int):
        raise CheckpointError(f"{directory} was not written by charlm", _CURE)
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{directory} has format {version}, written by charlm {content.get('charlm', 'of a later version')}",
            f"upgrade charlm; this one reads up to format {FORMAT_VERSION}",
        )
