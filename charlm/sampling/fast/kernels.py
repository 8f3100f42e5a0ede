"""The kernels of the fused unroll, bound to fixed buffers: the operations that a step runs for every token.

bind(lstm_gates, tensors...) ──> operation; operation() runs the kernel over these tensors
"""

from collections.abc import Callable

from torch import Tensor

from charlm.nn.fused.kernels import P
from charlm.nn.fused.steps import kernels_for

Operation = Callable[[], object]


class StepKernels:
    """The kernels for a device: compiled ones where there is a compiler, otherwise torch's operators."""

    def __init__(self, like: Tensor) -> None:
        self._kernels = kernels_for(like)

    def bind(self, kernel: Callable[P, None], *arguments: P.args, **_: P.kwargs) -> Operation:
        return self._kernels.bind(kernel, *arguments, **_)
