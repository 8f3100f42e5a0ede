"""torch's SGD and AdamW, extended to sparse gradients of embeddings, and gradient clipping that handles them."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn, optim


class Optimizers:
    """One or several optimizers, each for different parameters of a model, used as one."""

    def __init__(self, members: Sequence[optim.Optimizer]) -> None:
        self._members = members
        for group in self._param_groups():
            group["highest_lr"] = group["lr"]

    @property
    def lr(self) -> float:
        """The learning rate of the first optimizer, for the log."""
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
        """Return the optimizer's state of a parameter; changes to it take effect."""
        return next(member.state[parameter] for member in self._members if _has_parameter(member, parameter))

    def is_consistent(self) -> bool:
        """Whether each optimizer has the same names of state for all its parameters."""
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
    """torch's SGD takes sparse gradients only without momentum and weight decay: with these they are made dense."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is not None and gradient.is_sparse and (group["momentum"] or group["weight_decay"]):
                    parameter.grad = gradient.to_dense()
        return super().step(closure)


class AdamW(optim.AdamW):
    """torch's AdamW; for parameters with sparse gradients, each row has an AdamW to itself.

    A row counts its own updates: between them its moments and its weight decay do not change, and bias correction
    starts at its first update. So a step computes only the rows in the gradient, and the first update of a rare row is
    as large as that of a frequent one. A row in every gradient is updated as with dense gradients. State: `step` has
    an entry for each row.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.is_sparse:
                    self._update_rows(parameter, parameter.grad.coalesce(), group)
                    parameter.grad = None  # the dense step below skips it
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
        # lr m_hat / (sqrt(v_hat) + eps), the bias corrections as one factor per row: fewer passes over the rows
        root_R1 = (1 - beta2**step_R).sqrt_()[:, None]
        rate_R1 = group["lr"] * root_R1 / (1 - beta1**step_R)[:, None]
        divisor_RD = v_RD.sqrt_().add_(group["eps"] * root_R1).div_(rate_R1)
        row_RD = parameter_KD.index_select(0, rows_R).mul_(1 - group["lr"] * group["weight_decay"])
        parameter_KD.index_copy_(0, rows_R, row_RD.addcdiv_(m_RD, divisor_RD, value=-1))


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
    """Scale the gradients in place so that their joint norm is at most `max_norm`; return the norm before.

    Like torch's `clip_grad_norm_`, which takes no sparse gradients.
    """
    values: list[Tensor] = []
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = coalesce_gradient(parameter.grad)  # duplicates of a row are summed before the norm
            values.append(parameter.grad.values())
        elif parameter.grad is not None:
            values.append(parameter.grad)
    norm = nn.utils.get_total_norm(values)
    scale = (max_norm / (norm + 1e-6)).clamp(max=1)
    for gradient in values:
        gradient.mul_(scale)
    return norm


def coalesce_gradient(gradient: Tensor) -> Tensor:
    """Return the gradient with unique, ascending rows. Autograd forgets that it has them, and sorting again is slow."""
    indices, values = gradient._indices(), gradient._values()
    if (indices.diff() > 0).all():
        return torch.sparse_coo_tensor(indices, values, gradient.shape, is_coalesced=True, check_invariants=False)
    return gradient.coalesce()
