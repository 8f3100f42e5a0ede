"""The random masks of a chunk, drawn before its steps in the order in which the plain unroll draws them.

T time, B batch, H hidden.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from charlm.nn.cells.base import Cell
from charlm.nn.state import State


@dataclass
class Noise:
    """What is kept of what is written (recurrent dropout), and of the old value of each state tensor (zoneout)."""

    written_TBH: Tensor | None = None
    zones: dict[int, Tensor | float] = field(default_factory=dict[int, Tensor | float])
    """By the state tensor's number: masks T, B, H, or in evaluation the share that is kept."""

    def written(self, step: int) -> Tensor | None:
        return None if self.written_TBH is None else self.written_TBH[step]

    def zone_out(self, step: int, number: int, before_BH: Tensor, after_BH: Tensor) -> None:
        """Mix the old value into the new one, in place."""
        zone = self._zone(step, number)
        if zone is not None:
            torch.lerp(after_BH, before_BH, zone, out=after_BH)

    def zone_out_backward(self, step: int, number: int, gradient_BH: Tensor) -> Tensor | None:
        """Of the gradient of the mixture, what the new value gets, in place; give what the old one gets."""
        zone = self._zone(step, number)
        if zone is None:
            return None
        past_BH = gradient_BH * zone
        gradient_BH -= past_BH
        return past_BH

    def _zone(self, step: int, number: int) -> Tensor | float | None:
        zone = self.zones.get(number)
        return zone[step] if isinstance(zone, Tensor) else zone


def draw_noise(cell: Cell, state: State, num_steps: int, generator: torch.Generator | None) -> Noise:
    """The masks of `num_steps` steps."""
    options = cell.options
    floats = [number for number, tensor in enumerate(state) if tensor.is_floating_point()]
    shares = dict.fromkeys(floats, options.zoneout_hidden) | {floats[-1]: options.zoneout}
    zones = {number: share for number, share in shares.items() if share}
    if generator is None:
        return Noise(None, dict(zones))
    like_BH = state[0]
    masks: dict[int, list[Tensor]] = {number: [] for number in zones}
    written: list[Tensor] = []
    keep = 1 - options.recurrent_dropout
    for _ in range(num_steps if zones or options.recurrent_dropout else 0):
        if options.recurrent_dropout:
            written.append(torch.empty_like(like_BH).bernoulli_(keep, generator=generator).div_(keep))
        for number, share in zones.items():
            masks[number].append(torch.empty_like(like_BH).bernoulli_(share, generator=generator))
    return Noise(
        torch.stack(written) if written else None, {number: torch.stack(tensors) for number, tensors in masks.items()}
    )
