"""Windows and temporal convolutional networks, small, with every parameter random.

B batch, T time, D inputs, H features.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from charlm.nn.bodies.base import Body
from charlm.nn.bodies.build import build_body
from charlm.nn.bodies.settings import TCNSettings, WindowSettings
from charlm.nn.dropout import NoiseRNG
from charlm.nn.state import State

B, T, D, H = 3, 17, 5, 4
NORMS = ("none", "layer", "weight")
WINDOWS = {
    **{f"window-{norm}": WindowSettings(window=4, hidden_size=H, num_layers=2, norm=norm) for norm in NORMS},
    "window-relu": WindowSettings(window=3, hidden_size=H, num_layers=3, activation="relu"),
    "window-of-one": WindowSettings(window=1, hidden_size=H),
}
TCNS = {
    **{f"tcn-{norm}": TCNSettings(hidden_size=H, num_blocks=2, kernel_size=2, norm=norm) for norm in NORMS},
    "tcn-wide": TCNSettings(hidden_size=H, num_blocks=2, kernel_size=3, dilation_base=3),
    "tcn-as-wide": TCNSettings(hidden_size=D, num_blocks=1, kernel_size=4),
    "tcn-undilated": TCNSettings(hidden_size=H, num_blocks=2, kernel_size=2, dilation_base=1),
}
BODIES = WINDOWS | TCNS
NOISE = {"input_dropout": 0.3, "dropout": 0.4, "output_dropout": 0.5}


def make(settings: WindowSettings | TCNSettings, rng: NoiseRNG | None = None, seed: int = 0) -> Body:
    """Build a random body in float64, in evaluation mode."""
    body = build_body(settings, D, rng or NoiseRNG())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in body.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return body.double().eval()


def inputs(seed: int = 1, batch_size: int = B, num_steps: int = T) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch_size, num_steps, D, generator=generator, dtype=torch.float64)


def random_state(body: Body, batch_size: int = B, seed: int = 2) -> State:
    generator = torch.Generator().manual_seed(seed)
    fresh = body.initial_state(batch_size)
    return tuple(torch.randn(each.shape, generator=generator, dtype=torch.float64) * 0.3 for each in fresh)


def normalised(weight: Tensor, gains: Sequence[Tensor]) -> Tensor:
    """Return g v / ||v||, row by row (Salimans & Kingma, 2016, equation 2), or the weight if there are no gains."""
    if not gains:
        return weight
    (gain_H,) = gains
    return torch.stack([gain * row / row.square().sum().sqrt() for gain, row in zip(gain_H, weight, strict=True)])


def layer_normalised(x: Tensor, gain_H: Tensor) -> Tensor:
    """Layer normalisation over the last axis (Ba et al., 2016, equation 4), without the bias."""
    centred = x - x.mean(-1, keepdim=True)
    return gain_H * centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
