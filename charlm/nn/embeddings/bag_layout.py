"""The sizes of a vocabulary's bags of n-grams, from which a network is built before its arrays are loaded.

NgramBags ──from_bags──> BagLayout ──> model.json ──> BagLayout
"""

from typing import Annotated, Self

from pydantic import Field

from charlm.settings import Settings
from charlm.vocab.base import NgramBags


class BagLayout(Settings):
    """The sizes and marks of a vocabulary's bags of n-grams; written to model.json."""

    num_ngrams: int = Field(ge=1, le=2**31)
    num_own: int = Field(ge=0, le=2**31)
    """Number of tokens without n-grams, each of which has a vector for itself."""
    num_entries: int = Field(ge=1, le=2**40)
    """Number of vectors in all bags together, including those of tokens without n-grams."""
    n: int = Field(ge=1, le=64)
    """Length of an n-gram in characters."""
    end_id: int = Field(ge=0)
    """Id of </spell>, which ends the bytes of an unknown word."""
    first_byte_id: int = Field(ge=0)
    """Byte b has the id first_byte_id + b."""
    boundary: tuple[Annotated[int, Field(ge=0, le=255)], ...] = Field(max_length=16)
    """The bytes that mark the beginning and the end of a word."""

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
        """Raise ValueError if no vocabulary of that size can have this layout."""
        if max(self.end_id + 1, self.first_byte_id + 256, self.num_own) > vocab_size or self.num_entries < vocab_size:
            raise ValueError(f"the bags of n-grams do not fit a vocabulary of {vocab_size:,} ids")
