"""Bodies that read rows from their end: (x_BTD, lengths_B) -> features_BTH.

    backward   x ──reverse each row within its length──> body ──reverse──> features: what follows a token, and itself
    both       x ──┬── body ────────────────────┐
                   └── reverse, body, reverse ──┴── side by side ──> x of the next layer, or the features

Rows are reversed within their own lengths, so the padding stays on the right, no kernel needs a mask, and the features
of a row do not depend on the other rows.

B batch, T time, D inputs, H features.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from charlm.nn.bodies.base import Body
from charlm.nn.bodies.recompute import read_rows_in_segments
from charlm.nn.dropout import NoiseRNG
from charlm.nn.state import State


def reverse_rows(x_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    """Reverse the first lengths_B tokens of each row; the padding after them stays where it is."""
    return cast("Tensor", _ReverseRows.apply(x_BTD, lengths_B))


class _ReverseRows(torch.autograd.Function):
    """Its gradient is the reversed gradient, which needs no more than the lengths; torch's own would keep an index for
    each element."""

    @staticmethod
    def forward(ctx: Any, x_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        ctx.save_for_backward(lengths_B)
        return _reverse(x_BTD, lengths_B)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        (lengths_B,) = ctx.saved_tensors
        return _reverse(gradients[0], lengths_B), None


def _reverse(x_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    time_T = torch.arange(x_BTD.shape[1], device=x_BTD.device)
    mirrored_BT = lengths_B[:, None] - 1 - time_T
    index_BT = torch.where(mirrored_BT >= 0, mirrored_BT, time_T)
    return x_BTD.take_along_dim(index_BT[..., None], dim=1)


class WholeRowBody(Body):
    """A body whose features depend on later tokens. It carries no state: each call reads whole rows."""

    is_causal = False
    recompute_len: int | None = None
    """In training, the activations of this many time steps are kept and all others recomputed; None keeps all."""

    def initial_state(self, batch_size: int) -> State:
        del batch_size  # nothing is carried
        return ()

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """Read rows without padding."""
        return self.read_rows(x_BTD, state, torch.full((len(x_BTD),), x_BTD.shape[1], device=x_BTD.device))


class BackwardBody(WholeRowBody):
    """A causal body that reads each row from its end to its start."""

    def __init__(self, body: Body, rng: NoiseRNG) -> None:
        super().__init__()
        self.body = body
        self._rng = rng
        self.features_size = body.features_size
        self.stride_period = body.stride_period
        self.receptive_field = body.receptive_field

    def read_rows(self, x_BTD: Tensor, state: State, lengths_B: Tensor) -> tuple[Tensor, State]:
        reversed_BTD = reverse_rows(x_BTD, lengths_B)
        features_BTH = read_rows_in_segments(self.body, reversed_BTD, lengths_B, self._rng, self.recompute_len)
        return reverse_rows(features_BTH, lengths_B), state

    def row_features(self, features_BTH: Tensor, lengths_B: Tensor) -> Tensor:
        del lengths_B  # the start of a row is read last
        return features_BTH[:, 0]

    def backend_name(self, device: torch.device) -> str:
        return self.body.backend_name(device)

    @property
    def activations_per_token(self) -> int:
        return self.body.activations_per_token + self.features_size

    @property
    def macs_per_token(self) -> float:
        return self.body.macs_per_token


class BidirectionalBody(WholeRowBody):
    """Layers of two bodies each, one for each direction (Schuster & Paliwal, 1997).

    Every layer reads the features of both directions of the layer below. Features: those of the forward body, then
    those of the backward one; with the skip "dense", of all layers, the lowest first.
    """

    def __init__(
        self, layers: Sequence[tuple[Body, Body]], rng: NoiseRNG, dropouts: Sequence[nn.Module] = (), skip: str = "none"
    ) -> None:
        """
        Args:
            layers: for each layer, the causal body of each direction.
            dropouts: the dropout of the inputs, then of each layer's features; empty: the bodies have their own.
            skip: "none"; "residual", from the second layer on, features plus inputs; or "dense", each layer reads the
                embedding and all layers below it, and the head reads all layers.
        """
        super().__init__()
        self.forward_bodies = nn.ModuleList(forward for forward, _ in layers)
        self.backward_bodies = nn.ModuleList(BackwardBody(backward, rng) for _, backward in layers)
        self.input_dropout, *rest = dropouts or [nn.Identity() for _ in range(len(layers) + 1)]
        self.dropouts = nn.ModuleList(rest)
        self._rng = rng
        self._skip = skip
        sizes = [forward.features_size + backward.features_size for forward, backward in layers]
        self.features_size = sum(sizes) if skip == "dense" else sizes[-1]
        reads_backward = [
            flag
            for forward, backward in layers
            for flag in (*[False] * forward.features_size, *[True] * backward.features_size)
        ]
        self._reads_backward = reads_backward[-self.features_size :]

    def read_rows(self, x_BTD: Tensor, state: State, lengths_B: Tensor) -> tuple[Tensor, State]:
        x_BTD = self.input_dropout(x_BTD)
        below, features_BTH = [x_BTD], x_BTD
        for index, (forward, backward, dropout) in enumerate(
            zip(self.forward_bodies, self.backward_bodies, self.dropouts, strict=True)
        ):
            assert isinstance(forward, Body)
            assert isinstance(backward, Body)
            inputs_BTD = torch.cat(below, dim=-1) if self._skip == "dense" else features_BTH
            both = (
                read_rows_in_segments(forward, inputs_BTD, lengths_B, self._rng, self.recompute_len),
                backward.read_rows(inputs_BTD, (), lengths_B)[0],
            )
            output_BTH = torch.cat(both, dim=-1)
            if self._skip == "residual" and index > 0:
                output_BTH = inputs_BTD + output_BTH
            features_BTH = dropout(output_BTH)
            below.append(features_BTH)
        return torch.cat(below[1:], dim=-1) if self._skip == "dense" else features_BTH, state

    def row_features(self, features_BTH: Tensor, lengths_B: Tensor) -> Tensor:
        """Return what each direction knows once it has read the row: the forward one at its end, the other at its
        start."""
        reads_backward_H = torch.tensor(self._reads_backward, device=features_BTH.device)
        return torch.where(reads_backward_H, features_BTH[:, 0], super().row_features(features_BTH, lengths_B))

    def backend_name(self, device: torch.device) -> str:
        return self._bodies[0].backend_name(device)

    @property
    def activations_per_token(self) -> int:
        return sum(body.activations_per_token for body in self._bodies)

    @property
    def macs_per_token(self) -> float:
        return sum(body.macs_per_token for body in self._bodies)

    @property
    def _bodies(self) -> list[Body]:
        modules = [*self.forward_bodies, *self.backward_bodies]
        return [module for module in modules if isinstance(module, Body)]
