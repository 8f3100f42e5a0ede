"""Properties of every language model, run over every member of the unions: embeddings, bodies, cells, norms, heads.

Whatever the architecture: text in pieces gives the features of the whole text, rows do not affect each other, and no
feature depends on the future.

B batch, T time, H features, V vocabulary.
"""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from charlm.checkpoint import ResumeData, load_model, save_checkpoint
from charlm.nn.bodies.settings import BodySettings, RecurrentSettings
from charlm.nn.cells.settings import CellSettings
from charlm.nn.dropout import LockedDropout, NoiseRNG
from charlm.nn.embeddings.frozen import frozen_models
from charlm.nn.embeddings.settings import AnyEmbeddingSettings
from charlm.nn.heads.settings import HeadSettings
from charlm.nn.model import LanguageModel
from charlm.nn.state import State, detach, reset_rows
from tests.nn.cells import BACKENDS
from tests.nn.gradients import fast_or_full
from tests.nn.model_cases import (
    CASES,
    CELLS,
    build,
    build_afresh,
    members,
    model_settings,
    random_state,
    tokens,
    tokens_for,
    vocab_of,
)


def assert_close(found: tuple[Tensor, State], expected: tuple[Tensor, State], tolerance: float) -> None:
    for mine, other in zip((found[0], *found[1]), (expected[0], *expected[1]), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=tolerance)


every_model = pytest.mark.parametrize("case", CASES)


class Dense(torch.autograd.Function):
    """The identity with a dense gradient, since gradcheck does not compare sparse ones."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        return gradients[0].to_dense() if gradients[0].is_sparse else gradients[0]


@every_model
@fast_or_full
def test_gradients_are_those_of_finite_differences(case: str, fast_mode: bool) -> None:
    """Of parameters and state."""
    num_heads = CASES[case].get("body", {}).get("num_heads", 1)
    model = build(case, size=2, hidden_size=2 * num_heads if num_heads > 1 else 3).double()
    inputs_BT = tokens_for(case, 2, 4)
    names = [name for name, _ in model.named_parameters() if not name.startswith("head.")]
    state = random_state(case, model, 2)
    num_frozen = sum(reader.num_state_tensors for reader in frozen_models(model))
    frozen, own = state[:num_frozen], state[num_frozen:]  # a frozen language model has no gradients
    floats = [tensor for tensor in own if tensor.is_floating_point()]

    def features(*values: Tensor) -> tuple[Tensor, ...]:
        parameters = {name: cast("Tensor", Dense.apply(value)) for name, value in zip(names, values, strict=False)}
        given = iter(values[len(names) :])
        mixed = tuple(next(given) if tensor.is_floating_point() else tensor for tensor in own)
        output, after = torch.func.functional_call(model, parameters, (inputs_BT, (*frozen, *mixed)))
        return output, *(tensor for tensor in after[num_frozen:] if tensor.is_floating_point())

    leaves = [*(dict(model.named_parameters())[name] for name in names), *floats]
    values = tuple(leaf.detach().clone().requires_grad_() for leaf in leaves)
    assert torch.autograd.gradcheck(features, values, fast_mode=fast_mode)


@every_model
@pytest.mark.parametrize("chunks", [[1] * 12, [12], [5, 7], [1, 11], [0, 3, 0, 1, 8, 0]])
def test_text_in_chunks_is_text_at_once(case: str, chunks: list[int]) -> None:
    model = build(case)
    inputs_BT = tokens_for(case, 3, 12)
    state = start = random_state(case, model, 3)
    pieces: list[Tensor] = []
    for inputs in inputs_BT.split(chunks, dim=1):
        features, state = model(inputs, state)
        assert features.shape == (3, inputs.shape[1], model.body.features_size)
        pieces.append(features)
    assert_close((torch.cat(pieces, dim=1), state), model(inputs_BT, start), 1e-6)


@every_model
def test_rows_do_not_see_each_other(case: str) -> None:
    model = build(case)
    inputs_BT, state = tokens_for(case, 4, 9), random_state(case, model, 4)
    features, after = model(inputs_BT, state)
    for row in range(4):
        alone = model(inputs_BT[row : row + 1], tuple(tensor[row : row + 1] for tensor in state))
        assert_close(alone, (features[row : row + 1], tuple(tensor[row : row + 1] for tensor in after)), 1e-5)


@every_model
def test_nothing_sees_the_future(case: str) -> None:
    model = build(case)
    inputs_BT = tokens_for(case, 1, 10)
    before, _ = model(inputs_BT, model.initial_state(1))
    for time in range(10):
        changed = inputs_BT.clone()
        changed[0, time] = (changed[0, time] + 1) % vocab_of(case).size
        after, _ = model(changed, model.initial_state(1))
        assert torch.equal(after[:, :time], before[:, :time])
        assert not torch.allclose(after[:, time], before[:, time]), "a feature depends on the current token"


@every_model
def test_the_past_is_remembered_through_the_state_alone(case: str) -> None:
    model = build(case)
    inputs_BT = tokens_for(case, 1, 5)
    fresh = model.initial_state(1)
    _, one = model(tokens_for(case, 1, 3, seed=3), fresh)
    _, other = model(tokens_for(case, 1, 3, seed=4), fresh)
    assert not torch.allclose(model(inputs_BT, one)[0], model(inputs_BT, other)[0])
    assert torch.equal(model(inputs_BT, one)[0], model(inputs_BT, one)[0]), "equal states give equal features"


@every_model
def test_no_text_changes_nothing(case: str) -> None:
    model = build(case)
    state = random_state(case, model, 2)
    features, after = model(tokens_for(case, 2, 0), state)
    assert features.shape == (2, 0, model.body.features_size)
    assert_close((features, after), (features, state), 0)
    assert model.head.nll(features, tokens_for(case, 2, 0)).shape == (2, 0)


@every_model
def test_a_state_is_batch_first_and_fp32(case: str) -> None:
    model = build(case)
    for batch_size in (1, 3):
        fresh = model.initial_state(batch_size)
        for num_steps in (1, 2):
            _, after = model(tokens_for(case, batch_size, num_steps), fresh)
            assert len(after) == len(fresh) > 0
            for old, new in zip(fresh, after, strict=True):
                assert old.shape == new.shape
                assert old.shape[0] == batch_size
                assert old.dtype == new.dtype == (torch.float32 if old.is_floating_point() else torch.int64)


@every_model
def test_under_bf16_autocast_state_and_loss_stay_fp32(case: str) -> None:
    model = build(case)
    inputs_BT = tokens_for(case, 2, 3)
    exact, _ = model(inputs_BT, model.initial_state(2))
    with torch.autocast("cpu", torch.bfloat16):
        features, state = model(inputs_BT, model.initial_state(2))
        _, state = model(inputs_BT[:, :1], state)
        nll = model.head.nll(features, inputs_BT)
    assert nll.dtype == torch.float32
    assert all(tensor.dtype == torch.float32 for tensor in state if tensor.is_floating_point())
    torch.testing.assert_close(features.float(), exact, rtol=0, atol=0.1)


@every_model
def test_big_numbers_stay_finite(case: str) -> None:
    """With inputs and states of norm 1,000."""
    model = build(case)
    with torch.no_grad():
        for parameter in model.embedding.parameters():
            parameter.mul_(1000 / parameter.norm(dim=-1, keepdim=True))
    inputs_BT = tokens_for(case, 2, 20)
    start = tuple(tensor + 1000 if tensor.is_floating_point() else tensor for tensor in model.initial_state(2))
    features, state = model(inputs_BT, start)
    loss = model.head.nll(features, inputs_BT).sum()
    loss.backward()
    gradients = [cast("Tensor", parameter.grad).to_dense() for parameter in model.parameters()]
    assert all(torch.isfinite(tensor).all() for tensor in (features, *state, loss, *gradients))


@every_model
def test_a_saved_model_is_the_same_model(case: str, tmp_path: Path) -> None:
    model = build(case)
    settings, trained_on = model_settings(case), {"corpus": "tiny", "fingerprint": "0" * 64}
    vocab, state = vocab_of(case), ResumeData({})
    save_checkpoint(tmp_path / "c", model=model, settings=settings, vocab=vocab, trained_on=trained_on, training=state)
    loaded = load_model(tmp_path / "c", torch.device("cpu")).model.eval()
    inputs_BT = tokens_for(case, 2, 6)
    assert_close(loaded(inputs_BT, loaded.initial_state(2)), model(inputs_BT, model.initial_state(2)), 0)
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    names = {name: parameter.shape for name, parameter in model.named_parameters()}
    assert {name: parameter.shape for name, parameter in loaded.named_parameters()} == names
    assert loaded.num_parameters == sum(shape.numel() for shape in names.values())


@every_model
def test_on_the_meta_device_a_model_has_its_shapes(case: str) -> None:
    with torch.device("meta"):
        shapes = build_afresh(case).state_dict()
    assert {name: tensor.shape for name, tensor in shapes.items()} == {
        name: tensor.shape for name, tensor in build(case).state_dict().items()
    }


def test_backends_agree() -> None:
    """Parameters and state have the same layout for every backend."""
    for cell, layers in product(CELLS, (1, 2)):
        models = [build(f"{cell}-{layers}-{backend}") for backend in BACKENDS[cell]]
        inputs_BT, state = tokens(3, 11), random_state(f"{cell}-{layers}-plain", models[0], 3)
        expected = models[0](inputs_BT, state)
        for model in models[1:]:
            model.load_state_dict(models[0].state_dict())
            assert_close(model(inputs_BT, state), expected, 1e-5)


# ---- states


@every_model
def test_single_rows_start_afresh(case: str) -> None:
    model = build(case)
    inputs_BT, carried = tokens_for(case, 4, 5), random_state(case, model, 4)
    reset_B = torch.tensor([True, False, True, False])
    state = reset_rows(carried, model.initial_state(4), reset_B)
    features, _ = model(inputs_BT, state)
    fresh, _ = model(inputs_BT, model.initial_state(4))
    old, _ = model(inputs_BT, carried)
    torch.testing.assert_close(features[reset_B], fresh[reset_B], rtol=0, atol=1e-6)
    torch.testing.assert_close(features[~reset_B], old[~reset_B], rtol=0, atol=1e-6)


def test_rows_of_any_shape_start_afresh() -> None:
    shapes = [(3,), (3, 2), (3, 2, 4)]
    state = tuple(torch.ones(shape) for shape in shapes)
    fresh = tuple(torch.zeros(shape) for shape in shapes)
    for tensor in reset_rows(state, fresh, torch.tensor([False, True, False])):
        assert tensor[1].sum() == 0
        assert torch.equal(tensor[[0, 2]], torch.ones_like(tensor[[0, 2]]))


@every_model
def test_a_detached_state_carries_values_without_history(case: str) -> None:
    model = build(case).train()
    _, state = model(tokens_for(case, 2, 3), model.initial_state(2))
    assert any(tensor.requires_grad for tensor in state)
    for tensor, cut in zip(state, detach(state), strict=True):
        assert not cut.requires_grad
        assert torch.equal(tensor, cut)


# ---- dropout


@every_model
def test_masks_are_a_pure_function_of_seed_step_and_rank(case: str) -> None:
    model = build(case, dropout=0.5, output_dropout=0.5).train()
    inputs_BT = tokens_for(case, 2, 5)

    def features(seed: int, step: int, rank: int = 0) -> Tensor:
        model.rng.seed(seed, step, rank)
        return model(inputs_BT, model.initial_state(2))[0].detach()

    first = features(1, 2, 3)
    others = [features(1, 2, 4), features(1, 3, 3), features(2, 2, 3), features(12, 3, 0), features(1, 23, 0)]
    torch.manual_seed(99)
    assert torch.equal(features(1, 2, 3), first)
    everything = [first, *others]
    assert all(not torch.equal(a, b) for i, a in enumerate(everything) for b in everything[:i])
    without = build(case)
    without.load_state_dict(model.state_dict())  # a batch normalisation has new averages
    model.eval()
    assert torch.equal(model(inputs_BT, model.initial_state(2))[0], without(inputs_BT, without.initial_state(2))[0])


def test_locked_dropout_has_one_mask_for_all_time_steps_and_keeps_the_mean() -> None:
    rng = NoiseRNG()
    rng.seed(0, 0)
    dropout = LockedDropout(0.25, rng).train()
    out_BTD = dropout(torch.ones(200, 6, 50))
    assert torch.equal(out_BTD, out_BTD[:, :1].expand(-1, 6, -1))
    values, counts = out_BTD[:, 0].unique(return_counts=True)
    torch.testing.assert_close(values, torch.tensor([0.0, 4 / 3]))
    assert abs(float(counts[0]) / 10_000 - 0.25) < 4 * (0.25 * 0.75 / 10_000) ** 0.5
    assert torch.equal(dropout.eval()(out_BTD), out_BTD)
    nothing = LockedDropout(0.0, rng).train()
    assert torch.equal(nothing(out_BTD), out_BTD)


# ---- all of them


def test_every_member_of_the_unions_is_here() -> None:
    settings = [model_settings(case) for case in CASES]
    for union, found in (
        (AnyEmbeddingSettings, {model.embedding.type for model in settings}),
        (BodySettings, {model.body.type for model in settings}),
        (CellSettings, {model.body.cell.type for model in settings if isinstance(model.body, RecurrentSettings)}),
        (HeadSettings, {model.head.type for model in settings}),
    ):
        assert found == set(members(union))


def test_models_start_alike_from_one_seed() -> None:
    make: list[Callable[[], LanguageModel]] = [lambda case=case: build_afresh(case) for case in CASES]
    for build_again in make:
        states: list[dict[str, Tensor]] = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            states.append(dict(build_again().state_dict()))
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
        assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])
