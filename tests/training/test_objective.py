"""Micro-batches and segments give the same update with less memory."""

from typing import Any

import pytest
import torch

from charlm.data.batches import Batch
from charlm.nn.bodies.settings import BodySettings, RecurrentSettings, TCNSettings, WindowSettings
from charlm.nn.build import build_model
from charlm.nn.cells.settings import GRUSettings
from charlm.nn.embeddings.settings import TokenEmbeddingSettings
from charlm.nn.settings import ModelSettings
from charlm.training.distributed import SingleProcess
from charlm.training.model_updater import ModelUpdater, UpdateResult
from charlm.training.objective import Objective
from charlm.training.optim.schedules import ScheduleInput
from charlm.training.optim.settings import ConstantSettings, SGDSettings
from charlm.training.settings import TrainingSettings

CPU = torch.device("cpu")
BODIES: dict[str, BodySettings] = {
    "lstm": RecurrentSettings(hidden_size=12, num_layers=2, norm="layer"),
    "gru": RecurrentSettings(hidden_size=12, cell=GRUSettings(), dilations=(3,)),
    "window": WindowSettings(hidden_size=12),
    "tcn": TCNSettings(hidden_size=12),
}


def updater(body: BodySettings, **settings: Any) -> ModelUpdater:
    torch.manual_seed(0)
    embedding = TokenEmbeddingSettings(size=8, context_ngrams=(2, 3), context_buckets=50)
    model = build_model(ModelSettings(embedding=embedding, body=body), 20).double()
    chosen: dict[str, Any] = {"max_steps": 9, "precision": "fp32", "optimizer": SGDSettings(lr=0.5), "clip_norm": 0.0}
    return ModelUpdater(
        model.train(),
        TrainingSettings(schedule=ConstantSettings(warmup_steps=0), **chosen | settings),
        CPU,
        SingleProcess(),
    )


def batches(rows: int = 5, steps: int = 11, count: int = 3) -> list[Batch]:
    tokens = torch.randint(0, 20, (rows, count * steps + 1), generator=torch.Generator().manual_seed(1))
    ragged = torch.ones(rows, dtype=torch.bool)
    pieces = [tokens[:, start * steps : (start + 1) * steps + 1] for start in range(count)]
    made = [Batch(piece[:, :-1], piece[:, 1:].clone(), ragged & (index == 0)) for index, piece in enumerate(pieces)]
    made[-1].targets_BT[-1, 4:] = -100
    return made


def study(student: ModelUpdater) -> list[UpdateResult]:
    updates: list[UpdateResult] = []
    for step, batch in enumerate(batches()):
        scored = int((batch.targets_BT != -100).sum())
        updates.append(student.update(batch, ScheduleInput(step, 0, 0.0, 0.0), num_scored=scored))
    return updates


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    "way", [{"micro_batches": 2}, {"micro_batches": 9}, {"recompute_len": 4}, {"recompute_len": 1}]
)
def test_the_update_is_the_same(body: str, way: dict[str, int]) -> None:
    """Without dropout: the same losses, gradients, weights and carried state, to rounding."""
    plain, other = updater(BODIES[body]), updater(BODIES[body], **way)
    for mine, its in zip(study(plain), study(other), strict=True):
        assert its.nats == pytest.approx(mine.nats, rel=1e-9)
        assert its.gradient_norm == pytest.approx(mine.gradient_norm, rel=1e-9)
    for (name, mine), (_, its) in zip(plain.tensors().items(), other.tensors().items(), strict=True):
        torch.testing.assert_close(its, mine, rtol=1e-7, atol=1e-9, msg=name)
    for mine, its in zip(plain.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(its, mine, rtol=1e-9, atol=1e-9)


def test_segments_compute_the_same_dropout_twice() -> None:
    """Recomputation with other masks would give gradients of another loss."""
    student = updater(RecurrentSettings(hidden_size=12, dropout=0.5, output_dropout=0.5))
    objective = Objective(student.model, "fp32", 4)
    batch = batches()[0]
    weight = student.model.get_parameter("head.bias_V")

    def loss(shift: float) -> torch.Tensor:
        with torch.no_grad():
            weight[3] += shift
        found, _, _ = objective(batch.inputs_BT, batch.targets_BT, student.model.initial_state(5), (1, 2))
        with torch.no_grad():
            weight[3] -= shift
        return found

    loss(0.0).backward()
    assert weight.grad is not None
    slope = (loss(1e-4) - loss(-1e-4)).item() / 2e-4
    assert weight.grad[3].item() == pytest.approx(slope, rel=1e-6)


def test_segments_keep_fewer_activations() -> None:
    """Compares the bytes that are kept for the backward pass."""
    kept: dict[int | None, int] = {}
    for recompute_len in (None, 8):
        student = updater(RecurrentSettings(hidden_size=32))
        objective = Objective(student.model, "fp32", recompute_len)
        tokens = torch.randint(0, 20, (4, 129))
        seen: dict[int, int] = {}

        def keep(tensor: torch.Tensor, seen: dict[int, int] = seen) -> torch.Tensor:
            seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            objective(tokens[:, :-1], tokens[:, 1:], student.model.initial_state(4), (0, 0))
        kept[recompute_len] = sum(seen.values())
    assert kept[8] < kept[None] / 4
