"""Settings of heads, torch-free; `build.py` makes the heads."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from charlm.nn.setting_types import Probability, check_rising
from charlm.settings import Settings


class SoftmaxSettings(Settings):
    """One linear layer and a softmax over the vocabulary."""

    type: Literal["softmax"] = "softmax"
    tied: bool = False
    """Use the embedding's vectors as the weights (Press & Wolf, 2017), behind a projection where the sizes differ."""
    label_smoothing: Probability = 0.0
    """Share of the target's probability that training spreads over the vocabulary; no figure is of smoothed targets."""


class AdaptiveSoftmaxSettings(Settings):
    """The frequent ids in a first softmax, the rare ones in clusters behind it (Grave et al., 2017): for many words."""

    type: Literal["adaptive"] = "adaptive"
    cutoffs: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Numbers of most frequent ids at which a cluster ends, rising, like [2000, 10000]; empty: a 20th and a 5th."""
    div_value: float = Field(default=4.0, ge=1)
    """Each cluster sees the features projected to this many times fewer dimensions than the cluster before."""
    label_smoothing: Probability = 0.0
    """Share of the target's probability that training spreads over the vocabulary; no figure is of smoothed targets."""

    _check_cutoffs = field_validator("cutoffs")(check_rising)


HeadSettings = Annotated[SoftmaxSettings | AdaptiveSoftmaxSettings, Field(discriminator="type")]
