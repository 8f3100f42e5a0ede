"""What a stepper is, and the one that runs every model: the model itself.

B streams, V vocabulary.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from charlm.device import Precision, autocast
from charlm.nn.model import LanguageModel
from charlm.nn.state import State


class Stepper(ABC):
    """Advances all streams by one token at each step. `name` says how."""

    name: str

    @abstractmethod
    def step(self, tokens_B: Tensor) -> Tensor:
        """The logits_BV of the token after each token, in fp32 or better; valid until the next step."""

    @abstractmethod
    def state(self) -> State:
        """A copy of the state that the model's forward would return."""

    @abstractmethod
    def select_rows(self, rows_B: Tensor) -> None:
        """Stream i continues from the state of stream rows_B[i]."""


class PlainStepper(Stepper):
    """Runs the model itself, one token at a time."""

    name = "plain"

    def __init__(self, model: LanguageModel, state: State, precision: Precision = "fp32") -> None:
        self._model = model
        self._state = state
        self._precision: Precision = precision

    @torch.inference_mode()
    def step(self, tokens_B: Tensor) -> Tensor:
        with autocast(self._precision, tokens_B.device):
            features_BTH, self._state = self._model(tokens_B[:, None], self._state)
            return self._model.head.logits(features_BTH[:, -1])

    def state(self) -> State:
        return self._state

    def select_rows(self, rows_B: Tensor) -> None:
        self._state = tuple(tensor[rows_B] for tensor in self._state)
