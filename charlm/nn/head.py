"""Features -> a loss, or logits.

B batch, T time, N = B * T tokens, H features, V vocabulary.
"""

import torch
from torch import Tensor, nn

IGNORED = -100
"""A target that is not scored."""

_CHUNK_ELEMENTS = 1 << 24  # of logits held at once: 64 MB in fp32


class Softmax(nn.Module):
    """A linear layer and a softmax over the vocabulary. Parameters: weight_VH, bias_V."""

    def __init__(self, features_size: int, vocab_size: int) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.weight_VH = nn.Parameter(torch.empty(vocab_size, features_size))
        self.bias_V = nn.Parameter(torch.zeros(vocab_size))
        nn.init.normal_(self.weight_VH, std=features_size**-0.5)

    def logits(self, features_BTH: Tensor) -> Tensor:
        """Unnormalised log-probabilities, fp32, for features with any leading axes."""
        return nn.functional.linear(features_BTH, self.weight_VH, self.bias_V).float()

    def nll(self, features_BTH: Tensor, targets_BT: Tensor) -> Tensor:
        """Negative log-likelihood of each target in nats, fp32, 0 where the target is IGNORED; shape B, T."""
        features_NH, targets_N = features_BTH.flatten(0, 1), targets_BT.flatten()
        chunk = max(1, _CHUNK_ELEMENTS // self.vocab_size)
        nll_N = torch.cat(
            [
                nn.functional.cross_entropy(
                    self.logits(features_NH[start : start + chunk]),
                    targets_N[start : start + chunk],
                    ignore_index=IGNORED,
                    reduction="none",
                )
                for start in range(0, max(1, len(targets_N)), chunk)
            ]
        )
        return nll_N.view(targets_BT.shape)

    @torch.no_grad()
    def set_frequencies(self, counts_V: Tensor) -> None:
        """Start from the unigram distribution: the first thousand steps need not learn it."""
        smoothed_V = counts_V.to(self.bias_V) + 0.1
        self.bias_V.copy_((smoothed_V / smoothed_V.sum()).log())
