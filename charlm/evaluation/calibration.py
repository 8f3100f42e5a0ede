"""Temperature calibration (Guo et al., 2017): softmax(logits / T) with the T of the lowest validation loss."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from charlm.data.store import TokenStream
from charlm.evaluation.lane import read_stream
from charlm.nn.model import LanguageModel


@torch.inference_mode()
def score_at_temperatures(
    model: LanguageModel,
    stream: TokenStream,
    temperatures: Sequence[float],
    device: torch.device,
    on_progress: Callable[[int], None] = lambda _: None,
) -> dict[float, npt.NDArray[np.float32]]:
    """Return the nats of every prediction of `stream` at each temperature; the stream is read once, in one lane."""
    nats_by_temperature = {
        temperature: np.empty(stream.num_predictions, dtype=np.float32) for temperature in temperatures
    }
    for predictions, features_TH, targets_T in read_stream(model, stream, device):
        logits_TV = model.head.logits(features_TH)
        for temperature, nats in nats_by_temperature.items():
            nll_T = torch.nn.functional.cross_entropy(logits_TV / temperature, targets_T, reduction="none")
            nats[predictions] = nll_T.cpu().numpy()
        on_progress(len(targets_T))
    return nats_by_temperature
