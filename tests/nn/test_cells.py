"""Cells against their papers' equations, against torch's own modules, and every fast unroll against the plain one.

B batch, T time, D inputs, H hidden, G gates.
"""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from charlm.nn.cells.base import Cell, unroll
from charlm.nn.cells.gru import GRUCell
from charlm.nn.cells.lstm import LSTMCell
from charlm.nn.fused.library import library_fits, library_unroll
from charlm.nn.state import State

B, T, D, H = 3, 7, 5, 4
Run = Callable[[Tensor, State], tuple[Tensor, State]]


def randomised(cell: Cell, seed: int = 0) -> Cell:
    """Every parameter random, biases too, in float64."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return cell.double()


def inputs(seed: int = 1) -> Tensor:
    return torch.randn(B, T, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_state(cell: Cell, seed: int = 2) -> State:
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(tensor.shape, generator=generator, dtype=torch.float64) * 0.3 for tensor in cell.initial_state(B)
    )


def gate(weight: Tensor, index: int) -> Tensor:
    """The rows of one gate, in the order that the cell's module documents."""
    return weight[index * H : (index + 1) * H]


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def hochreiter_schmidhuber_gers(cell: LSTMCell, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
    """The LSTM of 1997 with the forget gate of 2000, gate by gate and row by row."""
    u, w, b = cell.input_weight_GD, cell.recurrent_weight_GH, cell.bias_G
    outputs: list[Tensor] = []
    after: list[tuple[Tensor, Tensor]] = []
    for x_TD, *start in zip(x_BTD, *state, strict=True):
        h, c = start
        for x in x_TD:
            input_gate = sigmoid(gate(u, 0) @ x + gate(w, 0) @ h + gate(b, 0))
            forget_gate = sigmoid(gate(u, 1) @ x + gate(w, 1) @ h + gate(b, 1))
            candidate = torch.tanh(gate(u, 2) @ x + gate(w, 2) @ h + gate(b, 2))
            output_gate = sigmoid(gate(u, 3) @ x + gate(w, 3) @ h + gate(b, 3))
            c = forget_gate * c + input_gate * candidate
            h = output_gate * torch.tanh(c)
            outputs.append(h)
        after.append((h, c))
    return torch.stack(outputs).view(B, T, H), tuple(torch.stack(tensors) for tensors in zip(*after, strict=True))


def cho(cell: GRUCell, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
    """The GRU of 2014, the reset gate after the recurrent product (its version 1, as in cuDNN)."""
    u, w, b = cell.input_weight_GD, cell.recurrent_weight_GH, cell.bias_G
    outputs: list[Tensor] = []
    after: list[Tensor] = []
    for x_TD, start in zip(x_BTD, *state, strict=True):
        h = start
        for x in x_TD:
            reset = sigmoid(gate(u, 0) @ x + gate(w, 0) @ h + gate(b, 0))
            update = sigmoid(gate(u, 1) @ x + gate(w, 1) @ h + gate(b, 1))
            candidate = torch.tanh(gate(u, 2) @ x + gate(b, 2) + reset * (gate(w, 2) @ h + cell.candidate_bias_H))
            h = (1 - update) * candidate + update * h
            outputs.append(h)
        after.append(h)
    return torch.stack(outputs).view(B, T, H), (torch.stack(after),)


def torch_lstm(cell: LSTMCell, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
    module = nn.LSTM(D, H, batch_first=True, bias=True).double()
    weights = {
        "weight_ih_l0": cell.input_weight_GD,
        "weight_hh_l0": cell.recurrent_weight_GH,
        "bias_ih_l0": cell.bias_G,
        "bias_hh_l0": torch.zeros_like(cell.bias_G),
    }
    output, (h, c) = torch.func.functional_call(module, weights, (x_BTD, (state[0][None], state[1][None])))
    return output, (h[0], c[0])


def torch_gru(cell: GRUCell, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
    module = nn.GRU(D, H, batch_first=True, bias=True).double()
    weights = {
        "weight_ih_l0": cell.input_weight_GD,
        "weight_hh_l0": cell.recurrent_weight_GH,
        "bias_ih_l0": cell.bias_G,
        "bias_hh_l0": torch.cat([torch.zeros_like(cell.bias_G[: 2 * H]), cell.candidate_bias_H]),
    }
    output, h = torch.func.functional_call(module, weights, (x_BTD, state[0][None]))
    return output, (h[0],)


def plain(cell: Cell) -> Run:
    return lambda x_BTD, state: unroll(cell, x_BTD, state, cell.prepare(None))


def library(cell: Cell) -> Run:
    run = library_unroll(cell)
    assert run is not None
    return lambda x_BTD, state: run(cell, x_BTD, state, cell.prepare(None))


def results(cell: Cell, run: Run, x_BTD: Tensor, state: State) -> list[Tensor]:
    """Outputs, last state, and the gradients of a fixed random projection of both: by every parameter and input."""
    leaves = [x_BTD.clone().requires_grad_(), *(tensor.clone().requires_grad_() for tensor in state)]
    output, after = run(leaves[0], tuple(leaves[1:]))
    generator = torch.Generator().manual_seed(5)
    loss = sum(
        (tensor * torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)).sum()
        for tensor in (output, *after)
    )
    assert isinstance(loss, Tensor)
    gradients = torch.autograd.grad(loss, [*cell.parameters(), *leaves])
    return [output.detach(), *(tensor.detach() for tensor in after), *gradients]


def assert_equal(found: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    assert len(found) == len(expected)
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance)


REFERENCES: list[tuple[Callable[[], Cell], Callable[..., tuple[Tensor, State]]]] = [
    (lambda: LSTMCell(D, H), hochreiter_schmidhuber_gers),
    (lambda: LSTMCell(D, H), torch_lstm),
    (lambda: GRUCell(D, H), cho),
    (lambda: GRUCell(D, H), torch_gru),
]


@pytest.mark.parametrize(("make", "reference"), REFERENCES, ids=["lstm-paper", "lstm-torch", "gru-paper", "gru-torch"])
def test_a_cell_is_its_equations(make: Callable[[], Cell], reference: Callable[..., tuple[Tensor, State]]) -> None:
    cell = randomised(make())
    x_BTD, state = inputs(), random_state(cell)
    expected = results(cell, lambda x, s: reference(cell, x, s), x_BTD, state)
    assert_equal(results(cell, plain(cell), x_BTD, state), expected, 1e-9)


@pytest.mark.parametrize("make", [LSTMCell, GRUCell])
@pytest.mark.parametrize("size", [(1, 2, 1, 1), (B, T, D, H), (2, 64, 8, 32)])
def test_the_library_s_unroll_is_the_plain_one(
    make: Callable[[int, int], Cell], size: tuple[int, int, int, int]
) -> None:
    batch_size, num_steps, input_size, hidden_size = size
    cell = randomised(make(input_size, hidden_size)).float()
    generator = torch.Generator().manual_seed(1)
    x_BTD = torch.randn(batch_size, num_steps, input_size, generator=generator)
    state = tuple(torch.randn(each.shape, generator=generator) * 0.3 for each in cell.initial_state(batch_size))
    found, expected = results(cell, library(cell), x_BTD, state), results(cell, plain(cell), x_BTD, state)
    scale = max(1.0, *(float(tensor.abs().max()) for tensor in expected))
    assert_equal([tensor / scale for tensor in found], [tensor / scale for tensor in expected], 1e-5)


@pytest.mark.parametrize("make", [LSTMCell, GRUCell])
def test_the_library_s_unroll_takes_the_states_the_plain_one_gives(make: Callable[[int, int], Cell]) -> None:
    cell = randomised(make(D, H))
    x_BTD, state = inputs(), random_state(cell)
    whole, after = plain(cell)(x_BTD, state)
    first, between = plain(cell)(x_BTD[:, :3], state)
    second, mixed = library(cell)(x_BTD[:, 3:], between)
    assert_equal([torch.cat([first, second], dim=1), *mixed], [whole, *after], 1e-9)


def test_the_library_is_used_for_chunks_alone() -> None:
    assert library_fits(torch.zeros(2, 2, D))
    for shape in ((2, 1, D), (2, 0, D), (0, 5, D)):
        assert not library_fits(torch.zeros(*shape))


# ---- initialisation


@pytest.mark.parametrize(("make", "gates"), [(LSTMCell, 4), (GRUCell, 3)])
def test_weights_start_orthogonal_and_glorot(make: Callable[[int, int], Cell], gates: int) -> None:
    torch.manual_seed(0)
    cell = make(48, 32)
    weights = dict(cell.named_parameters())
    for recurrent_HH in weights["recurrent_weight_GH"].detach().split(32):
        torch.testing.assert_close(recurrent_HH @ recurrent_HH.T, torch.eye(32), atol=1e-5, rtol=0)
    bound = math.sqrt(6 / (48 + 32))
    for input_HD in weights["input_weight_GD"].detach().split(32):
        assert float(input_HD.abs().max()) <= bound
        assert float(input_HD.std()) == pytest.approx(bound / math.sqrt(3), rel=0.1)
    assert weights["recurrent_weight_GH"].shape == (gates * 32, 32)
    matrices = weights["recurrent_weight_GH"].detach().split(32)
    assert not torch.equal(matrices[0], matrices[1]), "every gate has a matrix of its own"


def test_biases_start_at_zero_but_the_forget_gate_s() -> None:
    bias_G = LSTMCell(3, 2, forget_bias=1.5).bias_G.tolist()
    assert bias_G == [0, 0, 1.5, 1.5, 0, 0, 0, 0]
    gru = GRUCell(3, 2)
    assert gru.bias_G.tolist() == [0] * 6
    assert gru.candidate_bias_H.tolist() == [0, 0]


def test_a_state_starts_at_zero() -> None:
    for cell, size in ((LSTMCell(3, 2), 2), (GRUCell(3, 2), 1)):
        state = cell.initial_state(5)
        assert len(state) == size
        assert all(torch.equal(tensor, torch.zeros(5, 2)) for tensor in state)
