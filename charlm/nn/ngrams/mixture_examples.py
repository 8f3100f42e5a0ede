"""Targets as the weights of a mixture see them.

N targets, H features, K contexts, P = order + 1 parts: the network, then p_1, p_2, ...
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class MixtureExamples:
    """Targets, with all that the weights of the mixture and its loss depend on."""

    features_NH: Tensor
    figures_NK3: Tensor
    log_p_NP: Tensor
    """Of each target by the network, then by p_1, p_2, ..."""

    def __len__(self) -> int:
        return len(self.features_NH)

    @classmethod
    def concatenate(cls, parts: Sequence["MixtureExamples"]) -> "MixtureExamples":
        return cls(
            torch.cat([part.features_NH for part in parts]),
            torch.cat([part.figures_NK3 for part in parts]),
            torch.cat([part.log_p_NP for part in parts]),
        )

    def select(self, rows_N: Tensor | slice) -> "MixtureExamples":
        return MixtureExamples(self.features_NH[rows_N], self.figures_NK3[rows_N], self.log_p_NP[rows_N])

    def split(self, size: int) -> Iterator["MixtureExamples"]:
        """Yield parts of so many examples."""
        for start in range(0, len(self), size):
            yield self.select(slice(start, start + size))
