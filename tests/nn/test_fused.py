"""The fused unrolls compared with the plain steps: outputs, states, gradients, running averages, for each backend.

B batch, T time, D inputs, H hidden.
"""

import importlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from charlm import c_library
from charlm.errors import SettingsError
from charlm.nn.cells.base import Cell, CellOptions, unroll
from charlm.nn.cells.rnn import RNNCell
from charlm.nn.fused import compiled, steps
from charlm.nn.fused.backend import Backend, fused_fits, fused_unroll
from charlm.nn.fused.lstm import lstm_gates
from charlm.nn.fused.norm_kernels import (
    batch_norm,
    batch_norm_backward,
    gain_gradient,
    layer_norm,
    layer_norm_backward,
)
from charlm.nn.fused.rnn import rnn
from charlm.nn.state import State
from tests.nn.cells import (
    CELLS,
    EVERY_CELL_AND_NORM,
    FAST,
    NORMS,
    B,
    D,
    ForwardFn,
    H,
    L,
    inputs,
    make,
    randomised,
    results,
)

FUSED = [(cell, norm) for cell, norm in EVERY_CELL_AND_NORM if fused_unroll(make(cell, norm)) is not None]
NOISY: dict[str, dict[str, Any]] = {
    "weight-drop": {"weight_drop": 0.4},
    "zoneout": {"zoneout": 0.3, "zoneout_hidden": 0.2},
    "recurrent-dropout": {"recurrent_dropout": 0.4},
    "everything": {"weight_drop": 0.4, "zoneout": 0.3, "zoneout_hidden": 0.2, "recurrent_dropout": 0.4},
}


def fused(cell: Cell, generator: torch.Generator | None = None) -> ForwardFn:
    run = fused_unroll(cell)
    assert run is not None
    return lambda x_BTD, state: run(cell, x_BTD, state, cell.prepare(generator))


def noisy_cell(name: str, noise: str) -> Cell:
    """Return a cell with layer norm and noise, without the recurrent dropout that a fused unroll does not have."""
    cell = CELLS[name](D, H, CellOptions(norms=NORMS["layer"], **NOISY[noise]))
    if fused_unroll(cell) is not None:
        return cell
    return CELLS[name](D, H, replace(cell.options, recurrent_dropout=0.0))


def state_of(cell: Cell, step: int) -> State:
    """Return a random state with all rows at one step."""
    generator = torch.Generator().manual_seed(2)
    return tuple(
        torch.randn(tensor.shape, generator=generator, dtype=torch.float64) * 0.3
        if tensor.is_floating_point()
        else tensor + step
        for tensor in cell.initial_state(B)
    )


def assert_same(cell: Cell, run: Callable[[Cell], ForwardFn], x_BTD: Tensor, state: State, tolerance: float) -> None:
    """Compare with a tolerance relative to each tensor's largest element, if that exceeds 1."""
    start = {name: buffer.clone() for name, buffer in cell.named_buffers()}

    def everything(unrolled: Callable[[Cell], ForwardFn]) -> list[Tensor]:
        cell.load_state_dict(start, strict=False)
        found = results(cell, unrolled(cell), x_BTD, state)
        return [*found, *(buffer.clone() for buffer in cell.buffers())]

    expected = everything(lambda cell: lambda x, s: unroll(cell, x, s, cell.prepare(seeded() if noisy(cell) else None)))
    for mine, plain in zip(everything(run), expected, strict=True):
        scale = max(1.0, float(plain.abs().max())) if plain.numel() else 1.0
        torch.testing.assert_close(mine / scale, plain / scale, rtol=0, atol=tolerance)


def noisy(cell: Cell) -> bool:
    options = cell.options
    return cell.training and any((options.weight_drop, options.zoneout, options.recurrent_dropout))


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.fixture(params=["compiled", "eager", "triton"])
def passes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Choose a backend. Triton's kernels run in its interpreter, on CPU tensors."""
    if request.param == "triton":
        pytest.importorskip("triton", reason="no Triton here")
        if os.environ.get("TRITON_INTERPRET") != "1":
            pytest.skip("test_fused_on_gpu.py compares the kernels themselves")
        kernels = importlib.import_module("charlm.nn.fused.triton_kernels")
        monkeypatch.setattr(steps, "load_triton_kernels", lambda _: kernels)
    if request.param != "compiled":
        monkeypatch.setattr(steps, "load_compiled_library", lambda: None)
    elif compiled.load_compiled_library() is None:
        pytest.skip("no C compiler here")
    return request.param


@pytest.mark.parametrize(
    ("name", "norm", "training"),
    [(*case, training) for case in FUSED for training in (True, False) if training or case[1] != "batch"],
)
@pytest.mark.parametrize("num_steps", [1, 2, 7])
def test_fused_is_plain_in_float64(name: str, norm: str, num_steps: int, training: bool) -> None:
    cell = make(name, norm).train(training)
    assert_same(cell, fused, inputs(num_steps=num_steps), state_of(cell, 1), 1e-10)


@pytest.mark.parametrize(("name", "norm"), FUSED)
@pytest.mark.parametrize("start", [0, L - 2, L + 3])
def test_fused_is_plain_in_float32(name: str, norm: str, start: int, passes: str) -> None:
    """With sizes that are no multiple of a vector length or a block, and deviations far from zero.

    Gradients through the statistics of a batch are differences of large numbers. Relative to the largest, the plain
    steps differ from float64 by 4e-6, and the fused unrolls by 1e-5.
    """
    cell = randomised(CELLS[name](29, 77, CellOptions(norms=NORMS[norm]))).float().train()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.mul_(0.15)
    generator = torch.Generator().manual_seed(1)
    x_BTD = torch.randn(37, 9, 29, generator=generator)
    state = tuple(
        torch.randn(tensor.shape, generator=generator) * 0.3 if tensor.is_floating_point() else tensor + start
        for tensor in cell.initial_state(37)
    )
    assert steps.kernels_for(x_BTD).name == passes
    assert_same(cell, fused, x_BTD, state, 2e-5 if norm == "batch" else 1e-5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("noise", NOISY)
@pytest.mark.parametrize("name", FAST)
def test_noise_is_that_of_the_plain_steps(name: str, noise: str, training: bool) -> None:
    cell = randomised(noisy_cell(name, noise)).train(training)
    generator = seeded if training else lambda: None
    assert_same(cell, lambda cell: fused(cell, generator()), inputs(), state_of(cell, 0), 1e-10)


@pytest.mark.parametrize("name", FAST)
def test_noise_in_float32(name: str, passes: str) -> None:
    cell = randomised(noisy_cell(name, "everything")).float().train()
    x_BTD, state = inputs().float(), tuple(tensor.float() for tensor in state_of(cell, 0))
    assert steps.kernels_for(x_BTD).name == passes
    assert_same(cell, lambda cell: fused(cell, seeded()), x_BTD, state, 1e-5)


def test_what_is_not_fused() -> None:
    fused_cells = {name for name in CELLS if fused_unroll(make(name)) is not None}
    assert fused_cells == {*FAST}, "correct FAST in tests/nn/cells.py, or fused_unroll in charlm/nn/fused/backend.py"
    assert {norm for norm in NORMS if fused_unroll(make("lstm", norm)) is None} == {"batch-per-step"}
    assert fused_unroll(RNNCell(D, H, CellOptions(recurrent_dropout=0.1))) is None


def test_numbers_do_not_depend_on_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    library = compiled.load_compiled_library()
    if library is None:
        pytest.skip("no C compiler here")
    monkeypatch.setattr(compiled, "_MIN_ELEMENTS_FOR_THREADS", 0)
    passes = compiled.CompiledKernels(library)
    generator = torch.Generator().manual_seed(0)
    x_BG, y_BG = torch.randn(2, 33, 280, generator=generator)
    gain_G, cell_BH = torch.randn(280, generator=generator), torch.randn(33, 70, generator=generator)

    def everything(threads: int) -> list[Tensor]:
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        rows_BG, columns_BG, gates_BG, *dx = x_BG.clone(), x_BG.clone(), *torch.zeros(3, 33, 280)
        rstd_B, *statistics = torch.zeros(33), *torch.zeros(4, 280)
        after_BH = torch.zeros(33, 70)
        passes.run(layer_norm, rows_BG, 1e-5, rstd_B)
        passes.run(layer_norm_backward, y_BG, gain_G, rows_BG, rstd_B, dx[0])
        passes.run(batch_norm, columns_BG, 1e-5, *statistics[:3])
        passes.run(batch_norm_backward, y_BG, gain_G, columns_BG, statistics[0], dx[1])
        passes.run(gain_gradient, y_BG, rows_BG, statistics[3])
        passes.run(lstm_gates, False, x_BG, y_BG, gain_G, cell_BH, None, gates_BG, after_BH)
        return [rows_BG, columns_BG, gates_BG, *dx, rstd_B, *statistics, after_BH]

    alone = everything(1)
    assert all(tensor.any() for tensor in alone)
    for threads in (2, 5):
        assert all(torch.equal(one, other) for one, other in zip(alone, everything(threads), strict=True))


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
def test_what_is_not_a_number_stays_seen(name: str, norm: str, passes: str) -> None:
    cell = make(name, norm).float().train()
    x_BTD = inputs().float()
    x_BTD[1, 3, 2] = float("nan")
    output_BTH, _ = fused(cell)(x_BTD, tuple(t.float() if t.is_floating_point() else t for t in state_of(cell, 0)))
    assert output_BTH[1, 3:].isnan().any()
    assert not output_BTH[:, :3].isnan().any()
    assert steps.kernels_for(x_BTD).name == passes


@pytest.mark.parametrize("name", FAST)
def test_bf16_products_differ_by_their_rounding_alone(name: str) -> None:
    cell = make(name, "layer").float().train()
    x_BTD, state = inputs().float(), tuple(tensor.float() for tensor in state_of(cell, 0))
    exact, _ = fused(cell)(x_BTD, state)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, after = fused(cell)(x_BTD, state)
    assert all(tensor.dtype == torch.float32 for tensor in (rounded, *after))
    torch.testing.assert_close(rounded, exact, rtol=0, atol=0.06)
    assert not torch.equal(rounded, exact)


def test_rows_at_different_steps_are_not_fused_with_batch_norm() -> None:
    cell = make("lstm", "batch").train()
    *floats, steps_B = state_of(cell, 0)
    x_BTD = inputs()
    assert fused_fits(cell, x_BTD, (*floats, steps_B))
    assert not fused_fits(cell, x_BTD, (*floats, steps_B + torch.tensor([0, 1, 0])))
    assert not fused_fits(cell.eval(), x_BTD, (*floats, steps_B))
    cell.train()
    mixed = (*floats, steps_B + torch.tensor([0, 1, 0]))
    found, _ = Backend(cell, "fused").run(cell, x_BTD, mixed, cell.prepare(None))
    torch.testing.assert_close(found, unroll(cell, x_BTD, mixed, cell.prepare(None))[0])


# ---- the compiler


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Start with an empty cache, as if nothing had been compiled yet."""
    monkeypatch.setenv("CHARLM_CACHE", str(tmp_path / "cache"))
    compiled.load_compiled_library.cache_clear()
    yield
    compiled.load_compiled_library.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_what_is_compiled_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    if compiled.load_compiled_library() is None:
        pytest.skip("no C compiler here")
    compiled.load_compiled_library.cache_clear()

    def refuse(*arguments: Any, **keywords: Any) -> Any:
        raise AssertionError("compiled again")

    monkeypatch.setattr(c_library, "run_programs", refuse)
    assert compiled.load_compiled_library() is not None


@pytest.mark.usefixtures("fresh")
def test_without_a_compiler_torch_does_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compiled.load_compiled_library() is None
    assert steps.kernels_for(torch.zeros(1)).name == "eager"


@pytest.mark.usefixtures("fresh")
def test_a_compiler_that_fails_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compiled.load_compiled_library() is None


@pytest.mark.usefixtures("fresh")
def test_compiling_can_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARLM_COMPILE", "0")
    assert compiled.load_compiled_library() is None


def test_what_fits_first_runs() -> None:
    """The fastest unroll that can run a cell comes first."""
    cell = make("lstm").float()
    backend = Backend(cell, "auto")
    assert backend.name_for(torch.device("cpu")) == "torch"
    assert Backend(make("gru"), "auto").name_for(torch.device("cpu")) == "fused"
    assert Backend(make("gru"), "auto").name_for(torch.device("cuda")) == "torch"
    assert Backend(make("lstm-mogrifier"), "auto").name_for(torch.device("cpu")) == "plain"
    assert Backend(make("lstm", "layer"), "auto").name_for(torch.device("cuda")) == "fused"
    with pytest.raises(SettingsError, match='backend = "torch" cannot run this cell'):
        Backend(make("lstm", "layer"), "torch")


def test_tanh_keeps_the_digits_of_small_numbers(passes: str) -> None:
    x_BH = torch.logspace(-8, 1, 200)[None].repeat(2, 1)
    zeros_BH, found_BH = torch.zeros_like(x_BH), torch.empty_like(x_BH)
    steps.kernels_for(x_BH).run(rnn, False, x_BH, zeros_BH, None, found_BH)
    torch.testing.assert_close(found_BH, x_BH.double().tanh().float(), rtol=1e-5, atol=0)
    assert steps.kernels_for(x_BH).name == passes
