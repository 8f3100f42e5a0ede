"""Cells of several heads: recurrent matrices with blocks on their diagonals, in every unroll.

B batch, T time, D inputs, H hidden, W = H / heads.
"""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from charlm.device import Precision, autocast
from charlm.errors import SettingsError
from charlm.nn.bodies.build import build_body
from charlm.nn.bodies.recurrent import RecurrentNetwork
from charlm.nn.bodies.settings import RecurrentSettings
from charlm.nn.cells.base import Cell, CellOptions, unroll
from charlm.nn.cells.lstm import LSTMCell
from charlm.nn.dropout import NoiseRNG
from charlm.nn.fused.backend import unroll_in_c
from charlm.nn.fused.compiled import load_compiled_library
from charlm.nn.state import ForwardFn
from charlm.settings import Layer, validate
from tests.nn.cells import CELLS, NORMS, projected, randomised, results, weight_name

B, T, D = 19, 5, 29
WITH_HEADS = [name for name in CELLS if not name.startswith("mingru")]
IN_C = ("lstm", "lstm-coupled", "lstm-mogrifier", "gru", "gru-before")
SIZES = [(64, 4), (96, 2), (96, 12), (90, 3)]
"""Units and heads; those of 30 units are multiplied as one matrix."""


def build(name: str, norm: str, hidden_size: int, num_heads: int) -> Cell:
    torch.manual_seed(0)
    return randomised(CELLS[name](D, hidden_size, CellOptions(norms=NORMS[norm], num_heads=num_heads)))


def inputs(cell: Cell) -> Any:
    generator = torch.Generator().manual_seed(1)
    dtype = next(cell.parameters()).dtype
    return torch.randn(B, T, D, generator=generator).to(dtype), cell.initial_state(B)


def run_of(cell: Cell, run: Any = unroll) -> ForwardFn:
    return lambda x_BTD, state: run(cell, x_BTD, state, cell.prepare(None))


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("name", WITH_HEADS)
def test_it_is_a_cell_whose_matrix_is_zero_outside_of_its_blocks(name: str, norm: str) -> None:
    cell = build(name, norm, 12, 3)
    dense = build(name, norm, 12, 1)
    weight = weight_name(cell, "recurrent")
    mine = dict(cell.named_parameters())
    with torch.no_grad():
        for parameter_name, parameter in dense.named_parameters():
            if parameter_name != weight:
                parameter.copy_(mine[parameter_name])
                continue
            parameter.zero_()
            for row in range(len(parameter)):
                head = row % 12 // 4
                parameter[row, 4 * head : 4 * head + 4] = mine[weight][row]
        for own, other in zip(cell.buffers(), dense.buffers(), strict=True):
            other.copy_(own)
    found, expected = (results(each, run_of(each), *inputs(each)) for each in (cell, dense))
    for tensor, other in zip(found, expected, strict=True):
        if tensor.shape == other.shape:
            torch.testing.assert_close(tensor, other, rtol=0, atol=1e-12)
        else:  # the gradient of the matrix
            blocks = [other[row, row % 12 // 4 * 4 : row % 12 // 4 * 4 + 4] for row in range(len(other))]
            torch.testing.assert_close(tensor, torch.stack(blocks), rtol=0, atol=1e-12)


def test_heads_without_norms_are_separate_cells() -> None:
    cell = build("lstm", "none", 12, 3)
    assert isinstance(cell, LSTMCell)
    x_BTD, state = inputs(cell)
    whole_BTH, _ = run_of(cell)(x_BTD, state)
    for head in range(3):
        rows = [gate * 12 + head * 4 + unit for gate in range(4) for unit in range(4)]
        own = LSTMCell(D, 4).double()
        with torch.no_grad():
            for parameter, other in zip(own.parameters(), cell.parameters(), strict=True):
                parameter.copy_(other[rows])
        own_BTW, _ = run_of(own)(x_BTD, own.initial_state(B))
        torch.testing.assert_close(own_BTW, whole_BTH[..., 4 * head : 4 * head + 4], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", WITH_HEADS)
def test_blocks_start_orthogonal(name: str) -> None:
    weight_GW = CELLS[name](D, 12, CellOptions(num_heads=3)).get_parameter(
        weight_name(CELLS[name](D, 12, CellOptions()), "recurrent")
    )
    assert weight_GW.shape[1] == 4
    for block_WW in weight_GW.split(4):
        torch.testing.assert_close(block_WW @ block_WW.T, torch.eye(4, dtype=block_WW.dtype), rtol=0, atol=1e-5)


@pytest.mark.skipif(load_compiled_library() is None, reason="no C compiler here")
@pytest.mark.parametrize("norm", ["none", "layer", "weight"])
@pytest.mark.parametrize(("hidden_size", "num_heads"), SIZES)
@pytest.mark.parametrize("name", IN_C)
def test_one_call_of_c_is_the_plain_unroll(name: str, hidden_size: int, num_heads: int, norm: str) -> None:
    cell = shrunk(build(name, norm, hidden_size, num_heads))
    exact = copy.deepcopy(cell).double()
    run = unroll_in_c(cell)
    assert run is not None
    found = projected(cell, run_of(cell, run), *inputs(cell))
    expected = projected(exact, run_of(exact), *inputs(cell))
    for mine, plain in zip(found, expected, strict=True):
        scale = max(1.0, float(plain.abs().max()))
        torch.testing.assert_close(mine.double() / scale, plain / scale, rtol=0, atol=1e-5)


@pytest.mark.skipif(load_compiled_library() is None, reason="no C compiler here")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", IN_C)
def test_numbers_do_not_depend_on_the_threads(name: str, precision: Precision, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = shrunk(build(name, "layer", 96, 4))
    run = unroll_in_c(cell)
    assert run is not None

    def numbers(threads: int) -> list[Tensor]:
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        with autocast(precision, torch.device("cpu")):
            return results(cell, run_of(cell, run), *inputs(cell))

    alone = numbers(1)
    for threads in (2, 3):
        assert all(torch.equal(one, other) for one, other in zip(alone, numbers(threads), strict=True))


@pytest.mark.skipif(load_compiled_library() is None, reason="no C compiler here")
@pytest.mark.parametrize("name", ["lstm", "gru", "gru-before"])
def test_bf16_rounds_the_factors_of_products_alone(name: str) -> None:
    cell = shrunk(build(name, "none", 96, 4))
    run = unroll_in_c(cell)
    assert run is not None
    exact = results(cell, run_of(cell, run), *inputs(cell))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = results(cell, run_of(cell, run), *inputs(cell))
    for mine, other in zip(rounded, exact, strict=True):
        scale = max(1.0, float(other.abs().max()))
        assert 0 < float((mine - other).abs().max()) / scale < 0.02


def shrunk(cell: Cell) -> Cell:
    cell = cell.float().train()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.mul_(0.3)
    return cell


def test_they_divide_the_recurrent_parameters_and_operations() -> None:
    def body(num_heads: int) -> RecurrentNetwork:
        settings = validate(RecurrentSettings, Layer({"hidden_size": 64, "num_heads": num_heads}))
        built = build_body(settings, D, NoiseRNG())
        assert isinstance(built, RecurrentNetwork)
        return built

    one, four = body(1), body(4)
    saved = 4 * 64 * 64 * 3 // 4
    assert one.macs_per_token - four.macs_per_token == saved
    assert sum(map(Tensor.numel, one.parameters())) - sum(map(Tensor.numel, four.parameters())) == saved
    assert one.activations_per_token == four.activations_per_token


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"hidden_size": 64, "num_heads": 3}, "hidden_size 64 is not a multiple of num_heads 3"),
        ({"hidden_size": 64, "num_heads": 2, "cell": {"type": "mingru"}}, "a mingru has none"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        validate(RecurrentSettings, Layer(settings))
