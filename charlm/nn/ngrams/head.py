"""The mixture of a network and of n-grams, as a head over the features and the contexts.

    features, contexts ──weights──> w_0 ... w_N        p(v) = w_0 p_network(v) + sum over n of w_n p_n(v)

p_n is the interpolated distribution of order n (tables.py). The weights are a softmax over a linear map of the
network's features plus a small network over figures of the contexts: gamma, the counts, and how much the tokens agree
that followed (Neubig & Dyer, 2016, section 4). Orders whose context has no counts have the weight 0.

The last axis of the features holds the H features of the network, then the K numbers of the contexts, exact in fp32.

B batch, T time, N tokens, H features, K = order - 1, V vocabulary.
"""

import torch
from torch import Tensor, nn

from charlm.nn.heads.softmax import Head, to_at_least_fp32
from charlm.nn.ngrams.lookup import NgramLookup
from charlm.nn.ngrams.mixture_examples import MixtureExamples
from charlm.vocab.base import IGNORE_INDEX

_NUM_FIGURES = 3
_NUM_INPUTS = 4
"""Numbers for each order that the weights depend on."""
_SMALLEST_P = 1e-20


class NgramHead(Head):
    """A mixture of the distribution of another head with n-grams.

    Parameters: those of `network`, `from_features`, `hidden`, `from_hidden`. The tables of `lookup` are not trained.
    """

    def __init__(
        self, network: Head, features_size: int, lookup: NgramLookup, hidden_size: int, network_loss: float
    ) -> None:
        """
        Args:
            network: the head of the network alone.
            hidden_size: units between the figures of the contexts and the weights.
            network_loss: the weight of the network's own loss in the training loss.
        """
        super().__init__(network.vocab_size)
        self.network = network
        self.lookup = lookup
        self._features_size = features_size
        self._network_loss = network_loss
        num_parts = lookup.order + 1
        self.from_features = nn.Linear(features_size, num_parts, bias=False)
        self.hidden = nn.Linear(_NUM_INPUTS * lookup.num_contexts, hidden_size)
        self.from_hidden = nn.Linear(hidden_size, num_parts)
        nn.init.zeros_(self.from_features.weight)
        nn.init.zeros_(self.from_hidden.bias)

    def join(self, features_BTH: Tensor, contexts_BTK: Tensor) -> Tensor:
        """Return the features (B, T, H + K) that this head reads."""
        features_BTH = to_at_least_fp32(features_BTH)
        return torch.cat([features_BTH, contexts_BTK.to(features_BTH)], dim=-1)

    def network_features(self, features: Tensor) -> Tensor:
        return features[..., : self._features_size]

    def logits(self, features_BTH: Tensor) -> Tensor:
        """Return log-probabilities."""
        features_NH, contexts_NK = self._split(features_BTH.reshape(-1, features_BTH.shape[-1]))
        log_p_NV = self.mix_logits(features_NH, contexts_NK, self.network.logits(features_NH))
        return log_p_NV.view(*features_BTH.shape[:-1], self.vocab_size)

    def mix_logits(self, features_NH: Tensor, contexts_NK: Tensor, logits_NV: Tensor) -> Tensor:
        """Return the log-probabilities (N, V) of the mixture, from the logits of the network."""
        figures_NK3 = self.lookup.figures(contexts_NK)
        weights_NP = self._log_weights(features_NH, figures_NK3).exp()
        gamma_NK = figures_NK3[..., 0]
        network_NV = to_at_least_fp32(logits_NV).softmax(-1)
        shares_NK, unigram_share_N = _shares(weights_NP[:, 1:], gamma_NK)
        ngrams_NV = self.lookup.rows(contexts_NK, shares_NK, unigram_share_N)
        p_NV = weights_NP[:, :1] * network_NV + ngrams_NV
        return p_NV.clamp(min=_SMALLEST_P).log()

    def nll(self, features_BTH: Tensor, targets_BT: Tensor) -> Tensor:
        return self._nlls(features_BTH, targets_BT)[0]

    def nll_of_parts(self, features_BTH: Tensor, targets_BT: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        whole_BT, network_BT, ngrams_BT = self._nlls(features_BTH, targets_BT)
        return whole_BT, {"network": network_BT, "ngrams": ngrams_BT}

    def _nlls(self, features_BTH: Tensor, targets_BT: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the negative log-likelihood of each target in nats (B, T) by the mixture, by the network alone, and by
        the n-grams alone (their weights, scaled to a sum of 1); 0 for IGNORE_INDEX."""
        features_NH, contexts_NK = self._split(features_BTH.flatten(0, 1))
        target_N = targets_BT.flatten()
        figures_NK3 = self.lookup.figures(contexts_NK)
        after_NK = self.lookup.after(contexts_NK, target_N.clamp(min=0))
        return self._mix(features_NH, figures_NK3, after_NK, targets_BT)

    def mixture_parameters(self) -> dict[str, nn.Parameter]:
        """Return the parameters of the weights of the mixture, by their names in this module."""
        return {name: each for name, each in self.named_parameters() if not name.startswith("network.")}

    def examples(self, features_BTH: Tensor, targets_BT: Tensor) -> MixtureExamples:
        """Return the targets that are scored, as examples for `refit_mixture`."""
        is_scored_N = targets_BT.flatten() != IGNORE_INDEX
        network_N = self.network.nll(self.network_features(features_BTH), targets_BT).flatten()[is_scored_N]
        features_NH, contexts_NK = self._split(features_BTH.flatten(0, 1)[is_scored_N])
        target_N = targets_BT.flatten()[is_scored_N]
        figures_NK3 = self.lookup.figures(contexts_NK)
        log_p_NP = self._log_p_of_orders(figures_NK3[..., 0], self.lookup.after(contexts_NK, target_N), target_N)
        log_p_NP = torch.cat([-network_N[:, None].to(log_p_NP), log_p_NP], dim=-1)
        return MixtureExamples(features_NH, figures_NK3, log_p_NP)

    def nll_of_examples(self, examples: MixtureExamples) -> Tensor:
        """Return (N,) the negative log-likelihood in nats."""
        weights_NP = self._log_weights(examples.features_NH, examples.figures_NK3)
        return -torch.logsumexp(weights_NP + examples.log_p_NP, dim=-1)

    def loss(self, features_BTH: Tensor, targets_BT: Tensor) -> tuple[Tensor, Tensor]:
        nll_BT, network_BT, _ = self._nlls(features_BTH, targets_BT)
        return self._with_network_loss(nll_BT, network_BT), nll_BT

    def loss_from_evidence(
        self, features_BTH: Tensor, evidence_BTE: Tensor, targets_BT: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the training loss and the negative log-likelihood, both B, T.

        Args:
            features_BTH: of the network, without contexts.
            evidence_BTE: (B, T, K * 4) the figures of each target without its own document, as in `counting.py`.
        """
        features_NH = to_at_least_fp32(features_BTH).flatten(0, 1)
        evidence_NK4 = evidence_BTE.flatten(0, 1).unflatten(-1, (-1, 1 + _NUM_FIGURES)).to(features_NH)
        nll_BT, network_BT, _ = self._mix(features_NH, evidence_NK4[..., 1:], evidence_NK4[..., 0], targets_BT)
        return self._with_network_loss(nll_BT, network_BT), nll_BT

    def set_frequencies(self, counts_V: Tensor) -> None:
        self.network.set_frequencies(counts_V)

    def check_buffers(self) -> None:
        self.network.check_buffers()

    def _split(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.network_features(features), features[..., self._features_size :].long()

    def _with_network_loss(self, nll_BT: Tensor, network_BT: Tensor) -> Tensor:
        return nll_BT + self._network_loss * network_BT if self._network_loss else nll_BT

    def _mix(
        self, features_NH: Tensor, figures_NK3: Tensor, after_NK: Tensor, targets_BT: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the nats of each target (B, T): of the mixture, the network, the n-grams."""
        target_N = targets_BT.flatten()
        network_BT = self.network.nll(features_NH.view(*targets_BT.shape, self._features_size), targets_BT)
        weights_NP = self._log_weights(features_NH, figures_NK3)
        log_p_NP = self._log_p_of_orders(figures_NK3[..., 0], after_NK, target_N.clamp(min=0))
        ngrams_N = torch.logsumexp(weights_NP[:, 1:] + log_p_NP, dim=-1)
        whole_N = torch.logaddexp(weights_NP[:, 0] - network_BT.flatten(), ngrams_N)
        alone_N = ngrams_N - torch.logsumexp(weights_NP[:, 1:], dim=-1)
        is_scored_BT = targets_BT != IGNORE_INDEX
        whole_BT, alone_BT = (-each.view(targets_BT.shape) for each in (whole_N, alone_N))
        return whole_BT.where(is_scored_BT, 0), network_BT, alone_BT.where(is_scored_BT, 0)

    def _log_p_of_orders(self, gamma_NK: Tensor, after_NK: Tensor, target_N: Tensor) -> Tensor:
        """Return (N, order): log p_1, log p_2, ... of each target."""
        p_N = self.lookup.unigrams(target_N).to(gamma_NK)
        p = [p_N]
        for after_N, gamma_N in zip(after_NK.unbind(-1), gamma_NK.unbind(-1), strict=True):
            p_N = after_N + gamma_N * p_N
            p.append(p_N)
        return torch.stack(p, dim=-1).clamp(min=_SMALLEST_P).log()

    def _log_weights(self, features_NH: Tensor, figures_NK3: Tensor) -> Tensor:
        """Return (N, order + 1) the logarithms of the weights of the network and of p_1, p_2, ..."""
        gamma_NK, log_total_NK, agreement_NK = figures_NK3.unbind(-1)
        inputs = [log_total_NK / 5, gamma_NK, gamma_NK.clamp(min=1e-4).log() / 3, agreement_NK]
        with torch.autocast(features_NH.device.type, enabled=False):  # weights need more than 8 bits
            hidden_NU = self.hidden(torch.cat(inputs, dim=-1).to(self.hidden.weight.dtype)).relu()
            scores_NP = self.from_features(features_NH) + self.from_hidden(hidden_NU)
        always_N2 = torch.zeros_like(scores_NP[:, :2], dtype=torch.bool)
        scores_NP = scores_NP.masked_fill(torch.cat([always_N2, log_total_NK <= 0], dim=-1), float("-inf"))
        return scores_NP.log_softmax(-1)


def _shares(weights_NP: Tensor, gamma_NK: Tensor) -> tuple[Tensor, Tensor]:
    """Return the factors of (c(h v) - D) / c(h) of each order (N, K), and of p_1 (N,), in a sum of weighted p_n.

    p_n gives gamma(h) of its probability to p_n-1, so order n has its own weight and gamma times that of order n + 1.
    """
    share_N = torch.zeros_like(weights_NP[:, 0])
    shares: list[Tensor] = []
    for k in reversed(range(gamma_NK.shape[1])):
        share_N = weights_NP[:, k + 1] + share_N
        shares.append(share_N)
        share_N = share_N * gamma_NK[:, k]
    return torch.stack(shares[::-1], dim=-1), weights_NP[:, 0] + share_N
