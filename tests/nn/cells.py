"""Every cell, small and random in float64, and the results of a run: outputs, last state and gradients.

B batch, T time, D inputs, H hidden, G gates, L steps with statistics of their own.
"""

import contextlib
from collections.abc import Callable

import torch
from torch import Tensor

from charlm.errors import SettingsError
from charlm.nn.bodies.build import build_body
from charlm.nn.bodies.settings import RecurrentSettings
from charlm.nn.cells.base import Cell, CellOptions, unroll
from charlm.nn.cells.gru import GRUCell
from charlm.nn.cells.lstm import LSTMCell
from charlm.nn.cells.mingru import MinGRUCell
from charlm.nn.cells.rnn import RNNCell
from charlm.nn.cells.settings import CellSettings
from charlm.nn.dropout import NoiseRNG
from charlm.nn.fused.backend import fused_unroll
from charlm.nn.fused.torch_unrolls import torch_unroll
from charlm.nn.norm import NormFactory
from charlm.nn.state import ForwardFn, State
from charlm.settings import Layer, type_names, validate

B, T, D, H, L = 3, 7, 5, 4, 4

CELLS: dict[str, Callable[..., Cell]] = {
    "rnn-tanh": RNNCell,
    "rnn-relu": lambda *sizes: RNNCell(*sizes, activation="relu"),
    "lstm": LSTMCell,
    "lstm-coupled": lambda *sizes: LSTMCell(*sizes, coupled=True),
    "lstm-mogrifier": lambda *sizes: LSTMCell(*sizes, mogrifier_rounds=5),
    "gru": GRUCell,
    "gru-before": lambda *sizes: GRUCell(*sizes, reset="before"),
    "mingru": MinGRUCell,
    "mingru-identity": lambda *sizes: MinGRUCell(*sizes, activation="identity"),
}
"""Each cell and its variants; a name begins with the type of the cell, and that of a variant goes on after a "-"."""
RECURRENT = tuple(name for name in CELLS if not name.startswith("mingru"))
"""The cells with a recurrent matrix."""
FAST = ("rnn-tanh", "rnn-relu", "lstm", "lstm-coupled", "gru", "mingru", "mingru-identity")
"""The cells with a fused unroll and a fast step. A cell that is not here runs step by step."""
NORMS = {
    "none": NormFactory(),
    "layer": NormFactory("layer"),
    "weight": NormFactory("weight"),
    "batch": NormFactory("batch", num_steps=L),
    "batch-per-step": NormFactory("batch", num_steps=L, per_step=True),
}
EVERY_CELL_AND_NORM = [(cell, norm) for cell in CELLS for norm in NORMS]


def backends_of(cell_type: str) -> list[str]:
    """Return the backends that can run a cell in its simplest form: `plain` and, of a fast one, others."""
    found = ["plain"]
    for backend in ("torch", "fused"):
        settings = {"cell": {"type": cell_type}, "hidden_size": 2, "backend": backend}
        with contextlib.suppress(SettingsError):
            build_body(validate(RecurrentSettings, Layer(settings)), 2, NoiseRNG())
            found.append(backend)
    return found


BACKENDS = {cell_type: backends_of(cell_type) for cell_type in type_names(CellSettings)}
"""Type of each cell of the union -> the backends that can run it."""


def weight_name(cell: Cell, part: str) -> str:
    """Return the name of the weight of a part, `input` or `recurrent`: all gates below one another."""
    (name,) = (name for name, _ in cell.named_parameters(recurse=False) if name.startswith(f"{part}_weight"))
    return name


def make(cell: str, norm: str = "none") -> Cell:
    """Build a cell in evaluation mode, so that rows do not depend on each other."""
    return randomised(CELLS[cell](D, H, CellOptions(norms=NORMS[norm]))).eval()


def fast_backends() -> list[tuple[str, str]]:
    """Return the fast cells, each with the fast backends that can run it."""
    unrolls = (("torch", torch_unroll), ("fused", fused_unroll))
    return [(cell, backend) for cell in FAST for backend, find in unrolls if find(make(cell)) is not None]


def randomised(cell: Cell, seed: int = 0) -> Cell:
    """Make all parameters and running averages random, biases too, and convert to float64."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
        for name, buffer in cell.named_buffers():
            values = torch.randn(buffer.shape, generator=generator) * 0.5
            buffer.copy_(values.square() + 0.1 if name.endswith("variance_LG") else values)
            if name.endswith("seen_L"):
                buffer.fill_(1)
    return cell.double()


def inputs(seed: int = 1, num_steps: int = T, batch_size: int = B) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch_size, num_steps, D, generator=generator, dtype=torch.float64)


def random_like(state: State, seed: int = 2) -> State:
    """Return random floats, and step counts that differ from row to row, some of them above L."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(tensor.shape, generator=generator, dtype=torch.float64) * 0.3
        if tensor.is_floating_point()
        else torch.randint(0, L + 2, tensor.shape, generator=generator)
        for tensor in state
    )


def random_state(cell: Cell, seed: int = 2) -> State:
    return random_like(cell.initial_state(B), seed)


def plain(cell: Cell) -> ForwardFn:
    return lambda x_BTD, state: unroll(cell, x_BTD, state, cell.prepare(None))


def results(cell: Cell, run: ForwardFn, x_BTD: Tensor, state: State) -> list[Tensor]:
    """Return outputs, last state, and the gradients of a random projection of both by all parameters and inputs."""
    start = tuple(tensor.clone().requires_grad_(tensor.is_floating_point()) for tensor in (x_BTD, *state))
    output, after = run(start[0], start[1:])
    generator = torch.Generator().manual_seed(5)
    loss = sum(
        (tensor * torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)).sum()
        for tensor in (output, *after)
        if tensor.is_floating_point()
    )
    assert isinstance(loss, Tensor)
    leaves = [*cell.parameters(), *(tensor for tensor in start if tensor.requires_grad)]
    gradients = torch.autograd.grad(loss, leaves)
    return [output.detach(), *(tensor.detach() for tensor in after), *gradients]


def projected(cell: Cell, run: ForwardFn, x_BTD: Tensor, state: State) -> list[Tensor]:
    """Return outputs, last state, running averages, and the gradients of one random projection of the first two, in
    the dtype of the cell."""
    dtype = next(cell.parameters()).dtype
    start = [tensor.to(dtype).requires_grad_() for tensor in (x_BTD, *state) if tensor.is_floating_point()]
    counts = [tensor for tensor in state if not tensor.is_floating_point()]
    output_BTH, last = run(start[0], (*start[1:], *counts))
    found = [output_BTH, *(tensor for tensor in last if tensor.is_floating_point())]
    generator = torch.Generator().manual_seed(5)
    directions = [torch.randn(tensor.shape, generator=generator).to(tensor.dtype) for tensor in found]
    gradients = torch.autograd.grad(found, [*cell.parameters(), *start], directions)
    return [*(tensor.detach() for tensor in (*found, *last, *cell.buffers())), *gradients]


def assert_equal(found: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    assert len(found) == len(expected)
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance)
