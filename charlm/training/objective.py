"""The loss of a training step as a module, so that DistributedDataParallel can run it on many devices.

    inputs, targets, state ──model──> features ──head.loss──> the loss to minimise, the exact nats, the new state
    of a conditional model: condition ──given──> model, initial state

With `recompute_len` the time axis is cut into segments that keep only the state they start from; their activations are
recomputed in the backward pass (Chen et al., 2016). A body that reads backward does this inside itself.

B batch, T time.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from charlm.device import Precision, autocast
from charlm.nn.bodies.reversed import WholeRowBody
from charlm.nn.model import Condition, ConditionalModel, LanguageModel
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.state import State

ObjectiveResult = tuple[Tensor, Tensor, State]

_CONDITION_KEY = -1
"""Ends the seed of the dropout masks of what reads a condition; segments of the text have numbers from 0."""


class Objective(nn.Module):
    """(inputs_BT, targets_BT, state, key) -> the sums of losses and of nats over scored targets, and the new state."""

    def __init__(self, model: LanguageModel, precision: Precision, recompute_len: int | None = None) -> None:
        super().__init__()
        self.model = model
        self._precision: Precision = precision
        self._recompute_len = recompute_len if model.is_causal else None
        for module in model.modules():
            if isinstance(module, WholeRowBody):
                module.recompute_len = recompute_len

    def forward(
        self,
        inputs_BT: Tensor,
        targets_BT: Tensor,
        state: State,
        key: Sequence[int],
        lengths_B: Tensor | None = None,
        condition: Condition | None = None,
        evidence_BTE: Tensor | None = None,
    ) -> ObjectiveResult:
        """Run the model over a batch, in segments if it is longer than `recompute_len`.

        Args:
            state: of a model with a condition it does not matter, since it begins with the initial state.
            key: the seed of the dropout masks.
            lengths_B: the number of tokens of each row, if rows have padding after their ends.
            condition: what a conditional model is given, with a row for each row of the batch.
            evidence_BTE: what n-grams of other documents say of each target, for a model with an n-gram component.
        """
        model = self.model
        if condition is not None:
            assert isinstance(model, ConditionalModel), "its task has conditions"
            model.rng.seed(*key, _CONDITION_KEY)
            with autocast(self._precision, inputs_BT.device):
                model = model.given(condition)
            state = model.initial_state(len(inputs_BT))
        max_len = self._recompute_len or inputs_BT.shape[1]
        if inputs_BT.shape[1] <= max_len:
            return self._forward_segment(model, inputs_BT, targets_BT, state, key, lengths_B, evidence_BTE)
        losses: list[Tensor] = []
        nats: list[Tensor] = []
        for index, (inputs, targets) in enumerate(
            zip(inputs_BT.split(max_len, 1), targets_BT.split(max_len, 1), strict=True)
        ):
            result = checkpoint(
                self._forward_segment,
                model,
                inputs,
                targets,
                state,
                (*key, index),
                None if lengths_B is None else (lengths_B - index * max_len).clamp(min=0, max=inputs.shape[1]),
                None if evidence_BTE is None else evidence_BTE[:, index * max_len : (index + 1) * max_len],
                use_reentrant=False,
                preserve_rng_state=False,
            )
            loss, segment_nats, state = cast("ObjectiveResult", result)
            losses.append(loss)
            nats.append(segment_nats)
        return torch.stack(losses).sum(), torch.stack(nats).sum(), state

    def _forward_segment(
        self,
        model: LanguageModel,
        inputs_BT: Tensor,
        targets_BT: Tensor,
        state: State,
        key: Sequence[int],
        lengths_B: Tensor | None = None,
        evidence_BTE: Tensor | None = None,
    ) -> ObjectiveResult:
        model.rng.seed(*key)  # here, so that recomputation draws the same masks
        with autocast(self._precision, inputs_BT.device):
            if evidence_BTE is None:
                features_BTH, new_state = model(inputs_BT, state, lengths_B)
                loss_BT, nll_BT = model.head.loss(features_BTH, targets_BT)
            else:
                assert isinstance(model, NgramLanguageModel), "its batches have evidence"
                loss_BT, nll_BT, new_state = model.loss_from_evidence(inputs_BT, targets_BT, evidence_BTE, state)
        return loss_BT.sum(), nll_BT.detach().sum(), new_state
