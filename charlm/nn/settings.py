"""Settings of a network, torch-free; `build.py` makes the network.

ModelSettings = embedding (ids -> vectors) + body (vectors -> features) + head (features -> loss or logits)
"""

from typing import Any, Literal, Self

from pydantic import field_validator, model_validator

from charlm.nn.bodies.settings import BodySettings, RecurrentSettings
from charlm.nn.embeddings.settings import AnyEmbeddingSettings, TokenEmbeddingSettings
from charlm.nn.heads.settings import HeadSettings, SoftmaxSettings
from charlm.settings import Settings


class ModelSettings(Settings):
    """A language model."""

    direction: Literal["forward", "backward"] = "forward"
    """The direction in which text is read. A backward model is given the end of a text and writes what comes before."""
    embedding: AnyEmbeddingSettings = TokenEmbeddingSettings()
    body: BodySettings = RecurrentSettings()
    head: HeadSettings = SoftmaxSettings()

    @field_validator("direction", mode="before")
    @classmethod
    def _check_direction(cls, direction: Any) -> Any:
        if direction in ("both", "bidirectional"):
            raise ValueError(
                "a language model reads one way: a layer that reads backward has seen the token that is to be"
                " predicted; set direction to forward or backward"
            )
        return direction

    @property
    def depends_on_step_count(self) -> bool:
        """Whether the output depends on the number of time steps since the state was reset."""
        return self.body.norm == "batch"

    @model_validator(mode="after")
    def _check_direction_of_ngrams(self) -> Self:
        if self.direction == "backward" and self.embedding.type == "ngram":
            raise ValueError(
                "n-grams of an unknown word come from the bytes before its end, which a backward model has not read"
                " yet; set embedding.type to token"
            )
        return self
