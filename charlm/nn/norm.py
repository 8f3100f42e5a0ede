"""Normalisation of a cell's products and of its memory, each from its paper's equation.

    none     y = x
    rms      y = gain * x / sqrt(mean(x^2))               over the elements of one row     (Zhang & Sennrich, 2019)
    layer    y = gain * (x - mean(x)) / std(x) + bias    over the elements of one row         (Ba et al., 2016)
    batch    y as above, over the rows of a batch, for each element and time step             (Cooijmans et al., 2016)
    weight   W = gain * V / ||V||    for each row of a matrix                                 (Salimans & Kingma, 2016)

step_counts is (steps_B,), the number of steps since each row was reset, where batch normalisation needs it; else ().
For rows of different lengths it is (steps_B, steps_after_end_B); the second is negative until a row has ended.

B batch, G elements of a product, L time steps with statistics of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

StepCounts = Sequence[Tensor]
EPS = 1e-5
MIN_ROWS = 8
"""Where rows have different lengths, fewer rows than this give no statistics of their own to a step."""
_MOMENTUM = 0.1


@dataclass(frozen=True)
class NormFactory:
    """Makes the normalisations of a cell. `gain` is the initial gamma; None is the default of the kind."""

    kind: Literal["none", "batch", "layer", "weight"] = "none"
    gain: float | None = None
    num_steps: int = 1
    """L, the number of steps with statistics of their own; for batch normalisation."""
    per_step: bool = False
    """Whether each of the L steps has a separate gamma and beta."""

    @property
    def has_step_statistics(self) -> bool:
        """Whether the norms depend on the number of steps since the reset."""
        return self.kind == "batch"

    def make_product_norm(self, size: int) -> nn.Module:
        """Make the norm of a product: (x_BG, step_counts) -> y_BG. The cell adds the bias, unless each step has one."""
        return self._build(size, bias=self.has_step_statistics and self.per_step)

    def make_memory_norm(self, size: int) -> nn.Module:
        """Make the norm of a cell's memory, with gain and bias."""
        return self._build(size, bias=True)

    def make_weight_norm(self, weight: nn.Parameter) -> nn.Module:
        """Make the norm of a matrix: weight -> the matrix that the cell uses."""
        return WeightNorm(weight) if self.kind == "weight" else nn.Identity()

    def initial_step_counts(self, batch_size: int, device: torch.device) -> tuple[Tensor, ...]:
        return (torch.zeros(batch_size, dtype=torch.int64, device=device),) if self.has_step_statistics else ()

    def _build(self, size: int, *, bias: bool) -> nn.Module:
        if self.kind == "layer":
            return LayerNorm(size, gain=1.0 if self.gain is None else self.gain, bias=bias)
        if self.has_step_statistics:
            gain = 0.1 if self.gain is None else self.gain
            return BatchNorm(size, self.num_steps, gain=gain, bias=bias, per_step=self.per_step)
        return NoNorm()


NO_NORMS = NormFactory()


def increment_step_counts(step_counts: StepCounts, num_steps: int = 1) -> tuple[Tensor, ...]:
    """Return the step counts after `num_steps` more steps."""
    return tuple(steps_B + num_steps for steps_B in step_counts)


class NoNorm(nn.Module):
    """y = x."""

    def forward(self, x: Tensor, step_counts: StepCounts = ()) -> Tensor:
        del step_counts
        return x


class LayerNorm(nn.Module):
    """Layer normalisation over the last axis, in fp32 or higher. Parameters: gain_G, and bias_G if asked for."""

    def __init__(self, size: int, *, gain: float = 1.0, bias: bool) -> None:
        super().__init__()
        self.gain_G = nn.Parameter(torch.full((size,), float(gain)))
        self.bias_G = nn.Parameter(torch.zeros(size)) if bias else None

    def forward(self, x: Tensor, step_counts: StepCounts = ()) -> Tensor:
        del step_counts
        x = x.to(self.gain_G.dtype)
        return nn.functional.layer_norm(x, self.gain_G.shape, self.gain_G, self.bias_G, EPS)


class RMSNorm(nn.Module):
    """Division by the root of the mean square over the last axis, in fp32 or higher. Parameters: gain_G."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.gain_G = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.rms_norm(x.to(self.gain_G.dtype), self.gain_G.shape, self.gain_G, EPS)


class BatchNorm(nn.Module):
    """Batch normalisation with separate statistics for the first L steps since the reset; later steps use the last.

    In training, a step is normalised by the mean and variance over all rows of the batch, through which gradients flow.
    In evaluation, it is normalised by the running averages for its number of steps, so rows do not affect each other.
    A running average starts as a copy of the first batch's statistics. Each later batch moves it by a tenth of the way.

    Where rows have different lengths, statistics are those of the rows that have not ended. A step that fewer than
    MIN_ROWS rows reach is normalised by the running averages in training too, and leaves them as they are.

    Parameters: gain_LG and, if asked for, bias_LG, with one row for all steps unless `per_step`. Buffers: mean_LG,
    variance_LG, and seen_L, which is 1 for steps that have statistics.
    """

    mean_LG: Tensor
    variance_LG: Tensor
    seen_L: Tensor

    def __init__(self, size: int, num_steps: int, *, gain: float = 0.1, bias: bool, per_step: bool) -> None:
        super().__init__()
        rows = num_steps if per_step else 1
        self.gain_LG = nn.Parameter(torch.full((rows, size), float(gain)))
        self.bias_LG = nn.Parameter(torch.zeros(rows, size)) if bias else None
        self.register_buffer("mean_LG", torch.zeros(num_steps, size))
        self.register_buffer("variance_LG", torch.ones(num_steps, size))
        self.register_buffer("seen_L", torch.zeros(num_steps))

    def forward(self, x_BG: Tensor, step_counts: StepCounts) -> Tensor:
        steps_B, *steps_after_end = step_counts
        step_B = steps_B.clamp(max=len(self.mean_LG) - 1)
        x_BG = x_BG.to(self.mean_LG.dtype)
        x_alive, step_alive, min_rows = x_BG, step_B, 1
        if self.training and steps_after_end:
            is_alive_B = steps_after_end[0] < 0
            x_alive, step_alive, min_rows = x_BG[is_alive_B], step_B[is_alive_B], MIN_ROWS
        if self.training and len(x_alive) >= min_rows:
            mean_G, variance_G = x_alive.mean(0), x_alive.var(0, correction=0)
            self._update_running_stats(step_alive, mean_G.detach(), variance_G.detach())
        else:
            step_B = self._seen_step(step_B)
            mean_G, variance_G = self.mean_LG[step_B], self.variance_LG[step_B]
        y_BG = (x_BG - mean_G) * torch.rsqrt(variance_G + EPS) * self._row(self.gain_LG, step_B)
        return y_BG if self.bias_LG is None else y_BG + self._row(self.bias_LG, step_B)

    def _seen_step(self, step_B: Tensor) -> Tensor:
        """Return the steps whose statistics are used: steps later than any that has statistics use the last one that
        has."""
        step_B = step_B.clamp(max=len(self.mean_LG) - 1)
        return step_B if self.seen_L.is_meta else torch.minimum(step_B, ((self.seen_L > 0).sum() - 1).clamp(min=0))

    def scale_and_shift(self, steps_T: Tensor) -> tuple[Tensor, Tensor]:
        """Return a_TG and b_TG with norm(x) = a x + b in evaluation, for numbers of steps since the reset."""
        step_T = self._seen_step(steps_T)
        scale_TG = torch.rsqrt(self.variance_LG[step_T] + EPS) * self._row(self.gain_LG, step_T)
        shift_TG = -self.mean_LG[step_T] * scale_TG
        return scale_TG, shift_TG if self.bias_LG is None else shift_TG + self._row(self.bias_LG, step_T)

    @torch.no_grad()
    def _update_running_stats(self, step_B: Tensor, mean_G: Tensor, variance_G: Tensor) -> None:
        """Move the averages of each row's step. Rows of equal steps write equal values, in any order."""
        momentum_B1 = torch.where(self.seen_L[step_B] > 0, _MOMENTUM, 1.0)[:, None]
        for running_LG, value_G in ((self.mean_LG, mean_G), (self.variance_LG, variance_G)):
            old_BG = running_LG[step_B]
            running_LG.index_copy_(0, step_B, old_BG + momentum_B1.to(old_BG) * (value_G - old_BG))
        self.seen_L[step_B] = 1.0

    def forward_steps(self, x_TBG: Tensor, start: int, bias_G: Tensor) -> Tensor:
        """Return norm(x) + bias of a training chunk, whose first step is step `start` since the reset of every row."""
        x_TBG = x_TBG.to(self.mean_LG.dtype)
        mean_TG, variance_TG = x_TBG.mean(1), x_TBG.var(1, correction=0)
        self.update_running_stats_of_steps(start, mean_TG.detach(), variance_TG.detach())
        scale_TG = torch.rsqrt(variance_TG + EPS) * self.gain_LG
        return torch.addcmul(bias_G, x_TBG - mean_TG[:, None], scale_TG[:, None])

    @torch.no_grad()
    def update_running_stats_of_steps(self, start: int, mean_TG: Tensor, variance_TG: Tensor) -> None:
        """Move the averages by the statistics of consecutive steps, of which the first is step `start`."""
        last_row = len(self.mean_LG) - 1
        num_separate = max(
            0, min(len(mean_TG), last_row - start)
        )  # steps with an average each; all later ones move the last average
        for first, end in [(0, num_separate), *((step, step + 1) for step in range(num_separate, len(mean_TG)))]:
            rows = slice(min(start + first, last_row), min(start + first, last_row) + end - first)
            momentum_L1 = torch.where(self.seen_L[rows] > 0, _MOMENTUM, 1.0)[:, None].to(self.mean_LG)
            self.mean_LG[rows] += momentum_L1 * (mean_TG[first:end] - self.mean_LG[rows])
            self.variance_LG[rows] += momentum_L1 * (variance_TG[first:end] - self.variance_LG[rows])
            self.seen_L[rows] = 1.0

    @staticmethod
    def _row(parameter_LG: Tensor, step_B: Tensor) -> Tensor:
        return parameter_LG[0] if len(parameter_LG) == 1 else parameter_LG[step_B]


def matrix_parameters(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of two axes or more, without those of batch norms, whose first axis is time steps."""
    owners = (owner for owner in module.modules() if not isinstance(owner, BatchNorm))
    return [p for owner in owners for p in owner.parameters(recurse=False) if p.ndim >= 2]


class WeightNorm(nn.Module):
    """v -> g v / ||v||, with the norm over all axes but the first. Parameters: gain_G, initially ||v||."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.gain_G = nn.Parameter(_row_norms(weight.detach()).flatten())

    def forward(self, v: Tensor) -> Tensor:
        return v * (self.gain_G.view(-1, *[1] * (v.ndim - 1)) / _row_norms(v))


def _row_norms(v: Tensor) -> Tensor:
    """Return ||v|| of each row, with the other axes kept at length 1; never zero."""
    norms = torch.linalg.vector_norm(v, dim=tuple(range(1, v.ndim)), keepdim=True)
    return norms.clamp(min=torch.finfo(v.dtype).tiny)
