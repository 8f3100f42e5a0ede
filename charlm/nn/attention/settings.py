"""Settings of attention, torch-free; `charlm/nn/conditions/source.py` makes the modules."""

from typing import Annotated, Literal

from pydantic import Field

from charlm.nn.setting_types import Probability, Size
from charlm.settings import Settings


class AdditiveAttentionSettings(Settings):
    """Soft attention whose scores come from a layer of tanh units (Bahdanau et al., 2015)."""

    type: Literal["additive"] = "additive"
    size: Size = 128
    """Number of tanh units. For each pair of a source token and a target token, each unit is computed."""
    dropout: Probability = 0.0
    """Dropout of the vector that joins decoder and source, with one mask for all time steps."""


class DotAttentionSettings(Settings):
    """Soft attention whose scores are products of queries and keys (Luong et al., 2015), scaled by their size."""

    type: Literal["dot"] = "dot"
    size: Size = 128
    """Dimension of queries and keys."""
    dropout: Probability = 0.0
    """Dropout of the vector that joins decoder and source, with one mask for all time steps."""


class MonotonicAttentionSettings(Settings):
    """Exact hard monotonic attention (Wu & Cotterell, 2019): each target token comes from one position of the source,
    positions never move left, and all alignments are summed over."""

    type: Literal["monotonic"] = "monotonic"
    size: Size = 256
    """Number of tanh units that join decoder and source. For each pair of a source token and a target token, each unit
    and a distribution over the target's vocabulary are computed."""
    max_jump: int = Field(default=4, ge=1, le=256)
    """The largest number of positions that the alignment moves to the right from one target token to the next."""
    dropout: Probability = 0.0
    """Dropout of the vector that joins decoder and source, with one mask for all pairs."""


AttentionSettings = Annotated[
    AdditiveAttentionSettings | DotAttentionSettings | MonotonicAttentionSettings, Field(discriminator="type")
]
