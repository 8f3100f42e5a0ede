"""What every recurrent cell is: one step, readable as its paper, and the parts of it that can be done for all steps.

    weights = cell.prepare(generator)                       once per chunk: everything that does not depend on time
    gates_BTG = cell.project(x_BTD, weights)                once per chunk: one large matrix product
    for gates_BG in time: output_BH, state = cell.step(gates_BG, state, weights)

A state is (hidden_BH, further memory ..., *clock): its first tensor is the output, its last float one the memory; the
clock counts the steps since the reset where batch normalisation asks for it, and is empty otherwise.

B batch, T time, D inputs, H hidden, G gates (a multiple of H).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from charlm.nn.norm import NO_NORMS, NormFactory
from charlm.nn.state import State

Weights = Any
"""What `prepare` gives and only the same cell reads: a NamedTuple of tensors, and the generator of its noise."""


@dataclass(frozen=True)
class CellOptions:
    """What a layer asks of any cell."""

    norms: NormFactory = NO_NORMS
    weight_drop: float = 0.0
    """Share of the entries of recurrent matrices that are zero for a chunk (Merity et al., 2018)."""
    recurrent_dropout: float = 0.0
    """On what is written to the memory, anew at each step (Semeniuta et al., 2016)."""
    zoneout: float = 0.0
    """Share of the memory that keeps its value in a step (Krueger et al., 2017)."""
    zoneout_hidden: float = 0.0
    """The same for the output, where it is not the memory itself."""

    @property
    def is_standard(self) -> bool:
        """Whether the time steps are the bare equations: nothing between them that a library's kernel does not know."""
        noisy = self.recurrent_dropout or self.zoneout or self.zoneout_hidden
        return self.norms.kind in ("none", "weight") and not noisy

    def __str__(self) -> str:
        words = [] if self.norms.kind == "none" else [f"{self.norms.kind} norm"]
        noises = ("weight_drop", "recurrent_dropout", "zoneout", "zoneout_hidden")
        return ", ".join(
            [*words, *(f"{name} {probability:g}" for name in noises if (probability := getattr(self, name)))]
        )


DEFAULT_OPTIONS = CellOptions()


class Cell(nn.Module, ABC):
    """A recurrent cell."""

    time_batched: bool = True
    """Whether `project` depends on the inputs alone (not on the state), so that all steps can be projected at once."""

    def __init__(self, input_size: int, hidden_size: int, options: CellOptions) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.options = options

    def extra_repr(self) -> str:
        return str(self.options)

    @abstractmethod
    def initial_state(self, batch_size: int) -> State: ...

    @abstractmethod
    def prepare(self, generator: torch.Generator | None) -> Weights:
        """Weights as the steps use them. `generator` is None in evaluation: no noise."""

    @abstractmethod
    def project(self, x_BTD: Tensor, weights: Weights) -> Tensor:
        """The inputs' share of the gates, gates_BTG; the inputs themselves where the cell is not time_batched."""

    @abstractmethod
    def step(self, gates_BG: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
        """One time step: output_BH and the next state."""


Unroll = Callable[[Cell, Tensor, State, Weights], tuple[Tensor, State]]
"""(cell, x_BTD, state, weights) -> (output_BTH, state)."""


def unroll(cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """The plain unroll, step by step: the reference that every fast one is held to."""
    gates_BTG = cell.project(x_BTD, weights)
    outputs: list[Tensor] = []
    for gates_BG in gates_BTG.unbind(dim=1):
        previous_state = state
        output_BH, state = cell.step(gates_BG, previous_state, weights)
        if cell.options.zoneout or cell.options.zoneout_hidden:
            state = apply_zoneout(cell, previous_state, state, weights.generator)
            output_BH = state[0]
        outputs.append(output_BH)
    if not outputs:
        return x_BTD.new_empty(len(x_BTD), 0, cell.hidden_size), state
    return torch.stack(outputs, dim=1), state


def apply_zoneout(cell: Cell, previous_state: State, next_state: State, generator: torch.Generator | None) -> State:
    """Some elements keep the value they had (Krueger et al., 2017, eq. 2); in evaluation, the mean over the masks."""
    mixed = list(next_state)
    for index, probability in zoneout_probabilities(cell, next_state).items():
        if generator is None:
            mixed[index] = torch.lerp(next_state[index], previous_state[index], probability)
        else:
            is_kept = torch.empty_like(next_state[index]).bernoulli_(probability, generator=generator)
            mixed[index] = torch.where(is_kept.bool(), previous_state[index], next_state[index])
    return tuple(mixed)


def zoneout_probabilities(cell: Cell, state: State) -> dict[int, float]:
    """The probabilities above zero, by the index of the state tensor: the last float one is the memory."""
    floats = [index for index, tensor in enumerate(state) if tensor.is_floating_point()]
    probabilities = dict.fromkeys(floats, cell.options.zoneout_hidden) | {floats[-1]: cell.options.zoneout}
    return {index: probability for index, probability in probabilities.items() if probability}


def apply_dropout(x: Tensor, probability: float, generator: torch.Generator | None) -> Tensor:
    """Dropout with a mask of its own; the identity without a generator."""
    if generator is None or not probability:
        return x
    keep_probability = 1 - probability
    return x * torch.empty_like(x).bernoulli_(keep_probability, generator=generator).div_(keep_probability)


def zero_state(cell: Cell, batch_size: int) -> Tensor:
    """A zero state tensor of shape B, H beside the cell's parameters; never below fp32."""
    parameter = next(cell.parameters())
    dtype = torch.promote_types(parameter.dtype, torch.float32)
    return torch.zeros(batch_size, cell.hidden_size, dtype=dtype, device=parameter.device)


def initial_step_counts(cell: Cell, batch_size: int) -> State:
    return cell.options.norms.initial_step_counts(batch_size, next(cell.parameters()).device)


@torch.no_grad()
def init_gates(input_weight_GD: Tensor, recurrent_weight_GH: Tensor) -> None:
    """Inputs uniform as Glorot & Bengio (2010) for each gate; recurrent matrices orthogonal (Saxe et al., 2014)."""
    hidden_size = recurrent_weight_GH.shape[1]
    for weight_HD in input_weight_GD.split(hidden_size):
        nn.init.xavier_uniform_(weight_HD)
    for weight_HH in recurrent_weight_GH.split(hidden_size):
        nn.init.orthogonal_(weight_HH)
