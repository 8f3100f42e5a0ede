"""Draw ids from a distribution; each stream has its own generator of random numbers.

    logits_BV ──softmax, cumulative sum──> first id above a uniform number ──> tokens_B

B streams, V vocabulary.
"""

import hashlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from charlm.nn.fused.steps import kernels_for

_BLOCK_SIZE = 256
_MAX_COMPILED_VOCAB = 4096
"""Up to this many ids, one call of compiled code on one thread is the fastest."""


class UniformNumbers:
    """The random numbers of one stream, from [0, 1): those of the generator of (seed, stream)."""

    def __init__(self, seed: int, stream: int) -> None:
        self._generator = torch.Generator().manual_seed(_stream_seed(seed, stream))
        self._block: Iterator[float] = iter(())

    def draw(self) -> float:
        number = next(self._block, None)
        if number is not None:
            return number
        self._block = iter(torch.rand(_BLOCK_SIZE, dtype=torch.float64, generator=self._generator).tolist())
        return next(self._block)


class CategoricalSampler:
    """Draws one id for each stream and call. Stream i uses the generator of (seed, i), independent of other streams."""

    def __init__(self, seed: int, stream_indices: range) -> None:
        self._numbers = [UniformNumbers(seed, stream) for stream in stream_indices]

    def __call__(self, logits_BV: Tensor) -> Tensor:
        """Draw tokens_B from softmax(logits), by the inverse of the cumulative distribution in float64; never an id of
        -inf."""
        return draw_tokens(logits_BV, self._numbers)


def draw_tokens(logits_BV: Tensor, numbers: Sequence[UniformNumbers]) -> Tensor:
    """Draw an id of each stream, with its own random numbers."""
    uniform_B1 = torch.tensor([[each.draw()] for each in numbers], dtype=torch.float64)
    return sample_inverse_cdf(logits_BV, uniform_B1)


def sample_inverse_cdf(logits_BV: Tensor, uniform_B1: Tensor) -> Tensor:
    """The ids at which the cumulative distribution exceeds uniform numbers from [0, 1)."""
    size = logits_BV.shape[1]
    if size > _MAX_COMPILED_VOCAB or logits_BV.device.type != "cpu":
        return sample_inverse_cdf_torch(logits_BV, uniform_B1)
    ids_B = torch.empty(len(logits_BV), dtype=torch.int64)
    sums_BV = torch.empty(logits_BV.shape, dtype=torch.float64)
    kernels_for(logits_BV).run(sample_ids, logits_BV.contiguous(), uniform_B1.contiguous(), sums_BV, ids_B)
    return ids_B


def sample_inverse_cdf_torch(logits_BV: Tensor, uniform_B1: Tensor) -> Tensor:
    """The same with torch's operators, which are faster for large vocabularies."""
    cumulative_BV = logits_BV.double().softmax(-1).cumsum(-1)
    threshold_B1 = uniform_B1 * cumulative_BV[:, -1:]
    found_B = torch.searchsorted(cumulative_BV, threshold_B1, right=True)[:, 0]
    return found_B.clamp_(max=logits_BV.shape[-1] - 1)


def sample_ids(logits_BV: Tensor, uniform_B1: Tensor, cumulative_BV: Tensor, ids_B: Tensor) -> None:
    """A kernel (`charlm.nn.fused.kernels`), which may use cumulative_BV, float64, to keep sums in."""
    del cumulative_BV
    ids_B.copy_(sample_inverse_cdf_torch(logits_BV, uniform_B1))


def _stream_seed(seed: int, stream: int) -> int:
    """The first stream uses the seed itself, so that a single sample is the first of several."""
    if stream == 0:
        return seed
    digest = hashlib.sha256(f"{seed} stream {stream}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
