"""Language models with random weights, to be frozen in another model."""

from collections.abc import Mapping
from typing import Any

import torch

from charlm.nn.build import build_model
from charlm.nn.embeddings.frozen import FrozenDescription, FrozenModel
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.settings import Layer, validate

EOD = 0


def random_language_model(
    tree: Mapping[str, Any], vocab_size: int, direction: str
) -> tuple[ModelSettings, LanguageModel]:
    """Return a language model and its settings; the same every time, and without a draw of the caller's numbers."""
    settings = validate(ModelSettings, Layer({"embedding": {"size": 4}, **tree, "direction": direction}))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1 if direction == "forward" else 2)
        model = build_model(settings, vocab_size)
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)
    return settings, model.eval()


def to_freeze(tree: Mapping[str, Any], vocab_size: int, direction: str) -> FrozenModel:
    settings, model = random_language_model(tree, vocab_size, direction)
    description = FrozenDescription(settings=settings, vocab_size=vocab_size, eod_id=EOD, sha256="f" * 64)
    return FrozenModel(description, model.state_dict())
