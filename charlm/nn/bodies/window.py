"""A fixed-window network over the last n tokens: (x_BTD, state) -> (features_BTH, state).

    x ── dropout ── the last n vectors ── f(d + H x) ── dropout ── h + f(b + W h) ── ... ── output dropout ── features

B batch, T time, D inputs, H hidden.
"""

import torch
from torch import Tensor, nn

from charlm.nn.bodies.base import Body
from charlm.nn.bodies.causal import CausalConvolution
from charlm.nn.bodies.settings import WindowSettings
from charlm.nn.dropout import LockedDropout, NoiseRNG
from charlm.nn.norm import NormFactory
from charlm.nn.state import State


class WindowNetwork(Body):
    """h = f(d + sum_k H_k x_{t-k}), k = 0 ... n - 1 (Bengio et al., 2003); further layers h + f(b + W h).

    State: the last n - 1 input vectors (B, n - 1, D), initially zero; () for a window of one token.
    """

    def __init__(self, settings: WindowSettings, input_size: int, rng: NoiseRNG) -> None:
        super().__init__()
        self.features_size = hidden_size = settings.hidden_size
        self.receptive_field = settings.window
        self.activation, initialise = {
            "tanh": (torch.tanh, nn.init.xavier_uniform_),  # Glorot & Bengio, 2010
            "relu": (torch.relu, nn.init.kaiming_uniform_),  # He et al., 2015
        }[settings.activation]
        norms = NormFactory(settings.norm)
        self.input_dropout = LockedDropout(settings.input_dropout, rng)
        self.window = CausalConvolution(input_size, hidden_size, initialise, norms, kernel_size=settings.window)
        self.layers = nn.ModuleList(
            CausalConvolution(hidden_size, hidden_size, initialise, norms) for _ in range(settings.num_layers - 1)
        )
        self.dropouts = nn.ModuleList(LockedDropout(settings.dropout, rng) for _ in self.layers)
        self.output_dropout = LockedDropout(settings.output_dropout, rng)

    def initial_state(self, batch_size: int) -> State:
        return self.window.initial_state(batch_size)

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        sums_BTH, next_state = self.window(self.input_dropout(x_BTD), state)
        features_BTH = self.activation(sums_BTH)
        for dropout, layer in zip(self.dropouts, self.layers, strict=True):
            features_BTH = dropout(features_BTH)
            sums_BTH, _ = layer(features_BTH, ())
            features_BTH = features_BTH + self.activation(sums_BTH)
        return self.output_dropout(features_BTH), next_state

    @property
    def activations_per_token(self) -> int:
        return sum(module.activations_per_token for module in self.modules() if isinstance(module, CausalConvolution))
