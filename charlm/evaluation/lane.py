"""One lane, which is the definition of a score: a stream read from its beginning, chunk by chunk, with one state.

T time of a chunk, H features.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from charlm.data.store import TokenStream
from charlm.nn.model import LanguageModel

_CHUNK = 256


class Chunk(NamedTuple):
    """Some predictions in their order. Targets are those of the features."""

    predictions: slice
    features_TH: Tensor
    targets_T: Tensor


@torch.inference_mode()
def read_stream(model: LanguageModel, stream: TokenStream, device: torch.device) -> Iterator[Chunk]:
    """Every prediction of `stream` once. Until the end, the model is in evaluation mode."""
    was_training = model.training
    model.eval()
    state = model.initial_state(1)
    try:
        for start in range(0, stream.num_predictions, _CHUNK):
            end = min(start + _CHUNK, stream.num_predictions)
            ids = torch.from_numpy(stream.tokens[start : end + 1].astype(np.int64)).to(device)
            features_BTH, state = model(ids[None, :-1], state)
            yield Chunk(slice(start, end), features_BTH[0], ids[1:])
    finally:
        model.train(was_training)
