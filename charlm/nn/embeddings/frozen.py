"""Trained language models that stay as they are inside another model, which reads their features (Akbik et al., 2018).

    ids ──embedding──> body ──> features of each token         the head is left out

The model around it does not see its weights as parameters: they are not trained, averaged or decayed, and have no
gradients or dropout. They are in its state dict, so a checkpoint needs no other run.

B batch, T time, H features.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from charlm.nn.bodies.base import Body
from charlm.nn.embeddings.bag_layout import BagLayout
from charlm.nn.embeddings.token_embedding import Embedding
from charlm.nn.settings import ModelSettings
from charlm.nn.state import State
from charlm.settings import Settings

_PARTS = ("embedding", "body")


class FrozenDescription(Settings):
    """What model.json says of a frozen language model, so that it can be built before its weights are loaded."""

    settings: ModelSettings
    vocab_size: int = Field(ge=1, le=2**31)
    eod_id: int = Field(ge=0)
    """The id of <eod>, with which every text begins."""
    bags: BagLayout | None = None
    sha256: str
    """The hash of the weights of the checkpoint that it comes from."""

    @model_validator(mode="after")
    def _check_eod(self) -> Self:
        if self.eod_id >= self.vocab_size:
            raise ValueError(f"<eod> has the id {self.eod_id}, and there are {self.vocab_size} ids")
        return self


@dataclass(frozen=True)
class FrozenModel:
    """A language model to be frozen."""

    description: FrozenDescription
    weights: Mapping[str, Tensor] | None = None
    """The state dict of the language model; None if the weights will be loaded from a checkpoint."""


FrozenModels = Mapping[str, FrozenModel]
"""The setting that names a frozen model, such as `model.embedding.forward` -> the model."""
NO_FROZEN_MODELS: FrozenModels = {}


class FrozenLanguageModel(nn.Module):
    """A network (inputs_BT, state) -> (features_BTH, state) that is always in evaluation mode. Parameters: none."""

    def __init__(self, setting: str, description: FrozenDescription, embedding: Embedding, body: Body) -> None:
        """
        Args:
            setting: the setting that names it.
        """
        super().__init__()
        self.setting = setting
        self.description = description
        self.features_size = body.features_size
        self.receptive_field = body.receptive_field
        self.stride_period = body.stride_period
        self.macs_per_token = body.macs_per_token
        parts = nn.ModuleDict(dict(zip(_PARTS, (embedding, body), strict=True)))
        self._hidden = (parts.eval().requires_grad_(requires_grad=False),)  # in a tuple torch does not find it

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Copy the weights of a language model, without those of its head."""
        self._parts.load_state_dict(
            {name: tensor for name, tensor in weights.items() if name.partition(".")[0] in _PARTS}
        )

    @property
    def num_state_tensors(self) -> int:
        """The number of tensors of its state."""
        return self.embedding.num_state_tensors + len(self.body.initial_state(1))

    @property
    def num_weights(self) -> int:
        return sum(tensor.numel() for tensor in self._parts.state_dict().values())

    def initial_state(self, batch_size: int) -> State:
        """Return the state before anything was read."""
        return (*self.embedding.initial_state(batch_size), *self.body.initial_state(batch_size))

    def state_after_eod(self, batch_size: int) -> State:
        """Return the state at the beginning of a text, after the <eod> that precedes it."""
        state = self.initial_state(1)
        device = state[0].device if state else next(self.body.parameters()).device
        _, state = self(torch.full((1, 1), self.description.eod_id, device=device), state)
        rows_B = torch.zeros(batch_size, dtype=torch.int64, device=device)
        return tuple(tensor[rows_B] for tensor in state)

    @torch.no_grad()
    def forward(self, inputs_BT: Tensor, state: State) -> tuple[Tensor, State]:
        size = self.embedding.num_state_tensors
        x_BTD, embedding_state = self.embedding(inputs_BT, state[:size])
        features_BTH, body_state = self.body(x_BTD, state[size:])
        return features_BTH, (*embedding_state, *body_state)

    def check_buffers(self) -> None:
        """Raise ValueError if buffers read from a file contradict each other."""
        self.embedding.check_buffers()

    @property
    def _parts(self) -> nn.ModuleDict:
        return self._hidden[0]

    @property
    def embedding(self) -> Embedding:
        embedding = self._parts["embedding"]
        assert isinstance(embedding, Embedding)
        return embedding

    @property
    def body(self) -> Body:
        body = self._parts["body"]
        assert isinstance(body, Body)
        return body

    # ---- torch's hooks for modules that keep their tensors elsewhere

    def _apply(self, fn: Any, recurse: bool = True) -> "FrozenLanguageModel":
        """Move with the model around it: `to`, `cuda`, `double`."""
        super()._apply(fn, recurse)
        self._parts._apply(fn, recurse)
        return self

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        self._parts.state_dict(destination=destination, prefix=prefix, keep_vars=keep_vars)

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        del strict, error_msgs  # the caller raises for the keys
        own = {name.removeprefix(prefix): tensor for name, tensor in state_dict.items() if name.startswith(prefix)}
        assign = bool(local_metadata.get("assign_to_params_buffers", False))
        found = self._parts.load_state_dict(own, strict=False, assign=assign)
        missing_keys += [f"{prefix}{name}" for name in found.missing_keys]
        unexpected_keys += [f"{prefix}{name}" for name in found.unexpected_keys]


def frozen_models(model: nn.Module) -> list[FrozenLanguageModel]:
    """Return the frozen language models in a model."""
    return [module for module in model.modules() if isinstance(module, FrozenLanguageModel)]
