"""Optimizers, built from their settings for the parameters of a model."""

from collections.abc import Iterable
from typing import Any, assert_never, cast

from torch import nn

from charlm.nn.norm import matrix_parameters
from charlm.training.optim.muon import Muon
from charlm.training.optim.optimizers import SGD, AdamW, Optimizers
from charlm.training.optim.settings import AdamWSettings, MuonSettings, OptimizerSettings, SGDSettings


def build_optimizers(settings: OptimizerSettings, model: nn.Module) -> Optimizers:
    """Return the optimizers of all parameters of a model."""
    match settings:
        case AdamWSettings():
            return Optimizers([build_adamw(settings, model)])
        case SGDSettings():
            return Optimizers([_build_sgd(settings, model)])
        case MuonSettings():
            return _build_muon(settings, model)
    assert_never(settings)


def build_adamw(settings: AdamWSettings, model: nn.Module, parameters: Iterable[nn.Parameter] | None = None) -> AdamW:
    """Return AdamW for all parameters of a model, or for some. Weight decay applies to matrices only: biases and gains
    have no scale to keep small."""
    return AdamW(
        _param_groups(model, model.parameters() if parameters is None else parameters, settings.weight_decay),
        lr=settings.lr,
        betas=(settings.beta1, settings.beta2),
        eps=settings.eps,
        fused=True,
    )


def _build_sgd(settings: SGDSettings, model: nn.Module) -> SGD:
    return SGD(
        _param_groups(model, model.parameters(), settings.weight_decay),
        lr=settings.lr,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
    )


def _build_muon(settings: MuonSettings, model: nn.Module) -> Optimizers:
    """Return Muon for the matrices of `model.body` and AdamW for all other parameters."""
    body_matrices, others = _split(model.parameters(), matrix_parameters(cast("nn.Module", model.body)))
    muon = Muon(
        body_matrices,
        lr=settings.lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        num_iterations=settings.num_iterations,
    )
    return Optimizers([muon, build_adamw(settings.adamw, model, others)])


def _param_groups(model: nn.Module, parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Return a group of the matrices, with weight decay, and a group of the other parameters, without."""
    decayed, others = _split(parameters, matrix_parameters(model))
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _split(
    parameters: Iterable[nn.Parameter], chosen: Iterable[nn.Parameter]
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the parameters that are chosen and those that are not, both in their order."""
    ids = {id(parameter) for parameter in chosen}
    both = list(parameters)
    return [each for each in both if id(each) in ids], [each for each in both if id(each) not in ids]
