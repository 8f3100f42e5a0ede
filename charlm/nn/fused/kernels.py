"""Kernels: functions over tensors, written in torch, for which a backend may have a faster function of the same name.

    kernels.run(rnn, relu, inputs_BH, ...)              run the kernel once
    run = kernels.bind(rnn, relu, inputs_BH, ...)       run() runs it over the same tensors, as often as it is called

The function in torch works on any device and dtype. It is the reference that tests compare the others with, and it runs
where a backend has none. A kernel writes into tensors that it is given, and its parameters' names end in their axes.
"""

import functools
import inspect
import re
from collections.abc import Callable
from functools import partial
from typing import ParamSpec

P = ParamSpec("P")
Kernel = Callable[..., None]


class Kernels:
    """The kernels in torch, and the form of every backend."""

    name = "eager"

    def bind(self, kernel: Callable[P, None], *arguments: P.args, **_: P.kwargs) -> Callable[[], object]:
        """Return a function that runs a kernel over these arguments, which are given by position."""
        return partial(kernel, *arguments)  # pyright: ignore[reportCallIssue]

    def run(self, kernel: Callable[P, None], *arguments: P.args, **_: P.kwargs) -> None:
        self.bind(kernel, *arguments, **_)()


@functools.cache
def shape_position(kernel: Kernel) -> int:
    """Return the index of the argument that a kernel runs over: the first with axes B, H, or else the first matrix."""
    matrices = [(name, index) for index, name in enumerate(inspect.signature(kernel).parameters) if is_matrix(name)]
    return next((index for name, index in matrices if name.endswith("_BH")), matrices[0][1])


def is_matrix(name: str) -> bool:
    return re.search("_[A-Z]{2}$", name) is not None
