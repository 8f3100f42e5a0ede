"""Draw ids from a distribution; each stream has its own generator of random numbers.

    logits_BV ──softmax, cumulative sum──> first id above a uniform number ──> tokens_B

B streams, V vocabulary.
"""

import hashlib

import torch
from torch import Tensor

from charlm.nn.fused.steps import kernels_for

_BLOCK_SIZE = 256
_MAX_COMPILED_VOCAB = 4096
"""Up to this many ids, one call of compiled code on one thread is the fastest."""


class CategoricalSampler:
    """Draws one id for each stream and call. Stream i uses the generator of (seed, i), independent of other streams."""

    def __init__(self, seed: int, stream_indices: range) -> None:
        self._generators = [torch.Generator().manual_seed(_stream_seed(seed, stream)) for stream in stream_indices]
        self._uniforms_BN = torch.empty(len(stream_indices), 0, dtype=torch.float64)
        self._num_used = 0

    def __call__(self, logits_BV: Tensor) -> Tensor:
        """Draw tokens_B from softmax(logits), by the inverse of the cumulative distribution in float64; never an id of
        -inf."""
        if self._num_used == self._uniforms_BN.shape[1]:
            uniforms = [torch.rand(_BLOCK_SIZE, dtype=torch.float64, generator=each) for each in self._generators]
            self._uniforms_BN, self._num_used = torch.stack(uniforms), 0
        uniform_B1 = self._uniforms_BN[:, self._num_used : self._num_used + 1]
        self._num_used += 1
        return sample_inverse_cdf(logits_BV, uniform_B1)


def sample_inverse_cdf(logits_BV: Tensor, uniform_B1: Tensor) -> Tensor:
    """The ids at which the cumulative distribution exceeds uniform numbers from [0, 1)."""
    size = logits_BV.shape[1]
    if size > _MAX_COMPILED_VOCAB or logits_BV.device.type != "cpu":
        return sample_inverse_cdf_torch(logits_BV, uniform_B1)
    ids_B = torch.empty(len(logits_BV), dtype=torch.int64)
    sums_V = torch.empty(size, dtype=torch.float64)
    kernels_for(logits_BV).run(sample_ids, logits_BV.contiguous(), uniform_B1.contiguous(), sums_V, ids_B)
    return ids_B


def sample_inverse_cdf_torch(logits_BV: Tensor, uniform_B1: Tensor) -> Tensor:
    """The same with torch's operators, which are faster for large vocabularies."""
    cumulative_BV = logits_BV.double().softmax(-1).cumsum(-1)
    threshold_B1 = uniform_B1 * cumulative_BV[:, -1:]
    found_B = torch.searchsorted(cumulative_BV, threshold_B1, right=True)[:, 0]
    return found_B.clamp_(max=logits_BV.shape[-1] - 1)


def sample_ids(logits_BV: Tensor, uniform_B1: Tensor, cumulative_V: Tensor, ids_B: Tensor) -> None:
    """A kernel (`charlm.nn.fused.kernels`), which may use cumulative_V, float64, to keep sums in."""
    del cumulative_V
    ids_B.copy_(sample_inverse_cdf_torch(logits_BV, uniform_B1))


def _stream_seed(seed: int, stream: int) -> int:
    """The first stream uses the seed itself, so that a single sample is the first of several."""
    if stream == 0:
        return seed
    digest = hashlib.sha256(f"{seed} stream {stream}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
