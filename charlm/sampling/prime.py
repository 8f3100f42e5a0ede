"""Read a prompt: what the model knows before it writes.

    <eod> prompt ──model, chunk by chunk──> PrimedState (logits of the next token, state)

B streams (1), T time, V vocabulary.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from charlm.device import Precision, autocast
from charlm.nn.model import LanguageModel
from charlm.nn.state import State
from charlm.vocab.base import IntArray

_PROMPT_CHUNK = 1024


@dataclass(frozen=True)
class PrimedState:
    """A model that has read a prompt: the logits of the next token, one row, and its state."""

    logits_1V: Tensor
    state: State


@torch.inference_mode()
def prime(
    model: LanguageModel, ids: IntArray, device: torch.device, *, state: State | None = None, precision: Precision
) -> PrimedState:
    """Read ids, at least one, in chunks of constant memory.

    Args:
        state: to go on from; the initial state if left out.
    """
    model.eval()
    after: State = model.initial_state(1) if state is None else state
    features_BTH = None
    with autocast(precision, device):
        for start in range(0, len(ids), _PROMPT_CHUNK):
            inputs_BT = torch.from_numpy(ids[start : start + _PROMPT_CHUNK].astype(np.int64))[None].to(device)
            features_BTH, after = model(inputs_BT, after)
        assert features_BTH is not None, "there is at least one id"
        return PrimedState(model.head.logits(features_BTH[:, -1]), after)
