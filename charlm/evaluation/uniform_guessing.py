"""Compare scores with uniform guessing, which gives every token of the vocabulary the same probability.

A guess costs log2(vocabulary size) bits for each token. A model that needs more has learned nothing of the text.
"""

import math

CURE = "the learning rate is probably too high; train again with a lower training.optimizer.lr and --overwrite"
UNKNOWN_TEXT = "the model knows nothing of this text; give text like that of its training"


def uniform_bits(vocab_size: int, tokens: float, characters: float) -> float | None:
    """Return the bits per character of uniform guessing on a text; None for a text without characters.

    Args:
        vocab_size: number of tokens in the vocabulary.
        tokens, characters: size of the text; the tokens include the ends of documents.
    """
    return math.log2(vocab_size) * tokens / characters if characters else None


def is_worse_than_uniform(bits: float | None, uniform: float | None) -> bool:
    """Whether bits per character are above those of uniform guessing; False where one of them is not known."""
    return bits is not None and uniform is not None and bits > uniform


def describe_worse_than_uniform(name: str, bits: float | None, uniform: float | None, cure: str = CURE) -> str | None:
    """Return the sentence about a score that is worse than uniform guessing; None for a better one.

    Args:
        name: the run.
        bits, uniform: bits per character of the run and of uniform guessing, on the same text.
    """
    if not is_worse_than_uniform(bits, uniform):
        return None
    return f"{name}: {bits:,.4f} bits per character are worse than uniform guessing, {uniform:.4f}; {cure}"
