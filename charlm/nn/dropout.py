"""Dropout whose masks are a function of (seed, step, rank), so that a resumed run draws the same masks.

B batch, T time, D features, V vocabulary.
"""

import hashlib

import torch
from torch import Tensor, nn


class NoiseRNG:
    """The only source of random numbers inside a model. The trainer seeds it before every step."""

    def __init__(self) -> None:
        self._seed = 0
        self._generators: dict[torch.device, torch.Generator] = {}

    def seed(self, *key: int) -> None:
        """Seed all generators from a key: the run's seed, the step, the rank and the micro-batch."""
        digest = hashlib.sha256(" ".join(map(str, key)).encode()).digest()
        self._seed = int.from_bytes(digest[:8], "big") >> 1
        for generator in self._generators.values():
            generator.manual_seed(self._seed)

    def generator(self, device: torch.device) -> torch.Generator:
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self._seed)
        return self._generators[device]


class LockedDropout(nn.Module):
    """Dropout with one mask for all time steps (Gal & Ghahramani, 2016). In evaluation it is the identity."""

    def __init__(self, probability: float, rng: NoiseRNG) -> None:
        super().__init__()
        self._probability = probability
        self._rng = rng

    def forward(self, x_BTD: Tensor) -> Tensor:
        if not self.training or self._probability == 0:
            return x_BTD
        keep_probability = 1 - self._probability
        mask_B1D = torch.empty_like(x_BTD[:, :1]).bernoulli_(
            keep_probability, generator=self._rng.generator(x_BTD.device)
        )
        return x_BTD * mask_B1D.div_(keep_probability)


class TokenDropout(nn.Module):
    """Dropout of whole ids, everywhere in a batch (Gal & Ghahramani, 2016). In evaluation it is the identity."""

    def __init__(self, vocab_size: int, probability: float, rng: NoiseRNG) -> None:
        super().__init__()
        self._vocab_size = vocab_size
        self._probability = probability
        self._rng = rng

    def forward(self, x_BTD: Tensor, inputs_BT: Tensor) -> Tensor:
        if not self.training or self._probability == 0:
            return x_BTD
        keep_probability = 1 - self._probability
        mask_V = torch.empty(self._vocab_size, device=x_BTD.device, dtype=x_BTD.dtype)
        mask_V.bernoulli_(keep_probability, generator=self._rng.generator(x_BTD.device)).div_(keep_probability)
        return x_BTD * mask_V[inputs_BT][..., None]
