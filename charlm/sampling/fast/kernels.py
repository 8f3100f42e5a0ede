"""The passes of the fused unroll, bound to buffers that stay: what a layer's step runs for every character."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from charlm.nn.fused.compiled import BoundPasses, CompiledPasses, load_passes
from charlm.nn.fused.steps import Passes, passes_for

Run = Callable[[], object]


class StepPasses:
    """`bind("lstm_gates", ...)` gives what runs that pass over these tensors, as often as it is called."""

    def __init__(self, like: Tensor) -> None:
        passes: Passes = passes_for(like)
        library = load_passes()
        self._bound = BoundPasses(library) if isinstance(passes, CompiledPasses) and library is not None else None
        self._passes = passes

    def bind(self, name: str, *arguments: Any) -> Run:
        if self._bound is None:
            return partial(getattr(self._passes, name), *arguments)
        return self._bound.bind(getattr(self._bound, name), *arguments)
