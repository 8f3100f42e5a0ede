"""Settings of conditions, torch-free; `build.py` makes the models."""

from typing import Annotated, Literal

from pydantic import Field

from charlm.nn.attention.settings import AttentionSettings, MonotonicAttentionSettings
from charlm.nn.bodies.settings import BodySettings, RecurrentSettings
from charlm.nn.embeddings.settings import SourceEmbeddingSettings, TokenEmbeddingSettings
from charlm.settings import Settings


class NoConditionSettings(Settings):
    """The network is given nothing: the same task for comparison, without what it could know."""

    type: Literal["none"] = "none"


class LabelConditionSettings(Settings):
    """A label that the text belongs to, for `--task generate`."""

    type: Literal["label"] = "label"
    into: Literal["input", "state"] = "input"
    """Where the label goes. input: a vector of the label is added to the embedding of every token. state: the label
    chooses the initial state of the body."""


class EncoderSettings(Settings):
    """What reads the source."""

    embedding: SourceEmbeddingSettings = TokenEmbeddingSettings()
    body: BodySettings = RecurrentSettings(hidden_size=256)
    direction: Literal["forward", "backward", "both"] = "both"
    """The direction in which the source is read."""
    bidirectional: Literal["layers", "stacks"] = "layers"
    """For the direction `both` of a recurrent body. layers: each layer reads both directions of the layer below.
    stacks: the two directions meet after the last layer only."""


class SourceConditionSettings(Settings):
    """Another text that is read first, for `--task transduce`. The model's body is the decoder."""

    type: Literal["source"] = "source"
    encoder: EncoderSettings = EncoderSettings()
    attention: AttentionSettings = MonotonicAttentionSettings()
    layers_after: int = Field(default=0, ge=0, le=16)
    """For soft attention and a recurrent decoder: how many more layers read what attention has found. They have the
    settings of the decoder's body."""
    copying: bool = False
    """For soft attention: let the decoder copy tokens of the source (See et al., 2017)."""


ConditionSettings = Annotated[
    NoConditionSettings | LabelConditionSettings | SourceConditionSettings, Field(discriminator="type")
]
