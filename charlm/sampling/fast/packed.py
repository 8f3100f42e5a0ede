"""A fixed matrix, packed once for the products of all steps in compiled code: `step_products.c` of `charlm.nn.fused`.

    pack_matrix(weight_GK)            ──> PackedMatrix     ──┐
    pack_int8(weight_GK, scale_G)     ──> PackedInt8Matrix ──┴─ bind(x_BK, y_BG) ──> operation; operation() fills y_BG

torch packs the matrix anew in every product of many rows, and reads it at a third of the speed for one row. The bits of
a row do not depend on the other rows, nor on their number.

B streams, K inputs, G outputs.
"""

import ctypes
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from charlm.device import cpu_has_amx
from charlm.nn.fused.compiled import load_compiled_library
from charlm.sampling.fast.kernels import Operation

_MIN_TERMS_FOR_THREADS = 1 << 18
"""Products of two numbers from which several threads share a product of matrices."""


class PackedMatrix:
    """A matrix in the layout of the compiled product."""

    def __init__(self, library: ctypes.CDLL, weight_GK: Tensor, *, bf16: bool) -> None:
        """
        Args:
            weight_GK: fp32, on the CPU.
            bf16: round the factors of the product to bf16. Sums are in fp32.
        """
        self._shape = tuple(weight_GK.shape)
        self._bf16 = bf16
        self._function = _declare(library).multiply_packed
        self._packed = torch.empty(library.packed_matrix_size(bf16, *self._shape))
        threads = torch.get_num_threads()
        read_GK = weight_GK.contiguous()  # a name keeps it while it is read
        library.pack_matrix(bf16, threads, *self._shape, read_GK.data_ptr(), self._packed.data_ptr())

    def bind(self, x_BK: Tensor, y_BG: Tensor, bias_G: Tensor | None) -> Operation:
        """Return the operation that fills y_BG, for fixed buffers in fp32 whose rows may be slices of wider ones."""
        num_rows, size_K = x_BK.shape
        units = torch.empty(num_rows, (size_K + 1) // 2) if self._bf16 else None
        return _bind(self._function, (self._bf16,), self._shape, x_BK, (self._packed, bias_G, units), y_BG)


class PackedInt8Matrix:
    """A matrix of 8-bit integers, with a scale for each row of W, in the layout of the compiled product. A row of x is
    rounded as for `charlm.nn.quantize.matvec_int8`, and its product has the same bits."""

    def __init__(self, library: ctypes.CDLL, weight_GK: Tensor, scale_G: Tensor) -> None:
        self._shape = tuple(weight_GK.shape)
        self._scale_G = scale_G.contiguous()
        self._function = _declare(library).multiply_int8
        self._packed = torch.empty(library.packed_int8_size(*self._shape), dtype=torch.int8)
        read_GK = weight_GK.contiguous()  # a name keeps it while it is read
        library.pack_int8(*self._shape, read_GK.data_ptr(), self._packed.data_ptr())

    def bind(self, x_BK: Tensor, y_BG: Tensor) -> Operation:
        """Return the operation that fills y_BG, for fixed buffers in fp32 whose rows may be slices of wider ones."""
        num_rows, size_K = x_BK.shape
        rounded_BK = torch.empty(num_rows, size_K + size_K % 2, dtype=torch.int16)
        factors_B = torch.empty(num_rows)
        tensors = self._packed, self._scale_G, rounded_BK, factors_B
        return _bind(self._function, (), self._shape, x_BK, tensors, y_BG)


def pack_matrix(weight_GK: Tensor, *, bf16: bool = False) -> PackedMatrix | None:
    """Return a packed matrix, or None where the compiled product cannot run or torch's is faster: without a compiler,
    on other devices, for other dtypes than fp32, and in bf16 on CPUs with AMX."""
    if weight_GK.dtype != torch.float32 or weight_GK.device.type != "cpu" or (bf16 and cpu_has_amx()):
        return None
    library = load_compiled_library()
    return None if library is None else PackedMatrix(library, weight_GK, bf16=bf16)


def pack_int8(weight_GK: Tensor, scale_G: Tensor) -> PackedInt8Matrix | None:
    """Return a packed matrix of integers, or None where the compiled product cannot run."""
    library = load_compiled_library() if weight_GK.device.type == "cpu" and scale_G.dtype == torch.float32 else None
    return PackedInt8Matrix(library, weight_GK, scale_G) if library is not None and library.multiplies_int8() else None


def _bind(
    function: Callable[..., object],
    flags: tuple[bool, ...],
    shape: tuple[int, ...],
    x_BK: Tensor,
    tensors: tuple[Tensor | None, ...],
    y_BG: Tensor,
) -> Operation:
    """Return the call of a function with these arguments; `tensors` stand between x and y."""
    assert x_BK.stride(1) == y_BG.stride(1) == 1
    size_G, size_K = shape
    threads = torch.get_num_threads() if len(x_BK) * size_G * size_K >= _MIN_TERMS_FOR_THREADS else 1
    pointers = [None if tensor is None else tensor.data_ptr() for tensor in tensors]
    x, y = (x_BK.data_ptr(), x_BK.stride(0)), (y_BG.data_ptr(), y_BG.stride(0))
    run = partial(function, *flags, threads, len(x_BK), size_G, size_K, *x, *pointers, *y)
    run.tensors = x_BK, y_BG, tensors  # type: ignore[attr-defined]  # keeps them alive
    return run


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    """Declare the types of the functions' arguments."""
    number, pointer = ctypes.c_long, ctypes.c_void_p
    for name, result, arguments in (
        ("packed_matrix_size", number, [number] * 3),
        ("pack_matrix", None, [*[number] * 4, pointer, pointer]),
        ("multiply_packed", None, [*[number] * 5, pointer, number, *[pointer] * 4, number]),
        ("packed_int8_size", number, [number] * 2),
        ("pack_int8", None, [number, number, pointer, pointer]),
        ("multiply_int8", None, [*[number] * 4, pointer, number, *[pointer] * 5, number]),
    ):
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
    return library
