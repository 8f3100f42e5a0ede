"""A stack of recurrent layers: (x_BTD, state) -> (features_BTH, state).

    x ── input dropout ── layer 1 ── dropout ── layer 2 ── ... ── output dropout ── features
                            │ skip: none; residual, output plus input; dense, reads all layers below, and the head all
                            │ cell.prepare, then an unroll over the steps of each stride and each dilation's slot:
                            │ torch's or fused kernels for a chunk, the plain step for a single token

B batch, T time, D inputs, H hidden.
"""

import math

import torch
from torch import Tensor, nn

from charlm.nn.bodies.base import Body
from charlm.nn.bodies.dilation import initial_dilated_state, run_dilated
from charlm.nn.bodies.settings import RecurrentSettings
from charlm.nn.bodies.stride import initial_strided_state, run_strided
from charlm.nn.cells.base import Cell, CellOptions
from charlm.nn.cells.build import build_cell
from charlm.nn.dropout import LockedDropout, NoiseRNG
from charlm.nn.fused.backend import Backend
from charlm.nn.norm import NormFactory, matrix_parameters
from charlm.nn.state import State


class RecurrentLayer(nn.Module):
    """One cell, unrolled over time by the fastest backend that can run it.

    State: the cell's, with dilation with an axis of slots after the batch; with a stride, then held_BH and phase_B.
    """

    def __init__(self, cell: Cell, backend: Backend, rng: NoiseRNG, *, dilation: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.cell = cell
        self.backend = backend
        self.dilation = dilation
        self.stride = stride
        self._rng = rng

    def extra_repr(self) -> str:
        steps = {"dilation": self.dilation, "stride": self.stride}
        return ", ".join(f"{name} {number}" for name, number in steps.items() if number > 1)

    def initial_state(self, batch_size: int) -> State:
        state = initial_dilated_state(self.cell.initial_state, batch_size, self.dilation)
        return initial_strided_state(state, self.cell.hidden_size, batch_size, self.stride)

    def forward(self, x_BTD: Tensor, state: State, lengths_B: Tensor | None = None) -> tuple[Tensor, State]:
        """Run a chunk.

        Args:
            lengths_B: the number of tokens of each row, if rows have padding after their ends. Only batch normalisation
                needs it.
        """
        weights = self.cell.prepare(self._rng.generator(x_BTD.device) if self.training else None)

        def run_cell(x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
            return self.backend.run(self.cell, x_BTD, state, weights)

        def run_slots(x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
            return run_dilated(run_cell, self.dilation, x_BTD, state)

        if lengths_B is None or not self.cell.options.norms.has_step_statistics:
            return run_strided(run_slots, self.stride, x_BTD, state)
        num_inner = len(state) - (2 if self.stride > 1 else 0)
        steps_after_end = -self._count_steps(lengths_B, state)
        output_BTH, state = run_strided(
            run_slots, self.stride, x_BTD, (*state[:num_inner], steps_after_end, *state[num_inner:])
        )
        return output_BTH, (*state[:num_inner], *state[num_inner + 1 :])

    def _count_steps(self, lengths_B: Tensor, state: State) -> Tensor:
        """Return the number of steps of the cell in the first lengths_B tokens; with dilation, of each slot."""
        first_step_B = -state[-1] % self.stride if self.stride > 1 else 0
        steps_B = (lengths_B - first_step_B + self.stride - 1).div(self.stride, rounding_mode="floor").clamp(min=0)
        if self.dilation == 1:
            return steps_B
        slots = torch.arange(self.dilation, device=steps_B.device)
        return (steps_B[:, None] - slots + self.dilation - 1).div(self.dilation, rounding_mode="floor").clamp(min=0)


class RecurrentNetwork(Body):
    """A stack of recurrent layers. State: the layers' states, one after the other."""

    def __init__(self, settings: RecurrentSettings, input_size: int, rng: NoiseRNG) -> None:
        super().__init__()
        num_layers, hidden_size = settings.num_layers, settings.hidden_size
        self.is_dense, self.is_residual = settings.skip == "dense", settings.skip == "residual"
        sizes = [input_size + k * hidden_size if self.is_dense else hidden_size for k in range(num_layers)]
        sizes[0] = input_size
        self.features_size = num_layers * hidden_size if self.is_dense else hidden_size
        options = _cell_options(settings)
        cells = [build_cell(settings.cell, size, hidden_size, options) for size in sizes]
        backends = [Backend(cell, settings.backend) for cell in cells]
        self._backend = backends[0]
        dilations = settings.dilations or (1,) * num_layers
        strides = settings.strides or (1,) * num_layers
        self.stride_period = math.lcm(*strides)
        self.layers = nn.ModuleList(
            RecurrentLayer(cell, backend, rng, dilation=dilation, stride=stride)
            for cell, backend, dilation, stride in zip(cells, backends, dilations, strides, strict=True)
        )
        self.input_dropout = LockedDropout(settings.input_dropout, rng)
        self.dropouts = nn.ModuleList(
            LockedDropout(probability, rng)
            for probability in [*[settings.dropout] * (num_layers - 1), settings.output_dropout]
        )
        self._state_sizes = [len(layer.initial_state(1)) for layer in self._layers]

    def initial_state(self, batch_size: int) -> State:
        return tuple(tensor for layer in self._layers for tensor in layer.initial_state(batch_size))

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        return self._run(x_BTD, state, None)

    def read_rows(self, x_BTD: Tensor, state: State, lengths_B: Tensor) -> tuple[Tensor, State]:
        return self._run(x_BTD, state, lengths_B)

    def _run(self, x_BTD: Tensor, state: State, lengths_B: Tensor | None) -> tuple[Tensor, State]:
        next_state: list[Tensor] = []
        start = 0
        x_BTD = self.input_dropout(x_BTD)
        dense_inputs, features_BTH = [x_BTD], x_BTD
        for index, (layer, dropout, size) in enumerate(
            zip(self._layers, self.dropouts, self._state_sizes, strict=True)
        ):
            inputs_BTD = torch.cat(dense_inputs, dim=-1) if self.is_dense else features_BTH
            output_BTH, layer_state = layer(inputs_BTD, state[start : start + size], lengths_B)
            if self.is_residual and index > 0:
                output_BTH = inputs_BTD + output_BTH
            features_BTH = dropout(output_BTH)
            dense_inputs.append(features_BTH)
            next_state.extend(layer_state)
            start += size
        return torch.cat(dense_inputs[1:], dim=-1) if self.is_dense else features_BTH, tuple(next_state)

    def backend_name(self, device: torch.device) -> str:
        return self._backend.name_for(device)

    @property
    def activations_per_token(self) -> int:
        return sum(3 * activations_per_step(layer.cell) // layer.stride for layer in self._layers)

    @property
    def macs_per_token(self) -> float:
        return sum(num_matrix_weights(layer.cell) / layer.stride for layer in self._layers)

    @property
    def _layers(self) -> list[RecurrentLayer]:
        return [layer for layer in self.layers if isinstance(layer, RecurrentLayer)]


def num_matrix_weights(cell: Cell) -> int:
    return sum(matrix.numel() for matrix in matrix_parameters(cell))


def activations_per_step(cell: Cell) -> int:
    """Return the number of gates and state elements of a cell."""
    inputs_per_gate = cell.input_size + cell.hidden_size // cell.options.num_heads
    return num_matrix_weights(cell) // inputs_per_gate + 2 * cell.hidden_size


def _cell_options(settings: RecurrentSettings) -> CellOptions:
    return CellOptions(
        norms=NormFactory(settings.norm, settings.norm_gain, settings.norm_steps, settings.norm_per_step),
        num_heads=settings.num_heads,
        weight_drop=settings.weight_drop,
        recurrent_dropout=settings.recurrent_dropout,
        zoneout=settings.zoneout,
        zoneout_hidden=settings.zoneout_hidden,
    )
