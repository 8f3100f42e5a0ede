"""Features -> a loss, or logits.

    features_BTH ──logits──> logits_BTV ──cross-entropy──> nll_BT, in nats ──label smoothing──> the training loss

B batch, T time, N = B * T tokens, D embedding, H features, V vocabulary.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from charlm.nn.embeddings.token_embedding import TokenEmbedding
from charlm.vocab.base import IGNORE_INDEX

_CHUNK_ELEMENTS = 1 << 24  # logits held at once: 64 MB in fp32


class Head(nn.Module, ABC):
    """A distribution over the vocabulary for each feature vector; for other tasks, over labels or tags."""

    loss_weight_V: Tensor | None
    """The weights of the training loss; None: all are 1."""

    def __init__(self, vocab_size: int, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self._label_smoothing = label_smoothing
        self.register_buffer("loss_weight_V", None)

    @abstractmethod
    def logits(self, features_BTH: Tensor) -> Tensor:
        """Return unnormalised log-probabilities of all ids, in fp32 or higher, for features with any leading axes."""

    @abstractmethod
    def set_frequencies(self, counts_V: Tensor) -> None:
        """Initialise the biases, before training, from how often each id occurs in the training text."""

    def network_features(self, features: Tensor) -> Tensor:
        """Return the features that a network computed: all of them, where nothing else is joined to them."""
        return features

    def check_buffers(self) -> None:
        """Raise ValueError if buffers read from a file contradict each other."""

    def nll(self, features_BTH: Tensor, targets_BT: Tensor) -> Tensor:
        """Return the negative log-likelihood of each target in nats, 0 for IGNORE_INDEX; shape B, T, fp32 or higher."""
        chunks = self._chunks(features_BTH, targets_BT)
        return torch.cat([self._chunk_nll(*chunk) for chunk in chunks]).view(targets_BT.shape)

    def nll_of_parts(self, features_BTH: Tensor, targets_BT: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what `nll` returns, and the same for each part of a mixture, by its name; no parts for other heads."""
        return self.nll(features_BTH, targets_BT), {}

    def loss(self, features_BTH: Tensor, targets_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Return the training loss and the negative log-likelihood, both B, T; one tensor if they are the same.

        With label smoothing e (Szegedy et al., 2016), the loss is (1 - e) nll + e * mean over v of -log p(v). Class
        weights multiply it by the weight of the target.
        """
        if self._label_smoothing == 0 and self.loss_weight_V is None:
            nll_BT = self.nll(features_BTH, targets_BT)
            return nll_BT, nll_BT
        chunks = [self._chunk_loss(*chunk) for chunk in self._chunks(features_BTH, targets_BT)]
        loss_N, nll_N = (torch.cat(parts) for parts in zip(*chunks, strict=True))
        return loss_N.view(targets_BT.shape), nll_N.view(targets_BT.shape)

    def _chunks(self, features_BTH: Tensor, targets_BT: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield pieces whose logits fit into memory; at least one, which may be empty."""
        features_NH, targets_N = features_BTH.flatten(0, 1), targets_BT.flatten()
        size = max(1, _CHUNK_ELEMENTS // self.vocab_size)
        for start in range(0, max(1, len(targets_N)), size):
            yield features_NH[start : start + size], targets_N[start : start + size]

    def _chunk_nll(self, features_NH: Tensor, targets_N: Tensor) -> Tensor:
        return nn.functional.cross_entropy(
            self.logits(features_NH), targets_N, ignore_index=IGNORE_INDEX, reduction="none"
        )

    def _chunk_loss(self, features_NH: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
        """Use one set of logits z: log p(v) = z_v - c, so the mean of -log p(v) is nll + z_target - mean z."""
        logits_NV = self.logits(features_NH)
        nll_N = nn.functional.cross_entropy(logits_NV, targets_N, ignore_index=IGNORE_INDEX, reduction="none")
        target_logits_N = logits_NV.gather(-1, targets_N.clamp(min=0)[:, None])[:, 0]
        smoothing_N = self._label_smoothing * (target_logits_N - logits_NV.mean(-1))
        loss_N = nll_N + smoothing_N.where(targets_N != IGNORE_INDEX, 0)
        return loss_N if self.loss_weight_V is None else loss_N * self.loss_weight_V[targets_N.clamp(min=0)], nll_N


class Softmax(Head):
    """A linear layer and a softmax over the vocabulary.

    Parameters: weight_VH, bias_V. Buffer: loss_weight_V, if there are class weights.
    """

    def __init__(
        self, features_size: int, vocab_size: int, label_smoothing: float = 0.0, class_weights: float = 0.0
    ) -> None:
        super().__init__(vocab_size, label_smoothing)
        self._class_weights = class_weights
        if class_weights:
            self.loss_weight_V = torch.ones(vocab_size)
        self.weight_VH = nn.Parameter(torch.empty(vocab_size, features_size))
        self.bias_V = nn.Parameter(torch.zeros(vocab_size))
        nn.init.normal_(self.weight_VH, std=features_size**-0.5)

    def logits(self, features_BTH: Tensor) -> Tensor:
        return to_at_least_fp32(nn.functional.linear(features_BTH, self.weight_VH, self.bias_V))

    def set_frequencies(self, counts_V: Tensor) -> None:
        if self.loss_weight_V is not None:
            occurring_V = counts_V.to(self.loss_weight_V)
            weight_V = occurring_V.clamp(min=1) ** -self._class_weights
            weight_V *= occurring_V.sum() / (weight_V * occurring_V).sum()  # the mean over the examples is 1
            self.loss_weight_V.copy_(weight_V)
            counts_V = occurring_V * weight_V
        init_bias_from_counts(self.bias_V, counts_V)


class TiedSoftmax(Head):
    """A softmax whose weights are the embedding's vectors (Press & Wolf, 2017; Inan et al., 2017).

    Parameters: bias_V, and projection_DH if the features have another size than the embedding. The embedding owns
    weight_VD, so that it is saved, counted and learned once.
    """

    def __init__(self, features_size: int, token_embedding: TokenEmbedding, label_smoothing: float = 0.0) -> None:
        vocab_size, size = token_embedding.weight_VD.shape
        super().__init__(vocab_size, label_smoothing)
        self._token_embedding = (
            token_embedding,
        )  # in a tuple: as an attribute, the module would be registered as part of this one
        self.bias_V = nn.Parameter(torch.zeros(vocab_size))
        self.projection_DH: nn.Parameter | None = None
        if features_size != size:
            self.projection_DH = nn.Parameter(torch.empty(size, features_size))
            nn.init.normal_(self.projection_DH, std=features_size**-0.5)

    @property
    def token_embedding(self) -> TokenEmbedding:
        return self._token_embedding[0]

    def logits(self, features_BTH: Tensor) -> Tensor:
        features = features_BTH
        if self.projection_DH is not None:
            features = nn.functional.linear(features, self.projection_DH)
        return to_at_least_fp32(nn.functional.linear(features, self.token_embedding.weight_VD, self.bias_V))

    def set_frequencies(self, counts_V: Tensor) -> None:
        init_bias_from_counts(self.bias_V, counts_V)


def to_at_least_fp32(tensor: Tensor) -> Tensor:
    """Convert shorter types to fp32, which sums over a vocabulary need."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


@torch.no_grad()
def init_bias_from_counts(bias_V: nn.Parameter, counts_V: Tensor) -> None:
    """The biases of the distribution of the counts: the first thousand steps need not learn it."""
    smoothed_V = counts_V.to(bias_V) + 0.1
    bias_V.copy_((smoothed_V / smoothed_V.sum()).log())
