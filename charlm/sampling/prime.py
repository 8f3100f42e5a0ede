"""Read a prompt: what the model knows before it writes.

    <eod> prompt ──model, chunk by chunk──> PrimedState (logits of the next token, state)

B streams (1), T time, H features, V vocabulary.
"""

from collections.abc import Iterator
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


class PromptReader:
    """Reads ids, at least one, in chunks of constant memory."""

    def __init__(
        self,
        model: LanguageModel,
        ids: IntArray,
        device: torch.device,
        *,
        state: State | None = None,
        precision: Precision,
        chunk: int | None = None,
    ) -> None:
        """
        Args:
            state: to go on from; the initial state if left out.
            chunk: ids that are read at a time; as many as memory allows easily if left out.
        """
        self._model = model
        self._ids = ids
        self._device = device
        self._state = state
        self._precision: Precision = precision
        self._chunk = _PROMPT_CHUNK if chunk is None else chunk
        self.primed: PrimedState | None = None
        """The model after all ids; None until `run` has ended."""

    @torch.inference_mode()
    def run(self) -> Iterator[Tensor]:
        """Read chunk after chunk; yield the features (T, H) after each id of it."""
        model, ids = self._model, self._ids
        model.eval()
        state: State = model.initial_state(1) if self._state is None else self._state
        features_BTH = None
        for start in range(0, len(ids), self._chunk):
            inputs_BT = torch.from_numpy(ids[start : start + self._chunk].astype(np.int64))[None].to(self._device)
            with autocast(self._precision, self._device):
                features_BTH, state = model(inputs_BT, state)
            yield features_BTH[0]
        assert features_BTH is not None, "there is at least one id"
        with autocast(self._precision, self._device):
            self.primed = PrimedState(model.head.logits(features_BTH[:, -1]), state)


def prime(
    model: LanguageModel, ids: IntArray, device: torch.device, *, state: State | None = None, precision: Precision
) -> PrimedState:
    """Read ids, at least one, and return the model after them.

    Args:
        state: to go on from; the initial state if left out.
    """
    reader = PromptReader(model, ids, device, state=state, precision=precision)
    for _ in reader.run():
        pass
    assert reader.primed is not None, "`run` has ended"
    return reader.primed
