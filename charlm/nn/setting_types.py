"""The ranges that settings of networks share."""

from typing import Annotated

from pydantic import Field

MAX_SIZE = 1_000_000
"""Of one dimension: the product of two still counts bytes in 64 bits."""

Probability = Annotated[float, Field(ge=0, lt=1)]
Size = Annotated[int, Field(ge=1, le=MAX_SIZE)]
