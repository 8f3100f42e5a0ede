"""The sizes of a vocabulary's bags of n-grams: what building a network for them needs before any array is there.

NgramBags ──from_bags──> BagLayout ──> model.json ──> BagLayout
"""

from typing import Annotated, Self

from pydantic import Field

from charlm.settings import Settings
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
    def from_bags(cls, bags: NgramBags) -> Self:
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
