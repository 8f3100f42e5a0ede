"""Noise inside cells: weight drop, recurrent dropout and zoneout, each tested by its effect on one step.

B batch, T time, D inputs, H hidden.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from charlm.nn.bodies.recurrent import RecurrentLayer
from charlm.nn.cells.base import Cell, CellOptions, unroll
from charlm.nn.cells.gru import GRUCell
from charlm.nn.cells.lstm import LSTMCell
from charlm.nn.cells.rnn import RNNCell
from charlm.nn.dropout import NoiseRNG
from charlm.nn.fused.backend import Backend
from charlm.nn.norm import NormFactory
from charlm.nn.state import State
from tests.nn.cells import CELLS, RECURRENT, D, assert_equal, fast_backends, plain, randomised, weight_name

ROWS, UNITS = 40, 50
SHARE = 0.3
NOISES = {
    "weight-drop": CellOptions(weight_drop=SHARE),
    "recurrent-dropout": CellOptions(recurrent_dropout=SHARE),
    "zoneout": CellOptions(zoneout=SHARE),
    "zoneout-hidden": CellOptions(zoneout_hidden=SHARE),
    "all": CellOptions(weight_drop=SHARE, recurrent_dropout=SHARE, zoneout=SHARE, zoneout_hidden=SHARE),
}
every_cell = pytest.mark.parametrize("cell", CELLS)


def applies(cell: str, noise: str) -> bool:
    """Whether a cell has a noise: h a zoneout of its own if it is not the memory, a recurrent matrix a weight drop."""
    return {"zoneout-hidden": cell.startswith("lstm"), "weight-drop": cell in RECURRENT}.get(noise, True)


def noisy(cell: str, options: CellOptions) -> Cell:
    return randomised(CELLS[cell](D, UNITS, options)).train()


def silent(cell: str) -> Cell:
    return noisy(cell, CellOptions())


def chunk(num_steps: int, seed: int = 1) -> Tensor:
    return torch.randn(ROWS, num_steps, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def state_of(cell: Cell) -> State:
    generator = torch.Generator().manual_seed(2)
    fresh = cell.initial_state(ROWS)
    return tuple(torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype) for tensor in fresh)


def seeded(seed: int) -> NoiseRNG:
    rng = NoiseRNG()
    rng.seed(seed, 0)
    return rng


def layer_of(cell: Cell, rng: NoiseRNG, backend: str = "plain") -> RecurrentLayer:
    return RecurrentLayer(cell, Backend(cell, backend), rng)


def generator(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def one_step(cell: Cell, x_BTD: Tensor, state: State, seed: int = 7) -> State:
    output_BTH, after = unroll(cell, x_BTD, state, cell.prepare(generator(seed)))
    torch.testing.assert_close(output_BTH[:, -1], after[0], rtol=0, atol=0)
    return tuple(tensor.detach() for tensor in after)


def share_of(drawn: Tensor, expected: float) -> None:
    """Check a frequency to within five standard deviations."""
    deviation = (expected * (1 - expected) / drawn.numel()) ** 0.5
    assert abs(float(drawn.double().mean()) - expected) < 5 * deviation


# ---- in general


@pytest.mark.parametrize(
    ("cell", "noise"), [(cell, noise) for cell in CELLS for noise in NOISES if applies(cell, noise)]
)
def test_equal_seeds_draw_equal_masks_and_others_others(cell: str, noise: str) -> None:
    rng = NoiseRNG()
    layer = layer_of(noisy(cell, NOISES[noise]), rng)
    x_BTD, state = chunk(3), state_of(layer.cell)

    def outputs(seed: int) -> tuple[Tensor, Tensor]:
        rng.seed(seed, 0)
        return layer(x_BTD, state)[0].detach(), layer(x_BTD, state)[0].detach()

    first, second = outputs(1)
    again, _ = outputs(1)
    other, _ = outputs(2)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, second), "each chunk draws new masks"


@pytest.mark.parametrize("noise", ["weight-drop", "recurrent-dropout"])
@every_cell
def test_evaluation_has_no_noise(cell: str, noise: str) -> None:
    layer, plain_cell = layer_of(noisy(cell, NOISES[noise]), NoiseRNG()).eval(), silent(cell)
    x_BTD, state = chunk(3), state_of(plain_cell)
    output, after = layer(x_BTD, state)
    expected, last = plain(plain_cell)(x_BTD, state)
    assert_equal([output, *after], [expected, *last], 1e-12)


@every_cell
def test_probability_0_is_no_noise_and_draws_nothing(cell: str) -> None:
    rng = NoiseRNG()
    layer, plain_cell = layer_of(silent(cell), rng), silent(cell)
    x_BTD, state = chunk(3), state_of(plain_cell)
    before = rng.generator(x_BTD.device).get_state()
    output, after = layer(x_BTD, state)
    expected, last = plain(plain_cell)(x_BTD, state)
    assert_equal([output, *after], [expected, *last], 1e-12)
    assert torch.equal(rng.generator(x_BTD.device).get_state(), before)


# ---- weight drop (Merity et al., 2018)


def recurrent_name(cell: str) -> str:
    return weight_name(CELLS[cell](D, UNITS), "recurrent")


def dropped(cell: Cell, name: str, seed: int) -> tuple[Any, Tensor]:
    """Return the weights of a chunk and the recurrent matrix, as a layer with this seed draws them."""
    weights = cell.prepare(seeded(seed).generator(torch.device("cpu")))
    return weights, getattr(weights, name.replace("_weight", "")).detach()


@pytest.mark.parametrize("cell", RECURRENT)
def test_weight_drop_is_on_recurrent_matrices_alone(cell: str) -> None:
    mine, name = noisy(cell, NOISES["weight-drop"]), recurrent_name(cell)
    weights, dropped_GH = dropped(mine, name, seed=0)
    weight_GH = mine.get_parameter(name).detach()
    gone = dropped_GH == 0
    share_of(gone, SHARE)
    torch.testing.assert_close(dropped_GH[~gone], weight_GH[~gone] / (1 - SHARE))
    for other, without in zip(weights, mine.prepare(None), strict=True):
        if isinstance(other, Tensor) and not torch.equal(other.detach(), dropped_GH):
            assert torch.equal(other, without)
    for matrix_HH in gone.split(UNITS):
        share_of(matrix_HH, SHARE)


@pytest.mark.parametrize(
    ("cell", "backend"),
    [
        *((cell, "plain") for cell in RECURRENT),
        *((cell, backend) for cell, backend in fast_backends() if cell in RECURRENT),
    ],
)
def test_one_mask_of_weight_drop_serves_a_whole_chunk(cell: str, backend: str) -> None:
    """Outputs are those of a cell with the dropped matrix; so are gradients, for the entries that were kept."""
    mine, name = noisy(cell, NOISES["weight-drop"]), recurrent_name(cell)
    _, dropped_GH = dropped(mine, name, seed=5)
    other = silent(cell)
    with torch.no_grad():
        other.get_parameter(name).copy_(dropped_GH)
    x_BTD, state = chunk(4), state_of(mine)
    output, _ = layer_of(mine, seeded(5), backend)(x_BTD, state)
    expected, _ = plain(other)(x_BTD, state)
    torch.testing.assert_close(output, expected, rtol=1e-9, atol=1e-9)
    (gradient,) = torch.autograd.grad(output.square().sum(), [mine.get_parameter(name)])
    (by_dropped,) = torch.autograd.grad(expected.square().sum(), [other.get_parameter(name)])
    kept = dropped_GH != 0
    assert torch.equal(gradient[~kept], torch.zeros_like(gradient[~kept]))
    torch.testing.assert_close(gradient[kept], by_dropped[kept] / (1 - SHARE), rtol=1e-7, atol=1e-7)


# ---- zoneout (Krueger et al., 2017)


@every_cell
def test_zoneout_keeps_the_old_memory_or_takes_the_new(cell: str) -> None:
    """Eq. 2 to 5: an LSTM computes its new h from the memory before zoneout."""
    options = CellOptions(zoneout=0.2, zoneout_hidden=0.4 if cell.startswith("lstm") else 0.0)
    mine = noisy(cell, options)
    x_BTD, before = chunk(1), state_of(mine)
    _, new = plain(silent(cell))(x_BTD, before)
    after = one_step(mine, x_BTD, before)
    shares = [0.4, 0.2] if cell.startswith("lstm") else [0.2]
    for found, old, fresh, share in zip(after, before, new, shares, strict=True):
        kept = found == old
        share_of(kept, share)
        torch.testing.assert_close(found[~kept], fresh.detach()[~kept])
    if cell.startswith("lstm"):
        kept_h, kept_c = (found == old for found, old in zip(after, before, strict=True))
        share_of(kept_h & kept_c, 0.4 * 0.2)


@every_cell
def test_zoneout_draws_anew_at_each_step(cell: str) -> None:
    mine = noisy(cell, CellOptions(zoneout=0.5))
    x_BTD, before = chunk(2), state_of(mine)
    source = generator()
    weights = mine.prepare(source)
    _, between = unroll(mine, x_BTD[:, :1], before, weights)
    _, after = unroll(mine, x_BTD[:, 1:], between, weights)
    assert_equal([*one_step(mine, x_BTD, before)], [tensor.detach() for tensor in after], 1e-12)
    first, second = between[-1] == before[-1], after[-1] == between[-1]
    share_of(first & second, 0.25)


@every_cell
def test_zoneout_takes_the_mean_in_evaluation(cell: str) -> None:
    is_lstm = cell.startswith("lstm")
    mine = noisy(cell, CellOptions(zoneout=0.2, zoneout_hidden=0.4 if is_lstm else 0.0))
    layer = layer_of(mine, NoiseRNG()).eval()
    x_BTD, state = chunk(3), state_of(mine)
    output_BTH, after = layer(x_BTD, state)
    shares = [0.4, 0.2] if is_lstm else [0.2]
    for t in range(x_BTD.shape[1]):
        _, new = plain(silent(cell))(x_BTD[:, t : t + 1], state)
        state = tuple(p * old + (1 - p) * each for p, old, each in zip(shares, state, new, strict=True))
        torch.testing.assert_close(output_BTH[:, t], state[0])
    assert_equal([*after], [*state], 1e-12)


def test_zoneout_leaves_the_clock_of_batch_normalisation_running() -> None:
    mine = noisy("lstm", CellOptions(norms=NormFactory("batch"), zoneout=0.9, zoneout_hidden=0.9))
    *_, steps_B = one_step(mine, chunk(3), mine.initial_state(ROWS))
    assert steps_B.tolist() == [3] * ROWS


# ---- recurrent dropout (Semeniuta et al., 2016)


@pytest.mark.parametrize("cell", ["lstm", "lstm-coupled"])
def test_recurrent_dropout_is_on_what_an_lstm_writes_and_never_on_its_memory(cell: str) -> None:
    """c_t = f * c_{t-1} + i * d(g), eq. 12: where the update is dropped, f * c_{t-1} remains."""
    mine = noisy(cell, NOISES["recurrent-dropout"])
    assert isinstance(mine, LSTMCell)
    x_BTD, (h, c) = chunk(1), state_of(mine)
    gates = (x_BTD[:, 0] @ mine.input_weight_GD.T + h @ mine.recurrent_weight_GH.T + mine.bias_G).detach()
    *i, f, g, o = gates.split(UNITS, dim=1)
    kept = f.sigmoid() * c
    written = (i[0].sigmoid() if i else 1 - f.sigmoid()) * g.tanh()
    new_h, new_c = one_step(mine, x_BTD, (h, c))
    share = ((new_c - kept) / written).round(decimals=6)
    share_of(share == 0, SHARE)
    torch.testing.assert_close(share.unique(), torch.tensor([0, 1 / (1 - SHARE)]).double(), rtol=0, atol=1e-5)
    torch.testing.assert_close(new_h, o.sigmoid() * new_c.tanh())


@pytest.mark.parametrize("cell", ["gru", "gru-before"])
def test_recurrent_dropout_is_on_a_gru_s_candidate(cell: str) -> None:
    """h_t = z * h_{t-1} + (1 - z) * d(n), eq. 13: the candidate is dropped or scaled, and the rest is unchanged."""
    mine = noisy(cell, NOISES["recurrent-dropout"])
    assert isinstance(mine, GRUCell)
    x_BTD, (h,) = chunk(1), state_of(mine)
    z_gate = slice(UNITS, 2 * UNITS)
    from_x = x_BTD[:, 0] @ mine.input_weight_GD[z_gate].T
    z = torch.sigmoid(from_x + h @ mine.recurrent_weight_GH[z_gate].T + mine.bias_G[z_gate]).detach()
    _, (new_h,) = plain(silent(cell))(x_BTD, (h,))
    written = new_h.detach() - z * h
    (found,) = one_step(mine, x_BTD, (h,))
    gone = torch.isclose(found, z * h, rtol=0, atol=1e-12)
    share_of(gone, SHARE)
    torch.testing.assert_close((found - z * h)[~gone], written[~gone] / (1 - SHARE))


def test_recurrent_dropout_is_on_what_w_reads_in_a_simple_cell() -> None:
    """If W is the identity, each unit shows whether its h_{t-1} was read."""
    mine = noisy("rnn-tanh", NOISES["recurrent-dropout"])
    assert isinstance(mine, RNNCell)
    with torch.no_grad():
        mine.recurrent_weight_HH.copy_(torch.eye(UNITS))
    x_BTD, (h,) = 0.1 * chunk(1), tuple(0.1 * each for each in state_of(mine))
    (found,) = one_step(mine, x_BTD, (h,))
    read = found.atanh() - (x_BTD[:, 0] @ mine.input_weight_HD.T + mine.bias_H).detach()
    gone = torch.isclose(read, torch.zeros_like(read), rtol=0, atol=1e-9)
    share_of(gone, SHARE)
    torch.testing.assert_close(read[~gone], h[~gone] / (1 - SHARE))


@every_cell
def test_recurrent_dropout_draws_anew_at_each_step(cell: str) -> None:
    """Two steps with one generator draw different masks, so equal states lead to different states."""
    mine = noisy(cell, NOISES["recurrent-dropout"])
    x_BTD, before = chunk(1).expand(-1, 2, -1), state_of(mine)
    weights = mine.prepare(generator())
    _, between = unroll(mine, x_BTD[:, :1], before, weights)
    _, after = unroll(mine, x_BTD[:, 1:], between, weights)
    assert_equal([*one_step(mine, x_BTD, before)], [tensor.detach() for tensor in after], 1e-12)
    weights = mine.prepare(generator())
    once, again = (unroll(mine, x_BTD[:, :1], before, weights)[1] for _ in range(2))
    assert not torch.equal(once[-1], again[-1])
