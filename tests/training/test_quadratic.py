"""Optimizers and averages on a quadratic with a known minimum, compared with torch's and with formulas."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim

from charlm.device import has_fast_bf16
from charlm.training.optim.averaging import WeightAverage
from charlm.training.optim.build import build_optimizers
from charlm.training.optim.muon import Muon, orthogonalize
from charlm.training.optim.schedules import ScheduleInput, lr_factor
from charlm.training.optim.settings import (
    AdamWSettings,
    CosineSettings,
    EMASettings,
    MuonSettings,
    OptimizerSettings,
    SGDSettings,
    TriggeredSettings,
)

STEPS = 30


class Bowl(nn.Module):
    """sum of curvature * (x - lowest)^2 over a matrix (in `body`, as a model has one) and a vector."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.body = nn.ParameterDict({"matrix": torch.randn(6, 4, generator=generator, dtype=torch.float64)})
        self.vector = nn.Parameter(torch.randn(5, generator=generator, dtype=torch.float64))
        self.lowest = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in self.parameters()]
        self.curvature = [torch.rand(p.shape, generator=generator, dtype=torch.float64) for p in self.parameters()]

    @property
    def matrix(self) -> nn.Parameter:
        return self.body["matrix"]

    def loss(self) -> Tensor:
        terms = zip(self.parameters(), self.lowest, self.curvature, strict=True)
        return torch.stack([(curvature * (p - lowest) ** 2).sum() for p, lowest, curvature in terms]).sum()

    def values(self) -> Tensor:
        return torch.cat([parameter.detach().flatten() for parameter in self.parameters()])


def descend(settings: OptimizerSettings) -> list[Tensor]:
    """The path of our optimizer, with a cosine schedule and warm-up."""
    bowl, schedule = Bowl(), CosineSettings(warmup_steps=5)
    optimizers = build_optimizers(settings, bowl)
    path: list[Tensor] = []
    for step in range(STEPS):
        optimizers.scale_lr(lr_factor(schedule, ScheduleInput(step, 0, 0.0, step / STEPS)))
        bowl.loss().backward()
        optimizers.step()
        optimizers.zero_grad()
        path.append(bowl.values())
    return path


Build = Callable[[list[dict[str, Any]]], optim.Optimizer]


def descend_with_torch(lr: float, build: Build, decay: float) -> list[Tensor]:
    """The same with torch's optimizer and scheduler; only the matrix decays."""
    bowl = Bowl()
    matrix, vector = bowl.matrix, bowl.vector
    optimizer = build([{"params": [matrix], "weight_decay": decay}, {"params": [vector], "weight_decay": 0.0}])

    def factor(step: int) -> float:
        cosine = 0.05 + 0.95 * (1 + math.cos(math.pi * step / STEPS)) / 2
        return min(1.0, (step + 1) / 5) * cosine

    schedule = optim.lr_scheduler.LambdaLR(optimizer, factor)
    path: list[Tensor] = []
    for _ in range(STEPS):
        bowl.loss().backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        path.append(bowl.values())
    assert optimizer.defaults["lr"] == lr
    return path


def assert_same(mine: list[Tensor], other: list[Tensor]) -> None:
    assert not torch.equal(mine[0], mine[-1])
    for step, (here, there) in enumerate(zip(mine, other, strict=True)):
        torch.testing.assert_close(here, there, rtol=1e-12, atol=1e-12, msg=f"step {step}")


def test_adamw_takes_the_same_path_as_torchs() -> None:
    mine = descend(AdamWSettings(lr=0.1, beta2=0.98, weight_decay=0.2))
    assert_same(mine, descend_with_torch(0.1, lambda groups: optim.AdamW(groups, lr=0.1, betas=(0.9, 0.98)), 0.2))


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd_takes_the_same_path_as_torchs(momentum: float, nesterov: bool) -> None:
    mine = descend(SGDSettings(lr=0.3, momentum=momentum, nesterov=nesterov, weight_decay=0.1))
    other = descend_with_torch(
        0.3, lambda groups: optim.SGD(groups, lr=0.3, momentum=momentum, nesterov=nesterov), decay=0.1
    )
    assert_same(mine, other)


def test_sgd_finds_the_minimum() -> None:
    bowl = Bowl()
    optimizers = build_optimizers(SGDSettings(lr=0.4), bowl)
    for _ in range(3000):
        bowl.loss().backward()
        optimizers.step()
        optimizers.zero_grad()
    assert bowl.loss() < 1e-9


def test_muon_takes_the_same_path_as_torchs() -> None:
    """To the rounding of bf16, in which torch's orthogonalises; AdamW updates all other parameters."""
    torchs = getattr(optim, "Muon", None)
    if torchs is None:
        pytest.skip("this torch has no Muon")
    settings = MuonSettings(lr=0.05, weight_decay=0.1, adamw=AdamWSettings(lr=0.1))
    bowl = Bowl()
    matrix, vector = bowl.matrix, bowl.vector
    muon = torchs([matrix], lr=0.05, weight_decay=0.1)
    adamw = optim.AdamW([vector], lr=0.1, betas=(0.9, 0.99), weight_decay=0)
    ours = Bowl()
    optimizers = build_optimizers(settings, ours)
    for _ in range(STEPS):
        for model, steps in ((bowl, (muon.step, adamw.step)), (ours, (optimizers.step,))):
            model.zero_grad()
            model.loss().backward()
            for step in steps:
                step()
        torch.testing.assert_close(ours.vector, bowl.vector, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(ours.matrix, bowl.matrix, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("shape", [(8, 8), (24, 6), (6, 24)])
def test_orthogonalising_keeps_singular_vectors_and_equalises_singular_values(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    found = u.T @ orthogonalize(matrix, 5) @ v.T
    assert found.diagonal().min() > 0.6
    assert found.diagonal().max() < 1.25
    off = found - torch.diag(found.diagonal())
    assert off.abs().max() < (0.05 if has_fast_bf16(matrix.device) else 1e-4)


def test_muon_scales_tall_matrices_up() -> None:
    """By sqrt(rows / columns): each step of the largest singular value is about lr times that."""
    tall = nn.Parameter(torch.zeros(64, 4))
    muon = Muon([tall], lr=0.1, momentum=0.0, weight_decay=0.0, num_iterations=5)
    tall.grad = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
    muon.step()
    sizes = torch.linalg.svdvals(tall.detach()) / (0.1 * 4)
    assert 0.6 < sizes.min() < sizes.max() < 1.25


# ---- averages


def wander(average: WeightAverage, model: Bowl, history: Callable[[int], list[float]]) -> list[Tensor]:
    path: list[Tensor] = []
    generator = torch.Generator().manual_seed(5)
    for step in range(20):
        for parameter in model.parameters():
            parameter.data.add_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        path.append(model.values())
        average.update(history(step))
    return path


def averaged(average: WeightAverage, model: Bowl) -> Tensor:
    with average.swapped_in():
        return model.values()


def test_ema_is_the_weighted_sum_of_all_weights() -> None:
    model = Bowl()
    average = WeightAverage(EMASettings(decay=0.8), model)
    path = wander(average, model, lambda _: [])
    expected = path[0]
    for updates, weights in enumerate(path[1:], start=1):
        decay = min(0.8, (1 + updates) / (10 + updates))
        expected = decay * expected + (1 - decay) * weights
    torch.testing.assert_close(averaged(average, model), expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(model.values(), path[-1]), "the trained weights are back"


def test_triggered_averaging_is_the_mean_of_all_weights_since_the_trigger() -> None:
    """A validation each step: bits fall until step 8; those of step 11 are worse than the best of steps 0 to 8."""
    model = Bowl()
    average = WeightAverage(TriggeredSettings(patience=2), model)
    bits = [3.0 - 0.1 * min(step, 8) for step in range(11)] + [2.5] * 9
    path = wander(average, model, lambda step: bits[: step + 1])
    torch.testing.assert_close(averaged(average, model), torch.stack(path[11:]).mean(0), rtol=1e-12, atol=1e-12)


def test_before_the_trigger_there_is_no_average() -> None:
    model = Bowl()
    average = WeightAverage(TriggeredSettings(patience=2), model)
    path = wander(average, model, lambda step: [3.0 - 0.1 * done for done in range(step)])
    assert not average.exists
    assert torch.equal(averaged(average, model), path[-1])


def test_triggered_averaging_with_sgd_is_torchs_asgd() -> None:
    """torch's averages in fp32, here with a constant rate and no decay (`lambd`, `alpha` 0), from step t0 + 2 on."""
    bowl, other = Bowl(), Bowl()
    optimizers = build_optimizers(SGDSettings(lr=0.2), bowl)
    average = WeightAverage(TriggeredSettings(patience=1), bowl)
    asgd = optim.ASGD(other.parameters(), lr=0.2, lambd=0.0, alpha=0.0, t0=9)
    for step in range(25):
        for model in (bowl, other):
            model.zero_grad()
            model.loss().backward()
        optimizers.step()
        asgd.step()
        average.update([2.0, 1.0, 3.0] if step >= 10 else [])
    expected = torch.cat([asgd.state[parameter]["ax"].flatten() for parameter in other.parameters()])
    torch.testing.assert_close(averaged(average, bowl), expected, rtol=1e-6, atol=1e-7)


def test_a_resumed_average_continues_to_the_bit() -> None:
    model = Bowl()
    average = WeightAverage(EMASettings(decay=0.9), model)
    wander(average, model, lambda _: [])
    with average.swapped_in():
        saved = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    tensors = {name: tensor.clone() for name, tensor in average.tensors().items()}
    again = Bowl()
    again.load_state_dict(saved)
    resumed = WeightAverage(EMASettings(decay=0.9), again)
    resumed.load_tensors(tensors)
    assert torch.equal(again.values(), model.values())
    for mine, its in ((average, model), (resumed, again)):
        wander(mine, its, lambda _: [])
    assert torch.equal(averaged(resumed, again), averaged(average, model))
