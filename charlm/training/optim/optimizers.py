"""Optimizers, built from their settings: torch's, with sparse gradients where an embedding gives them."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn, optim


class Optimizers:
    """One or several optimizers, each with parameters of its own, as one."""

    def __init__(self, members: Sequence[optim.Optimizer]) -> None:
        self._members = members
        for group in self._param_groups():
            group["highest_lr"] = group["lr"]

    @property
    def lr(self) -> float:
        """Of the first member, for the log."""
        return float(self._param_groups()[0]["lr"])

    def scale_lr(self, factor: float) -> None:
        """Set every learning rate to `factor` times its highest."""
        for group in self._param_groups():
            group["lr"] = group["highest_lr"] * factor

    def step(self) -> None:
        for member in self._members:
            member.step()

    def zero_grad(self) -> None:
        for member in self._members:
            member.zero_grad(set_to_none=True)

    def get_state(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """What its optimizer remembers of a parameter, to be read and written."""
        return next(member.state[parameter] for member in self._members if _has_parameter(member, parameter))

    def is_consistent(self) -> bool:
        """Whether each member remembers the same things of all its parameters."""
        return all(
            len({frozenset(member.state[parameter]) for group in member.param_groups for parameter in group["params"]})
            <= 1
            for member in self._members
        )

    def _param_groups(self) -> list[dict[str, Any]]:
        return [group for member in self._members for group in member.param_groups]


def _has_parameter(member: optim.Optimizer, parameter: nn.Parameter) -> bool:
    return any(parameter is own for group in member.param_groups for own in group["params"])


class SGD(optim.SGD):
    """Torch's, which takes sparse gradients only without momentum and weight decay: with these they are filled up."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is not None and gradient.is_sparse and (group["momentum"] or group["weight_decay"]):
                    parameter.grad = gradient.to_dense()
        return super().step(closure)


class AdamW(optim.AdamW):
    """Torch's, and where a gradient is sparse, one AdamW for each row.

    The time of a row is the number of its updates: its moments and its weight decay stand still between them, and its
    first update is corrected for bias as any first one. So a step costs the rows that the gradient names, and a rare
    row moves as far at its first update as a frequent one did. A row that every gradient names is updated as if the
    gradients were dense. State: `step` has an entry for each row.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.is_sparse:
                    self._update_rows(parameter, parameter.grad.coalesce(), group)
                    parameter.grad = None  # done: the dense step leaves it alone
        return super().step(closure)

    def _update_rows(self, parameter_KD: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter_KD]
        if not state:
            state["step"] = torch.zeros(len(parameter_KD), device=parameter_KD.device)
            state["exp_avg"] = torch.zeros_like(parameter_KD)
            state["exp_avg_sq"] = torch.zeros_like(parameter_KD)
        beta1, beta2 = group["betas"]
        rows_R, g_RD = gradient.indices()[0], gradient.values()
        step_R = state["step"].index_select(0, rows_R).add_(1)
        m_RD = state["exp_avg"].index_select(0, rows_R).lerp_(g_RD, 1 - beta1)
        v_RD = state["exp_avg_sq"].index_select(0, rows_R).mul_(beta2).addcmul_(g_RD, g_RD, value=1 - beta2)
        for name, values in (("step", step_R), ("exp_avg", m_RD), ("exp_avg_sq", v_RD)):
            state[name].index_copy_(0, rows_R, values)
        # lr m_hat / (sqrt(v_hat) + eps), with the corrections of m and v taken to one factor a row: fewer passes
        root_R1 = (1 - beta2**step_R).sqrt_()[:, None]
        rate_R1 = group["lr"] * root_R1 / (1 - beta1**step_R)[:, None]
        divisor_RD = v_RD.sqrt_().add_(group["eps"] * root_R1).div_(rate_R1)
        row_RD = parameter_KD.index_select(0, rows_R).mul_(1 - group["lr"] * group["weight_decay"])
        parameter_KD.index_copy_(0, rows_R, row_RD.addcdiv_(m_RD, divisor_RD, value=-1))


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
    """Scale the gradients in place so that the norm of all of them together is at most `max_norm`; give what it was.

    As torch's `clip_grad_norm_`, which takes no sparse gradients.
    """
    values: list[Tensor] = []
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = coalesce_gradient(parameter.grad)  # a row named twice has the norm of its sum
            values.append(parameter.grad.values())
        elif parameter.grad is not None:
            values.append(parameter.grad)
    norm = nn.utils.get_total_norm(values)
    scale = (max_norm / (norm + 1e-6)).clamp(max=1)
    for gradient in values:
        gradient.mul_(scale)
    return norm


def coalesce_gradient(gradient: Tensor) -> Tensor:
    """Each row once, rising. Autograd forgets that a gradient is so, and sorting it again would cost most of all."""
    indices, values = gradient._indices(), gradient._values()
    if (indices.diff() > 0).all():
        return torch.sparse_coo_tensor(indices, values, gradient.shape, is_coalesced=True, check_invariants=False)
    return gradient.coalesce()
