"""Rows read in segments of time whose activations are recomputed in the backward pass (Chen et al., 2016).

    x ──> segment 1 ──state──> segment 2 ──state──> ...       kept: inputs, features, and the state between segments

B batch, T time, D inputs, H features.
"""

from typing import cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from charlm.nn.bodies.base import Body
from charlm.nn.dropout import NoiseRNG
from charlm.nn.state import State


def read_rows_in_segments(body: Body, x_BTD: Tensor, lengths_B: Tensor, rng: NoiseRNG, max_len: int | None) -> Tensor:
    """Return the features of rows that a causal body reads from its initial state.

    Args:
        rng: the noise of the body. A segment draws masks of its own, and the same ones when it is recomputed.
        max_len: the length of a segment; None keeps all activations.
    """
    state = body.initial_state(len(x_BTD))
    if max_len is None or x_BTD.shape[1] <= max_len or not torch.is_grad_enabled():
        return body.read_rows(x_BTD, state, lengths_B)[0]
    generator = rng.generator(x_BTD.device)

    def read(x_BSD: Tensor, state: State, lengths_B: Tensor, noise: Tensor) -> tuple[Tensor, State]:
        generator.set_state(noise)
        return body.read_rows(x_BSD, state, lengths_B)

    features: list[Tensor] = []
    for start in range(0, x_BTD.shape[1], max_len):
        x_BSD = x_BTD[:, start : start + max_len]
        lengths = (lengths_B - start).clamp(min=0, max=x_BSD.shape[1])
        read_again = checkpoint(
            read, x_BSD, state, lengths, generator.get_state(), use_reentrant=False, preserve_rng_state=False
        )
        features_BSH, state = cast("tuple[Tensor, State]", read_again)
        features.append(features_BSH)
    return torch.cat(features, dim=1)
