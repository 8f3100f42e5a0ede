"""A stream read in one lane, as the score is defined: from its beginning, chunk by chunk, with one state.

T time steps of a chunk, H features.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from charlm.data.store import TokenStream
from charlm.nn.model import LanguageModel
from charlm.vocab.base import IntArray

CHUNK = 256
"""Predictions that are computed at once."""


class Chunk(NamedTuple):
    """Consecutive predictions: their indices, the features before each of them, and the tokens that came."""

    predictions: slice
    features_TH: Tensor
    targets_T: Tensor


@torch.inference_mode()
def read_stream(model: LanguageModel, stream: TokenStream, device: torch.device) -> Iterator[Chunk]:
    """Yield every prediction of `stream` once. The model is in evaluation mode until the end."""
    was_training = model.training
    model.eval()
    state = model.initial_state(1)
    try:
        for start in range(0, stream.num_predictions, CHUNK):
            end = min(start + CHUNK, stream.num_predictions)
            inputs_T, targets_T = (
                torch.from_numpy(ids[start:end].astype(np.int64)).to(device) for ids in (stream.inputs, stream.targets)
            )
            features_BTH, state = model(inputs_T[None], state)
            yield Chunk(slice(start, end), features_BTH[0], targets_T)
    finally:
        model.train(was_training)


@torch.inference_mode()
def read_row(model: LanguageModel, ids: IntArray, device: torch.device) -> Tensor:
    """Return the features of each id (T, H), read by a causal model from its initial state, in evaluation mode."""
    was_training = model.training
    model.eval()
    state = model.initial_state(1)
    chunks: list[Tensor] = []
    try:
        for start in range(0, len(ids), CHUNK):
            inputs_T = torch.from_numpy(ids[start : start + CHUNK].astype(np.int64)).to(device)
            features_BTH, state = model(inputs_T[None], state)
            chunks.append(features_BTH[0])
    finally:
        model.train(was_training)
    return torch.cat(chunks)
