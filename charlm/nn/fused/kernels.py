"""Kernels: functions over tensors that a backend may have in a faster form, found by their name.

    kernels.run(rnn, relu, inputs_BH, ...)                     now
    run = kernels.bind(rnn, relu, inputs_BH, ...)              run() as often as wanted, over the same tensors

A kernel is written in torch, for any device and dtype, and that form is its signature and its reference. It writes into
tensors that it is given; its parameters' names end in their axes. A backend without a kernel runs the one in torch.
"""

import functools
import inspect
import re
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec

from torch import Tensor

P = ParamSpec("P")
Kernel = Callable[..., None]


class Kernels:
    """The kernels in torch."""

    name = "eager"

    def bind(self, kernel: Callable[P, None], *arguments: P.args, **_: P.kwargs) -> Callable[[], object]:
        """What runs a kernel over these arguments, as often as it is called. They are given by position."""
        return partial(kernel, *arguments)  # pyright: ignore[reportCallIssue]

    def run(self, kernel: Callable[P, None], *arguments: P.args, **_: P.kwargs) -> None:
        self.bind(kernel, *arguments, **_)()


def rows_and_columns(kernel: Kernel, arguments: tuple[Any, ...]) -> tuple[int, int]:
    """What a kernel runs over: the shape of its first argument of axes B, H, else of its first matrix."""
    rows, columns = arguments[_shape_position(kernel)].shape
    return rows, columns


@functools.cache
def _shape_position(kernel: Kernel) -> int:
    matrices = [(name, index) for index, name in enumerate(inspect.signature(kernel).parameters) if is_matrix(name)]
    return next((index for name, index in matrices if name.endswith("_BH")), matrices[0][1])


def is_matrix(name: str) -> bool:
    return re.search("_[A-Z]{2}$", name) is not None


def insert_strides(arguments: tuple[Any, ...]) -> list[Any]:
    """The arguments, and behind each matrix the distance of its rows."""
    flat: list[Any] = []
    for argument in arguments:
        flat.append(argument)
        if isinstance(argument, Tensor) and argument.ndim == 2:
            flat.append(argument.stride(0))
    return flat
