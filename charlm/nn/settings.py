"""Settings of a network, torch-free; `build.py` makes the network.

ModelSettings = embedding (ids -> vectors) + body (vectors -> features) + head (features -> loss or logits)
                + ngram (counts that are mixed with the network)
                + condition (what the model is given besides the text so far)
"""

from typing import Literal, Self

from pydantic import field_validator, model_validator

from charlm.nn.bodies.settings import BodySettings, RecurrentSettings
from charlm.nn.conditions.settings import ConditionSettings, SourceConditionSettings
from charlm.nn.embeddings.settings import AnyEmbeddingSettings, TokenEmbeddingSettings
from charlm.nn.heads.settings import HeadSettings, SoftmaxSettings
from charlm.nn.ngrams.settings import NgramComponentSettings
from charlm.nn.setting_types import Pooling
from charlm.settings import Settings


class ModelSettings(Settings):
    """A language model, or a model of labels or tags."""

    direction: Literal["forward", "backward", "both"] = "forward"
    """The direction in which text is read. A backward language model is given the end of a text and writes what comes
    before. both: for labels and tags only, since a language model would see what it predicts."""
    bidirectional: Literal["layers", "stacks"] = "layers"
    """For the direction `both` of a recurrent body. layers: each layer reads both directions of the layer below.
    stacks: the two directions meet after the last layer only."""
    pooling: Pooling = "end"
    """For one label for each document, the features of the whole text. end: where a direction has read all of it. mean,
    max: over all tokens."""
    embedding: AnyEmbeddingSettings = TokenEmbeddingSettings()
    body: BodySettings = RecurrentSettings()
    head: HeadSettings = SoftmaxSettings()
    ngram: NgramComponentSettings | None = None
    """Counts of the training text inside a language model, mixed with the network. If left out or "none", the network
    alone."""
    condition: ConditionSettings | None = None
    """What the model is given besides the text so far, for the tasks generate and transduce. If left out, what the task
    has to give, in its usual form."""

    @field_validator("ngram", mode="before")
    @classmethod
    def _read_none(cls, value: object) -> object:
        """Let `none` overrule a config that has n-grams."""
        return None if value == "none" else value

    @property
    def text_direction(self) -> Literal["forward", "backward"]:
        """The direction in which a language model reads."""
        return "backward" if self.direction == "backward" else "forward"

    @property
    def depends_on_step_count(self) -> bool:
        """Whether the output depends on the number of time steps since the state was reset."""
        encoder = self.condition.encoder.body if isinstance(self.condition, SourceConditionSettings) else None
        return self.body.norm == "batch" or (encoder is not None and encoder.norm == "batch")

    @model_validator(mode="after")
    def _check_direction_of_ngrams(self) -> Self:
        if self.direction == "backward" and self.embedding.type == "ngram":
            raise ValueError(
                "n-grams of an unknown word come from the bytes before its end, which a backward model has not read"
                " yet; set embedding.type to token"
            )
        return self
