"""A continuous cache (Grave et al., 2017): tokens that followed similar features recently become more likely.

    p(v | h_t) = (1 - w) softmax(logits)_v + w sum over i with x_i+1 = v of softmax_i(theta h_t h_i)

i runs over the last `size` predictions, whose targets are known; w is the weight of the cache (the setting `share`).
Features are scaled to unit mean square, so that theta has the same meaning for every model. All candidates of a grid
are scored in one pass.

T time steps of a chunk, S cached predictions, H features.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charlm.data.store import TokenStream
from charlm.evaluation.lane import read_stream
from charlm.nn.model import LanguageModel

Candidate = tuple[float, float]
"""theta and the weight of the cache."""


@torch.inference_mode()
def score_with_cache(
    model: LanguageModel,
    stream: TokenStream,
    size: int,
    candidates: Sequence[Candidate],
    device: torch.device,
    on_progress: Callable[[int], None] = lambda _: None,
) -> dict[Candidate, npt.NDArray[np.float32]]:
    """Return the nats of every prediction of `stream`, in one lane, for each candidate."""
    nats_by_candidate = {candidate: np.empty(stream.num_predictions, dtype=np.float32) for candidate in candidates}
    keys_SH = torch.empty(0, 0, device=device)
    values_S = torch.empty(0, dtype=torch.int64, device=device)
    for predictions, features_TH, targets_T in read_stream(model, stream, device):
        nll_T = model.head.nll(features_TH[None], targets_T[None])[0]
        scaled_TH = model.head.network_features(features_TH).float()
        scaled_TH = scaled_TH / scaled_TH.square().mean(-1, keepdim=True).sqrt().clamp(min=1e-6)
        keys_SH = torch.cat([keys_SH, scaled_TH]) if len(keys_SH) else scaled_TH
        values_S = torch.cat([values_S, targets_T])
        similarity_TS = scaled_TH @ keys_SH.T
        cache_p = _cache_probabilities(
            similarity_TS, values_S, targets_T, size, sorted({theta for theta, _ in candidates})
        )
        for theta, cache_weight in candidates:
            model_log_p_T = math.log1p(-cache_weight) - nll_T  # logarithms, since a probability may underflow
            mixed_T = torch.logaddexp(model_log_p_T, (cache_weight * cache_p[theta]).log())
            nats_by_candidate[theta, cache_weight][predictions] = -mixed_T.cpu().numpy()
        keys_SH, values_S = keys_SH[-size:], values_S[-size:]
        on_progress(len(nll_T))
    return nats_by_candidate


def _cache_probabilities(
    similarity_TS: Tensor, values_S: Tensor, targets_T: Tensor, size: int, thetas: Sequence[float]
) -> dict[float, Tensor]:
    """The cache's probability of each target. Row t sees the `size` predictions before its own."""
    length, total = similarity_TS.shape
    position_T1 = torch.arange(total - length, total, device=similarity_TS.device)[:, None]
    position_S = torch.arange(total, device=similarity_TS.device)
    is_masked_TS = (position_S >= position_T1) | (position_S < position_T1 - size)
    is_target_TS = values_S == targets_T[:, None]
    cache_p: dict[float, Tensor] = {}
    for theta in thetas:
        weight_TS = (theta * similarity_TS).masked_fill(is_masked_TS, -math.inf).softmax(-1).nan_to_num(0.0)
        cache_p[theta] = (weight_TS * is_target_TS).sum(-1)
    return cache_p
