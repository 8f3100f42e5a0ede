"""The parts of a network, their sizes, and the operations for a token: settings -> a table.

    settings ──build_meta_model──> model without weights ──one token through it──> parts with input and output sizes

On the meta device, nothing is computed and no memory is used, whatever the sizes.

B batch, T time, D embedding, H features.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from charlm.nn.bodies.base import Body
from charlm.nn.bodies.build import build_body
from charlm.nn.bodies.settings import BodySettings, RecurrentSettings
from charlm.nn.build import Interface, SourceInputs, build_meta_model, without_weights
from charlm.nn.cells.settings import CellSettings
from charlm.nn.conditions.source import Transducer
from charlm.nn.dropout import NoiseRNG
from charlm.nn.embeddings.bag_layout import BagLayout
from charlm.nn.embeddings.frozen import NO_FROZEN_MODELS, FrozenModels, frozen_models
from charlm.nn.model import LanguageModel
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.settings import ModelSettings
from charlm.settings import settings_classes
from charlm.vocab.base import NgramBags

_TRAINING_COST_FACTOR = 3
"""Cost of a training step in forward passes: for each product, backward has two, for inputs and for weights."""


_PART_NAMES = {"forward_bodies": "forward", "backward_bodies": "backward"}


@dataclass(frozen=True, slots=True)
class PartSummary:
    """A line of the table: how many numbers go in and come out for a token, and how many parameters the part owns."""

    name: str
    kind: str
    inputs: int
    outputs: int
    parameters: int


@dataclass(frozen=True)
class NetworkSummary:
    """The summary of a network, from the ids of a vocabulary to their logits."""

    parts: tuple[PartSummary, ...]
    receptive_field: int | None
    """Number of tokens that a feature can depend on, including the current one; None if it is unbounded."""
    macs_per_token: float
    """Multiply-adds of a forward pass to all logits. Look-ups, sums and activations are not counted. Of a model that is
    given a text, for one token of both texts, without the attention between them."""
    body_parameters_by_cell: dict[str, int]
    """Parameters of the body with each kind of cell in its simplest form; empty if the body is not recurrent."""
    frozen_weights: int = 0
    """Weights of frozen language models, which are no parameters."""
    frozen_macs_per_token: float = 0.0
    """Their multiply-adds of a forward pass; training has no other."""

    @property
    def parameters(self) -> int:
        return sum(part.parameters for part in self.parts)

    def to_json(self, tokens_per_character: float | None = None) -> dict[str, Any]:
        """Return the summary as JSON. A multiply-add counts as two floating-point operations.

        Args:
            tokens_per_character: if known, operations are given per character instead of per token.
        """
        forward, frozen = (
            2 * macs * (tokens_per_character or 1) for macs in (self.macs_per_token, self.frozen_macs_per_token)
        )
        content: dict[str, Any] = {
            "parts": [asdict(part) for part in self.parts],
            "parameters": self.parameters,
            "operations": {
                "per": "character" if tokens_per_character else "token",
                "forward": round(forward + frozen),
                "training": round(_TRAINING_COST_FACTOR * forward + frozen),
            },
        }
        if self.frozen_weights:
            content["frozen_weights"] = self.frozen_weights
        if self.receptive_field is not None:
            content["receptive_field"] = self.receptive_field
        if self.body_parameters_by_cell:
            content["body_parameters_with"] = self.body_parameters_by_cell
            content["gru_to_lstm"] = self.body_parameters_by_cell["gru"] / self.body_parameters_by_cell["lstm"]
        return content

    def to_table(self, tokens_per_character: float | None = None) -> dict[str, Any]:
        """Return the summary for the terminal, one part a line."""
        content = self.to_json(tokens_per_character)
        del content["parts"]
        operations = content.pop("operations")
        note = "" if tokens_per_character else "; tokens per character unknown"
        cost = f"{operations['forward']:,} forward, {operations['training']:,} in training{note}"
        return {**dict(self._lines()), **content, f"operations per {operations['per']}": cost}

    def _lines(self) -> Iterator[tuple[str, str]]:
        sizes = [f"{part.inputs:,} -> {part.outputs:,}" for part in self.parts]
        kind_width = max(len(part.kind) for part in self.parts)
        width = max(map(len, sizes))
        digits = len(f"{self.parameters:,}")
        for part, size in zip(self.parts, sizes, strict=True):
            yield part.name, f"{part.kind:<{kind_width}}  {size:<{width}}  {part.parameters:>{digits},} parameters"


def summarize_network(
    settings: ModelSettings,
    vocab_size: int,
    bags: NgramBags | BagLayout | None = None,
    interface: Interface | None = None,
    frozen: FrozenModels = NO_FROZEN_MODELS,
) -> NetworkSummary:
    """Summarize the network of these settings.

    Args:
        interface: what the task predicts or gives; None for a language model.
        frozen: the frozen language models that contextual embeddings read.

    Raises:
        SettingsError: the embedding needs bags, and there are none; or parts of the model do not fit.
    """
    model = build_meta_model(settings, vocab_size, bags, interface, frozen).eval()
    parts = _parts_of(model.body)
    sizes, head_macs = _trace_sizes_and_macs(model, parts)
    modules = {"embedding": model.embedding, **parts, "head": model.head}
    num_predicted = model.head.vocab_size
    sizes |= {"embedding": (vocab_size, model.embedding.size), "head": (model.body.features_size, num_predicted)}
    if isinstance(model, Transducer):
        assert isinstance(interface, SourceInputs), "the model is given sources"
        modules, sizes = _with_source_parts(model, interface.size, modules, sizes)
        head_macs += model.encoder.embedding.macs_per_token + model.encoder.body.macs_per_token
    readers = frozen_models(model)
    return NetworkSummary(
        tuple(
            PartSummary(name, _describe(module), *sizes[name], _num_parameters(module))
            for name, module in modules.items()
        ),
        model.receptive_field,
        model.embedding.macs_per_token + model.body.macs_per_token + head_macs,
        _body_parameters_by_cell(settings.body, model.embedding.size),
        sum(each.num_weights for each in readers),
        sum(each.macs_per_token for each in readers),
    )


def _with_source_parts(
    model: Transducer, source_size: int, modules: dict[str, nn.Module], sizes: dict[str, tuple[int, int]]
) -> tuple[dict[str, nn.Module], dict[str, tuple[int, int]]]:
    """Return the parts and sizes of a decoder, with those that read and look at the source before its head."""
    memory = model.encoder.body.features_size
    features = model.body.features_size
    found = {
        "encoder": (source_size, memory),
        **dict.fromkeys(model.attention_parts, (features + memory, sizes["head"][0])),
    }
    head = modules["head"]
    before = {name: module for name, module in modules.items() if name != "head"}
    return {**before, "encoder": model.encoder, **model.attention_parts, "head": head}, {**sizes, **found}


def _parts_of(body: Body) -> dict[str, nn.Module]:
    """Return the modules of a body that have parameters; those of a list one by one, and those of a body inside it."""
    parts: dict[str, nn.Module] = {}
    for name, child in body.named_children():
        if isinstance(child, Body):
            parts |= _parts_of(child)
        elif isinstance(child, nn.ModuleList):
            for number, module in enumerate(child, 1):
                parts |= _parts_of_entry(f"{_PART_NAMES.get(name, name.removesuffix('s'))} {number}", module)
        else:
            parts[name] = child
    return {name: module for name, module in parts.items() if any(True for _ in module.parameters())}


def _parts_of_entry(name: str, module: nn.Module) -> dict[str, nn.Module]:
    """Return an entry of a list, or the parts of the body that it is."""
    if not isinstance(module, Body):
        return {name: module}
    inner = _parts_of(module)
    return {name if len(inner) == 1 else f"{name}, {key}": part for key, part in inner.items()}


def _trace_sizes_and_macs(
    model: LanguageModel, parts: dict[str, nn.Module]
) -> tuple[dict[str, tuple[int, int]], float]:
    """Return how many numbers enter and leave each part for one token, and the head's multiply-adds for its logits."""
    sizes: dict[str, tuple[int, int]] = {}

    def record_sizes(name: str, module: nn.Module) -> None:
        def hook(_: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
            features: Tensor = output[0] if isinstance(output, tuple) else output
            sizes[name] = (arguments[0].numel(), features.numel())

        module.register_forward_hook(hook)

    for name, module in parts.items():
        record_sizes(name, module)
    state = tuple(  # counts and phases choose the operations, so they need values
        tensor if tensor.is_floating_point() else torch.zeros_like(tensor, device="cpu")
        for tensor in model.body.initial_state(1)
    )
    with torch.no_grad(), _MacCounter() as mac_counter:
        features_BTH, _ = model.body(torch.empty(1, 1, model.embedding.size, device="meta"), state)
        mac_counter.total = 0
        head = model.ngram_head.network if isinstance(model, NgramLanguageModel) else model.head
        head.logits(features_BTH)  # look-ups of n-grams multiply nothing
    return sizes, mac_counter.total


class _MacCounter(TorchFunctionMode):
    """Counts the multiply-adds of linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if func is nn.functional.linear:
            self.total += output.numel() * args[0].shape[-1]
        return output


def _describe(module: nn.Module) -> str:
    """Return the name of the module's class, or of a layer's cell, and the details in its repr."""
    inner = getattr(module, "cell", module)
    descriptions = dict.fromkeys([inner.extra_repr(), module.extra_repr()])
    return " ".join([type(inner).__name__, *filter(None, descriptions)])


def _body_parameters_by_cell(settings: BodySettings, input_size: int) -> dict[str, int]:
    if not isinstance(settings, RecurrentSettings):
        return {}
    counts: dict[str, int] = {}
    for kind in settings_classes(CellSettings):
        variant = settings.model_copy(update={"cell": kind(), "backend": "plain"})  # runs every cell
        with without_weights():
            counts[variant.cell.type] = _num_parameters(build_body(variant, input_size, NoiseRNG()))
    return counts


def _num_parameters(module: nn.Module) -> int:
    """Count the parameters that the module owns; a tied head does not own the embedding's."""
    return sum(parameter.numel() for parameter in module.parameters())
