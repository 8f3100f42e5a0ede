"""How long an update of a network takes on this machine, from two that were timed. Torch-free."""

from dataclasses import dataclass

EMBEDDING_SIZE = 64
_NGRAM_SECONDS_PER_TOKEN = 2.5e-6


@dataclass(frozen=True, slots=True)
class Size:
    """An LSTM of one layer with its batch, and a learning rate for ten thousand updates."""

    hidden_size: int
    batch_size: int
    seq_len: int
    lr: float

    @property
    def tokens(self) -> int:
        """Tokens of an update."""
        return self.batch_size * self.seq_len

    def num_operations(self, vocab_size: int) -> float:
        """Return the multiplications and additions of an update: 6 for each weight and token."""
        H = self.hidden_size
        return 6.0 * (4 * H * (EMBEDDING_SIZE + H) + H * vocab_size) * self.tokens


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds of an update: some for every update, and some for its multiplications."""

    fixed_seconds: float
    seconds_per_operation: float

    @classmethod
    def fit(cls, small: Size, small_seconds: float, large: Size, large_seconds: float, vocab_size: int) -> "Speed":
        """Return the line through the seconds of updates of two sizes, with neither part below 0."""
        operations = [size.num_operations(vocab_size) for size in (small, large)]
        slope = (large_seconds - small_seconds) / (operations[1] - operations[0])
        slope = min(max(0.0, slope), small_seconds / operations[0])
        return cls(small_seconds - slope * operations[0], slope)

    def network_seconds(self, size: Size, vocab_size: int) -> float:
        """Return the seconds of an update of a network alone."""
        return self.fixed_seconds + self.seconds_per_operation * size.num_operations(vocab_size)

    def slowness(self, size: Size, vocab_size: int) -> float:
        """Return how many times longer such an update takes here than on the machine of the experiments."""
        return self.network_seconds(size, vocab_size) / REFERENCE_SPEED.network_seconds(size, vocab_size)

    def update_seconds(self, size: Size, vocab_size: int) -> float:
        """Return the seconds of an update of a network with n-grams."""
        ngrams = _NGRAM_SECONDS_PER_TOKEN * size.tokens * self.slowness(size, vocab_size)
        return self.network_seconds(size, vocab_size) + ngrams


REFERENCE_SPEED = Speed(5.2e-3, 1.75e-12)
"""Of the machine of the experiments: two cores that multiply bf16 matrices at 0.9 TFLOP/s."""
