"""Dilated and strided layers compared with interleaved undilated layers, and with loops over single tokens.

B batch, T time, D inputs, H hidden, d slots, L steps with statistics of their own.
"""

import itertools
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from charlm.nn.bodies.dilation import initial_dilated_state, run_dilated
from charlm.nn.bodies.recurrent import RecurrentLayer
from charlm.nn.bodies.stride import run_strided
from charlm.nn.cells.base import Cell
from charlm.nn.dropout import NoiseRNG
from charlm.nn.fused.backend import Backend
from charlm.nn.state import State
from tests.nn.cells import (
    EVERY_CELL_AND_NORM,
    B,
    ForwardFn,
    H,
    assert_equal,
    fast_backends,
    inputs,
    make,
    plain,
    random_like,
    results,
)

MAX_STEPS = 11
every_cell_and_norm = pytest.mark.parametrize(("cell", "norm"), EVERY_CELL_AND_NORM)
SPLITS = [(0, 11), (1,) * 11, (3, 1, 0, 5, 2), (2, 2, 7), (10, 1)]


def fed_in_chunks(run: ForwardFn, x_BTD: Tensor, state: State, lengths: Sequence[int]) -> tuple[Tensor, State]:
    pieces: list[Tensor] = []
    for chunk_BTD in x_BTD.split(list(lengths), dim=1):
        output, state = run(chunk_BTD, state)
        pieces.append(output)
    return torch.cat(pieces, dim=1), state


def layer_of(cell: Cell, dilation: int = 1, stride: int = 1, *, backend: str = "plain") -> RecurrentLayer:
    return RecurrentLayer(cell, Backend(cell, backend), NoiseRNG(), dilation=dilation, stride=stride).eval()


def state_of(layer: RecurrentLayer, seed: int = 2) -> State:
    """Return a random state with a valid phase in each row."""
    state = random_like(layer.initial_state(B), seed)
    if layer.stride == 1:
        return state
    return *state[:-1], torch.tensor([0, layer.stride - 1, 1]) % layer.stride


def close(found: tuple[Tensor, State], expected: tuple[Tensor, State]) -> None:
    assert_equal([found[0], *found[1]], [expected[0], *expected[1]], 1e-9)


# ---- dilation


def interleaved(cell: Cell, dilation: int, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
    """Run each slot without dilation, over every d-th token. The next slot comes first in the state."""
    output_BTH = x_BTD.new_zeros(B, x_BTD.shape[1], H)
    after: list[State] = []
    for k in range(dilation):
        output_BTH[:, k::dilation], last = plain(cell)(x_BTD[:, k::dilation], tuple(each[:, k] for each in state))
        after.append(last)
    next_slot = x_BTD.shape[1] % dilation
    in_turn = after[next_slot:] + after[:next_slot]
    return output_BTH, tuple(torch.stack(tensors, dim=1) for tensors in zip(*in_turn, strict=True))


def dilated(cell: Cell, dilation: int) -> ForwardFn:
    return lambda x_BTD, state: run_dilated(plain(cell), dilation, x_BTD, state)


@every_cell_and_norm
def test_a_dilated_cell_is_interleaved_undilated_ones(cell: str, norm: str) -> None:
    dilation = 3
    mine = make(cell, norm)
    state = random_like(initial_dilated_state(mine.initial_state, B, dilation))
    x_BTD = inputs(num_steps=MAX_STEPS)
    expected = results(mine, lambda x, s: interleaved(mine, dilation, x, s), x_BTD, state)
    assert_equal(results(mine, dilated(mine, dilation), x_BTD, state), expected, 1e-9)


@pytest.mark.parametrize("num_steps", range(MAX_STEPS + 1))
@pytest.mark.parametrize("dilation", [2, 3, 4, 5])
def test_dilation_takes_chunks_of_any_length(dilation: int, num_steps: int) -> None:
    for cell, norm in (("lstm", "none"), ("gru", "batch")):
        mine = make(cell, norm)
        state = random_like(initial_dilated_state(mine.initial_state, B, dilation))
        x_BTD = inputs(num_steps=num_steps)
        expected = interleaved(mine, dilation, x_BTD, state)
        close(dilated(mine, dilation)(x_BTD, state), expected)
        for cut in range(num_steps + 1):
            close(fed_in_chunks(dilated(mine, dilation), x_BTD, state, (cut, num_steps - cut)), expected)


def test_dilation_1_is_no_dilation() -> None:
    mine = make("lstm", "batch")
    state = initial_dilated_state(mine.initial_state, B, 1)
    assert_equal([*state], [*mine.initial_state(B)], 0)
    close(dilated(mine, 1)(inputs(), state), plain(mine)(inputs(), state))


# ---- strides, alone and with dilation


def token_by_token(layer: RecurrentLayer, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
    """Run each row by itself: in phase 0, the slot at the front of the queue takes a step and goes to its end; in any
    other phase, the last output is held."""
    outputs: list[Tensor] = []
    after: list[State] = []
    for b in range(len(x_BTD)):
        row = [tensor[b] for tensor in state]
        phase, held_H = (int(row.pop()), row.pop()) if layer.stride > 1 else (0, torch.zeros(H))
        queue = [[tensor[k] for tensor in row] for k in range(layer.dilation)] if layer.dilation > 1 else [row]
        for x_D in x_BTD[b]:
            if phase == 0:
                output, stepped = plain(layer.cell)(x_D.view(1, 1, -1), tuple(each[None] for each in queue.pop(0)))
                queue.append([tensor[0] for tensor in stepped])
                held_H = output[0, 0]
            outputs.append(held_H)
            phase = (phase + 1) % layer.stride
        slots_of_row = [torch.stack(tensors) for tensors in zip(*queue, strict=True)]
        inner = slots_of_row if layer.dilation > 1 else [tensor[0] for tensor in slots_of_row]
        after.append((*inner, held_H, torch.tensor(phase)) if layer.stride > 1 else tuple(inner))
    output_BTH = torch.stack(outputs).view(B, -1, H) if outputs else x_BTD.new_zeros(B, 0, H)
    return output_BTH, tuple(torch.stack(tensors) for tensors in zip(*after, strict=True))


@every_cell_and_norm
def test_a_layer_steps_by_its_phase_and_holds_between(cell: str, norm: str) -> None:
    layer = layer_of(make(cell, norm), dilation=2, stride=3)
    state, x_BTD = state_of(layer), inputs(num_steps=MAX_STEPS)
    expected = results(layer.cell, lambda x, s: token_by_token(layer, x, s), x_BTD, state)
    assert_equal(results(layer.cell, layer, x_BTD, state), expected, 1e-9)


@pytest.mark.parametrize("num_steps", range(MAX_STEPS + 1))
@pytest.mark.parametrize(("dilation", "stride"), [(1, 2), (1, 3), (1, 5), (1, 13), (2, 3), (5, 2)])
def test_a_strided_layer_takes_chunks_of_any_length(dilation: int, stride: int, num_steps: int) -> None:
    for cell, norm in (("lstm", "none"), ("gru", "batch")):
        layer = layer_of(make(cell, norm), dilation, stride)
        x_BTD = inputs(num_steps=num_steps)
        for state in (state_of(layer), layer.initial_state(B)):  # different phases, and one phase for all rows
            expected = token_by_token(layer, x_BTD, state)
            close(layer(x_BTD, state), expected)
            for cut in range(num_steps + 1):
                close(fed_in_chunks(layer, x_BTD, state, (cut, num_steps - cut)), expected)


@pytest.mark.parametrize(("dilation", "stride"), [(1, 1), (3, 1), (1, 3), (3, 2)])
@pytest.mark.parametrize("lengths", SPLITS)
def test_a_layer_takes_many_chunks(lengths: tuple[int, ...], dilation: int, stride: int) -> None:
    layer = layer_of(make("lstm", "layer"), dilation, stride)
    state, x_BTD = state_of(layer), inputs(num_steps=MAX_STEPS)
    close(fed_in_chunks(layer, x_BTD, state, lengths), layer(x_BTD, state))


@pytest.mark.parametrize(("cell", "backend"), fast_backends())
def test_every_backend_is_dilated_and_strided_alike(cell: str, backend: str) -> None:
    mine = make(cell)
    for dilation, stride in ((3, 1), (1, 2), (2, 3)):
        fast, slow = layer_of(mine, dilation, stride, backend=backend), layer_of(mine, dilation, stride)
        state, x_BTD = state_of(fast), inputs(num_steps=MAX_STEPS)
        close(fast(x_BTD, state), slow(x_BTD, state))


@pytest.mark.parametrize(("dilation", "stride"), [(1, 3), (3, 1), (3, 3)])
def test_an_empty_batch_has_an_empty_output(dilation: int, stride: int) -> None:
    layer = layer_of(make("lstm", "batch"), dilation, stride)
    state = layer.initial_state(0)
    output, after = layer(inputs(batch_size=0), state)
    assert output.shape == (0, inputs().shape[1], H)
    assert [tensor.shape for tensor in after] == [tensor.shape for tensor in state]


def test_stride_1_is_no_stride() -> None:
    mine = make("lstm", "batch")
    layer = layer_of(mine)
    state = layer.initial_state(B)
    assert_equal([*state], [*mine.initial_state(B)], 0)
    close(layer(inputs(), state), plain(mine)(inputs(), state))
    close(run_strided(plain(mine), 1, inputs(), state), plain(mine)(inputs(), state))


def test_a_layer_steps_first_at_its_first_token_and_has_nothing_before() -> None:
    for dilation, stride in itertools.product((1, 3), (2, 4)):
        layer = layer_of(make("gru"), dilation, stride)
        *inner, held_BH, phase_B = layer.initial_state(B)
        assert [tuple(tensor.shape) for tensor in inner] == [(B, H) if dilation == 1 else (B, dilation, H)]
        assert torch.equal(held_BH, torch.zeros(B, H, dtype=torch.float64))
        assert torch.equal(phase_B, torch.zeros(B, dtype=torch.int64))
        output_BTH, _ = layer(inputs(num_steps=9), layer.initial_state(B))
        steps = output_BTH[:, ::stride]
        assert torch.equal(output_BTH, steps.repeat_interleave(stride, dim=1)[:, :9])
        assert all(not torch.equal(one, other) for one, other in itertools.pairwise(steps.unbind(1)))
