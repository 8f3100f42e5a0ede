"""The ranges and checks that settings of networks share."""

from typing import Annotated, Literal

from pydantic import Field

MAX_SIZE = 1_000_000
"""The largest size of a dimension. The product of two such sizes, in bytes, still fits 64 bits."""

Probability = Annotated[float, Field(ge=0, lt=1)]
Size = Annotated[int, Field(ge=1, le=MAX_SIZE)]
Pooling = Literal["end", "mean", "max"]


def check_rising(values: tuple[int, ...]) -> tuple[int, ...]:
    if list(values) != sorted(set(values)):
        raise ValueError("the numbers must rise strictly, like 2, 3, 4")
    return values
