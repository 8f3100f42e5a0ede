"""Dynamic evaluation (Krause et al., 2018): the model learns from each segment after scoring it.

    segment ──score──> nats ──gradient──> theta <- theta - lr g / (RMS + eps) - pull (theta - theta0)
                                          pull = min(1, decay RMS / mean RMS)

RMS is the root of each weight's mean squared gradient on training text. It divides the gradient, and weights with a
large RMS are pulled back harder to their trained values theta0. The text is read in one lane, since a step must not
see later text.

B batch (1), T time, P predictions.
"""

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charlm.data.batches import Batch
from charlm.data.store import TokenStream
from charlm.evaluation.settings import DynamicSettings
from charlm.nn.model import LanguageModel
from charlm.nn.state import detach
from charlm.vocab.base import IGNORE_INDEX

GradientStatistics = dict[str, Tensor]
"""The mean squared gradient of each parameter, by its name."""


def gradient_statistics(
    model: LanguageModel, batches: Iterable[Batch], device: torch.device, on_batch: Callable[[], None] = lambda: None
) -> GradientStatistics:
    """Return the mean squared gradients of the mean loss of batches of training text.

    Each batch starts from the initial state; dropout is off.
    """
    model.eval()
    squares = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
    count = 0
    for batch in batches:
        model.zero_grad(set_to_none=True)
        inputs_BT, targets_BT = batch.inputs_BT.to(device), batch.targets_BT.to(device)
        features_BTH, _ = model(inputs_BT, model.initial_state(len(inputs_BT)))
        scored = int((batch.targets_BT != IGNORE_INDEX).sum())
        (model.head.nll(features_BTH, targets_BT).sum() / max(1, scored)).backward()
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                gradient = parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
                squares[name].addcmul_(gradient, gradient)
        count += 1
        on_batch()
    model.zero_grad(set_to_none=True)
    return {name: square.detach() / max(1, count) for name, square in squares.items()}


def score_dynamically(
    model: LanguageModel,
    stream: TokenStream,
    statistics: GradientStatistics,
    settings: DynamicSettings,
    device: torch.device,
    on_progress: Callable[[int], None] = lambda _: None,
) -> npt.NDArray[np.float32]:
    """Return the nats of every prediction of `stream`, each scored before the model learns from it.

    The model's weights are restored at the end.

    Args:
        on_progress: gets the number of tokens in each scored segment.
    """
    model.eval()
    trained_weights = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    dynamic_update = _DynamicUpdate(model, trained_weights, statistics, settings)
    nats = np.empty(stream.num_predictions, dtype=np.float32)
    state = model.initial_state(1)
    try:
        for start in range(0, len(nats), settings.segment_len):
            inputs_BT, targets_BT = (
                torch.from_numpy(ids[None, start : start + settings.segment_len].astype(np.int64)).to(device)
                for ids in (stream.inputs, stream.targets)
            )
            features_BTH, state = model(inputs_BT, detach(state))
            nll_BT = model.head.nll(features_BTH, targets_BT)
            nats[start : start + nll_BT.shape[1]] = nll_BT[0].detach().cpu().numpy()
            nll_BT.mean().backward()
            dynamic_update.apply()
            on_progress(nll_BT.shape[1])
    finally:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(trained_weights[name])
        model.zero_grad(set_to_none=True)
    return nats


class _DynamicUpdate:
    """The update of all parameters. A sparse gradient updates only the rows that it holds."""

    def __init__(
        self,
        model: LanguageModel,
        trained_weights: dict[str, Tensor],
        statistics: GradientStatistics,
        settings: DynamicSettings,
    ) -> None:
        self._parameters = dict(model.named_parameters())
        self._trained_weights = trained_weights
        rms = {name: square.sqrt().to(trained_weights[name].device) for name, square in statistics.items()}
        mean = sum(float(root.sum()) for root in rms.values()) / sum(root.numel() for root in rms.values())
        self._rates = {name: settings.lr / (root + settings.eps) for name, root in rms.items()}
        self._pulls = {name: (settings.decay / mean * root).clamp(max=1.0) for name, root in rms.items()}

    @torch.no_grad()
    def apply(self) -> None:
        for name, parameter in self._parameters.items():
            gradient, rate, pull = parameter.grad, self._rates[name], self._pulls[name]
            trained_weights = self._trained_weights[name]
            if gradient is None:
                continue
            if gradient.is_sparse:
                gradient = gradient.coalesce()
                rows = gradient.indices()[0]
                weights = parameter[rows]
                weights = weights.lerp(trained_weights[rows], pull[rows]).addcmul_(
                    gradient.values(), rate[rows], value=-1
                )
                parameter.index_copy_(0, rows, weights)
            else:
                parameter.lerp_(trained_weights, pull).addcmul_(gradient, rate, value=-1)
            parameter.grad = None
