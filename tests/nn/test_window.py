"""The fixed-window network compared with its equation, one token and one matrix at a time.

B batch, T time, D inputs, H features.
"""

import pytest
import torch
from torch import Tensor

from charlm.nn.bodies.base import Body
from charlm.nn.bodies.build import build_body
from charlm.nn.bodies.settings import WindowSettings
from charlm.nn.dropout import LockedDropout, NoiseRNG
from tests.nn.feed_forward import NOISE, WINDOWS, B, D, T, inputs, layer_normalised, make, normalised, random_state

every_window = pytest.mark.parametrize("case", WINDOWS)


def by_hand(body: Body, settings: WindowSettings, x_BTD: Tensor, rng: NoiseRNG) -> Tensor:
    """h = f(d + sum_k H_k x_{t-k}) (Bengio et al., 2003, without its direct connections), then h + f(b + W h)."""
    weights = body.state_dict()

    def matrix(name: str) -> Tensor:
        gains = [weights[f"{name}.weight_norm.gain_G"]] if settings.norm == "weight" else []
        return normalised(weights[f"{name}.weight_HK"], gains)

    def f(name: str, product: Tensor) -> Tensor:
        if settings.norm == "layer":
            product = layer_normalised(product, weights[f"{name}.product_norm.gain_G"])
        a = product + weights[f"{name}.bias_H"]
        return a.clamp(min=0) if settings.activation == "relu" else a.tanh()

    def drop(name: str, x: Tensor) -> Tensor:
        return LockedDropout(getattr(settings, name), rng).train(body.training)(x)

    x_BTD = drop("input_dropout", x_BTD)
    n = settings.window
    oldest_first = matrix("window").split(D, dim=1)
    rows: list[Tensor] = []
    for x_TD in x_BTD:
        for time in range(len(x_TD)):
            product_H = torch.zeros_like(oldest_first[0][:, 0])
            for k in range(n):
                if time - k >= 0:
                    product_H = product_H + oldest_first[n - 1 - k] @ x_TD[time - k]
            rows.append(f("window", product_H))
    h_BTH = torch.stack(rows).view(*x_BTD.shape[:2], -1)
    for number in range(settings.num_layers - 1):
        h_BTH = drop("dropout", h_BTH)
        h_BTH = h_BTH + f(f"layers.{number}", h_BTH @ matrix(f"layers.{number}").T)
    return drop("output_dropout", h_BTH)


@every_window
def test_a_window_is_its_equation(case: str) -> None:
    body = make(WINDOWS[case])
    features, _ = body(inputs(), body.initial_state(B))
    torch.testing.assert_close(features, by_hand(body, WINDOWS[case], inputs(), NoiseRNG()), rtol=0, atol=1e-12)


@every_window
def test_dropout_is_on_the_inputs_between_layers_and_on_the_features(case: str) -> None:
    settings = WINDOWS[case].model_copy(update=NOISE)
    mine, theirs = NoiseRNG(), NoiseRNG()
    for rng in (mine, theirs):
        rng.seed(1, 2)
    body = make(settings, mine).train()
    features, _ = body(inputs(), body.initial_state(B))
    torch.testing.assert_close(features, by_hand(body, settings, inputs(), theirs), rtol=0, atol=1e-12)


@every_window
def test_the_state_is_the_last_inputs(case: str) -> None:
    body, length = make(WINDOWS[case]), WINDOWS[case].window - 1
    _, after = body(inputs(), random_state(body))
    if length == 0:
        assert after == body.initial_state(B) == ()
    else:
        assert torch.equal(after[0], inputs()[:, T - length :])


@pytest.mark.parametrize("norm", ["none", "weight"])
def test_matrices_start_as_glorot_and_he_have_it_and_biases_at_zero(norm: str) -> None:
    fan_in, fan_out = 16 * 32, 512
    for activation, variance in (("tanh", 2 / (fan_in + fan_out)), ("relu", 2 / fan_in)):
        body = build_body(WindowSettings.model_validate({"activation": activation, "norm": norm}), 32, NoiseRNG())
        impulse = torch.zeros(1, 16, 32)
        biases = [parameter for name, parameter in body.named_parameters() if "bias" in name]
        assert biases
        assert not any(bias.any() for bias in biases)
        assert not body(impulse, body.initial_state(1))[0].any()
        weights = dict(body.named_parameters())["window.weight_HK"]
        assert weights.shape == (fan_out, fan_in)
        assert abs(float(weights.detach().var()) / variance - 1) < 0.02
