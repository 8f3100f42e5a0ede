"""Normalised cells compared with their papers' equations, and running averages computed by hand.

B batch, T time, D inputs, H hidden, G gates, L steps with statistics of their own.
"""

from collections import defaultdict

import pytest
import torch
from torch import Tensor, nn

from charlm.nn.cells.base import Cell, CellOptions
from charlm.nn.cells.lstm import LSTMCell
from charlm.nn.norm import BatchNorm, LayerNorm, NormFactory, WeightNorm, matrix_parameters
from tests.nn.cells import (
    CELLS,
    NORMS,
    B,
    D,
    H,
    L,
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
from tests.nn.norm_equations import (
    NORMALISED,
    Norm,
    batch_norm_in_evaluation,
    batch_norm_in_training,
    in_time,
    layer_norm,
)

# ---- equations


@pytest.mark.parametrize(
    ("norm", "training", "by_hand"),
    [
        ("layer", True, layer_norm),
        ("batch", True, batch_norm_in_training),
        ("batch-per-step", True, batch_norm_in_training),
        ("batch", False, batch_norm_in_evaluation),
        ("batch-per-step", False, batch_norm_in_evaluation),
    ],
)
@pytest.mark.parametrize("cell", NORMALISED)
def test_a_normalised_cell_is_its_equations(cell: str, norm: str, training: bool, by_hand: Norm) -> None:
    """Gradients go through the statistics too. Rows are at different steps, some of them above L."""
    mine = make(cell, norm).train(training)
    x_BTD, state = inputs(), random_state(mine)
    expected = results(mine, lambda x, s: in_time(cell, mine, by_hand, x, s), x_BTD, state)
    assert_equal(results(mine, plain(mine), x_BTD, state), expected, 1e-9)


@pytest.mark.parametrize("cell", EQUATIONS)
def test_a_weight_normalised_cell_is_its_equations(cell: str) -> None:
    mine = make(cell, "weight")
    assert any(isinstance(module, WeightNorm) for module in mine.modules())
    x_BTD, state = inputs(), random_state(mine)
    expected = results(mine, lambda x, s: row_by_row(mine, EQUATIONS[cell], x, s), x_BTD, state)
    assert_equal(results(mine, plain(mine), x_BTD, state), expected, 1e-9)


@pytest.mark.parametrize("cell", CELLS)
def test_weight_normalisation_starts_as_the_matrices_themselves(cell: str) -> None:
    torch.manual_seed(4)
    without = CELLS[cell](D, H)
    torch.manual_seed(4)
    mine = CELLS[cell](D, H, CellOptions(norms=NormFactory("weight")))  # the same seed, so the same matrices
    x_BTD, state = inputs().float(), mine.initial_state(B)
    output, after = plain(mine)(x_BTD, state)
    expected, last = plain(without)(x_BTD, state)
    assert_equal([output, *after], [expected, *last], 1e-6)
    mine.load_state_dict({name: 2 * value for name, value in without.state_dict().items()}, strict=False)
    for module, weight in scaled_weights(mine):
        torch.testing.assert_close(module(weight), weight / 2)  # the length of v does not matter


def scaled_weights(cell: Cell) -> list[tuple[nn.Module, Tensor]]:
    weights = [
        (scale, cell.get_parameter(weight_name(cell, name.removesuffix("_scale"))))
        for name, scale in cell.named_children()
        if name.endswith("_scale")
    ]
    rounds = cell.mogrifier if isinstance(cell, LSTMCell) else None
    extra = zip(rounds.scales, rounds.matrices, strict=True) if rounds is not None else ()
    return [*weights, *extra]


def test_a_row_of_zeros_stays_finite_under_weight_normalisation() -> None:
    weight = torch.zeros(2, 3, requires_grad=True)
    WeightNorm(weight)(weight).sum().backward()
    assert weight.grad is not None
    assert weight.grad.isfinite().all()


# ---- where gamma and beta start, and how many there are


@pytest.mark.parametrize(
    ("norms", "starts_at", "shape"),
    [
        (NormFactory("layer"), 1.0, ()),
        (NormFactory("layer", gain=0.7), 0.7, ()),
        (NormFactory("batch", num_steps=L), 0.1, (1,)),
        (NormFactory("batch", gain=0.7, num_steps=L), 0.7, (1,)),
        (NormFactory("batch", num_steps=L, per_step=True), 0.1, (L,)),
    ],
)
@pytest.mark.parametrize("cell", CELLS)
def test_gains_start_as_in_the_papers_and_biases_at_zero(
    cell: str, norms: NormFactory, starts_at: float, shape: tuple[int, ...]
) -> None:
    """A beta of a product would duplicate the cell's bias, unless each step has its own."""
    mine = CELLS[cell](D, H, CellOptions(norms=norms))
    found = {name: module for name, module in mine.named_modules() if isinstance(module, LayerNorm | BatchNorm)}
    assert {*found.values()} == norms_in_the_equations(cell, mine), "see NORMALISED in tests/nn/norm_equations.py"
    for name, module in found.items():
        gain = module.gain_G if isinstance(module, LayerNorm) else module.gain_LG
        bias = module.bias_G if isinstance(module, LayerNorm) else module.bias_LG
        assert gain.shape[:-1] == shape
        torch.testing.assert_close(gain.detach(), torch.full_like(gain, starts_at))
        assert (bias is not None) == (norms.per_step or name == "memory_norm")
        assert bias is None or torch.equal(bias, torch.zeros_like(gain))


def norms_in_the_equations(cell: str, mine: Cell) -> set[nn.Module]:
    """Return the norms that the equations of a cell apply."""
    found: set[nn.Module] = set()

    def note(module: nn.Module, rows: list[Tensor], steps: list[int]) -> list[Tensor]:
        del steps
        found.add(module)
        return rows

    in_time(cell, mine, note, inputs().float(), mine.initial_state(B))
    return found


def test_only_batch_normalisation_has_steps() -> None:
    one, many = (CELLS["lstm"](D, H, CellOptions(norms=NormFactory("layer", per_step=each))) for each in (False, True))
    assert [name for name, _ in one.named_parameters()] == [name for name, _ in many.named_parameters()]


# ---- running averages


@pytest.mark.parametrize("num_batches", [1, 2, 3])
@pytest.mark.parametrize("cell", NORMALISED)
def test_running_averages_are_those_by_hand(cell: str, num_batches: int) -> None:
    """They start as the first batch's statistics and move by a tenth per batch; steps from L on share the last."""
    mine = fresh_averages(cell).train()
    expected: dict[nn.Module, list[list[tuple[Tensor, Tensor]]]] = defaultdict(lambda: [[] for _ in range(L)])

    def noting(module: nn.Module, rows: list[Tensor], steps: list[int]) -> list[Tensor]:
        values = torch.stack(rows).detach()
        mean = values.sum(0) / B
        expected[module][min(steps[0], L - 1)].append((mean, ((values - mean) ** 2).sum(0) / B))
        return batch_norm_in_training(module, rows, steps)

    state = mine.initial_state(B)
    lengths = [2, L + 2, 2][:num_batches]  # step L - 1 gets no value, then three
    for number, num_steps in enumerate(lengths):
        x_BTD = inputs(seed=number, num_steps=num_steps)
        in_time(cell, mine, noting, x_BTD, state)
        plain(mine)(x_BTD, state)
    assert expected
    for module, steps in expected.items():
        assert isinstance(module, BatchNorm)
        for step, values in enumerate(steps):
            mean, variance = by_tenths(values) if values else (torch.zeros(1), torch.ones(1))
            torch.testing.assert_close(module.mean_LG[step], mean.double().expand_as(module.mean_LG[step]))
            torch.testing.assert_close(module.variance_LG[step], variance.double().expand_as(module.mean_LG[step]))


def fresh_averages(cell: str) -> Cell:
    mine = CELLS[cell](D, H, CellOptions(norms=NORMS["batch"])).double()
    buffers = {name: buffer.clone() for name, buffer in mine.named_buffers()}
    mine = randomised(mine)
    mine.load_state_dict(buffers, strict=False)
    return mine


def by_tenths(values: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    mean, variance = values[0]
    for next_mean, next_variance in values[1:]:
        mean, variance = 0.9 * mean + 0.1 * next_mean, 0.9 * variance + 0.1 * next_variance
    return mean, variance


def test_rows_of_different_steps_share_the_statistics_of_their_batch() -> None:
    norm = BatchNorm(2, L, bias=False, per_step=False).train()
    x_BG = torch.tensor([[1.0, 2.0], [3.0, 6.0], [5.0, 10.0]])
    norm(x_BG, (torch.tensor([0, 2, 2]),))
    assert norm.mean_LG.tolist() == [[3, 6], [0, 0], [3, 6], [0, 0]]
    torch.testing.assert_close(norm.variance_LG, torch.tensor([[8 / 3, 32 / 3], [1, 1], [8 / 3, 32 / 3], [1, 1]]))
    norm(x_BG + 10, (torch.tensor([0, 1, 9]),))
    torch.testing.assert_close(norm.mean_LG, torch.tensor([[4.0, 7.0], [13, 16], [3, 6], [13, 16]]))


@pytest.mark.parametrize("cell", NORMALISED)
def test_evaluation_changes_no_average(cell: str) -> None:
    mine = make(cell, "batch")
    before = {name: value.clone() for name, value in mine.state_dict().items()}
    plain(mine)(inputs(), random_state(mine))
    assert all(torch.equal(value, before[name]) for name, value in mine.state_dict().items())


def test_a_batch_of_one_row_or_none_stays_finite_in_training() -> None:
    mine = fresh_averages("lstm").train()
    for batch_size in (1, 0, 1):
        output, _ = plain(mine)(inputs(batch_size=batch_size, num_steps=T), mine.initial_state(batch_size))
        assert output.isfinite().all()
        assert all(buffer.isfinite().all() for buffer in mine.buffers())


@pytest.mark.parametrize("per_step", [False, True])
def test_steps_that_training_never_reached_use_the_last_that_it_did(per_step: bool) -> None:
    """If training saw 3 of 8 steps, evaluation uses the statistics of step 2 for step 5."""
    torch.manual_seed(0)
    norm = BatchNorm(4, 8, bias=True, per_step=per_step)
    for step in (0, 1, 2):
        norm(torch.randn(6, 4) * 3 + step, [torch.full((6,), step)])
    with torch.no_grad():
        norm.gain_LG.normal_()
    norm.eval()
    x_BG = torch.randn(2, 4)
    expected = norm(x_BG, [torch.tensor([2, 2])])
    for step in (3, 5, 7, 100):
        assert torch.equal(norm(x_BG, [torch.tensor([step, step])]), expected)
    assert not torch.equal(norm(x_BG, [torch.tensor([1, 1])]), expected)


def test_matrices_are_not_the_gains_of_time_steps() -> None:
    cell = LSTMCell(D, H, CellOptions(norms=NormFactory("batch", num_steps=L, per_step=True)))
    assert {id(p) for p in matrix_parameters(cell)} == {id(cell.input_weight_GD), id(cell.recurrent_weight_GH)}
