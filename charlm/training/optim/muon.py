"""Muon (Jordan et al., 2024): momentum, its matrix replaced by the nearest one with orthogonal rows or columns.

    m <- m + (1 - mu)(g - m)      u = g + mu (m - g)      W <- (1 - lr decay) W - lr sqrt(max(1, rows / columns)) o(u)

o(u) is about U V^T for u = U S V^T: Newton-Schulz iterations bring every singular value near 1. Like torch.optim.Muon,
but in fp32 where bf16 is not faster (on a CPU without it, bf16 is hundreds of times slower), and for tensors of more
than two axes too, whose first axis counts as rows.
"""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn, optim

from charlm.device import has_fast_bf16

_A, _B, _C = 3.4445, -4.7750, 2.0315  # of Jordan et al.: p(s) = A s + B s^3 + C s^5, as steep as possible at 0


class Muon(optim.Optimizer):
    """Muon, for matrices of hidden layers. State of each: momentum_buffer."""

    def __init__(
        self, matrices: list[nn.Parameter], *, lr: float, momentum: float, weight_decay: float, num_iterations: int
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "num_iterations": num_iterations}
        super().__init__(matrices, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        assert closure is None
        for group in self.param_groups:
            for parameter in cast("list[nn.Parameter]", group["params"]):
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)

    def _update(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        momentum = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        update_RC = gradient.lerp(momentum, group["momentum"]).flatten(1)
        orthogonal_RC = orthogonalize(update_RC, group["num_iterations"])
        rows, columns = update_RC.shape
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(orthogonal_RC.view_as(parameter), alpha=-group["lr"] * math.sqrt(max(1.0, rows / columns)))


def orthogonalize(matrix_RC: Tensor, num_iterations: int) -> Tensor:
    """Return the matrix with singular values between about 0.7 and 1.2; singular vectors, shape and type are kept."""
    x = matrix_RC.bfloat16() if has_fast_bf16(matrix_RC.device) else matrix_RC
    is_tall = len(x) > x.shape[1]
    x = x.T if is_tall else x  # x x^T is the smaller product then
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(num_iterations):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return (x.T if is_tall else x).to(matrix_RC.dtype)
