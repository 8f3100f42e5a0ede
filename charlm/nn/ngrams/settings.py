"""Settings of the n-gram component, torch-free; `charlm/nn/build.py` builds it."""

from pydantic import Field

from charlm.settings import Settings


class NgramComponentSettings(Settings):
    """Counts of n-grams inside a language model, mixed with the network by weights that depend on the features and on
    the counts (Neubig & Dyer, 2016)."""

    order: int | None = Field(default=None, ge=2, le=24)
    """Length of the longest n-grams, in tokens. If left out, as many as cover about 12 characters: 12 for a vocabulary
    of characters, up to 24 for one of bytes, 3 to 5 for pieces, words, or more than 4,000 characters."""
    min_count: int = Field(default=1, ge=1, le=1000)
    """N-grams longer than 4 tokens are kept if they occur in so many blocks. Higher: smaller tables, worse predictions
    (on 3.8 million characters of Ukrainian, 1.66 bits per character with 2 and 1.61 with 1)."""
    block_tokens: int = Field(default=20_000, ge=100, le=1 << 30)
    """A count is a number of blocks of text that contain an n-gram. A block is a document, or so many tokens of one."""
    max_tokens: int = Field(default=20_000_000, ge=1000)
    """So many tokens at the beginning of the training text are counted, which needs about 400 bytes of memory for
    each."""
    bytes: int = Field(default=256_000_000, ge=1_000_000)
    """The size of the tables. Rarer n-grams of the longest orders are left out until they fit."""
    gate_size: int = Field(default=48, ge=1, le=4096)
    """Units of the layer that turns counts into mixture weights."""
    network_loss: float = Field(default=0.5, ge=0, le=10)
    """Weight of the network's own loss in the training loss, so that it also learns where n-grams predict well."""
    refit_epochs: int = Field(default=8, ge=0, le=1000)
    """At each validation, the mixture weights are fitted again in at most so many passes over the first half of the
    validation text; the score is that of the second half. 0: they stay as training has left them."""
