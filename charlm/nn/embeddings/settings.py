"""Settings of embeddings, torch-free; `build.py` makes the embeddings."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from charlm.nn.setting_types import MAX_SIZE, Probability, Size, check_rising
from charlm.settings import Settings


class EmbeddingSettings(Settings):
    """The settings of every embedding."""

    size: int = Field(default=128, ge=1, le=MAX_SIZE)
    """Dimension of the vectors."""
    context_ngrams: tuple[Annotated[int, Field(ge=2, le=16)], ...] = ()
    """Lengths n, in tokens, of the n-grams that end at a token and whose vectors are added to the token's own; rising,
    like [2, 3, 4]."""
    context_buckets: int = Field(default=16_384, ge=1, le=2**24)
    """Number of vectors for each length; n-grams are hashed to them. It changes the memory needed, not the time."""
    context_dropout: Probability = 0.0
    """Dropout of the sum of the n-grams' vectors, with one mask for all time steps."""
    context_backoff: Probability = 0.0
    """Probability, in training, that the n-grams of a length and all longer ones are left out at a position. It is
    drawn for each length from the shortest on, and teaches the network to do without n-grams that it has never seen."""
    dropout: Probability = 0.0
    """Dropout of whole vectors: a token that is dropped is dropped everywhere in the batch (Gal & Ghahramani, 2016)."""

    _check_context_ngrams = field_validator("context_ngrams")(check_rising)


class TokenEmbeddingSettings(EmbeddingSettings):
    """One learned vector per token id."""

    type: Literal["token"] = "token"


class NgramEmbeddingSettings(EmbeddingSettings):
    """A word's character n-grams, combined into one vector; for corpora with the vocabulary `ngram`."""

    type: Literal["ngram"] = "ngram"
    combiner: Literal["sum", "mean", "sqrt"] = "sqrt"
    """How a word's k vectors are combined. sqrt is the sum divided by the square root of k, so that the size of the
    result does not depend on k."""


class ContextualEmbeddingSettings(EmbeddingSettings):
    """The features of frozen language models (Akbik et al., 2018), whose vocabulary the corpus must have, beside a
    trained vector of each token. Their weights are copied into the new model and do not change."""

    type: Literal["contextual"] = "contextual"
    forward: str = ""
    """The run of a language model that reads forward, by name or directory. `forward`, `backward` or both are needed; a
    language model can have the one that reads in its own direction."""
    backward: str = ""
    """The run of a language model with `model.direction = "backward"`."""
    size: int = Field(default=128, ge=0, le=MAX_SIZE)
    """Dimension of the trained vectors; 0: none."""
    projection: Size | None = None
    """Dimension to which a trained linear map brings the features. If left out, they are read as they are."""

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if not self.forward and not self.backward:
            raise ValueError("it needs language models: set forward, backward or both to the names of runs")
        if self.context_ngrams and not self.size:
            raise ValueError(
                "context_ngrams are added to the trained vectors, and size is 0; raise it, or leave them out"
            )
        return self


AnyEmbeddingSettings = Annotated[
    TokenEmbeddingSettings | NgramEmbeddingSettings | ContextualEmbeddingSettings, Field(discriminator="type")
]
SourceEmbeddingSettings = Annotated[TokenEmbeddingSettings | ContextualEmbeddingSettings, Field(discriminator="type")]
