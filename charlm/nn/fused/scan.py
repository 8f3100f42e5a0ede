"""A linear recurrence h_t = a_t h_{t-1} + b_t by log2 T operations over all time steps (Hillis & Steele, 1986).

For devices without a kernel of the whole recurrence: T operations of one step each would take longer.

T time, S sequences, H units.
"""

import torch
from torch import Tensor


def scan(a_TSH: Tensor, b_TSH: Tensor, start_SH: Tensor) -> Tensor:
    """Return h of all steps."""
    a_TSH, h_TSH = a_TSH.clone(), b_TSH.clone()
    h_TSH[0].addcmul_(a_TSH[0], start_SH)
    distance = 1
    while distance < len(h_TSH):  # h holds the sums of the last `distance` steps, and a the product of their factors
        h_TSH[distance:] += a_TSH[distance:] * h_TSH[:-distance]
        a_TSH[distance:] *= a_TSH[:-distance].clone()
        distance *= 2
    return h_TSH


def scan_backward(a_TSH: Tensor, d_h_TSH: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of b at all steps and of the first state, from those of h."""
    next_a_TSH = torch.cat([a_TSH[1:], torch.zeros_like(a_TSH[:1])])
    d_b_TSH = scan(next_a_TSH.flip(0), d_h_TSH.flip(0), torch.zeros_like(d_h_TSH[0])).flip(0)
    return d_b_TSH, d_b_TSH[0] * a_TSH[0]
