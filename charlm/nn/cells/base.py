"""The form of every recurrent cell: one step, written as in its paper, and the work that is shared by all steps.

    weights = cell.prepare(generator)                       once per chunk: all that does not depend on time
    gates_BTG = cell.project(x_BTD, weights)                once per chunk: one large matrix product
    for gates_BG in time: output_BH, state = cell.step(gates_BG, state, weights)

A state is (hidden_BH, further memory ..., *step_counts). Its first tensor is the output, and its last float tensor the
memory. With batch normalisation, step_counts is (steps_B,), the steps since the reset, for rows of different lengths
followed by steps_after_end_B; else ().

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
"""The result of `prepare`, which only the same cell reads: a NamedTuple of tensors and the generator of the noise."""


@dataclass(frozen=True)
class CellOptions:
    """The options that a layer sets for any cell."""

    norms: NormFactory = NO_NORMS
    num_heads: int = 1
    """Number of heads. A unit reads only the hidden states of its own head (see `recurrent_matrix`)."""
    weight_drop: float = 0.0
    """Probability that an entry of a recurrent matrix is zero for a chunk (Merity et al., 2018)."""
    recurrent_dropout: float = 0.0
    """Dropout of the update of the memory, with a new mask at each step (Semeniuta et al., 2016)."""
    zoneout: float = 0.0
    """Probability that an element of the memory keeps its value in a step (Krueger et al., 2017)."""
    zoneout_hidden: float = 0.0
    """Probability that an element of the output keeps its value, if the output is not the memory itself."""

    @property
    def is_standard(self) -> bool:
        """Whether the time steps are the bare equations, which torch's kernels compute."""
        noisy = self.recurrent_dropout or self.zoneout or self.zoneout_hidden
        return self.norms.kind in ("none", "weight") and not noisy

    def __str__(self) -> str:
        words = [f"{self.num_heads} heads"] if self.num_heads > 1 else []
        words += [] if self.norms.kind == "none" else [f"{self.norms.kind} norm"]
        noises = ("weight_drop", "recurrent_dropout", "zoneout", "zoneout_hidden")
        return ", ".join(
            [*words, *(f"{name} {probability:g}" for name in noises if (probability := getattr(self, name)))]
        )


DEFAULT_OPTIONS = CellOptions()


class Cell(nn.Module, ABC):
    """A recurrent cell."""

    time_batched: bool = True
    """Whether all steps can be projected at once. False if what a step multiplies depends on the state."""

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
        """Return the weights as the steps use them. `generator` is None in evaluation, for no noise."""

    @abstractmethod
    def project(self, x_BTD: Tensor, weights: Weights) -> Tensor:
        """Return the part of the gates that comes from the inputs, gates_BTG; or x_BTD itself if not `time_batched`."""

    @abstractmethod
    def step(self, gates_BG: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
        """Run one time step; return output_BH and the next state."""


Unroll = Callable[[Cell, Tensor, State, Weights], tuple[Tensor, State]]
"""(cell, x_BTD, state, weights) -> (output_BTH, state)."""


def unroll(cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """Run a chunk step by step. Every fast unroll is tested against this one."""
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
    """Let some elements keep their value (Krueger et al., 2017, eq. 2). In evaluation, take the mean over the masks."""
    mixed = list(next_state)
    for index, probability in zoneout_probabilities(cell, next_state).items():
        if generator is None:
            mixed[index] = torch.lerp(next_state[index], previous_state[index], probability)
        else:
            is_kept = torch.empty_like(next_state[index]).bernoulli_(probability, generator=generator)
            mixed[index] = torch.where(is_kept.bool(), previous_state[index], next_state[index])
    return tuple(mixed)


def zoneout_probabilities(cell: Cell, state: State) -> dict[int, float]:
    """Return the probabilities above zero, by the index of the state tensor; the last float tensor is the memory."""
    floats = [index for index, tensor in enumerate(state) if tensor.is_floating_point()]
    probabilities = dict.fromkeys(floats, cell.options.zoneout_hidden) | {floats[-1]: cell.options.zoneout}
    return {index: probability for index, probability in probabilities.items() if probability}


def apply_dropout(x: Tensor, probability: float, generator: torch.Generator | None) -> Tensor:
    """Apply dropout with a new mask. Without a generator, return x."""
    if generator is None or not probability:
        return x
    keep_probability = 1 - probability
    return x * torch.empty_like(x).bernoulli_(keep_probability, generator=generator).div_(keep_probability)


def zero_state(cell: Cell, batch_size: int) -> Tensor:
    """Return zeros of shape B, H on the device of the cell's parameters, in fp32 or higher."""
    parameter = next(cell.parameters())
    dtype = torch.promote_types(parameter.dtype, torch.float32)
    return torch.zeros(batch_size, cell.hidden_size, dtype=dtype, device=parameter.device)


def initial_step_counts(cell: Cell, batch_size: int) -> State:
    return cell.options.norms.initial_step_counts(batch_size, next(cell.parameters()).device)


def recurrent_parameter(gates_size: int, hidden_size: int, num_heads: int) -> nn.Parameter:
    """Return the entries of a recurrent matrix that are not always zero, (G, W) with W = H / heads: a row reads the W
    units of its own head."""
    return nn.Parameter(torch.empty(gates_size, hidden_size // num_heads))


def recurrent_matrix(weight_GW: Tensor, hidden_size: int) -> Tensor:
    """Return the recurrent matrices of all gates, (G, H). With several heads, that of each gate has their blocks on its
    diagonal (as in FlashRNN; Pöppel et al., 2024)."""
    width = weight_GW.shape[1]
    if width == hidden_size:
        return weight_GW
    blocks = weight_GW.view(-1, hidden_size // width, width, 1, width)
    is_own = torch.eye(hidden_size // width, dtype=weight_GW.dtype, device=weight_GW.device)
    return (blocks * is_own[None, :, None, :, None]).reshape(-1, hidden_size)


def own_entries(weight_GH: Tensor, width: int) -> Tensor:
    """Return the entries of recurrent matrices that are not always zero, (G, W): the inverse of `recurrent_matrix`.

    Args:
        width: W, the units of a head.
    """
    size = weight_GH.shape[1]
    blocks = weight_GH.view(-1, size // width, width, size // width, width)
    return blocks.diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2).reshape(-1, width)


@torch.no_grad()
def init_gates(input_weight_GD: Tensor, recurrent_weight_GW: Tensor, hidden_size: int) -> None:
    """Initialise each gate: input matrices uniform (Glorot & Bengio, 2010), recurrent ones, of each head, orthogonal
    (Saxe et al., 2014)."""
    init_input_gates(input_weight_GD, hidden_size)
    for weight_WW in recurrent_weight_GW.split(recurrent_weight_GW.shape[1]):
        nn.init.orthogonal_(weight_WW)


@torch.no_grad()
def init_input_gates(input_weight_GD: Tensor, hidden_size: int) -> None:
    """Initialise the input matrix of each gate, uniform (Glorot & Bengio, 2010)."""
    for weight_HD in input_weight_GD.split(hidden_size):
        nn.init.xavier_uniform_(weight_HD)
