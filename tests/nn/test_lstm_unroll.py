"""The LSTM in one call of C, compared with the plain steps in float64, and with itself.

B batch, T time, D inputs, H hidden.
"""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from charlm.device import Precision, autocast
from charlm.nn.cells.base import Cell, CellOptions, unroll
from charlm.nn.cells.lstm import LSTMCell
from charlm.nn.fused.backend import Backend
from charlm.nn.fused.compiled import load_compiled_library
from charlm.nn.fused.lstm_unroll import lstm_chunk_fits, supports_lstm_in_c, unroll_lstm_in_c
from charlm.nn.state import ForwardFn, State
from tests.nn.cells import NORMS, make, randomised, results

B, T, D, H = 37, 6, 29, 77
"""No multiples of a vector, a tile or a block."""
NOISE = {
    "quiet": {},
    "zoneout of cells": {"zoneout": 0.3},
    "everything": {"weight_drop": 0.4, "zoneout": 0.3, "zoneout_hidden": 0.2, "recurrent_dropout": 0.4},
}
CPU = torch.device("cpu")

pytestmark = pytest.mark.skipif(load_compiled_library() is None, reason="no C compiler here")


def build(norm: str = "layer", *, coupled: bool = False, noise: str = "quiet", hidden_size: int = H) -> LSTMCell:
    options = CellOptions(norms=NORMS[norm], **NOISE[noise])
    cell = randomised(LSTMCell(D, hidden_size, options, coupled=coupled)).float().train()
    assert isinstance(cell, LSTMCell)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.mul_(0.3)
    return cell


def chunk(cell: Cell, batch_size: int = B, num_steps: int = T) -> tuple[Tensor, State]:
    generator = torch.Generator().manual_seed(1)
    x_BTD = torch.randn(batch_size, num_steps, D, generator=generator)
    return x_BTD, tuple(torch.randn(batch_size, cell.hidden_size, generator=generator) * 0.3 for _ in range(2))


def in_c(cell: Cell, generator: torch.Generator | None = None) -> ForwardFn:
    return lambda x_BTD, state: unroll_lstm_in_c(cell, x_BTD, state, cell.prepare(generator))


def seeded(cell: Cell) -> torch.Generator | None:
    return torch.Generator().manual_seed(7) if cell.training else None


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("norm", ["none", "layer", "weight"])
def test_it_is_the_plain_unroll(norm: str, coupled: bool, noise: str, training: bool) -> None:
    cell = build(norm, coupled=coupled, noise=noise).train(training)
    x_BTD, state = chunk(cell)
    exact = copy.deepcopy(cell).double()
    found = projected(cell, in_c(cell, seeded(cell)), x_BTD, state)
    expected = projected(
        exact, lambda x_BTD, state: unroll(exact, x_BTD, state, exact.prepare(seeded(exact))), x_BTD, state
    )
    for mine, plain in zip(found, expected, strict=True):
        scale = max(1.0, float(plain.abs().max()))
        torch.testing.assert_close(mine.double() / scale, plain / scale, rtol=0, atol=1e-5)


def projected(cell: LSTMCell, run: ForwardFn, x_BTD: Tensor, state: State) -> list[Tensor]:
    """Return outputs, last state, and the gradients of one random projection of both, whatever the cell's dtype."""
    start = [tensor.to(cell.bias_G.dtype).requires_grad_() for tensor in (x_BTD, *state)]
    output_BTH, last = run(start[0], tuple(start[1:]))
    found = [output_BTH, *last]
    generator = torch.Generator().manual_seed(5)
    directions = [torch.randn(tensor.shape, generator=generator).to(tensor.dtype) for tensor in found]
    gradients = torch.autograd.grad(found, [*cell.parameters(), *start], directions)
    return [*(tensor.detach() for tensor in found), *gradients]


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_bf16_rounds_the_factors_of_products_alone(norm: str) -> None:
    """With factors that bf16 holds exactly, forward is exact; backward, gradients are rounded before their products."""
    cell = build(norm)
    x_BTD, (_, cell_BH) = chunk(cell, num_steps=2)
    with torch.no_grad():
        for parameter in (x_BTD, cell.input_weight_GD, cell.recurrent_weight_GH):
            parameter.copy_(parameter.bfloat16())
    state = chunk(cell)[1][0].bfloat16().float(), cell_BH
    exact = results(cell, in_c(cell), x_BTD, state)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = results(cell, in_c(cell), x_BTD, state)
        from_bf16, _ = in_c(cell)(x_BTD.bfloat16(), state)
    assert all(tensor.dtype == torch.float32 for tensor in rounded)
    torch.testing.assert_close(rounded[0][:, 0], exact[0][:, 0], rtol=0, atol=1e-5)
    assert torch.equal(from_bf16, rounded[0])
    for mine, other in zip(rounded, exact, strict=True):
        scale = max(1.0, float(other.abs().max()))
        assert 0 < float((mine - other).abs().max()) / scale < 0.02


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_numbers_do_not_depend_on_the_threads(norm: str, precision: Precision, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do the gradients of the weights, which are summed over all rows and steps."""
    cell = build(norm)
    x_BTD, state = chunk(cell, num_steps=50)

    def run(threads: int) -> list[Tensor]:
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        with autocast(precision, CPU):
            return results(cell, in_c(cell), x_BTD, state)

    alone = run(1)
    for threads in (2, 3, 8):
        assert all(torch.equal(one, other) for one, other in zip(alone, run(threads), strict=True))


@pytest.mark.parametrize("noise", ["quiet", "zoneout of cells"])
def test_chunks_and_rows_are_independent_to_the_bit(noise: str) -> None:
    cell = build(noise=noise).eval()
    x_BTD, state = chunk(cell)
    whole_BTH, last = in_c(cell)(x_BTD, state)
    first_BTH, middle = in_c(cell)(x_BTD[:, :2], state)
    second_BTH, end = in_c(cell)(x_BTD[:, 2:], middle)
    assert torch.equal(torch.cat([first_BTH, second_BTH], dim=1), whole_BTH)
    assert all(torch.equal(one, other) for one, other in zip(end, last, strict=True))
    some_BTH, _ = in_c(cell)(x_BTD[5:17], tuple(tensor[5:17] for tensor in state))
    assert torch.equal(some_BTH, whole_BTH[5:17])


@pytest.mark.parametrize("noise", ["quiet", "zoneout of cells"])
def test_without_gradients_it_keeps_no_steps(noise: str) -> None:
    cell = build(noise=noise).eval()
    x_BTD, state = chunk(cell)
    expected_BTH, last = in_c(cell)(x_BTD, state)
    with torch.no_grad():
        found_BTH, end = in_c(cell)(x_BTD, state)
    assert torch.equal(found_BTH, expected_BTH)
    assert all(torch.equal(one, other) for one, other in zip(end, last, strict=True))


def test_steps_can_be_recomputed() -> None:
    cell = build()
    x_BTD, state = chunk(cell)

    def recomputed(x_BTD: Tensor, state: State) -> Any:
        return checkpoint(in_c(cell), x_BTD, state, use_reentrant=False)

    expected = results(cell, in_c(cell), x_BTD, state)
    assert all(torch.equal(*pair) for pair in zip(results(cell, recomputed, x_BTD, state), expected, strict=True))


def test_frozen_weights_get_no_gradients() -> None:
    cell = build("none")
    x_BTD, state = chunk(cell)
    in_c(cell)(x_BTD, state)[0].sum().backward()
    expected_G = cell.bias_G.grad
    assert expected_G is not None
    cell.requires_grad_(False).zero_grad()
    cell.bias_G.requires_grad_(True)
    in_c(cell)(x_BTD, state)[0].sum().backward()
    assert cell.bias_G.grad is not None
    assert torch.equal(cell.bias_G.grad, expected_G)
    assert cell.recurrent_weight_GH.grad is None


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_what_is_not_a_number_stays_seen(norm: str) -> None:
    cell = build(norm)
    x_BTD, state = chunk(cell)
    x_BTD[1, 3, 2] = float("nan")
    output_BTH, _ = in_c(cell)(x_BTD, state)
    assert output_BTH[1, 3:].isnan().all()
    assert not output_BTH[1, :3].isnan().any()
    assert not output_BTH[torch.arange(B) != 1].isnan().any()


def test_what_it_runs() -> None:
    cell = build()
    assert supports_lstm_in_c(cell)
    assert lstm_chunk_fits(cell, chunk(cell)[0])
    assert not lstm_chunk_fits(cell, chunk(cell, batch_size=7)[0])
    assert not lstm_chunk_fits(cell, chunk(cell, num_steps=1)[0])
    assert not lstm_chunk_fits(copy.deepcopy(cell).double(), chunk(cell)[0].double())
    for other in (build(hidden_size=63), build("batch"), make("lstm-mogrifier"), make("gru")):
        assert not supports_lstm_in_c(other)


def test_the_backend_chooses_it() -> None:
    cell = build("none")
    x_BTD, state = chunk(cell)
    weights = cell.prepare(None)
    expected_BTH, _ = unroll_lstm_in_c(cell, x_BTD, state, weights)
    for requested, is_chosen in (("auto", True), ("fused", True), ("torch", False), ("plain", False)):
        backend = Backend(cell, requested)
        found_BTH, _ = backend.run(cell, x_BTD, state, weights)
        assert torch.equal(found_BTH, expected_BTH) == is_chosen
        assert (backend.name_for(CPU) == "fused") == is_chosen
    with torch.autocast("cpu", torch.float16):
        assert Backend(cell, "auto").name_for(CPU) == "torch"
