"""Copying of source tokens beside soft attention (See et al., 2017).

N sources, B rows, T time, S positions, H features, V target vocabulary.
"""

import torch
from torch import Tensor, nn

from charlm.nn.attention.memory import Memory
from charlm.nn.heads.log_probabilities import LogProbabilityHead
from charlm.nn.heads.softmax import to_at_least_fp32


class Copying:
    """Copying of source tokens, with its parameters and the target ids of one batch of sources (See et al., 2017).

    p(v) = g P(v) + (1 - g) sum of the attention to positions whose source token is v

    The attention to positions without a target id goes to P, so that p sums to one.
    """

    def __init__(self, head: LogProbabilityHead, gate: nn.Linear, memory: Memory, target_ids_NS: Tensor) -> None:
        """
        Args:
            gate: features -> the logit of g.
            target_ids_NS: the target id of each position, or -1.
        """
        self.head = head
        self._gate = gate
        self._memory = memory
        self._target_ids_NS = target_ids_NS

    def log_probabilities(self, features_BTH: Tensor, log_weights_BTS: Tensor, rows_B: Tensor) -> Tensor:
        """Return B, T, V, in fp32 or higher."""
        weights_BTS = log_weights_BTS.exp()
        ids_B1S = self._memory.of_rows(self._target_ids_NS, rows_B)[:, None]
        is_copyable_B1S = ids_B1S >= 0
        copied_BTV = weights_BTS.new_zeros(*weights_BTS.shape[:2], self.head.vocab_size)
        copied_BTV = copied_BTV.scatter_add(
            -1, ids_B1S.clamp(min=0).expand_as(weights_BTS), weights_BTS * is_copyable_B1S
        )
        other_BT1 = (weights_BTS * ~is_copyable_B1S).sum(-1, keepdim=True)
        gate_BT1 = to_at_least_fp32(self._gate(features_BTH))
        log_g, log_copy = nn.functional.logsigmoid(gate_BT1), nn.functional.logsigmoid(-gate_BT1)
        tiny = torch.finfo(weights_BTS.dtype).tiny  # the gradient of a logarithm at 0 is infinite
        log_generate_BT1 = torch.logaddexp(log_g, log_copy + (other_BT1 + tiny).log())
        generated_BTV = log_generate_BT1 + self.head.inner_log_probabilities(features_BTH)
        return torch.logaddexp(generated_BTV, log_copy + (copied_BTV + tiny).log())
