"""Optimizers, built from their settings."""

from torch import nn, optim

from charlm.training.settings import AdamWSettings


def build_adamw(settings: AdamWSettings, model: nn.Module) -> optim.AdamW:
    """AdamW whose weight decay touches matrices alone: biases and gains have no scale to keep small."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    return optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=settings.lr,
        betas=(settings.beta1, settings.beta2),
        eps=settings.eps,
        fused=True,
    )
