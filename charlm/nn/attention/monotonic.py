"""Exact hard monotonic attention (Wu & Cotterell, 2019): a hidden Markov model whose states are source positions.

    joint_ts          = tanh(W h_t + U m_s)
    p(y_t | a_t = s)  = softmax(head(joint_ts))                      one token comes from one position
    p(a_t = s + k | a_{t-1} = s) = softmax_k(jump_k(joint_ts) + arrival(joint_t,s+k))      0 <= k <= max_jump

The alignment a_t may stay, so that a position may give several tokens, or move right. It starts at position 0. The
likelihood of the target is the sum over all alignments, by the forward algorithm written as a filter:

    predict   alpha_t(s) = sum_k beta_{t-1}(s - k) p(a_t = s | a_{t-1} = s - k)
              p(y_t | y_<t) = sum_s alpha_t(s) p(y_t | a_t = s)
    update    beta_t(s) = alpha_t(s) p(y_t | a_t = s) / p(y_t | y_<t)

The update needs y_t, which is read as the next input. So between two chunks, alpha_t is carried and the query of step
t, and the update is the first thing that happens when y_t arrives. h_t depends on the tokens before t only and not on
the alignment: that makes the sum exact, and lets the decoder read all steps at once.

Time and memory are in proportion to S * T * (A + V).

B rows, T time, S positions, K = max_jump + 1 jumps, H decoder features, M features of a position, A units, V target
vocabulary.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from charlm.nn.attention.memory import LOG_ZERO
from charlm.nn.dropout import LockedDropout, NoiseRNG
from charlm.nn.heads.softmax import to_at_least_fp32

Output = Callable[[Tensor], Tensor]
"""Joint vectors (..., A) -> logits (..., V)."""


class MonotonicAttention(nn.Module):
    """Transitions and emissions. Parameters: query.weight AH, query.bias A, key.weight AM, jump.weight KA, jump.bias K,
    arrival.weight 1A."""

    def __init__(
        self, query_size: int, memory_size: int, size: int, max_jump: int, rng: NoiseRNG, *, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.query = nn.Linear(query_size, size)
        self.key = nn.Linear(memory_size, size, bias=False)
        self.jump = nn.Linear(size, max_jump + 1)
        self.arrival = nn.Linear(size, 1, bias=False)
        self.dropout = LockedDropout(dropout, rng)

    def joint(self, query_BTA: Tensor, key_BSA: Tensor) -> Tensor:
        """Return B, T, S, A."""
        joint_BTSA = (query_BTA[:, :, None] + key_BSA[:, None]).tanh()
        return self.dropout(joint_BTSA.flatten(1, 2)).view(joint_BTSA.shape)

    def transitions(self, joint_BTSA: Tensor, is_padding_BS: Tensor) -> Tensor:
        """Return B, T, S, K: the log-probability of a jump by k positions from position s. None leads to padding."""
        num_jumps = self.jump.out_features
        arrival_BTS = to_at_least_fp32(self.arrival(joint_BTSA)[..., 0])
        arrival_BTS = arrival_BTS.masked_fill(is_padding_BS[:, None], LOG_ZERO)
        arrival_BTSK = nn.functional.pad(arrival_BTS, (0, num_jumps - 1), value=LOG_ZERO).unfold(-1, num_jumps, 1)
        return (to_at_least_fp32(self.jump(joint_BTSA)) + arrival_BTSK).log_softmax(-1)


def arrivals(transitions_BTSK: Tensor) -> Tensor:
    """Return B, T, S, K: the log-probability of a jump by k positions that ends at position s."""
    *_, num_positions, num_jumps = transitions_BTSK.shape
    positions_S = torch.arange(num_positions, device=transitions_BTSK.device)
    start_SK = positions_S[:, None] - torch.arange(num_jumps, device=transitions_BTSK.device)
    arriving = transitions_BTSK.take_along_dim(start_SK.clamp(min=0)[None, None], dim=2)
    return arriving.masked_fill(start_SK < 0, LOG_ZERO)


def predict(log_beta_BS: Tensor, arrivals_BSK: Tensor) -> Tensor:
    """Return log alpha_t from log beta_{t-1}: one step of the alignment."""
    num_jumps = arrivals_BSK.shape[-1]
    before_BSK = nn.functional.pad(log_beta_BS, (num_jumps - 1, 0), value=LOG_ZERO).unfold(-1, num_jumps, 1).flip(-1)
    return (before_BSK + arrivals_BSK).logsumexp(-1)


def update(log_alpha_BS: Tensor, log_emission_BS: Tensor) -> Tensor:
    """Return log beta_t from log alpha_t and log p(y_t | a_t = s)."""
    return (log_alpha_BS + log_emission_BS).log_softmax(-1)


def run_filter(log_beta_BS: Tensor, arrivals_BTSK: Tensor, log_emission_BUS: Tensor) -> Tensor:
    """Return log alpha of T steps, B, T, S.

    Args:
        log_beta_BS: the alignment before the first step.
        log_emission_BUS: log p(y_t | a_t = s) of the first U = T - 1 steps.
    """
    log_alphas: list[Tensor] = []
    for step, arrivals_BSK in enumerate(arrivals_BTSK.unbind(1)):
        if step:
            log_beta_BS = update(log_alphas[-1], log_emission_BUS[:, step - 1])
        log_alphas.append(predict(log_beta_BS, arrivals_BSK))
    return torch.stack(log_alphas, dim=1)


def posterior(log_alpha_BTS: Tensor, transitions_BTSK: Tensor, log_emission_BTS: Tensor) -> Tensor:
    """Return p(a_t = s | y_1 .. y_T), B, T, S: the forward-backward algorithm.

    Args:
        log_alpha_BTS: of `run_filter`.
        log_emission_BTS: log p(y_t | a_t = s); 0 where y_t is unknown.
    """
    num_jumps = transitions_BTSK.shape[-1]
    found = [torch.zeros_like(log_alpha_BTS[:, 0])]
    for step in range(log_alpha_BTS.shape[1] - 1, 0, -1):
        after_BS = log_emission_BTS[:, step] + found[-1]
        after_BSK = nn.functional.pad(after_BS, (0, num_jumps - 1), value=LOG_ZERO).unfold(-1, num_jumps, 1)
        found.append((transitions_BTSK[:, step] + after_BSK).logsumexp(-1))
    log_gamma_BTS = torch.stack(found[::-1], dim=1)
    return (log_alpha_BTS + log_emission_BTS + log_gamma_BTS).softmax(-1)
