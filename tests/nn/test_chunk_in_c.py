"""LSTM and GRU in one call of C, compared with the plain steps in float64, and with themselves.

B batch, T time, D inputs, H hidden.
"""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from charlm.device import Precision, autocast
from charlm.errors import SettingsError
from charlm.nn.cells.base import Cell, CellOptions, unroll
from charlm.nn.fused.backend import Backend, fits_in_c, trains_in_c, unroll_in_c
from charlm.nn.fused.chunk_in_c import chunk_fits
from charlm.nn.fused.compiled import load_compiled_library
from charlm.nn.state import ForwardFn, State
from tests.nn.cells import CELLS, NORMS, L, make, projected, randomised, results, weight_name

B, T, D, H = 37, 6, 29, 77
"""No multiples of a vector, a tile or a block."""
IN_C = ("lstm", "lstm-coupled", "lstm-mogrifier", "gru", "gru-before")
ROUNDS_NOTHING = ("lstm", "lstm-coupled", "gru")
"""The cells that multiply inputs and states as they are."""
WITH_BATCH_NORM = ("lstm", "lstm-coupled", "gru", "gru-before")
"""The cells that train in C with batch normalisation too."""
NOISE: dict[str, dict[str, Any]] = {
    "quiet": {},
    "zoneout of the memory": {"zoneout": 0.3},
    "everything": {"weight_drop": 0.4, "zoneout": 0.3, "zoneout_hidden": 0.2, "recurrent_dropout": 0.4},
}
CPU = torch.device("cpu")

pytestmark = pytest.mark.skipif(load_compiled_library() is None, reason="no C compiler here")


def build(name: str, norm: str = "layer", *, noise: str = "quiet", hidden_size: int = H) -> Cell:
    cell = randomised(CELLS[name](D, hidden_size, CellOptions(norms=NORMS[norm], **NOISE[noise]))).float().train()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.mul_(0.3)
    return cell


def chunk(cell: Cell, batch_size: int = B, num_steps: int = T) -> tuple[Tensor, State]:
    generator = torch.Generator().manual_seed(1)
    x_BTD = torch.randn(batch_size, num_steps, D, generator=generator)
    state = cell.initial_state(batch_size)
    return x_BTD, tuple(
        torch.randn(each.shape, generator=generator) * 0.3 if each.is_floating_point() else each + 1 for each in state
    )


def in_c(cell: Cell, generator: torch.Generator | None = None) -> ForwardFn:
    run = unroll_in_c(cell)
    assert run is not None
    return lambda x_BTD, state: run(cell, x_BTD, state, cell.prepare(generator))


def seeded(cell: Cell) -> torch.Generator | None:
    return torch.Generator().manual_seed(7) if cell.training else None


CASES = [
    *((name, norm, training) for name in IN_C for norm in ("none", "layer", "weight") for training in (True, False)),
    *((name, "batch", True) for name in WITH_BATCH_NORM),
]


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize(("name", "norm", "training"), CASES)
def test_it_is_the_plain_unroll(name: str, norm: str, training: bool, noise: str) -> None:
    """Gradients through the statistics of a batch are differences of large numbers."""
    cell = build(name, norm, noise=noise).train(training)
    x_BTD, state = chunk(cell)
    exact = copy.deepcopy(cell).double()
    found = projected(cell, in_c(cell, seeded(cell)), x_BTD, state)
    expected = projected(
        exact, lambda x_BTD, state: unroll(exact, x_BTD, state, exact.prepare(seeded(exact))), x_BTD, state
    )
    for mine, plain in zip(found, expected, strict=True):
        scale = max(1.0, float(plain.abs().max()))
        tolerance = 2e-5 if norm == "batch" else 1e-5
        torch.testing.assert_close(mine.double() / scale, plain.double() / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("norm", ["batch", "batch-per-step"])
@pytest.mark.parametrize("start", [0, L - 2, L + 3])
@pytest.mark.parametrize("name", [name for name in IN_C if name != "lstm-mogrifier"])
def test_batch_norm_in_evaluation(name: str, start: int, norm: str) -> None:
    cell = build(name, norm, noise="zoneout of the memory").eval()
    x_BTD, (*floats, steps_B) = chunk(cell)
    state = *floats, torch.full_like(steps_B, start)
    exact = copy.deepcopy(cell).double()
    with torch.no_grad():
        assert fits_in_c(cell, x_BTD, state)
        found_BTH, last = Backend(cell, "auto").run(cell, x_BTD, state, cell.prepare(None))
        start_of_exact = tuple(each.double() if each.is_floating_point() else each for each in state)
        expected_BTH, end = unroll(exact, x_BTD.double(), start_of_exact, exact.prepare(None))
    for mine, plain in zip((found_BTH, *last), (expected_BTH, *end), strict=True):
        torch.testing.assert_close(mine.double(), plain.double(), rtol=0, atol=1e-5)


def test_batch_norm_in_evaluation_needs_rows_with_the_same_statistics() -> None:
    cell = build("lstm", "batch").eval()
    x_BTD, (*floats, steps_B) = chunk(cell)
    assert not fits_in_c(cell, x_BTD, (*floats, steps_B)), "with gradients"
    with torch.no_grad():
        assert fits_in_c(cell, x_BTD, (*floats, steps_B + torch.arange(B) + L)), "all later than the last statistics"
        assert not fits_in_c(cell, x_BTD, (*floats, torch.arange(B)))


@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("name", IN_C)
def test_bf16_rounds_the_factors_of_products_alone(name: str, norm: str) -> None:
    """With factors that bf16 holds exactly, forward is exact; backward, gradients are rounded before their products.

    What r or a Mogrifier has multiplied is no such number, and is rounded."""
    cell = build(name, norm)
    x_BTD, (hidden_BH, *memory) = chunk(cell, num_steps=2)
    with torch.no_grad():
        for weight in (x_BTD, *(cell.get_parameter(weight_name(cell, part)) for part in ("input", "recurrent"))):
            weight.copy_(weight.bfloat16())
    state = hidden_BH.bfloat16().float(), *memory
    exact = results(cell, in_c(cell), x_BTD, state)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = results(cell, in_c(cell), x_BTD, state)
        from_bf16, _ = in_c(cell)(x_BTD.bfloat16(), state)
    assert all(tensor.dtype == torch.float32 for tensor in rounded)
    torch.testing.assert_close(rounded[0][:, 0], exact[0][:, 0], rtol=0, atol=1e-5 if name in ROUNDS_NOTHING else 4e-3)
    assert torch.equal(from_bf16, rounded[0])
    for mine, other in zip(rounded, exact, strict=True):
        scale = max(1.0, float(other.abs().max()))
        assert 0 < float((mine - other).abs().max()) / scale < 0.02


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("name", "norm"),
    [*((name, norm) for name in IN_C for norm in ("none", "layer")), *((name, "batch") for name in WITH_BATCH_NORM)],
)
def test_numbers_do_not_depend_on_the_threads(
    name: str, norm: str, precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do the gradients of the weights, which are summed over all rows and steps."""
    cell = build(name, norm)
    x_BTD, state = chunk(cell, num_steps=50)

    def run(threads: int) -> list[Tensor]:
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        with autocast(precision, CPU):
            return results(cell, in_c(cell), x_BTD, state)

    alone = run(1)
    for threads in (2, 3, 8):
        assert all(torch.equal(one, other) for one, other in zip(alone, run(threads), strict=True))


@pytest.mark.parametrize("noise", ["quiet", "zoneout of the memory"])
@pytest.mark.parametrize("name", IN_C)
def test_chunks_and_rows_are_independent_to_the_bit(name: str, noise: str) -> None:
    cell = build(name, noise=noise).eval()
    x_BTD, state = chunk(cell)
    whole_BTH, last = in_c(cell)(x_BTD, state)
    first_BTH, middle = in_c(cell)(x_BTD[:, :2], state)
    second_BTH, end = in_c(cell)(x_BTD[:, 2:], middle)
    assert torch.equal(torch.cat([first_BTH, second_BTH], dim=1), whole_BTH)
    assert all(torch.equal(one, other) for one, other in zip(end, last, strict=True))
    some_BTH, _ = in_c(cell)(x_BTD[5:17], tuple(tensor[5:17] for tensor in state))
    assert torch.equal(some_BTH, whole_BTH[5:17])


@pytest.mark.parametrize("noise", ["quiet", "zoneout of the memory"])
@pytest.mark.parametrize("name", IN_C)
def test_without_gradients_it_keeps_no_steps(name: str, noise: str) -> None:
    cell = build(name, noise=noise).eval()
    x_BTD, state = chunk(cell)
    expected_BTH, last = in_c(cell)(x_BTD, state)
    with torch.no_grad():
        found_BTH, end = in_c(cell)(x_BTD, state)
    assert torch.equal(found_BTH, expected_BTH)
    assert all(torch.equal(one, other) for one, other in zip(end, last, strict=True))


@pytest.mark.parametrize("name", IN_C)
def test_steps_can_be_recomputed(name: str) -> None:
    cell = build(name)
    x_BTD, state = chunk(cell)

    def recomputed(x_BTD: Tensor, state: State) -> Any:
        return checkpoint(in_c(cell), x_BTD, state, use_reentrant=False)

    expected = results(cell, in_c(cell), x_BTD, state)
    assert all(torch.equal(*pair) for pair in zip(results(cell, recomputed, x_BTD, state), expected, strict=True))


@pytest.mark.parametrize("name", IN_C)
def test_frozen_weights_get_no_gradients(name: str) -> None:
    cell = build(name, "none")
    x_BTD, state = chunk(cell)
    in_c(cell)(x_BTD, state)[0].sum().backward()
    bias_G = cell.get_parameter("bias_G")
    expected_G = bias_G.grad
    assert expected_G is not None
    cell.requires_grad_(False).zero_grad()
    bias_G.requires_grad_(True)
    in_c(cell)(x_BTD, state)[0].sum().backward()
    assert bias_G.grad is not None
    assert torch.equal(bias_G.grad, expected_G)
    assert cell.get_parameter(weight_name(cell, "recurrent")).grad is None


@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("name", IN_C)
def test_what_is_not_a_number_stays_seen(name: str, norm: str) -> None:
    cell = build(name, norm)
    x_BTD, state = chunk(cell)
    x_BTD[1, 3, 2] = float("nan")
    output_BTH, _ = in_c(cell)(x_BTD, state)
    assert output_BTH[1, 3:].isnan().all()
    assert not output_BTH[1, :3].isnan().any()
    assert not output_BTH[torch.arange(B) != 1].isnan().any()


@pytest.mark.parametrize("name", IN_C)
def test_what_it_runs(name: str) -> None:
    cell = build(name)
    assert chunk_fits(cell, chunk(cell)[0])
    assert not chunk_fits(cell, chunk(cell, batch_size=7)[0])
    assert not chunk_fits(cell, chunk(cell, num_steps=1)[0])
    assert not chunk_fits(copy.deepcopy(cell).double(), chunk(cell)[0].double())
    assert unroll_in_c(build(name, hidden_size=63)) is None
    for norm, names in (("batch", WITH_BATCH_NORM), ("batch-per-step", ())):
        cell = build(name, norm)
        assert (unroll_in_c(cell) is not None and trains_in_c(cell)) == (name in names)


def test_other_cells_have_no_function_in_c() -> None:
    assert {name for name in CELLS if unroll_in_c(build(name)) is not None} == {*IN_C}
    assert unroll_in_c(make("lstm")) is None


@pytest.mark.parametrize("name", IN_C)
def test_the_backend_chooses_it(name: str) -> None:
    cell = build(name, "none")
    x_BTD, state = chunk(cell)
    expected_BTH, _ = in_c(cell)(x_BTD, state)
    for requested, is_chosen in (("auto", True), ("fused", True), ("torch", False), ("plain", False)):
        try:
            backend = Backend(cell, requested)
        except SettingsError:
            continue  # a variant without that backend
        found_BTH, _ = backend.run(cell, x_BTD, state, cell.prepare(None))
        assert torch.equal(found_BTH, expected_BTH) == is_chosen
        assert (backend.name_for(CPU) == "fused") == is_chosen


def test_other_precisions_run_elsewhere() -> None:
    with torch.autocast("cpu", torch.float16):
        assert Backend(build("lstm", "none"), "auto").name_for(CPU) == "torch"
        assert Backend(build("gru-before", "none"), "auto").name_for(CPU) == "plain"
