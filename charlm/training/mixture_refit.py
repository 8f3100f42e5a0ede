"""Mixture weights that are fitted again for a checkpoint, beside those that training goes on with.

weights in training ──fit on validation text──> fitted weights      inside `swapped_in`, the model holds these
         └── the next update begins here, as if nothing had been fitted
"""

import contextlib
import math
from collections.abc import Callable, Generator

import torch
from torch import Tensor

from charlm.data.store import TokenStream
from charlm.device import autocast
from charlm.evaluation.evaluate import WARM_UP, cut_lanes, default_num_lanes, lane_batches
from charlm.evaluation.lane import CHUNK
from charlm.nn.model import LanguageModel
from charlm.nn.ngrams.mixture_examples import MixtureExamples
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.ngrams.refit import refit_mixture
from charlm.nn.state import reset_rows
from charlm.training.tasks.base import ScoringOptions

_PREFIX = "unfitted."
_MAX_TOKENS = 100_000
"""Of each text: features of 512 units take 2 kB for a token."""


class MixtureRefit:
    """The fitted weights of the mixture of a model with n-grams; for other models there are never any."""

    def __init__(self, model: LanguageModel) -> None:
        head = model.ngram_head if isinstance(model, NgramLanguageModel) else None
        self._parameters = {} if head is None else head.mixture_parameters()
        self._unfitted: dict[str, Tensor] = {}
        self._fitted: dict[str, Tensor] = {}

    @property
    def exists(self) -> bool:
        """Whether weights were fitted since the last update."""
        return bool(self._fitted)

    @torch.no_grad()
    def make(self, fit: Callable[[], None]) -> list[Tensor]:
        """Let `fit` change the weights, keep what it made, and undo it; return the fitted weights."""
        self._unfitted = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        with torch.enable_grad():
            fit()
        for name, parameter in self._parameters.items():
            self._fitted[name] = parameter.detach().clone()
            parameter.copy_(self._unfitted[name])
        return list(self._fitted.values())

    def discard(self) -> None:
        """Forget the fitted weights: the others have changed."""
        self._fitted = {}
        self._unfitted = {}

    @contextlib.contextmanager
    def swapped_in(self) -> Generator[None, None, None]:
        """A context in which the model holds the fitted weights, if there are any."""
        weights = {name: self._parameters[name].data for name in self._fitted}
        try:
            for name, fitted in self._fitted.items():
                self._parameters[name].data = fitted
            yield
        finally:
            for name, unfitted in weights.items():
                self._parameters[name].data = unfitted

    def tensors(self) -> dict[str, Tensor]:
        """Return what a checkpoint stores beside the fitted weights, which are its model's."""
        return {_PREFIX + name: tensor for name, tensor in self._unfitted.items()}

    @torch.no_grad()
    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Load what `tensors` returned, while the model holds the fitted weights.

        Raises:
            ValueError: the tensors do not fit.
        """
        for name, parameter in self._parameters.items():
            unfitted = tensors.get(_PREFIX + name)
            if unfitted is None:
                continue
            if unfitted.shape != parameter.shape or unfitted.dtype != parameter.dtype:
                raise ValueError(f"{_PREFIX}{name}: {tuple(unfitted.shape)} instead of {tuple(parameter.shape)}")
            parameter.copy_(unfitted)


def refit_on_text(
    model: NgramLanguageModel, fitted: TokenStream, held_out: TokenStream, epochs: int, options: ScoringOptions
) -> None:
    """Fit the mixture weights of a model in place on the beginning of a text.

    Args:
        held_out: the beginning of this text says after how many epochs the weights were best.
    """
    was_training = model.training
    model.eval()
    examples = [_collect_examples(model, _beginning(text), options) for text in (fitted, held_out)]
    refit_mixture(model.ngram_head, examples[0], examples[1], epochs)
    model.train(was_training)


def _beginning(text: TokenStream) -> TokenStream:
    """Return the first documents of a text, or the beginning of the first one if that alone is too long."""
    head = text.head(_MAX_TOKENS)
    if len(head.tokens) <= _MAX_TOKENS:
        return head
    return TokenStream(head.tokens[:_MAX_TOKENS], head.documents[:0])


@torch.no_grad()
def _collect_examples(model: NgramLanguageModel, text: TokenStream, options: ScoringOptions) -> MixtureExamples:
    """Return the predictions of a text as examples, read side by side as in evaluation."""
    multiple = math.lcm(CHUNK, model.stride_period)
    lanes = cut_lanes(text.num_predictions, default_num_lanes(text.num_predictions), WARM_UP, multiple)
    fresh = model.initial_state(len(lanes.starts))
    state = fresh
    parts: list[MixtureExamples] = []
    for _, batch in lane_batches(text, lanes):
        inputs_BT, targets_BT, reset_B = (tensor.to(options.device) for tensor in batch[:3])
        state = reset_rows(state, fresh, reset_B)
        with autocast(options.precision, options.device):
            features_BTH, state = model(inputs_BT, state)
            parts.append(model.ngram_head.examples(features_BTH, targets_BT))
        options.on_progress(0)
    return MixtureExamples.concatenate(parts)
