"""Temperature calibration (Guo et al., 2017): softmax(logits / T) with the T at which validation text costs least."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from charlm.data.store import TokenStream
from charlm.nn.model import LanguageModel

_CHUNK = 256


@torch.inference_mode()
def temperature_nats(
    model: LanguageModel,
    stream: TokenStream,
    temperatures: Sequence[float],
    device: torch.device,
    on_progress: Callable[[int], None] = lambda _: None,
) -> dict[float, npt.NDArray[np.float32]]:
    """The nats of every prediction of `stream` at each temperature, in one lane and one pass."""
    model.eval()
    found = {temperature: np.empty(stream.num_predictions, dtype=np.float32) for temperature in temperatures}
    state = model.initial_state(1)
    for start in range(0, stream.num_predictions, _CHUNK):
        ids = torch.from_numpy(stream.tokens[start : start + _CHUNK + 1].astype(np.int64)).to(device)
        features_BTH, state = model(ids[None, :-1], state)
        logits_TV = model.head.logits(features_BTH[0])
        for temperature, nats in found.items():
            nll_T = torch.nn.functional.cross_entropy(logits_TV / temperature, ids[1:], reduction="none")
            nats[start : start + len(nll_T)] = nll_T.cpu().numpy()
        on_progress(len(ids) - 1)
    return found
