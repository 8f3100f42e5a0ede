"""What a target may be beside an id of the vocabulary: data write it, heads and scores read it."""

IGNORE_INDEX = -100
"""A target that is not scored; no vocabulary has such an id, and torch's losses leave it out by default."""
