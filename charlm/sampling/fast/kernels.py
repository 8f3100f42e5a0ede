"""The passes of the fused unroll, bound to buffers that stay: what a layer's step runs for every character."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from charlm.nn.fused.compiled import BoundKernels, CompiledKernels, load_compiled_library
from charlm.nn.fused.steps import Kernels, kernels_for

Operation = Callable[[], object]


class StepKernels:
    """`bind("lstm_gates", ...)` gives what runs that pass over these tensors, as often as it is called."""

    def __init__(self, like: Tensor) -> None:
        kernels: Kernels = kernels_for(like)
        library = load_compiled_library()
        self._bound = BoundKernels(library) if isinstance(kernels, CompiledKernels) and library is not None else None
        self._kernels = kernels

    def bind(self, name: str, *arguments: Any) -> Operation:
        if self._bound is None:
            return partial(getattr(self._kernels, name), *arguments)
        return self._bound.bind(getattr(self._bound, name), *arguments)
