"""The negative log-likelihood and the rank of every token of a stream, and the likeliest tokens at its position.

TokenStream ──model, chunk by chunk, one lane──> log-probabilities ──> nats and rank of the token, the K likeliest

P predictions, N predictions of a chunk, K alternatives, H features, V vocabulary.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charlm.data.store import TokenStream
from charlm.errors import DataError
from charlm.evaluation.lane import read_stream
from charlm.nn.model import LanguageModel

_CHUNK_ELEMENTS = 1 << 22  # log-probabilities held at a time


@dataclass(frozen=True)
class Surprisals:
    """The surprisal of each prediction, and its likeliest tokens.

    Attributes:
        ids_P: the tokens of the text.
        nats_P: the negative log-likelihood of each.
        ranks_P: 1 where no token was likelier.
        top_ids_PK: the likeliest tokens, the best first.
        top_nats_PK: the negative log-likelihood of each of them.
    """

    ids_P: npt.NDArray[np.int64]
    nats_P: npt.NDArray[np.float64]
    ranks_P: npt.NDArray[np.int64]
    top_ids_PK: npt.NDArray[np.int32]
    top_nats_PK: npt.NDArray[np.float32]

    def reversed(self) -> "Surprisals":
        """Return the surprisals from the last prediction to the first."""
        return Surprisals(
            self.ids_P[::-1], self.nats_P[::-1], self.ranks_P[::-1], self.top_ids_PK[::-1], self.top_nats_PK[::-1]
        )


def find_surprisals(
    model: LanguageModel,
    stream: TokenStream,
    *,
    top: int,
    device: torch.device,
    on_progress: Callable[[int], None] | None = None,
) -> Surprisals:
    """Predict every token of `stream` once, in the order in which the model reads it.

    Args:
        top: alternatives to keep, at most the size of the vocabulary.
        on_progress: gets the number of tokens predicted by each chunk; it may raise to stop.

    Raises:
        DataError: the model's numbers overflow, so that it gives no probabilities.
    """
    num_predictions, top = stream.num_predictions, min(top, model.head.vocab_size)
    ids_P = stream.targets.astype(np.int64)
    nats_P, ranks_P = np.empty(num_predictions), np.empty(num_predictions, dtype=np.int64)
    top_ids_PK = np.empty((num_predictions, top), dtype=np.int32)
    top_nats_PK = np.empty((num_predictions, top), dtype=np.float32)
    end = 0
    for log_p_NV in _log_probabilities(model, stream, device):
        start, end = end, end + len(log_p_NV)
        targets_N = torch.from_numpy(ids_P[start:end]).to(device)
        chosen_N = log_p_NV.gather(-1, targets_N[:, None])
        best_NK = log_p_NV.topk(top, dim=-1)
        nats_P[start:end] = -chosen_N[:, 0].cpu().numpy()
        ranks_P[start:end] = 1 + (log_p_NV > chosen_N).sum(-1).cpu().numpy()
        top_ids_PK[start:end] = best_NK.indices.cpu().numpy()
        top_nats_PK[start:end] = -best_NK.values.cpu().numpy()
        if not np.isfinite(nats_P[start:end]).all():
            raise DataError("the model gives no probabilities: its numbers overflow", "use another checkpoint")
        if on_progress is not None:
            on_progress(end - start)
    return Surprisals(ids_P, nats_P, ranks_P, top_ids_PK, top_nats_PK)


@torch.inference_mode()
def _log_probabilities(model: LanguageModel, stream: TokenStream, device: torch.device) -> Iterator[Tensor]:
    """Yield (N, V) log p of all ids, chunk by chunk."""
    rows = max(1, _CHUNK_ELEMENTS // model.head.vocab_size)
    for chunk in read_stream(model, stream, device):
        for features_NH in chunk.features_TH.split(rows):
            yield model.head.logits(features_NH).log_softmax(-1)
