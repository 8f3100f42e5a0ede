"""Settings of heads, torch-free; `build.py` makes the heads."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from charlm.nn.setting_types import Probability, check_rising
from charlm.settings import Settings


class SoftmaxSettings(Settings):
    """One linear layer and a softmax over the vocabulary."""

    type: Literal["softmax"] = "softmax"
    tied: bool = False
    """Use the embedding's vectors as weights (Press & Wolf, 2017). Features of another size are projected to theirs."""
    label_smoothing: Probability = 0.0
    """Fraction of the target's probability that training spreads evenly over the vocabulary. Reported losses are those
    of unsmoothed targets."""
    class_weights: float = Field(default=0.0, ge=0, le=1)
    """For labels and tags: the training loss of a label counts in proportion to its frequency to the power of minus
    this. 0: all examples count alike; 1: all labels do, however rare. Reported losses are unweighted."""


class AdaptiveSoftmaxSettings(Settings):
    """The adaptive softmax (Grave et al., 2017), for large vocabularies: frequent ids in a first softmax, rare ones in
    clusters behind it."""

    type: Literal["adaptive"] = "adaptive"
    cutoffs: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Frequency ranks at which clusters end, rising, like [2000, 10000]. Empty: a 20th and a 5th of all ids."""
    div_value: float = Field(default=4.0, ge=1)
    """Factor by which the features are reduced from one cluster to the next."""
    label_smoothing: Probability = 0.0
    """Fraction of the target's probability that training spreads evenly over the vocabulary. Reported losses are those
    of unsmoothed targets."""

    _check_cutoffs = field_validator("cutoffs")(check_rising)


HeadSettings = Annotated[SoftmaxSettings | AdaptiveSoftmaxSettings, Field(discriminator="type")]
