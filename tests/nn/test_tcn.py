"""The temporal convolutional network compared with torch's convolution of the whole, left-padded sequence.

B batch, T time, C channels, H features.
"""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from charlm.nn.bodies.base import Body
from charlm.nn.bodies.build import build_body
from charlm.nn.bodies.settings import TCNSettings
from charlm.nn.dropout import LockedDropout, NoiseRNG
from tests.nn.feed_forward import NOISE, TCNS, B, D, T, inputs, layer_normalised, make, normalised, random_state

every_tcn = pytest.mark.parametrize("case", TCNS)


def by_hand(body: Body, settings: TCNSettings, x_BTD: Tensor, rng: NoiseRNG) -> Tensor:
    """Bai et al., 2018, section 3: blocks of two dilated causal convolutions beside an identity or 1x1 convolution."""
    weights = body.state_dict()

    def convolve(name: str, x_BTC: Tensor, kernel_size: int, dilation: int, norm: str) -> Tensor:
        gains = [weights[f"{name}.weight_norm.gain_G"]] if norm == "weight" else []
        matrix_HK = normalised(weights[f"{name}.weight_HK"], gains)
        kernel_HCk = matrix_HK.view(len(matrix_HK), kernel_size, x_BTC.shape[2]).transpose(1, 2)
        padded_BCT = functional.pad(x_BTC.transpose(1, 2), ((kernel_size - 1) * dilation, 0))
        y_BTH = functional.conv1d(padded_BCT, kernel_HCk, dilation=dilation).transpose(1, 2)
        if norm == "layer":
            y_BTH = layer_normalised(y_BTH, weights[f"{name}.product_norm.gain_G"])
        return y_BTH + weights[f"{name}.bias_H"]

    def drop(name: str, x: Tensor) -> Tensor:
        return LockedDropout(getattr(settings, name), rng).train(body.training)(x)

    x = drop("input_dropout", x_BTD)
    for number in range(settings.num_blocks):
        y = x
        for half in range(2):
            name = f"blocks.{number}.convolutions.{half}"
            y = convolve(name, y, settings.kernel_size, settings.dilation_base**number, settings.norm)
            y = drop("dropout", y.clamp(min=0))
        if x.shape != y.shape:
            x = convolve(f"blocks.{number}.residual", x, 1, 1, "none")
        x = (x + y).clamp(min=0)
    return drop("output_dropout", x)


@every_tcn
def test_a_network_is_that_of_whole_convolutions(case: str) -> None:
    body = make(TCNS[case])
    features, _ = body(inputs(), body.initial_state(B))
    torch.testing.assert_close(features, by_hand(body, TCNS[case], inputs(), NoiseRNG()), rtol=0, atol=1e-12)
    assert (features > 0).any(), "some features are positive"


@every_tcn
def test_dropout_is_on_the_inputs_after_each_convolution_and_on_the_features(case: str) -> None:
    settings = TCNS[case].model_copy(update=NOISE)
    mine, theirs = NoiseRNG(), NoiseRNG()
    for rng in (mine, theirs):
        rng.seed(1, 2)
    body = make(settings, mine).train()
    features, _ = body(inputs(), body.initial_state(B))
    torch.testing.assert_close(features, by_hand(body, settings, inputs(), theirs), rtol=0, atol=1e-12)


@every_tcn
def test_the_state_is_the_last_inputs_of_each_convolution(case: str) -> None:
    settings, body = TCNS[case], make(TCNS[case])
    fresh = body.initial_state(B)
    lengths = [(settings.kernel_size - 1) * settings.dilation_base**k for k in range(settings.num_blocks)]
    width = settings.hidden_size
    sizes = [D, *[width] * (2 * settings.num_blocks - 1)]
    assert [tensor.shape for tensor in fresh] == [
        (B, length, size) for length, size in zip(sorted(lengths * 2), sizes, strict=True)
    ]
    _, after = body(inputs(), random_state(body))
    assert torch.equal(after[0], inputs()[:, T - lengths[0] :])


def test_where_the_sizes_are_equal_what_a_block_reads_goes_around_it() -> None:
    body = make(TCNS["tcn-as-wide"])
    assert not any("residual" in name for name, _ in body.named_parameters())
    with torch.no_grad():
        for parameter in body.parameters():
            parameter.zero_()
    features, _ = body(inputs(), body.initial_state(B))
    assert torch.equal(features, inputs().clamp(min=0))


@pytest.mark.parametrize("norm", ["none", "layer", "weight"])
def test_at_first_any_number_of_blocks_passes_on_about_what_it_reads(norm: str) -> None:
    """Weights follow He et al. (2015), in second convolutions divided by the number of blocks; biases are 0."""
    torch.manual_seed(1)
    x_BTD = torch.randn(4, 60, 128).relu()
    for num_blocks in (1, 4, 9):
        settings = TCNSettings.model_validate(
            {"hidden_size": 128, "num_blocks": num_blocks, "dilation_base": 1, "norm": norm}
        )
        body = build_body(settings, 128, NoiseRNG())
        assert not body(torch.zeros(1, 9, 128), body.initial_state(1))[0].any()
        weights = {name: weight.detach() for name, weight in body.named_parameters()}
        for name, variance in (("convolutions.0", 2 / 384), ("convolutions.1", 2 / 384 / num_blocks**2)):
            assert abs(float(weights[f"blocks.0.{name}.weight_HK"].var()) / variance - 1) < 0.05
        features = body(x_BTD, body.initial_state(4))[0].detach()
        assert 1 < float(features.square().mean() / x_BTD.square().mean()) < 6
