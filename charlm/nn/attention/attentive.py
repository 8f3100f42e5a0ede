"""A decoder that looks at a source: a body around the decoder's body.

    x_BTD ──decoder──> h_BTH ──attention over the memory of the row's source──> features of the next token

    soft        context = weighted mean of the memory; features = tanh(W [h, context])     (Luong et al., 2015, eq. 5)
                then, if there are, further layers, which may remember where the first ones looked
    monotonic   features = the log-probabilities of all tokens, summed over the alignments

Attention comes after the decoder's recurrence. The context is not fed back into it (no input feeding), so that the
recurrence stays fused over time.

State: the number of the row's source, int64; for monotonic attention log_alpha_BS and the last query_BA; the decoder's
state; for soft attention the state of the layers after it. The memory is no part of it.

N sources, B rows, T time, S positions, D embedding, H decoder features, M features of a position, A units, V target
vocabulary, K jumps.
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from charlm.nn.attention.copying import Copying
from charlm.nn.attention.memory import LOG_ZERO, Memory
from charlm.nn.attention.monotonic import MonotonicAttention, arrivals, posterior, run_filter, update
from charlm.nn.attention.soft import SoftAttention
from charlm.nn.bodies.base import Body
from charlm.nn.dropout import LockedDropout, NoiseRNG
from charlm.nn.heads.log_probabilities import LogProbabilityHead
from charlm.nn.model import initial_rows
from charlm.nn.state import State

_INFERENCE_ELEMENTS = 1 << 23  # log-probabilities of all positions that are held at a time without gradients


class AttentiveBody(Body):
    """A decoder and what it knows of its sources."""

    def __init__(self, decoder: Body, memory: Memory) -> None:
        super().__init__()
        self.decoder = decoder
        self.training = decoder.training
        self.stride_period = decoder.stride_period
        self.receptive_field = decoder.receptive_field
        self.memory = memory

    @abstractmethod
    def read_tokens(
        self, x_BTD: Tensor, inputs_BT: Tensor, state: State, lengths_B: Tensor | None
    ) -> tuple[Tensor, State]:
        """Return the features after each token, and the state after the last one.

        Args:
            inputs_BT: the ids whose vectors `x_BTD` are.
        """

    @abstractmethod
    def alignment(self, x_BTD: Tensor, inputs_BT: Tensor, targets_BT: Tensor, state: State) -> Tensor:
        """Return where each target comes from: B, T, S, probabilities of the positions of the memory.

        Args:
            targets_BT: the tokens that follow the inputs; IGNORE_INDEX if unknown.
        """

    def backend_name(self, device: torch.device) -> str:
        return self.decoder.backend_name(device)

    @property
    def activations_per_token(self) -> int:
        """Those of the decoder; `Transducer.activations_per_pair` has those of attention."""
        return self.decoder.activations_per_token

    def _rows(self, batch_size: int) -> Tensor:
        return initial_rows(batch_size, self.memory.num_sources, self.memory.lengths_N.device)


class SoftReadout(nn.Module):
    """What soft attention learns. Parameters: those of `attention`, of `join`, and of the layers after it."""

    def __init__(
        self,
        attention: SoftAttention,
        memory_size: int,
        query_size: int,
        size: int,
        after: Body | None,
        rng: NoiseRNG,
        *,
        dropout: float,
    ) -> None:
        """
        Args:
            size: the number of features.
            after: layers that read these features.
        """
        super().__init__()
        self.attention = attention
        self.join = nn.Linear(query_size + memory_size, size)
        self.dropout = LockedDropout(dropout, rng)
        self.after = after


class SoftAttentiveBody(AttentiveBody):
    """A decoder with soft attention. With a copying head, the features are log-probabilities."""

    def __init__(
        self, decoder: Body, readout: SoftReadout, memory: Memory, memory_NSM: Tensor, copying: Copying | None
    ) -> None:
        super().__init__(decoder, memory)
        self.readout = readout
        self.after = readout.after
        self.copying = copying
        features = readout.after.features_size if readout.after is not None else readout.join.out_features
        self.features_size = features if copying is None else copying.head.vocab_size
        self._memory_NSM = memory_NSM
        self._key_NSA = readout.attention.key(memory_NSM)
        self._num_decoder_tensors = len(decoder.initial_state(1))

    def initial_state(self, batch_size: int) -> State:
        after = self.after.initial_state(batch_size) if self.after is not None else ()
        return (self._rows(batch_size), *self.decoder.initial_state(batch_size), *after)

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        features, state, _ = self._run(x_BTD, state, None)
        return features, state

    def read_rows(self, x_BTD: Tensor, state: State, lengths_B: Tensor) -> tuple[Tensor, State]:
        features, state, _ = self._run(x_BTD, state, lengths_B)
        return features, state

    def read_tokens(
        self, x_BTD: Tensor, inputs_BT: Tensor, state: State, lengths_B: Tensor | None
    ) -> tuple[Tensor, State]:
        del inputs_BT  # the decoder knows them by their vectors
        features, state, _ = self._run(x_BTD, state, lengths_B)
        return features, state

    def alignment(self, x_BTD: Tensor, inputs_BT: Tensor, targets_BT: Tensor, state: State) -> Tensor:
        del inputs_BT, targets_BT  # attention is chosen before the target is known
        return self._run(x_BTD, state, None)[2].exp()

    def _run(self, x_BTD: Tensor, state: State, lengths_B: Tensor | None) -> tuple[Tensor, State, Tensor]:
        """Return the features, the state, and the log-probabilities of positions, B, T, S."""
        rows_B, *rest = state
        inner, after_state = tuple(rest[: self._num_decoder_tensors]), tuple(rest[self._num_decoder_tensors :])
        h_BTH, inner = _read(self.decoder, x_BTD, inner, lengths_B)
        memory_BSM, key_BSA = (self.memory.of_rows(t, rows_B) for t in (self._memory_NSM, self._key_NSA))
        log_weights_BTS = self.readout.attention(h_BTH, key_BSA, self.memory.is_padding(rows_B))
        context_BTM = log_weights_BTS.exp().to(memory_BSM.dtype) @ memory_BSM
        joined = self.readout.join(torch.cat([h_BTH, context_BTM.to(h_BTH.dtype)], dim=-1)).tanh()
        features = self.readout.dropout(joined)
        if self.after is not None:
            features, after_state = _read(self.after, features, after_state, lengths_B)
        if self.copying is not None:
            features = self.copying.log_probabilities(features, log_weights_BTS, rows_B)
        return features, (rows_B, *inner, *after_state), log_weights_BTS


class MonotonicAttentiveBody(AttentiveBody):
    """A decoder with hard monotonic attention. Its features are log-probabilities of all tokens, in fp32."""

    def __init__(
        self, decoder: Body, attention: MonotonicAttention, memory: Memory, memory_NSM: Tensor, head: LogProbabilityHead
    ) -> None:
        super().__init__(decoder, memory)
        self.attention = attention
        self.features_size = head.vocab_size
        self._head = (head,)  # in a tuple: the model owns it
        self._key_NSA = attention.key(memory_NSM)

    def initial_state(self, batch_size: int) -> State:
        rows_B = self._rows(batch_size)
        dtype = torch.promote_types(self.attention.query.weight.dtype, torch.float32)
        size = self.attention.query.out_features
        log_alpha_BS = torch.full((batch_size, self.memory.num_positions), LOG_ZERO, dtype=dtype, device=rows_B.device)
        log_alpha_BS[:, 0] = 0  # the alignment begins at the first position
        query_BA = torch.zeros(batch_size, size, dtype=dtype, device=rows_B.device)
        return (rows_B, log_alpha_BS, query_BA, *self.decoder.initial_state(batch_size))

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        raise TypeError("monotonic attention needs the ids of its inputs; call read_tokens")

    def read_tokens(
        self, x_BTD: Tensor, inputs_BT: Tensor, state: State, lengths_B: Tensor | None
    ) -> tuple[Tensor, State]:
        elements = max(1, len(x_BTD)) * self.memory.num_positions * self.features_size  # a rank may have no row
        max_steps = max(1, _INFERENCE_ELEMENTS // elements)
        if x_BTD.shape[1] > max_steps and not torch.is_grad_enabled():
            return self._read_in_slices(x_BTD, inputs_BT, state, lengths_B, max_steps)
        rows_B, log_alpha_BS, query_BA, *inner = state
        h_BTH, inner = _read(self.decoder, x_BTD, tuple(inner), lengths_B)
        if x_BTD.shape[1] == 0:
            return log_alpha_BS.new_zeros(len(rows_B), 0, self.features_size), (rows_B, log_alpha_BS, query_BA, *inner)
        queries_BTA, log_emissions_BTSV, _, log_alphas_BTS = self._run(h_BTH, inputs_BT, rows_B, log_alpha_BS, query_BA)
        log_p_BTV = (log_alphas_BTS[..., None] + log_emissions_BTSV).logsumexp(2)
        return log_p_BTV, (rows_B, log_alphas_BTS[:, -1], queries_BTA[:, -1].to(query_BA.dtype), *inner)

    def _read_in_slices(
        self, x_BTD: Tensor, inputs_BT: Tensor, state: State, lengths_B: Tensor | None, max_steps: int
    ) -> tuple[Tensor, State]:
        """Read a few steps at a time, which bounds the memory of the distributions at all positions."""
        found: list[Tensor] = []
        for start in range(0, x_BTD.shape[1], max_steps):
            x_BtD, inputs_Bt = (tensor[:, start : start + max_steps] for tensor in (x_BTD, inputs_BT))
            lengths = None if lengths_B is None else (lengths_B - start).clamp(min=0, max=x_BtD.shape[1])
            log_p_BtV, state = self.read_tokens(x_BtD, inputs_Bt, state, lengths)
            found.append(log_p_BtV)
        return torch.cat(found, dim=1), state

    def alignment(self, x_BTD: Tensor, inputs_BT: Tensor, targets_BT: Tensor, state: State) -> Tensor:
        rows_B, log_alpha_BS, query_BA, *inner = state
        h_BTH, _ = self.decoder(x_BTD, tuple(inner))
        _, log_emissions_BTSV, transitions_BTSK, log_alphas_BTS = self._run(
            h_BTH, inputs_BT, rows_B, log_alpha_BS, query_BA
        )
        log_emissions_BTS = _of_tokens(log_emissions_BTSV, targets_BT.clamp(min=0))
        return posterior(log_alphas_BTS, transitions_BTSK, log_emissions_BTS * (targets_BT >= 0)[..., None])

    def _run(
        self, h_BTH: Tensor, inputs_BT: Tensor, rows_B: Tensor, log_alpha_BS: Tensor, query_BA: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return queries_BTA, log_emissions_BTSV, transitions_BTSK, log_alphas_BTS."""
        key_BSA = self.memory.of_rows(self._key_NSA, rows_B)
        is_padding_BS = self.memory.is_padding(rows_B)
        first_BTSV = self._log_emissions(self.attention.joint(query_BA[:, None].to(key_BSA.dtype), key_BSA))
        log_beta_BS = update(log_alpha_BS, _of_tokens(first_BTSV, inputs_BT[:, :1])[:, 0])
        queries_BTA = self.attention.query(h_BTH)
        joint_BTSA = self.attention.joint(queries_BTA, key_BSA)
        transitions_BTSK = self.attention.transitions(joint_BTSA, is_padding_BS)
        log_emissions_BTSV = self._log_emissions(joint_BTSA)
        log_alphas_BTS = run_filter(
            log_beta_BS, arrivals(transitions_BTSK), _of_tokens(log_emissions_BTSV[:, :-1], inputs_BT[:, 1:])
        )
        return queries_BTA, log_emissions_BTSV, transitions_BTSK, log_alphas_BTS

    def _log_emissions(self, joint_BTSA: Tensor) -> Tensor:
        (head,) = self._head
        return head.inner_log_probabilities(joint_BTSA)


def _read(body: Body, x_BTD: Tensor, state: State, lengths_B: Tensor | None) -> tuple[Tensor, State]:
    return body(x_BTD, state) if lengths_B is None else body.read_rows(x_BTD, state, lengths_B)


def _of_tokens(log_emissions_BTSV: Tensor, tokens_BT: Tensor) -> Tensor:
    """Return log p(token | position), B, T, S."""
    index_BTS1 = tokens_BT[:, :, None, None].expand(*log_emissions_BTSV.shape[:3], 1)
    return log_emissions_BTSV.gather(-1, index_BTS1)[..., 0]
