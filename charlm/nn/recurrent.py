"""A stack of recurrent layers: (x_BTD, state) -> (features_BTH, state).

    x ── layer 1 ── locked dropout ── layer 2 ── ... ── output dropout ── features
           │ cell.prepare, then an unroll: torch's kernels for a chunk, the plain step for a single character

B batch, T time, D inputs, H hidden.
"""

from torch import Tensor, nn

from charlm.nn.cells.base import Cell, unroll
from charlm.nn.dropout import LockedDropout, Masks
from charlm.nn.fused.library import Unroll, library_fits, library_unroll
from charlm.nn.settings import RecurrentSettings
from charlm.nn.state import State


class Layer(nn.Module):
    """One cell, unrolled over time by the fastest unroll that fits it."""

    def __init__(self, cell: Cell, chunk_unroll: Unroll, masks: Masks) -> None:
        super().__init__()
        self.cell = cell
        self._chunk_unroll = chunk_unroll
        self._masks = masks

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        weights = self.cell.prepare(self._masks.generator(x_BTD.device) if self.training else None)
        run = self._chunk_unroll if library_fits(x_BTD) else unroll
        return run(self.cell, x_BTD, state, weights)


class Recurrent(nn.Module):
    """State: the cells' states, layer after layer."""

    def __init__(self, settings: RecurrentSettings, input_size: int, masks: Masks) -> None:
        super().__init__()
        self.features_size = settings.hidden_size
        sizes = [input_size] + [settings.hidden_size] * (settings.num_layers - 1)
        cells = [settings.cell.build(size, settings.hidden_size) for size in sizes]
        unrolls = [choose_unroll(cell, settings.backend) for cell in cells]
        self.backend = "torch" if all(chosen is not unroll for chosen in unrolls) else "plain"
        self.layers = nn.ModuleList(Layer(cell, chosen, masks) for cell, chosen in zip(cells, unrolls, strict=True))
        self.dropouts = nn.ModuleList(
            LockedDropout(probability, masks)
            for probability in [*[settings.dropout] * (settings.num_layers - 1), settings.output_dropout]
        )
        self._state_sizes = [len(cell.initial_state(1)) for cell in cells]

    def initial_state(self, batch_size: int) -> State:
        return tuple(tensor for layer in self.layers for tensor in layer.cell.initial_state(batch_size))  # type: ignore[operator]

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        after: list[Tensor] = []
        start = 0
        for layer, dropout, size in zip(self.layers, self.dropouts, self._state_sizes, strict=True):
            x_BTD, layer_state = layer(x_BTD, state[start : start + size])
            x_BTD = dropout(x_BTD)
            after.extend(layer_state)
            start += size
        return x_BTD, tuple(after)


def choose_unroll(cell: Cell, backend: str) -> Unroll:
    """The unroll for chunks. `auto` takes torch's kernels where torch has them for this cell."""
    fast = library_unroll(cell)
    return unroll if backend == "plain" or fast is None else fast
