"""The adaptive softmax, for large vocabularies: rare ids are grouped into clusters, which few batches have to compute.

    id ──rank_V──> rank by frequency ── below the first cutoff: an entry of the first softmax
                                     └─ above: a cluster's entry of the first softmax, then one of the cluster's softmax

B batch, T time, N = B * T tokens, H features, V vocabulary.
"""

import torch
from torch import Tensor, nn

from charlm.nn.heads.softmax import Head, init_bias_from_counts, to_at_least_fp32
from charlm.vocab.base import IGNORE_INDEX


class AdaptiveSoftmax(Head):
    """p(w) = p(cluster of w) p(w | cluster of w) for rare w (Grave et al., 2017).

    Parameters, in torch's layout: clusters.head, one row for each frequent word and each cluster, with biases;
    clusters.tail, a projection and the words of each cluster. Buffer: rank_V, the frequency rank of each id, which is
    the id itself until `set_frequencies`.
    """

    rank_V: Tensor

    def __init__(
        self,
        features_size: int,
        vocab_size: int,
        cutoffs: tuple[int, ...],
        div_value: float = 4.0,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(vocab_size, label_smoothing)
        self.clusters = nn.AdaptiveLogSoftmaxWithLoss(
            features_size, vocab_size, cutoffs, div_value=div_value, head_bias=True
        )
        self.register_buffer("rank_V", torch.arange(vocab_size))

    def logits(self, features_BTH: Tensor) -> Tensor:
        """Return the log-probabilities of all ids."""
        num_frequent = self.clusters.shortlist_size
        head_log_p_BTC = _log_softmax(self.clusters.head(features_BTH))
        by_rank = [head_log_p_BTC[..., :num_frequent]]
        for index, cluster in enumerate(self.clusters.tail, num_frequent):
            by_rank.append(head_log_p_BTC[..., index, None] + _log_softmax(cluster(features_BTH)))
        return torch.cat(by_rank, dim=-1).index_select(-1, self.rank_V)

    @torch.no_grad()
    def set_frequencies(self, counts_V: Tensor) -> None:
        """Rank the ids by count, and initialise the first softmax with the distribution of its words and clusters."""
        sorted_counts = counts_V.to(self.rank_V.device).sort(descending=True, stable=True)
        self.rank_V[sorted_counts.indices] = torch.arange(self.vocab_size, device=self.rank_V.device)
        frequent, *rare = sorted_counts.values.tensor_split(self.clusters.cutoffs[:-1])
        init_bias_from_counts(
            self.clusters.head.bias, torch.cat([frequent, torch.stack([cluster.sum() for cluster in rare])])
        )

    def check_buffers(self) -> None:
        if not torch.equal(self.rank_V.sort().values, torch.arange(self.vocab_size, device=self.rank_V.device)):
            raise ValueError("rank_V gives two ids one rank")

    def _chunk_nll(self, features_NH: Tensor, targets_N: Tensor) -> Tensor:
        # The forward of torch's module is not used: under autocast it sums log p in bf16, and it gives no gradient to
        # clusters without targets, so that the optimizer's state would depend on the batches' content.
        scored_N = targets_N != IGNORE_INDEX
        features, ranks = features_NH[scored_N], self.rank_V[targets_N[scored_N]]
        num_frequent = self.clusters.shortlist_size
        head_targets, tail_log_p = ranks, features.new_zeros(len(ranks), dtype=self.clusters.head.weight.dtype)
        for index, cluster in enumerate(self.clusters.tail):
            low, high = self.clusters.cutoffs[index : index + 2]
            in_cluster = (low <= ranks) & (ranks < high)
            rows = in_cluster.nonzero()[:, 0]
            log_p = _log_softmax(cluster(features[rows])).gather(-1, ranks[rows, None] - low)
            tail_log_p = tail_log_p.index_copy(0, rows, log_p[:, 0])
            head_targets = head_targets.masked_fill(in_cluster, num_frequent + index)
        log_p = _log_softmax(self.clusters.head(features)).gather(-1, head_targets[:, None])[:, 0] + tail_log_p
        return log_p.new_zeros(targets_N.shape).masked_scatter(scored_N, -log_p)


def _log_softmax(logits: Tensor) -> Tensor:
    return to_at_least_fp32(logits).log_softmax(-1)
