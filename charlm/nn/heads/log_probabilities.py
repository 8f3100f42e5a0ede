"""A head over features that are log-probabilities: of mixtures whose parts only the body knows.

    features of a part ──inner head──> log-probabilities ──mixed by the body──> features_BTV ──> logits_BTV, nats

B batch, T time, H features, V vocabulary; "..." any leading axes.
"""

from torch import Tensor

from charlm.nn.heads.softmax import Head, to_at_least_fp32
from charlm.vocab.base import IGNORE_INDEX


class LogProbabilityHead(Head):
    """The distribution that the features are. Parameters: those of the inner head, which the body applies."""

    def __init__(self, inner: Head, label_smoothing: float = 0.0) -> None:
        super().__init__(inner.vocab_size, label_smoothing)
        self.inner = inner

    def inner_log_probabilities(self, features: Tensor) -> Tensor:
        """Return log-probabilities (..., V), in fp32 or higher, for features (..., H) of the inner head."""
        return self.inner.logits(features).log_softmax(-1)

    def logits(self, features_BTH: Tensor) -> Tensor:
        """Return the log-probabilities that the features are."""
        return to_at_least_fp32(features_BTH)

    def nll(self, features_BTH: Tensor, targets_BT: Tensor) -> Tensor:
        log_p = self.logits(features_BTH)
        nll = -log_p.gather(-1, targets_BT.clamp(min=0)[..., None])[..., 0]
        return nll.where(targets_BT != IGNORE_INDEX, 0)

    def loss(self, features_BTH: Tensor, targets_BT: Tensor) -> tuple[Tensor, Tensor]:
        nll = self.nll(features_BTH, targets_BT)
        if self._label_smoothing == 0:
            return nll, nll
        mean = -self.logits(features_BTH).mean(-1).where(targets_BT != IGNORE_INDEX, 0)
        return (1 - self._label_smoothing) * nll + self._label_smoothing * mean, nll

    def set_frequencies(self, counts_V: Tensor) -> None:
        self.inner.set_frequencies(counts_V)

    def check_buffers(self) -> None:
        self.inner.check_buffers()
