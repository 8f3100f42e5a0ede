"""Cells compared with their papers' equations and torch's modules, and each fast unroll with the plain one.

B batch, T time, D inputs, H hidden, G gates, V vocabulary.
"""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from charlm.nn.cells.base import Cell, CellOptions
from charlm.nn.cells.gru import GRUCell
from charlm.nn.cells.lstm import LSTMCell
from charlm.nn.cells.mingru import MinGRUCell
from charlm.nn.cells.rnn import RNNCell
from charlm.nn.embeddings.token_embedding import TokenEmbedding
from charlm.nn.fused.torch_unrolls import torch_fits, torch_unroll
from charlm.nn.norm import NormFactory
from charlm.nn.state import State
from tests.nn.cells import (
    CELLS,
    EVERY_CELL_AND_NORM,
    RECURRENT,
    B,
    D,
    ForwardFn,
    H,
    T,
    assert_equal,
    inputs,
    make,
    plain,
    random_state,
    randomised,
    results,
    weight_name,
)
from tests.nn.equations import EQUATIONS, row_by_row


def torch_rnn(cell: RNNCell, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
    module = nn.RNN(D, H, batch_first=True, nonlinearity=cell.activation)
    weights = (cell.input_weight_HD, cell.recurrent_weight_HH, cell.bias_H, torch.zeros_like(cell.bias_H))
    output, h = torch_run(module, weights, x_BTD, state[0][None])
    return output, (h[0],)


def torch_lstm(cell: LSTMCell, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
    module = nn.LSTM(D, H, batch_first=True)
    weights = (cell.input_weight_GD, cell.recurrent_weight_GH, cell.bias_G, torch.zeros_like(cell.bias_G))
    output, (h, c) = torch_run(module, weights, x_BTD, (state[0][None], state[1][None]))
    return output, (h[0], c[0])


def torch_gru(cell: GRUCell, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
    module = nn.GRU(D, H, batch_first=True)
    assert cell.candidate_bias_H is not None
    bias_hh = torch.cat([torch.zeros_like(cell.bias_G[: 2 * H]), cell.candidate_bias_H])
    weights = (cell.input_weight_GD, cell.recurrent_weight_GH, cell.bias_G, bias_hh)
    output, h = torch_run(module, weights, x_BTD, state[0][None])
    return output, (h[0],)


def torch_run(module: nn.Module, weights: tuple[Tensor, ...], x_BTD: Tensor, state: Any) -> Any:
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    named: dict[str, Tensor] = dict(zip(names, weights, strict=True))
    return torch.func.functional_call(module.to(x_BTD.dtype), named, (x_BTD, state))


def library(cell: Cell) -> ForwardFn:
    run = torch_unroll(cell)
    assert run is not None
    return lambda x_BTD, state: run(cell, x_BTD, state, cell.prepare(None))


def assert_equal_for_size(found: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    """Compare with a tolerance relative to the largest element of each tensor, if that is above 1."""
    scales = [max(1.0, float(tensor.abs().max())) for tensor in expected]
    mine, other = ([tensor / scale for tensor, scale in zip(side, scales, strict=True)] for side in (found, expected))
    assert_equal(mine, other, tolerance)


# ---- equations


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_is_its_equations(cell: str) -> None:
    mine = make(cell)
    x_BTD, state = inputs(), random_state(mine)
    expected = results(mine, lambda x, s: row_by_row(mine, EQUATIONS[cell], x, s), x_BTD, state)
    assert_equal(results(mine, plain(mine), x_BTD, state), expected, 1e-9)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-6)], ids=["fp64", "fp32"])
@pytest.mark.parametrize(
    ("cell", "reference"),
    [("rnn-tanh", torch_rnn), ("rnn-relu", torch_rnn), ("lstm", torch_lstm), ("gru", torch_gru)],
)
def test_a_cell_is_torch_s_module(
    cell: str, reference: Callable[..., tuple[Tensor, State]], dtype: torch.dtype, tolerance: float
) -> None:
    mine = make(cell).to(dtype)
    x_BTD, state = inputs().to(dtype), tuple(tensor.to(dtype) for tensor in random_state(mine))
    expected = results(mine, lambda x, s: reference(mine, x, s), x_BTD, state)
    assert_equal_for_size(results(mine, plain(mine), x_BTD, state), expected, tolerance)


@pytest.mark.parametrize("cell", [name for name in CELLS if name != "lstm-mogrifier"])  # which gates the inputs first
def test_one_hot_inputs_are_embedded_by_the_input_matrix(cell: str) -> None:
    """(U E^T) onehot(v) = U E_v: a cell on an embedding is a cell on one-hot vectors with the product matrix."""
    embedding = TokenEmbedding(9, D).double()
    tokens_BT = torch.randint(0, 9, (B, T), generator=torch.Generator().manual_seed(3))
    embedded_BTD, _ = embedding(tokens_BT, ())
    one_hot_BTV = nn.functional.one_hot(tokens_BT, 9).double()
    torch.testing.assert_close(one_hot_BTV @ embedding.weight_VD, embedded_BTD, rtol=0, atol=0)
    mine, by_one_hot = make(cell), randomised(CELLS[cell](9, H))
    with torch.no_grad():
        for name, parameter in by_one_hot.named_parameters():
            weight = mine.get_parameter(name)
            parameter.copy_(weight @ embedding.weight_VD.T if name.startswith("input_weight") else weight)
    state = random_state(mine)
    found, after = plain(by_one_hot)(one_hot_BTV, state)
    expected, last = plain(mine)(embedded_BTD, state)
    assert_equal([found, *after], [expected, *last], 1e-9)


# ---- torch's kernels


@pytest.mark.parametrize(
    "options", [CellOptions(), CellOptions(norms=NormFactory("weight"))], ids=["none", "weight-norm"]
)
@pytest.mark.parametrize("cell", ["rnn-tanh", "rnn-relu", "lstm", "gru"])
@pytest.mark.parametrize("size", [(1, 2, 1, 1), (B, T, D, H), (2, 64, 8, 32)])
def test_the_library_s_unroll_is_the_plain_one(
    cell: str, size: tuple[int, int, int, int], options: CellOptions
) -> None:
    batch_size, num_steps, input_size, hidden_size = size
    mine = randomised(CELLS[cell](input_size, hidden_size, options)).float()
    with torch.no_grad():
        for parameter in mine.parameters():  # small enough for a ReLU's products not to grow
            parameter.mul_(2 * hidden_size**-0.5)
    generator = torch.Generator().manual_seed(1)
    x_BTD = torch.randn(batch_size, num_steps, input_size, generator=generator)
    state = tuple(torch.randn(each.shape, generator=generator) * 0.3 for each in mine.initial_state(batch_size))
    found, expected = results(mine, library(mine), x_BTD, state), results(mine, plain(mine), x_BTD, state)
    assert_equal_for_size(found, expected, 1e-5)


@pytest.mark.parametrize("cell", ["rnn-tanh", "rnn-relu", "lstm", "gru"])
def test_the_library_s_unroll_takes_the_states_the_plain_one_gives(cell: str) -> None:
    mine = make(cell)
    x_BTD, state = inputs(), random_state(mine)
    whole, after = plain(mine)(x_BTD, state)
    first, between = plain(mine)(x_BTD[:, :3], state)
    second, mixed = library(mine)(x_BTD[:, 3:], between)
    assert_equal([torch.cat([first, second], dim=1), *mixed], [whole, *after], 1e-9)


@pytest.mark.parametrize(
    ("cell", "options", "fits"),
    [
        *((cell, CellOptions(), True) for cell in ("rnn-tanh", "rnn-relu", "lstm", "gru")),
        *((cell, CellOptions(), False) for cell in ("lstm-coupled", "lstm-mogrifier", "gru-before")),
        *((cell, CellOptions(norms=NormFactory("weight")), True) for cell in ("rnn-tanh", "lstm", "gru")),
        *((cell, CellOptions(weight_drop=0.5), True) for cell in ("rnn-tanh", "lstm", "gru")),
        *((cell, CellOptions(norms=NormFactory("layer")), False) for cell in ("rnn-tanh", "lstm", "gru")),
        *((cell, CellOptions(norms=NormFactory("batch")), False) for cell in ("rnn-tanh", "lstm", "gru")),
        *((cell, CellOptions(zoneout=0.1), False) for cell in ("rnn-tanh", "lstm", "gru")),
        *((cell, CellOptions(zoneout_hidden=0.1), False) for cell in ("lstm",)),
        *((cell, CellOptions(recurrent_dropout=0.1), False) for cell in ("rnn-tanh", "lstm", "gru")),
    ],
)
def test_the_library_takes_bare_equations_alone(cell: str, options: CellOptions, fits: bool) -> None:
    assert (torch_unroll(CELLS[cell](D, H, options)) is not None) == fits


def test_the_library_is_used_for_chunks_alone() -> None:
    mine = make("lstm")
    assert torch_fits(mine, torch.zeros(2, 2, D), mine.initial_state(2))
    for shape in ((2, 1, D), (2, 0, D), (0, 5, D)):
        assert not torch_fits(mine, torch.zeros(*shape), mine.initial_state(shape[0]))


# ---- initialisation


@pytest.mark.parametrize("cell", CELLS)
def test_input_weights_start_as_glorot(cell: str) -> None:
    torch.manual_seed(0)
    input_size, hidden_size = 48, 32
    mine = CELLS[cell](input_size, hidden_size)
    bound = math.sqrt(6 / (input_size + hidden_size))
    for matrix_HD in mine.get_parameter(weight_name(mine, "input")).detach().split(hidden_size):
        assert matrix_HD.shape == (hidden_size, input_size)
        assert float(matrix_HD.abs().max()) <= bound
        assert float(matrix_HD.std()) == pytest.approx(bound / math.sqrt(3), rel=0.1)


@pytest.mark.parametrize("cell", RECURRENT)
def test_recurrent_weights_start_orthogonal(cell: str) -> None:
    torch.manual_seed(0)
    input_size, hidden_size = 48, 32
    mine = CELLS[cell](input_size, hidden_size)
    recurrent, inputs = (mine.get_parameter(weight_name(mine, part)).detach() for part in ("recurrent", "input"))
    matrices = recurrent.split(hidden_size)
    assert recurrent.shape == (len(matrices) * hidden_size, hidden_size)
    assert inputs.shape == (len(matrices) * hidden_size, input_size)
    for matrix_HH in matrices:
        torch.testing.assert_close(matrix_HH @ matrix_HH.T, torch.eye(hidden_size), atol=1e-5, rtol=0)
    for i, matrix_HH in enumerate(matrices):
        assert all(not torch.equal(matrix_HH, other) for other in matrices[:i]), "each gate has a separate matrix"


@pytest.mark.parametrize(
    ("cell", "gates"), [("rnn-tanh", 1), ("rnn-relu", 1), ("lstm", 4), ("lstm-coupled", 3), ("gru", 3)]
)
def test_the_number_of_gates_is_that_of_the_papers(cell: str, gates: int) -> None:
    mine = make(cell)
    assert mine.get_parameter(weight_name(mine, "recurrent")).shape == (gates * H, H)


def test_biases_start_at_zero_but_the_forget_gate_s() -> None:
    assert LSTMCell(3, 2).bias_G.tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    assert LSTMCell(3, 2, forget_bias=1.5).bias_G.tolist() == [0, 0, 1.5, 1.5, 0, 0, 0, 0]
    assert LSTMCell(3, 2, coupled=True).bias_G.tolist() == [1, 1, 0, 0, 0, 0]
    assert RNNCell(3, 2).bias_H.tolist() == [0, 0]
    gru = GRUCell(3, 2)
    assert gru.bias_G.tolist() == [0] * 6
    assert gru.candidate_bias_H is not None
    assert gru.candidate_bias_H.tolist() == [0, 0]
    assert MinGRUCell(3, 2).bias_G.tolist() == [0, 0, 0, 0]
    assert MinGRUCell(3, 2, forget_bias=2.5).bias_G.tolist() == [-2.5, -2.5, 0, 0]


@pytest.mark.parametrize(("cell", "norm"), EVERY_CELL_AND_NORM)
def test_a_state_starts_at_zero(cell: str, norm: str) -> None:
    state = make(cell, norm).initial_state(5)
    floats = sum(tensor.is_floating_point() for tensor in state)
    assert floats
    assert all(torch.equal(tensor, torch.zeros(5, H, dtype=torch.float64)) for tensor in state[:floats])
    step_counts = [torch.zeros(5, dtype=torch.int64)] if norm.startswith("batch") else []
    assert_equal([*state[floats:]], step_counts, 0)
