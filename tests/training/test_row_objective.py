"""Documents as rows: recomputation and micro-batches give the same update, with less memory, in every direction."""

from itertools import product
from typing import Any

import pytest
import torch

from charlm.data.batches import Batch
from charlm.training.distributed import SingleProcess
from charlm.training.model_updater import ModelUpdater
from charlm.training.norm_statistics import reestimate_batch_norm
from charlm.training.objective import Objective
from charlm.training.optim.schedules import ScheduleInput
from charlm.training.optim.settings import ConstantSettings, SGDSettings
from charlm.training.settings import TrainingSettings
from tests.nn.rows import DIRECTIONS, build, rows, targets_for

CPU = torch.device("cpu")
BODIES = ("lstm-fused", "gru-torch", "dense", "strided", "dilated", "window", "tcn")


def batch(reader: str, lengths: tuple[int, ...] = (7, 1, 12, 5)) -> Batch:
    inputs_BT, lengths_B = rows(lengths)
    return Batch(inputs_BT, targets_for(reader, inputs_BT, lengths_B), torch.ones(len(lengths)).bool(), lengths_B)


def updater(body: str, direction: str, reader: str, **settings: Any) -> ModelUpdater:
    chosen: dict[str, Any] = {"max_steps": 9, "precision": "fp32", "optimizer": SGDSettings(lr=0.5), "clip_norm": 0.0}
    return ModelUpdater(
        build(body, direction, reader).double().train(),
        TrainingSettings(schedule=ConstantSettings(warmup_steps=0), **chosen | settings),
        CPU,
        SingleProcess(),
    )


@pytest.mark.parametrize(
    ("body", "direction", "reader"),
    [*product(BODIES, DIRECTIONS, ["tags"]), *product(["gru-torch"], DIRECTIONS, ["end", "mean", "max"])],
)
def test_the_update_is_the_same(body: str, direction: str, reader: str) -> None:
    """Without dropout: the same losses, gradients and weights, to rounding."""
    for way in ({"recompute_len": 4}, {"micro_batches": 3}):
        other = updater(body, direction, reader, **way)
        plain = updater(body, direction, reader)
        pair = [each.update(batch(reader), ScheduleInput(0, 0, 0.0, 0.0), num_scored=13) for each in (plain, other)]
        assert pair[0].applied
        assert pair[1].nats == pytest.approx(pair[0].nats, rel=1e-9)
        assert pair[1].gradient_norm == pytest.approx(pair[0].gradient_norm, rel=1e-9)
        for mine, its in zip(plain.model.parameters(), other.model.parameters(), strict=True):
            torch.testing.assert_close(its, mine, rtol=1e-9, atol=1e-9)
        assert not [name for name in other.tensors() if name.startswith("state.")], "nothing is carried"


def noisy(direction: str) -> ModelUpdater:
    student = updater("lstm-fused", direction, "tags")
    student.model = build(
        "lstm-fused",
        direction,
        "tags",
        input_dropout=0.3,
        dropout=0.5,
        output_dropout=0.5,
        weight_drop=0.3,
        zoneout=0.2,
    )
    student.model.double().train()
    return student


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_segments_compute_the_same_noise_twice(direction: str) -> None:
    """Recomputation with other masks would give gradients of another loss."""
    model = noisy(direction).model
    objective = Objective(model, "fp32", 4)
    rows_ = batch("tags")
    weight = next(p for name, p in model.named_parameters() if name.endswith("cell.input_weight_GD"))

    def loss() -> torch.Tensor:
        return objective(rows_.inputs_BT, rows_.targets_BT, model.initial_state(4), (1, 2), rows_.lengths_B)[0]

    def loss_after(shift: float) -> float:
        with torch.no_grad():
            weight[0, 0] += shift
        return loss().item()

    loss().backward()
    assert weight.grad is not None
    slope = (loss_after(1e-5) - loss_after(-2e-5)) / 2e-5
    assert weight.grad[0, 0].item() == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_validation_after_training_keeps_no_segments(direction: str) -> None:
    model = noisy(direction).model.eval()
    rows_ = batch("tags")
    with torch.inference_mode():
        before, _ = model(rows_.inputs_BT, model.initial_state(4), rows_.lengths_B)
        Objective(model, "fp32", 4)
        after, _ = model(rows_.inputs_BT, model.initial_state(4), rows_.lengths_B)
    assert torch.equal(before, after)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("body", "reader"), [("lstm-torch", "tags"), ("gru-fused", "mean"), ("noisy", "tags")])
def test_segments_keep_fewer_activations(body: str, direction: str, reader: str) -> None:
    """Compares the bytes that are kept for the backward pass of documents of 256 tokens."""
    kept: dict[int | None, int] = {}
    for recompute_len in (None, 32):
        changes: dict[str, Any] = {"norm": "layer", "zoneout": 0.2, "recurrent_dropout": 0.1} if body == "noisy" else {}
        model = build(body.replace("noisy", "lstm-fused"), direction, reader, hidden_size=64, **changes).train()
        objective = Objective(model, "fp32", recompute_len)
        rows_ = batch(reader, (256, 100))
        seen: dict[int, int] = {}

        def keep(tensor: torch.Tensor, seen: dict[int, int] = seen) -> torch.Tensor:
            seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            objective(rows_.inputs_BT, rows_.targets_BT, model.initial_state(2), (0, 0), rows_.lengths_B)
        kept[recompute_len] = sum(seen.values())
    assert kept[32] < kept[None] / 2


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_statistics_of_averaged_weights_come_from_whole_documents(direction: str) -> None:
    """Padding does not enter them, and batches of other sizes follow each other."""
    lengths = (9, 12, 3, 7, 12, 5, 8, 11, 10)
    found: list[dict[str, torch.Tensor]] = []
    for padding in (0, 6):
        model = build("batch-norm", direction, "tags")
        batches: list[Batch] = []
        for own in (lengths, lengths[:8]):
            rows_ = batch("tags", own)
            inputs_BT = torch.nn.functional.pad(rows_.inputs_BT, (0, padding), value=5)
            if padding:
                inputs_BT[rows_.lengths_B[:, None] <= torch.arange(inputs_BT.shape[1])] = 7  # pyright: ignore[reportOptionalSubscript]
            batches.append(rows_._replace(inputs_BT=inputs_BT))
        reestimate_batch_norm(model, batches, CPU, "fp32", 0)
        found.append({name: buffer.clone() for name, buffer in model.named_buffers()})
    assert found[0]
    for name, buffer in found[0].items():
        torch.testing.assert_close(found[1][name], buffer, rtol=0, atol=1e-5, msg=name)
