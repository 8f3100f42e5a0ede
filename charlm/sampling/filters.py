"""What is done to the logits before a draw: small frozen objects, logits in, logits out.

V vocabulary.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from charlm.errors import UsageError

MAX_TEMPERATURE = 100.0


@dataclass(frozen=True, slots=True)
class Temperature:
    """softmax(logits / T): below 1 sharper, above 1 flatter, 0 the most probable token alone (greedy).

    Raises:
        UsageError: negative (which would reverse the distribution), NaN, infinite, or above 100.
    """

    value: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and 0 <= self.value <= MAX_TEMPERATURE):
            raise UsageError(
                f"the temperature {self.value} is not between 0 and {MAX_TEMPERATURE:g}",
                "give 0 for the most probable character each time, 1 for the model's own distribution",
            )

    def __call__(self, logits_V: Tensor) -> Tensor:
        if self.value == 0:
            greedy_V = torch.full_like(logits_V, -math.inf)
            greedy_V[logits_V.argmax()] = 0.0
            return greedy_V
        return logits_V / self.value


def draw(logits_V: Tensor, generator: torch.Generator) -> int:
    """One id from softmax(logits), by inverting the cumulative distribution in float64."""
    cumulative_V = logits_V.double().softmax(dim=0).cumsum(dim=0)
    threshold = torch.rand((), dtype=torch.float64, generator=generator) * cumulative_V[-1]
    return int(torch.searchsorted(cumulative_V, threshold, right=True).clamp_(max=len(logits_V) - 1))
