"""Optimizers agree with their papers."""

import pytest
import torch
from torch import Tensor, nn

from charlm.nn.bodies.settings import RecurrentSettings
from charlm.nn.build import build_model
from charlm.nn.embeddings.settings import TokenEmbeddingSettings
from charlm.nn.settings import ModelSettings
from charlm.training.optim.build import build_adamw, build_optimizers
from charlm.training.optim.settings import AdamWSettings

SETTINGS = AdamWSettings(lr=0.1, beta1=0.8, beta2=0.95, eps=1e-6, weight_decay=0.3)


def loshchilov_hutter(start: Tensor, gradients: list[Tensor], settings: AdamWSettings, decay: float) -> Tensor:
    """Algorithm 2 of "Decoupled Weight Decay Regularization" (2019), its decay scaled by the rate as in torch."""
    theta = start.clone()
    m, v = torch.zeros_like(start), torch.zeros_like(start)
    for t, gradient in enumerate(gradients, start=1):
        m = settings.beta1 * m + (1 - settings.beta1) * gradient
        v = settings.beta2 * v + (1 - settings.beta2) * gradient**2
        m_hat, v_hat = m / (1 - settings.beta1**t), v / (1 - settings.beta2**t)
        theta = theta - settings.lr * (m_hat / (v_hat.sqrt() + settings.eps) + decay * theta)
    return theta


class Two(nn.Module):
    """A matrix and a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(3, 2, generator=torch.Generator().manual_seed(0)))
        self.vector = nn.Parameter(torch.randn(4, generator=torch.Generator().manual_seed(1)))


def test_adamw_follows_its_paper_and_decays_only_matrices() -> None:
    model = Two()
    start = [model.matrix.detach().clone(), model.vector.detach().clone()]
    gradients: list[list[Tensor]] = [[], []]
    optimizer = build_optimizers(SETTINGS, model)
    generator = torch.Generator().manual_seed(2)
    for _ in range(7):
        for parameter, seen in zip((model.matrix, model.vector), gradients, strict=True):
            parameter.grad = torch.randn(parameter.shape, generator=generator)
            seen.append(parameter.grad.clone())
        optimizer.step()
    for parameter, first, seen, decay in zip(model.parameters(), start, gradients, (0.3, 0.0), strict=True):
        torch.testing.assert_close(parameter.detach(), loshchilov_hutter(first, seen, SETTINGS, decay))


@pytest.mark.parametrize("layers", [1, 2])
def test_every_parameter_is_in_one_group(layers: int) -> None:
    body = RecurrentSettings(hidden_size=4, num_layers=layers)
    model = build_model(ModelSettings(embedding=TokenEmbeddingSettings(size=3), body=body), 5)
    groups = build_adamw(SETTINGS, model).param_groups
    names = {parameter: name for name, parameter in model.named_parameters()}
    found = [names[parameter] for group in groups for parameter in group["params"]]
    assert sorted(found) == sorted(names.values())
    undecayed = {names[parameter] for group in groups if not group["weight_decay"] for parameter in group["params"]}
    assert undecayed == {name for name in names.values() if "bias" in name}
