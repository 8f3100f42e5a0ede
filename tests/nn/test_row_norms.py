"""Batch normalisation of rows of different lengths: statistics are those of the rows that have not ended.

B batch, T time.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from charlm.nn.model import LanguageModel
from charlm.nn.norm import MIN_ROWS, BatchNorm
from tests.nn.cells import BACKENDS
from tests.nn.rows import build, read, rows

LONG, SHORT = (12,) * MIN_ROWS, (3, 5, 1)
NETWORKS = ["batch-norm", "batch-norm-per-step", "dilated-batch-norm", "strided-dilated-batch-norm"]
DIRECTIONS = ["forward", "backward", "layers", "stacks"]


def fresh(body: str, direction: str = "forward", **changes: Any) -> LanguageModel:
    """Build a model in training mode that has seen nothing yet."""
    model = build(body, direction, "tags", **changes).train()
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.seen_L.zero_()
    return model


def averages(model: LanguageModel) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in model.named_buffers()}


def assert_same_averages(mine: LanguageModel, other: LanguageModel) -> None:
    for name, buffer in averages(other).items():
        torch.testing.assert_close(averages(mine)[name], buffer, rtol=0, atol=1e-5, msg=name)


@pytest.mark.parametrize("body", NETWORKS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("lengths", [(*LONG, *SHORT), SHORT])
def test_padding_changes_nothing_in_training(body: str, direction: str, lengths: tuple[int, ...]) -> None:
    """Neither its length nor its tokens: outputs, gradients and averages are the same."""
    one, other = fresh(body, direction), fresh(body, direction)
    inputs_BT, lengths_B = rows(lengths)
    padded_BT, _ = rows(lengths, width=20, seed=9)
    is_text_BT = torch.arange(20) < lengths_B[:, None]
    padded_BT[:, : inputs_BT.shape[1]] = inputs_BT.where(
        is_text_BT[:, : inputs_BT.shape[1]], padded_BT[:, : inputs_BT.shape[1]]
    )
    losses: list[Tensor] = []
    for model, inputs in ((one, inputs_BT), (other, padded_BT)):
        features_BTH = read(model, inputs, lengths_B)
        is_here_BT = is_text_BT[:, : inputs.shape[1]]
        losses.append((features_BTH[is_here_BT].square() * torch.arange(1, features_BTH.shape[-1] + 1)).sum())
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-5)
    for loss in losses:
        loss.backward()
    for mine, its in zip(one.body.parameters(), other.body.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad, rtol=1e-4, atol=1e-4)
    assert_same_averages(one, other)


@pytest.mark.parametrize("body", ["batch-norm", "batch-norm-per-step"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_rows_that_have_ended_add_nothing_to_later_statistics(body: str, direction: str) -> None:
    """Steps that short rows do not reach have the statistics of the long rows alone."""
    one, alone = (fresh(body, direction, num_layers=1, skip="none", dilations=(), strides=()) for _ in range(2))
    inputs_BT, lengths_B = rows((*LONG, 3, 2, 1))
    read(one, inputs_BT, lengths_B)
    read(alone, inputs_BT[: len(LONG)], lengths_B[: len(LONG)])
    input_norms = [name for name in averages(one) if "input_norm.mean_LG" in name]
    assert input_norms
    for name in input_norms:
        mine, its = averages(one)[name], averages(alone)[name]
        assert not torch.allclose(mine[0], its[0]), "step 0 has all rows"
        torch.testing.assert_close(mine[-1], its[-1])


def test_few_rows_are_normalised_by_the_averages_and_leave_them() -> None:
    model = fresh("batch-norm")
    many_BT, many_B = rows(LONG)
    read(model, many_BT, many_B)
    before = averages(model)
    few_BT, few_B = rows((9,) * (MIN_ROWS - 1), seed=3)
    trained = read(model, few_BT, few_B)
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    torch.testing.assert_close(read(model.eval(), few_BT, few_B), trained)


def test_few_rows_before_any_statistics_train_too() -> None:
    model = fresh("batch-norm-per-step")
    features = read(model, *rows((5, 2)))
    features.sum().backward()
    assert bool(features.isfinite().all())
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("body", NETWORKS)
def test_rows_of_one_length_train_as_text_does(body: str) -> None:
    """With enough rows, and none that ends, lengths make no difference."""
    one, other = fresh(body), fresh(body)
    inputs_BT, lengths_B = rows(LONG)
    torch.testing.assert_close(
        read(one, inputs_BT, lengths_B), other(inputs_BT, other.initial_state(len(LONG)))[0], rtol=0, atol=1e-5
    )
    assert_same_averages(one, other)


@pytest.mark.parametrize("lengths", [LONG, (*LONG, *SHORT), SHORT])
@pytest.mark.parametrize("cell", [cell for cell, backends in BACKENDS.items() if "fused" in backends])
def test_the_fused_backend_equals_the_plain_one(cell: str, lengths: tuple[int, ...]) -> None:
    inputs_BT, lengths_B = rows(lengths)
    is_text_BT = torch.arange(inputs_BT.shape[1]) < lengths_B[:, None]
    plain, fused = (
        fresh("batch-norm", "layers", cell={"type": cell}, backend=backend) for backend in ("plain", "fused")
    )
    features = [read(model, inputs_BT, lengths_B)[is_text_BT] for model in (plain, fused)]
    torch.testing.assert_close(features[1], features[0], rtol=0, atol=1e-5)
    assert_same_averages(fused, plain)


def test_the_backward_clock_starts_at_the_end_of_each_row() -> None:
    """Step k of the backward direction is the k-th token from the end of its own row."""
    lengths = tuple(range(5, 5 + MIN_ROWS))
    forward, backward = fresh("batch-norm"), fresh("batch-norm", "backward")
    inputs_BT, lengths_B = rows(lengths)
    mirrored_BT = inputs_BT.clone()
    for row, length in enumerate(lengths):
        mirrored_BT[row, :length] = inputs_BT[row, :length].flip(0)
    ahead, behind = read(forward, inputs_BT, lengths_B), read(backward, mirrored_BT, lengths_B)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(behind[row, :length].flip(0), ahead[row, :length], rtol=0, atol=1e-6)
    for (_, mine), (_, its) in zip(forward.named_buffers(), backward.named_buffers(), strict=True):
        torch.testing.assert_close(mine, its)
