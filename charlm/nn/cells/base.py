"""What every recurrent cell is: one step, readable as its paper, and the parts of it that can be done for all steps.

    weights = cell.prepare(generator)                       once per chunk: everything that does not depend on time
    gates_BTG = cell.project(x_BTD, weights)                once per chunk: one large matrix product
    for gates_BG in time: output_BH, state = cell.step(gates_BG, state, weights)

B batch, T time, D inputs, H hidden, G gates (a multiple of H).
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from charlm.nn.state import State

Weights = Any
"""What `prepare` gives and only the same cell reads: a NamedTuple of tensors."""


class Cell(nn.Module, ABC):
    """A recurrent cell."""

    time_batched: bool = True
    """Whether `project` depends on the inputs alone (not on the state), so that all steps can be projected at once."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size

    @abstractmethod
    def initial_state(self, batch_size: int) -> State: ...

    @abstractmethod
    def prepare(self, generator: torch.Generator | None) -> Weights:
        """Weights as the steps use them. `generator` is None in evaluation: no noise."""

    @abstractmethod
    def project(self, x_BTD: Tensor, weights: Weights) -> Tensor:
        """The inputs' share of the gates, gates_BTG."""

    @abstractmethod
    def step(self, gates_BG: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
        """One time step: output_BH and the next state."""


def unroll(cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """The plain unroll, step by step: the reference that every fast one is held to."""
    gates_BTG = cell.project(x_BTD, weights)
    outputs: list[Tensor] = []
    for gates_BG in gates_BTG.unbind(dim=1):
        output_BH, state = cell.step(gates_BG, state, weights)
        outputs.append(output_BH)
    if not outputs:
        return x_BTD.new_empty(len(x_BTD), 0, cell.hidden_size), state
    return torch.stack(outputs, dim=1), state


def zeros(cell: Cell, batch_size: int) -> Tensor:
    """A zero state tensor of shape B, H beside the cell's parameters; never below fp32."""
    parameter = next(cell.parameters())
    dtype = torch.promote_types(parameter.dtype, torch.float32)
    return torch.zeros(batch_size, cell.hidden_size, dtype=dtype, device=parameter.device)


@torch.no_grad()
def init_gates(input_weight_GD: Tensor, recurrent_weight_GH: Tensor) -> None:
    """Inputs uniform as Glorot & Bengio (2010) for each gate; recurrent matrices orthogonal (Saxe et al., 2014)."""
    hidden_size = recurrent_weight_GH.shape[1]
    for weight_HD in input_weight_GD.split(hidden_size):
        nn.init.xavier_uniform_(weight_HD)
    for weight_HH in recurrent_weight_GH.split(hidden_size):
        nn.init.orthogonal_(weight_HH)
