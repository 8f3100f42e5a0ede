"""Settings of embeddings, torch-free; `build.py` makes the embeddings."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from charlm.nn.setting_types import MAX_SIZE, Probability, check_rising
from charlm.settings import Settings


class EmbeddingSettings(Settings):
    """What every embedding has."""

    size: int = Field(default=128, ge=1, le=MAX_SIZE)
    """Dimension of the vectors."""
    context_ngrams: tuple[Annotated[int, Field(ge=2, le=8)], ...] = ()
    """Lengths in tokens, like [2, 3, 4], of the n-grams ending at a token whose vectors are added to its own."""
    context_buckets: int = Field(default=16_384, ge=1, le=2**24)
    """Vectors for the n-grams of each length, which are hashed to them. Time does not depend on it, memory does."""
    context_dropout: Probability = 0.0
    """On the sum of the n-grams' vectors; one mask for all time steps."""
    context_backoff: Probability = 0.0
    """In training, the chance of each length, from the shortest on, to be left out at some place with all longer ones:
    so that a network learns what to do where an n-gram was never met."""
    dropout: Probability = 0.0
    """Of whole vectors: a token dropped is dropped wherever it stands in the batch (Gal & Ghahramani, 2016)."""

    _check_context_ngrams = field_validator("context_ngrams")(check_rising)


class TokenEmbeddingSettings(EmbeddingSettings):
    """One learned vector per id."""

    type: Literal["token"] = "token"


class NgramEmbeddingSettings(EmbeddingSettings):
    """A word's character n-grams, combined into one vector; for corpora with the vocabulary `ngram`."""

    type: Literal["ngram"] = "ngram"
    combiner: Literal["sum", "mean", "sqrt"] = "sqrt"
    """Of a word's k vectors: their sum, their mean, or the sum over the root of k, whose size does not depend on k."""


AnyEmbeddingSettings = Annotated[TokenEmbeddingSettings | NgramEmbeddingSettings, Field(discriminator="type")]
