"""Stride: a layer steps at every s-th token and holds its output in between.

    tokens   a b c d e f g        s = 3:   steps at a, d, g
    output   A A A D D D G                 phase 0 1 2 0 1 2 0: a layer steps in phase 0

The layer reads only the tokens at which it steps. Rows may differ in phase, since they are reset independently.

B batch, T time, D inputs, H hidden.
"""

import torch
from torch import Tensor

from charlm.nn.state import ForwardFn, State


def initial_strided_state(state: State, hidden_size: int, batch_size: int, stride: int) -> State:
    """Return the layer's state; with a stride, followed by held_BH and phase_B."""
    if stride == 1:
        return state
    output_BH = state[0].new_zeros(batch_size, hidden_size)
    return *state, output_BH, torch.zeros(batch_size, dtype=torch.int64, device=output_BH.device)


def run_strided(run: ForwardFn, stride: int, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
    """Run the layer over the tokens at which each row steps."""
    if stride == 1:
        return run(x_BTD, state)
    phase_B = state[-1]
    phases = phase_B.unique().tolist() or [0]  # the batch may have no rows
    if len(phases) == 1:
        return _run_phase(run, stride, phases[0], x_BTD, state)
    rows_of = [(phase_B == phase).nonzero()[:, 0] for phase in phases]
    outputs: list[Tensor] = []
    states: list[State] = []
    for phase, rows in zip(phases, rows_of, strict=True):
        output, next_state = _run_phase(run, stride, phase, x_BTD[rows], tuple(tensor[rows] for tensor in state))
        outputs.append(output)
        states.append(next_state)
    inverse_order = torch.cat(rows_of).argsort()
    return torch.cat(outputs)[inverse_order], tuple(
        torch.cat(tensors)[inverse_order] for tensors in zip(*states, strict=True)
    )


def _run_phase(run: ForwardFn, stride: int, phase: int, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
    *inner, held_BH, phase_B = state
    num_steps = x_BTD.shape[1]
    first_step = min(-phase % stride, num_steps)  # tokens before the next step
    output, next_state = run(x_BTD[:, first_step::stride], tuple(inner))
    stepped = output.repeat_interleave(stride, dim=1)[:, : num_steps - first_step]
    output_BTH = torch.cat([held_BH[:, None].expand(-1, first_step, -1).to(output.dtype), stepped], dim=1)
    if num_steps:
        held_BH = output_BTH[:, -1].to(held_BH.dtype)
    return output_BTH, (*next_state, held_BH, (phase_B + num_steps) % stride)
