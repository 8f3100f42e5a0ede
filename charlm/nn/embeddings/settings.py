"""Settings of embeddings, torch-free. `build()` imports the implementation."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from charlm.errors import SettingsError
from charlm.nn.setting_types import MAX_SIZE, Probability
from charlm.settings import Settings

if TYPE_CHECKING:
    from charlm.nn.dropout import NoiseRNG
    from charlm.nn.embeddings.token import Embedding
    from charlm.vocab.base import NgramBags


class BagLayout(Settings):
    """What must be known of a vocabulary's bags of n-grams to build a network for them, before any array is there."""

    num_ngrams: int = Field(ge=1, le=2**31)
    num_own: int = Field(ge=0, le=2**31)
    """Tokens without n-grams: each has a vector of its own."""
    num_entries: int = Field(ge=1, le=2**40)
    """Vectors named by all bags together, one's own included."""
    n: int = Field(ge=1, le=64)
    """Characters of an n-gram."""
    end_id: int = Field(ge=0)
    """</spell>."""
    first_byte_id: int = Field(ge=0)
    """Byte b is id first_byte_id + b."""
    boundary: tuple[Annotated[int, Field(ge=0, le=255)], ...] = Field(max_length=16)
    """Bytes of the mark before and after a word."""

    @classmethod
    def from_bags(cls, bags: "NgramBags") -> "BagLayout":
        num_own = int((bags.offsets[1:] == bags.offsets[:-1]).sum())
        return cls(
            num_ngrams=len(bags.hashes),
            num_own=num_own,
            num_entries=len(bags.ngrams) + num_own,
            n=bags.n,
            end_id=bags.end_id,
            first_byte_id=bags.first_byte_id,
            boundary=tuple(bags.boundary),
        )

    def check_fits_vocab(self, vocab_size: int) -> None:
        """Raise ValueError where the layout is none of a vocabulary of that size."""
        if max(self.end_id + 1, self.first_byte_id + 256, self.num_own) > vocab_size or self.num_entries < vocab_size:
            raise ValueError(f"the bags of n-grams are not those of {vocab_size:,} ids")


class EmbeddingSettings(Settings, ABC):
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

    @field_validator("context_ngrams")
    @classmethod
    def _check_lengths_rise(cls, lengths: tuple[int, ...]) -> tuple[int, ...]:
        if list(lengths) != sorted(set(lengths)):
            raise ValueError("the lengths must rise, each once, like [2, 3, 4]")
        return lengths

    def check_bags(self, bags: "NgramBags | BagLayout | None") -> None:
        """Raise SettingsError where bags are needed and the vocabulary has none."""

    @abstractmethod
    def build_token_embedding(self, vocab_size: int, bags: "NgramBags | BagLayout | None") -> "Embedding":
        """The embedding of a token by itself."""

    def build(self, vocab_size: int, bags: "NgramBags | BagLayout | None", rng: "NoiseRNG") -> "Embedding":
        from charlm.nn.embeddings.context import ContextEmbedding

        self.check_bags(bags)
        token_embedding = self.build_token_embedding(vocab_size, bags)
        if not self.context_ngrams:
            return token_embedding
        return ContextEmbedding(
            token_embedding,
            self.context_ngrams,
            self.context_buckets,
            rng,
            dropout=self.context_dropout,
            backoff=self.context_backoff,
        )


class TokenEmbeddingSettings(EmbeddingSettings):
    """One learned vector per id."""

    type: Literal["token"] = "token"

    def build_token_embedding(self, vocab_size: int, bags: "NgramBags | BagLayout | None") -> "Embedding":
        from charlm.nn.embeddings.token import TokenEmbedding

        return TokenEmbedding(vocab_size, self.size)


class NgramEmbeddingSettings(EmbeddingSettings):
    """A word's character n-grams, combined into one vector; for corpora with the vocabulary `ngram`."""

    type: Literal["ngram"] = "ngram"
    combiner: Literal["sum", "mean", "sqrt"] = "sqrt"
    """Of a word's k vectors: their sum, their mean, or the sum over the root of k, whose size does not depend on k."""

    def check_bags(self, bags: "NgramBags | BagLayout | None") -> None:
        if bags is None:
            raise SettingsError(
                'model.embedding.type = "ngram" needs a corpus whose vocabulary has n-grams',
                "prepare one with corpus.vocab.type=ngram, or set model.embedding.type=token",
            )

    def build_token_embedding(self, vocab_size: int, bags: "NgramBags | BagLayout | None") -> "Embedding":
        from charlm.nn.embeddings.ngrams import NgramEmbedding

        assert bags is not None
        if isinstance(bags, BagLayout):
            return NgramEmbedding(vocab_size, self.size, bags, self.combiner)
        embedding = NgramEmbedding(vocab_size, self.size, BagLayout.from_bags(bags), self.combiner)
        embedding.set_bags(bags)
        return embedding


AnyEmbeddingSettings = Annotated[TokenEmbeddingSettings | NgramEmbeddingSettings, Field(discriminator="type")]
