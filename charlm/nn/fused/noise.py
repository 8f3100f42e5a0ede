"""The random masks of a chunk, drawn before its steps, in the order in which the plain unroll draws them.

T time, B batch, H hidden.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from charlm.nn.cells.base import Cell, zoneout_probabilities
from charlm.nn.fused.saving import HoldsTensors
from charlm.nn.state import State


@dataclass
class NoiseMasks(HoldsTensors):
    """The masks of recurrent dropout, and the weights of the old value of each state tensor in zoneout."""

    dropout_masks_TBH: Tensor | None = None
    zoneout_weights: dict[int, Tensor | float] = field(default_factory=dict[int, Tensor | float])
    """By the index of the state tensor: masks T, B, H; in evaluation, the zoneout probability."""

    def dropout_mask(self, step: int) -> Tensor | None:
        return None if self.dropout_masks_TBH is None else self.dropout_masks_TBH[step]

    def apply_zoneout(self, step: int, index: int, before_BH: Tensor, after_BH: Tensor) -> None:
        """Mix the old value into the new value, in place."""
        weight = self._zoneout_weight(step, index)
        if weight is not None:
            torch.lerp(after_BH, before_BH, weight, out=after_BH)

    def apply_zoneout_backward(self, step: int, index: int, gradient_BH: Tensor) -> Tensor | None:
        """Turn the gradient of the mixture into that of the new value, in place; return that of the old value."""
        weight = self._zoneout_weight(step, index)
        if weight is None:
            return None
        d_before_BH = gradient_BH * weight
        gradient_BH -= d_before_BH
        return d_before_BH

    def _zoneout_weight(self, step: int, index: int) -> Tensor | float | None:
        weight = self.zoneout_weights.get(index)
        return weight[step] if isinstance(weight, Tensor) else weight


def draw_noise_masks(cell: Cell, state: State, num_steps: int, generator: torch.Generator | None) -> NoiseMasks:
    """Draw the masks of `num_steps` steps. Without a generator, return those of evaluation."""
    recurrent_dropout = cell.options.recurrent_dropout
    zoneout_weights = zoneout_probabilities(cell, state)
    if generator is None:
        return NoiseMasks(None, dict(zoneout_weights))
    like_BH = state[0]
    masks: dict[int, list[Tensor]] = {index: [] for index in zoneout_weights}
    dropout_masks: list[Tensor] = []
    keep_probability = 1 - recurrent_dropout
    for _ in range(num_steps if zoneout_weights or recurrent_dropout else 0):
        if recurrent_dropout:
            dropout_masks.append(
                torch.empty_like(like_BH).bernoulli_(keep_probability, generator=generator).div_(keep_probability)
            )
        for index, probability in zoneout_weights.items():
            masks[index].append(torch.empty_like(like_BH).bernoulli_(probability, generator=generator))
    return NoiseMasks(
        torch.stack(dropout_masks) if dropout_masks else None,
        {index: torch.stack(tensors) for index, tensors in masks.items()},
    )
