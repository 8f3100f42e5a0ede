"""Matrices in 8-bit integers: W_gk = scale_g * q_gk with q from -127 to 127, rounded to nearest.

G rows, K columns.
"""

import torch
from torch import Tensor, nn

from charlm.errors import OptionError
from charlm.nn.cells.base import Cell, own_entries
from charlm.nn.norm import WeightNorm

_MAX_INT8 = 127


def quantize_int8(weight_GK: Tensor) -> tuple[Tensor, Tensor]:
    """Return q_GK as int8, row after row in memory, and scale_G."""
    scale_G = weight_GK.abs().amax(dim=1) / _MAX_INT8
    divisor_G = torch.where(scale_G > 0, scale_G, 1.0)
    return (weight_GK / divisor_G[:, None]).round().to(torch.int8).contiguous(), scale_G


def matvec_int8(weight_GK: Tensor, scale_G: Tensor, x_K: Tensor, rounded_K: Tensor, y_G: Tensor) -> None:
    """Compute y = scale (W x); a kernel of `charlm.nn.fused.kernels`.

    Args:
        rounded_K: int16; a place for x rounded to 16 bits, which the compiled kernel uses.
    """
    del rounded_K
    torch.mul(torch.mv(weight_GK.to(x_K.dtype), x_K), scale_G, out=y_G)


@torch.no_grad()
def quantize_cells(model: nn.Module) -> None:
    """Round the matrices of every cell to 8-bit integers, in place, so that int8 sampling and scores agree.

    Raises:
        OptionError: the model has no recurrent cells.
    """
    cells = [module for module in model.modules() if isinstance(module, Cell)]
    if not cells:
        raise OptionError("{precision} int8 needs recurrent cells, and this model has none", "use {precision} fp32")
    for cell in cells:
        effective_weights = [weight for weight in cell.prepare(None) if isinstance(weight, Tensor) and weight.ndim == 2]
        own_parameters = [parameter for parameter in cell.parameters(recurse=False) if parameter.ndim == 2]
        norms = [module for module in cell.children() if isinstance(module, WeightNorm)]
        for index, (parameter, weight_GK) in enumerate(zip(own_parameters, effective_weights, strict=True)):
            has_heads = parameter.shape != weight_GK.shape
            q_GK, scale_G = quantize_int8(own_entries(weight_GK, parameter.shape[1]) if has_heads else weight_GK)
            parameter.copy_(q_GK * scale_G[:, None])
            if norms:  # with the norms of the rows as gains, weight normalisation changes nothing
                norms[index].gain_G.copy_(torch.linalg.vector_norm(parameter, dim=1))
