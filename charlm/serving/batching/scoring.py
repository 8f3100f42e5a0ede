"""Log-probabilities of ids, by the model itself: before temperature, filters and constraints.

T time, H features, N scored tokens, K alternatives, V vocabulary.
"""

import math

import numpy as np
import torch
from torch import Tensor

from charlm.nn.model import LanguageModel
from charlm.serving.api_error import ApiError
from charlm.serving.text_events import ScoredToken
from charlm.vocab.base import IntArray

_MAX_ELEMENTS = 1 << 22  # log-probabilities held at a time


def score_features(
    model: LanguageModel, features_TH: Tensor, targets: IntArray, num_alternatives: int
) -> list[ScoredToken]:
    """Score the id after each token of a text; there may be one feature more than ids.

    Raises:
        ApiError: the model's numbers overflow.
    """
    rows = max(1, _MAX_ELEMENTS // model.head.vocab_size)
    scored: list[ScoredToken] = []
    for begin in range(0, len(targets), rows):
        targets_N = torch.from_numpy(targets[begin : begin + rows].astype(np.int64))
        logits_NV = model.head.logits(features_TH[begin : begin + len(targets_N)])
        scored += score(logits_NV, targets_N, num_alternatives)
    if any(overflows(token) for token in scored):
        raise overflow()
    return scored


def score(logits_NV: Tensor, ids_N: Tensor, num_alternatives: int) -> list[ScoredToken]:
    """Return the log-probability of one id of each row, and the likeliest ids."""
    log_p_NV = logits_NV.log_softmax(-1)
    log_p_N = log_p_NV.gather(-1, ids_N.to(log_p_NV.device)[:, None])[:, 0]
    best_NK = log_p_NV.topk(min(num_alternatives, log_p_NV.shape[-1]), dim=-1)
    return [
        ScoredToken(token, log_p, tuple(zip(ids, values, strict=True)))
        for token, log_p, ids, values in zip(
            ids_N.tolist(), log_p_N.tolist(), best_NK.indices.tolist(), best_NK.values.tolist(), strict=True
        )
    ]


def overflows(token: ScoredToken) -> bool:
    """Whether the model's numbers overflow, so that it gives no probabilities."""
    return token.log_p is not None and math.isnan(token.log_p)


def overflow() -> ApiError:
    return ApiError(500, "the model gives no probabilities: its numbers overflow", "serve another checkpoint")
