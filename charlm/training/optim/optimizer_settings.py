"""Settings of optimizers, torch-free."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from charlm.settings import Settings

if TYPE_CHECKING:
    from torch import nn

    from charlm.training.optim.optimizers import Optimizers

PositiveFloat = Annotated[float, Field(gt=0)]


class AdamWSettings(Settings):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019), the decay on matrices only."""

    type: Literal["adamw"] = "adamw"
    lr: PositiveFloat = 2e-3
    """Highest learning rate; the schedule scales it."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.99, ge=0, lt=1)
    eps: PositiveFloat = 1e-8
    weight_decay: float = Field(default=0.0, ge=0)

    def build(self, model: "nn.Module") -> "Optimizers":
        from charlm.training.optim.optimizers import Optimizers, build_adamw

        return Optimizers([build_adamw(self, model)])


class SGDSettings(Settings):
    """Stochastic gradient descent. With `training.averaging.type = "triggered"` it is NT-ASGD (Merity et al., 2018)."""

    type: Literal["sgd"] = "sgd"
    lr: PositiveFloat = 1.0
    """Highest learning rate; large ones go with a low training.clip_norm (AWD-LSTM's: 30 and 0.25)."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    nesterov: bool = False
    """Nesterov's form of the momentum."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Added to the gradient of matrices, as the L2 penalty that it is here."""

    def build(self, model: "nn.Module") -> "Optimizers":
        from charlm.training.optim.optimizers import Optimizers, build_sgd

        return Optimizers([build_sgd(self, model)])


class MuonSettings(Settings):
    """Momentum whose matrix is orthogonalised (Jordan et al., 2024), on the body's matrices; AdamW on all the rest."""

    type: Literal["muon"] = "muon"
    lr: PositiveFloat = 0.02
    """Highest learning rate of the orthogonalised matrices, times sqrt(max(1, rows / columns)) of each."""
    momentum: float = Field(default=0.95, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    num_iterations: int = Field(default=5, ge=1, lt=100)
    """Of Newton and Schulz."""
    adamw: AdamWSettings = AdamWSettings()
    """Of embeddings, head, biases, gains, and what is no matrix."""

    def build(self, model: "nn.Module") -> "Optimizers":
        from charlm.training.optim.muon import build_muon

        return build_muon(self, model)


OptimizerSettings = Annotated[AdamWSettings | SGDSettings | MuonSettings, Field(discriminator="type")]
