"""The passes of the fused unroll, bound to buffers that stay: what a layer's step runs for every character."""

from collections.abc import Callable

from torch import Tensor

from charlm.nn.fused.kernels import P
from charlm.nn.fused.steps import kernels_for

Operation = Callable[[], object]


class StepKernels:
    """`bind(lstm_gates, ...)` gives what runs that pass over these tensors, as often as it is called."""

    def __init__(self, like: Tensor) -> None:
        self._kernels = kernels_for(like)

    def bind(self, kernel: Callable[P, None], *arguments: P.args, **_: P.kwargs) -> Operation:
        return self._kernels.bind(kernel, *arguments, **_)
