"""The interface of a constraint: which ids may come next, and the state after the one that was drawn.

    start ──mask──> allowed ids ── draw ──> id ──advance──> state ──mask──> ...

V vocabulary.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class Constraint(Protocol):
    """Decides which ids may come next. Its states are values: a constraint itself never changes."""

    start: Any
    ends_at_eod: bool
    """Whether <eod> ends the text, instead of beginning another document."""

    def mask(self, state: Any, remaining: int) -> npt.NDArray[np.bool_]:
        """The ids that may come next, (V,), at least one, if at most `remaining` more characters are written."""
        ...

    def advance(self, state: Any, token: int) -> Any: ...
