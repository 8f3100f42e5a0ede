"""Common properties of a window and a temporal convolutional network: exact state, receptive field and gradients.

B batch, T time, D inputs, H features.
"""

import copy
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from charlm.nn.bodies.build import build_body
from charlm.nn.dropout import NoiseRNG
from charlm.nn.state import State
from tests.nn.feed_forward import BODIES, NOISE, TCNS, B, D, H, T, inputs, make, random_state
from tests.nn.gradients import fast_or_full

every_body = pytest.mark.parametrize("case", BODIES)


def assert_close(found: tuple[Tensor, State], expected: tuple[Tensor, State], tolerance: float) -> None:
    for mine, other in zip((found[0], *found[1]), (expected[0], *expected[1]), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=tolerance)


@every_body
@pytest.mark.parametrize("chunks", [[1] * T, [T], [5, 12], [1, 16], [0, 3, 0, 1, 13, 0]])
def test_vectors_in_chunks_are_vectors_at_once(case: str, chunks: list[int]) -> None:
    body = make(BODIES[case])
    x_BTD, start = inputs(), random_state(body)
    pieces: list[Tensor] = []
    state = start
    for x in x_BTD.split(chunks, dim=1):
        features, state = body(x, state)
        assert features.shape == (B, x.shape[1], body.features_size)
        pieces.append(features)
    assert_close((torch.cat(pieces, dim=1), state), body(x_BTD, start), 1e-12)


@every_body
def test_no_vectors_change_nothing(case: str) -> None:
    body = make(BODIES[case])
    state = random_state(body)
    _, after = body(inputs(num_steps=0), state)
    assert all(torch.equal(old, new) for old, new in zip(state, after, strict=True))


@every_body
def test_a_feature_depends_on_the_receptive_field_and_on_nothing_else(case: str) -> None:
    body = make(BODIES[case])
    field = body.receptive_field
    assert field is not None
    before, after = inputs(batch_size=40, num_steps=field + 6), inputs(batch_size=40, num_steps=field + 6)
    after[:, 2] += 1
    fresh = body.initial_state(40)
    changed_T = (body(before, fresh)[0] != body(after, fresh)[0]).any(-1).any(0)
    steps = changed_T.nonzero().flatten().tolist()
    assert steps[0] == 2, "a feature depends on the current token, not on later ones"
    assert steps[-1] == 2 + field - 1
    state_after = body(before[:, :1], tuple(torch.ones_like(tensor) for tensor in fresh))[1]
    reached = [tensor.shape[1] for tensor in state_after]
    assert sum(reached) == field - 1, "the state holds the rest of the receptive field"


@every_body
def test_rows_do_not_see_each_other(case: str) -> None:
    body = make(BODIES[case])
    x_BTD, state = inputs(), random_state(body)
    features, after = body(x_BTD, state)
    for row in range(B):
        alone = body(x_BTD[row : row + 1], tuple(tensor[row : row + 1] for tensor in state))
        assert_close(alone, (features[row : row + 1], tuple(tensor[row : row + 1] for tensor in after)), 1e-12)


@every_body
@fast_or_full
def test_gradients_are_those_of_finite_differences(case: str, fast_mode: bool) -> None:
    body = make(BODIES[case])
    names = [name for name, _ in body.named_parameters()]

    def run(x_BTD: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        parameters, state = dict(zip(names, values, strict=False)), values[len(names) :]
        features, after = torch.func.functional_call(body, parameters, (x_BTD, state))
        return features, *after

    leaves = (inputs(batch_size=2, num_steps=4), *body.parameters(), *random_state(body, 2))
    values = tuple(leaf.detach().clone().requires_grad_() for leaf in leaves)
    assert torch.autograd.gradcheck(run, values, fast_mode=fast_mode)


@every_body
def test_a_body_of_no_weights_takes_those_of_a_file(case: str) -> None:
    body = make(BODIES[case])
    weights = {name: tensor.clone() for name, tensor in body.state_dict().items()}
    with torch.device("meta"):
        loaded = build_body(BODIES[case], D, NoiseRNG()).eval()
    assert all(tensor.is_meta for tensor in loaded.initial_state(2))
    loaded.load_state_dict(weights, assign=True)
    x_BTD, state = inputs(), random_state(body)
    assert_close(loaded(x_BTD, state), body(x_BTD, state), 0)
    assert [tensor.shape for tensor in loaded.initial_state(2)] == [tensor.shape for tensor in body.initial_state(2)]


@every_body
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_state_has_the_type_of_the_parameters(case: str, dtype: torch.dtype) -> None:
    body = make(BODIES[case]).to(dtype)
    x_BTD, fresh = inputs().to(dtype), body.initial_state(B)
    features, after = body(x_BTD, fresh)
    assert features.dtype == dtype
    assert all(tensor.dtype == dtype and not tensor.any() for tensor in fresh)
    for old, new in zip(fresh, after, strict=True):
        assert (new.dtype, new.shape) == (dtype, old.shape)
        assert new.untyped_storage().nbytes() == new.nbytes, "the state does not keep the chunk in memory"


@every_body
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_under_bf16_autocast_the_state_stays_fp32_and_chunks_are_alike(case: str, dtype: torch.dtype) -> None:
    body = make(BODIES[case]).float()
    x_BTD, fresh = inputs().to(dtype), body.initial_state(B)
    exact, _ = body(x_BTD.float(), fresh)
    with torch.autocast("cpu", torch.bfloat16):
        whole = body(x_BTD, fresh)
        first, state = body(x_BTD[:, :9], fresh)
        second, state = body(x_BTD[:, 9:], state)
    assert all(tensor.dtype == torch.float32 for tensor in state)
    assert_close((torch.cat([first, second], dim=1), state), whole, 1e-6)
    torch.testing.assert_close(whole[0].float(), exact, rtol=0.02, atol=0.2)


@every_body
def test_inputs_of_a_norm_of_a_thousand_have_finite_gradients(case: str) -> None:
    body = make(BODIES[case]).float()
    x_BTD = (1000 * nn.functional.normalize(inputs(), dim=-1)).float().requires_grad_()
    features, state = body(x_BTD, tuple(1000 + tensor for tensor in body.initial_state(B)))
    (features.square().sum() / features.numel()).backward()
    gradients = [parameter.grad for parameter in (x_BTD, *body.parameters())]
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)
    assert all(torch.isfinite(tensor).all() for tensor in (features, *state))


@every_body
@pytest.mark.parametrize("name", [*NOISE, "all"])
def test_a_dropout_has_one_mask_for_all_time_steps_and_is_the_identity_in_evaluation(case: str, name: str) -> None:
    rng = NoiseRNG()
    rng.seed(3, 1)
    noise = NOISE if name == "all" else {name: NOISE[name]}
    body, quiet = make(BODIES[case].model_copy(update=noise), rng), make(BODIES[case])
    x_BTD, fresh = inputs(batch_size=20), body.initial_state(20)
    expected = quiet(x_BTD, fresh)
    assert_close(body(x_BTD, fresh), expected, 0)
    has_no_layers_between = case == "window-of-one" and name == "dropout"
    assert torch.equal(body.train()(x_BTD, fresh)[0], expected[0]) == has_no_layers_between

    field = body.receptive_field
    assert field is not None
    constant = inputs(batch_size=20, num_steps=1).expand(-1, field + 5, -1)
    features, _ = body(constant, fresh)
    settled = features[:, field - 1 :]
    torch.testing.assert_close(settled, settled[:, :1].expand_as(settled), rtol=0, atol=1e-12)


def test_a_copy_is_another_body() -> None:
    for settings in BODIES.values():
        body = make(settings)
        twin = copy.deepcopy(body)
        before = body(inputs(), body.initial_state(B))
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.add_(1)
        assert_close(body(inputs(), body.initial_state(B)), before, 0)
        assert not torch.allclose(twin(inputs(), body.initial_state(B))[0], before[0])


def test_wider_and_deeper_networks_keep_more_and_multiply_more() -> None:
    grow: list[Callable[[int], dict[str, int]]] = [lambda k: {"hidden_size": H * k}, lambda k: {"window": 4 * k}]
    for change in grow:
        bodies = [make(BODIES["window-none"].model_copy(update=change(k))) for k in (1, 2, 3)]
        assert all(small.activations_per_token < big.activations_per_token for small, big in pairwise(bodies))
    for key in ("num_blocks", "kernel_size"):
        bodies = [make(TCNS["tcn-weight"].model_copy(update={key: k})) for k in (2, 3, 4)]
        assert all(small.activations_per_token < big.activations_per_token for small, big in pairwise(bodies))
        assert all(small.macs_per_token < big.macs_per_token for small, big in pairwise(bodies))
