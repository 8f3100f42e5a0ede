"""The states of lanes that are scored together, and which lanes must be scored again from another state.

Each lane's state after its warm-up is compared with the state at the end of the lane before.

B lanes, N elements of a tensor of the state.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from charlm.device import Precision
from charlm.nn.state import State

STATE_TOLERANCES: dict[Precision, float] = {"fp32": 1e-3, "bf16": 3e-2}
"""Relative to 1 + the element. A number in bf16 has 8 bits, so equal texts leave states that differ by some 0.005."""
_NUM_ALWAYS_KEPT = 8  # chunks


@dataclass(frozen=True)
class LaneStates:
    """The states of all lanes at the start of scoring, at the end, and after some numbers of scored tokens.

    `end_state` is None where scoring stopped because all lanes reached a state that they had before.
    """

    start_state: State
    end_state: State | None
    states_at: dict[int, State]

    def with_rescored(self, rows: npt.NDArray[np.intp], rescored: "LaneStates") -> "LaneStates":
        """These states, with those of some rows replaced after they were scored again."""
        states_at = self.states_at | {
            time: _replace_rows(self.states_at[time], rows, state) for time, state in rescored.states_at.items()
        }
        end_state = (
            self.end_state
            if rescored.end_state is None or self.end_state is None
            else _replace_rows(self.end_state, rows, rescored.end_state)
        )
        return LaneStates(_replace_rows(self.start_state, rows, rescored.start_state), end_state, states_at)


def should_keep(chunk: int) -> bool:
    """Whether to keep the states after so many chunks: after each of the first 8, then after every power of 2."""
    return chunk <= _NUM_ALWAYS_KEPT or chunk & (chunk - 1) == 0


def find_mismatched_lanes(lane_states: LaneStates, precision: Precision) -> npt.NDArray[np.intp]:
    """The lanes whose start differs from the end of the lane before; of neighbours only the first one."""
    end_state = lane_states.end_state or ()
    is_mismatched = np.zeros(len(end_state[0]) if end_state else 0, dtype=np.bool_)
    if len(is_mismatched) > 1:
        is_mismatched[1:] = rows_differ(
            tuple(tensor[:-1] for tensor in end_state),
            tuple(tensor[1:] for tensor in lane_states.start_state),
            precision,
        )
    is_mismatched[1:] &= ~is_mismatched[:-1]
    return np.flatnonzero(is_mismatched)


def rows_differ(expected: State, found: State, precision: Precision) -> npt.NDArray[np.bool_]:
    """The rows in which two states differ by more than the tolerance of the precision."""
    tolerance = STATE_TOLERANCES[precision]
    is_mismatched = np.zeros(len(expected[0]) if expected else 0, dtype=np.bool_)
    for one, other in zip(expected, found, strict=True):
        if one.is_floating_point():
            one_BN, other_BN = one.reshape(len(is_mismatched), -1), other.reshape(len(is_mismatched), -1)
            is_mismatched |= ((one_BN - other_BN).abs() > tolerance * (1 + one_BN.abs())).any(1).cpu().numpy()
    return is_mismatched


def select_rows(state: State, rows: npt.NDArray[np.intp]) -> State:
    return tuple(tensor[rows] for tensor in state)


@torch.inference_mode()
def _replace_rows(state: State, rows: npt.NDArray[np.intp], new: State) -> State:
    """Return `state` with some rows replaced."""
    indices = torch.from_numpy(rows)
    return tuple(old.index_copy(0, indices.to(old.device), own) for old, own in zip(state, new, strict=True))
