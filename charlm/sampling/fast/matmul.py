"""Products of one time step with a fixed matrix: y_BG = W x_BK + b, in fp32, bf16 or int8.

    product = PRODUCTS[precision](weight_GK, bias_G)        converts the matrix to the precision
    operations = product.bind(x_BK, y_BG)                   fixed buffers; running the operations fills y from x

B streams, K inputs, G outputs.
"""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Protocol

import torch
from torch import Tensor

from charlm.nn.quantize import matvec_int8, quantize_int8
from charlm.sampling.fast.kernels import Operation, StepKernels
from charlm.sampling.fast.packed import pack_int8, pack_matrix
from charlm.sampling.options import StepPrecision

_MIN_STREAMS_FOR_GEMM = 4
"""From this many streams on, one fp32 product of two matrices is faster than an int8 product for each stream, where
streams have no int8 product together."""


class Product(Protocol):
    def bind(self, x_BK: Tensor, y_BG: Tensor) -> list[Operation]: ...


class FullProduct:
    """A product in the precision of the matrix: of a packed copy of it in compiled code, or of the matrix in torch."""

    def __init__(self, weight_GK: Tensor, bias_G: Tensor | None) -> None:
        self._weight_GK = weight_GK.detach().contiguous()
        self._bias_G = bias_G
        self._packed = pack_matrix(self._weight_GK)

    def bind(self, x_BK: Tensor, y_BG: Tensor) -> list[Operation]:
        weight_GK, bias_G = self._weight_GK, self._bias_G
        if self._packed is not None:
            return [self._packed.bind(x_BK, y_BG, bias_G)]
        if len(x_BK) == 1:
            x_K, y_G = x_BK[0], y_BG[0]
            if bias_G is None:
                return [partial(torch.mv, weight_GK, x_K, out=y_G)]
            return [partial(torch.addmv, bias_G, weight_GK, x_K, out=y_G)]
        if bias_G is None:
            return [partial(torch.mm, x_BK, weight_GK.t(), out=y_BG)]
        return [partial(torch.addmm, bias_G, x_BK, weight_GK.t(), out=y_BG)]


class Bf16Product:
    """A product of bf16 inputs and weights, accumulated in fp32; the bias is added in fp32. torch rounds the sums to
    bf16, compiled code does not."""

    def __init__(self, weight_GK: Tensor, bias_G: Tensor | None) -> None:
        self._packed = pack_matrix(weight_GK.detach(), bf16=True)
        self._product = FullProduct(weight_GK.detach().bfloat16(), None) if self._packed is None else None
        self._bias_G = bias_G

    def bind(self, x_BK: Tensor, y_BG: Tensor) -> list[Operation]:
        if self._packed is not None:
            return [self._packed.bind(x_BK, y_BG, self._bias_G)]
        assert self._product is not None
        low_BK, low_BG = (torch.empty_like(tensor, dtype=torch.bfloat16) for tensor in (x_BK, y_BG))
        add = (
            partial(y_BG.copy_, low_BG) if self._bias_G is None else partial(torch.add, low_BG, self._bias_G, out=y_BG)
        )
        return [partial(low_BK.copy_, x_BK), *self._product.bind(low_BK, low_BG), add]


class Int8Product:
    """A product of 8-bit weights, from -127 to 127 with a scale for each row, and 16-bit inputs (of which 15 bits are
    used, or as many as keep sums within 32 bits).

    The matrix takes a quarter of the bytes, and a processor multiplies twice as many integers at a time as fp32
    numbers. Where no compiled code does so, many streams multiply the same weights in fp32.
    """

    def __init__(self, weight_GK: Tensor, bias_G: Tensor | None) -> None:
        self._weight_GK, self._scale_G = quantize_int8(weight_GK.detach())
        self._bias_G = bias_G
        self._packed = pack_int8(self._weight_GK, self._scale_G)

    def bind(self, x_BK: Tensor, y_BG: Tensor) -> list[Operation]:
        if self._packed is not None:
            runs = [self._packed.bind(x_BK, y_BG)]
        elif len(x_BK) >= _MIN_STREAMS_FOR_GEMM or x_BK.device.type != "cpu":
            return self._full_product.bind(x_BK, y_BG)
        else:
            kernels, rounded_K = StepKernels(x_BK), torch.empty_like(x_BK[0], dtype=torch.int16)
            rows = zip(x_BK, y_BG, strict=True)
            runs = [kernels.bind(matvec_int8, self._weight_GK, self._scale_G, x_K, rounded_K, y_G) for x_K, y_G in rows]
        return runs if self._bias_G is None else [*runs, partial(y_BG.add_, self._bias_G)]

    @cached_property
    def _full_product(self) -> FullProduct:
        return FullProduct(self._weight_GK * self._scale_G[:, None], self._bias_G)


PRODUCTS: dict[StepPrecision, Callable[[Tensor, Tensor | None], Product]] = {
    "fp32": FullProduct,
    "bf16": Bf16Product,
    "int8": Int8Product,
}
