"""An average of a model's weights, kept beside the trained weights.

weights ──update──> average          inside `swapped_in`, the model holds the average; the trained weights are kept
"""

import contextlib
from collections.abc import Generator
from typing import assert_never

import torch
from torch import Tensor, nn

from charlm.training.optim.settings import AveragingSettings, EMASettings, NoAveragingSettings, TriggeredSettings
from charlm.training.validation_history import History, has_stopped_improving


class WeightAverage:
    """The average of a model's parameters; it exists from its first update on."""

    def __init__(self, settings: AveragingSettings, model: nn.Module) -> None:
        self._settings = settings
        self._parameters = dict(model.named_parameters())
        self._average: dict[str, Tensor] = {}
        self._num_updates = 0

    @property
    def exists(self) -> bool:
        return bool(self._average)

    @torch.no_grad()
    def update(self, history: History) -> None:
        """Update the average: average <- average + weight * (weights - average), the weight from `lerp_weight`."""
        weight = lerp_weight(self._settings, self._num_updates, history)
        if weight is None:
            return
        if not self._average:
            self._average = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        else:
            for name, average in self._average.items():
                average.lerp_(self._parameters[name], weight)
        self._num_updates += 1

    @contextlib.contextmanager
    def swapped_in(self) -> Generator[None, None, None]:
        """A context in which the model holds the average, if there is one."""
        weights = {name: self._parameters[name].data for name in self._average}
        try:
            for name, average in self._average.items():
                self._parameters[name].data = average
            yield
        finally:
            for name, raw in weights.items():
                self._parameters[name].data = raw

    def tensors(self) -> dict[str, Tensor]:
        """Return what a checkpoint stores beside the average, which is its model: the raw weights and a count."""
        if not self._average:
            return {}
        raw = {f"raw.{name}": parameter.detach() for name, parameter in self._parameters.items()}
        return raw | {"averaged": torch.tensor(self._num_updates)}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Load what `tensors` returned, while the model holds the average.

        Raises:
            KeyError, ValueError: the tensors do not fit.
        """
        if "averaged" not in tensors:
            return
        self._num_updates = int(tensors["averaged"])
        for name, parameter in self._parameters.items():
            raw = tensors[f"raw.{name}"]
            if raw.shape != parameter.shape or raw.dtype != parameter.dtype:
                raise ValueError(f"raw.{name}: {tuple(raw.shape)} instead of {tuple(parameter.shape)}")
            self._average[name] = parameter.data
            parameter.data = raw.to(parameter.device)


def lerp_weight(settings: AveragingSettings, num_updates: int, history: History) -> float | None:
    """Return the weight of the newest weights in an average of `num_updates` earlier ones; None: do not average."""
    match settings:
        case NoAveragingSettings():
            return None
        case EMASettings(decay=decay):
            return 1 - min(decay, (1 + num_updates) / (10 + num_updates)) if num_updates else 1.0
        case TriggeredSettings(patience=patience):
            return 1 / (num_updates + 1) if num_updates or has_stopped_improving(history, patience) else None
    assert_never(settings)
