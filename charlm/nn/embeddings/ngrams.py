"""A word as its bag of character n-grams: forms of a word have similar vectors, and unknown words have vectors too.

    a known word       id ──> its bag ─────────────────────────────────┐
    an unknown word    <spell> bytes </spell> ──> bytes ──hash──> bag ──┴── sum | mean | sum / sqrt(count) ──> vector

B batch, T time, N = B * T tokens, M n-grams of all tokens together, W unknown words, G known n-grams, R rows of the
table, E entries of all bags, D embedding size, V vocabulary.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from charlm.nn.embeddings.bag_layout import BagLayout
from charlm.nn.embeddings.bag_sum import bag_sum
from charlm.nn.embeddings.spelling import ByteRuns, empty_byte_runs, gather_byte_runs, hash_ngrams
from charlm.nn.embeddings.token_embedding import Embedding
from charlm.nn.state import State
from charlm.vocab.base import NgramBags

Combiner = Literal["sum", "mean", "sqrt"]
"""How k vectors are combined: their sum, the sum over k, or the sum over the square root of k. For independent vectors
of length L, the result's length is about L sqrt(k), L / sqrt(k) or L: only the last does not depend on k."""


class NgramEmbedding(Embedding):
    """The combined vectors of a token's n-grams. A token without n-grams (a byte, <eod>) has a vector for itself.

    The input at </spell> is the bag of the word before it: the first 64 bytes since the last token that is not a byte.
    N-grams that the vocabulary does not have are left out. If none is left, </spell> has its own vector.

    Parameters: weight_RD, initially normal with variance 1/D: first the n-grams in the order of their hashes, then the
    tokens without n-grams. Buffers, filled by `set_bags`: bag_ends_V and rows_E (the bag of token i is
    rows_E[bag_ends_V[i - 1] : bag_ends_V[i]]), and hashes_G, rising. State: the bytes of a word that has not ended, and
    their number.
    """

    bag_ends_V: Tensor
    rows_E: Tensor
    hashes_G: Tensor

    def __init__(self, vocab_size: int, size: int, layout: BagLayout, combiner: Combiner) -> None:
        super().__init__(size)
        layout.check_fits_vocab(vocab_size)
        self._layout = layout
        self.combiner: Combiner = combiner
        self.weight_RD = nn.Parameter(torch.empty(layout.num_ngrams + layout.num_own, size))
        nn.init.normal_(self.weight_RD, std=size**-0.5)
        for name, length in (
            ("bag_ends_V", vocab_size),
            ("rows_E", layout.num_entries),
            ("hashes_G", layout.num_ngrams),
        ):
            self.register_buffer(name, torch.zeros(length, dtype=torch.int64))

    @property
    def bag_layout(self) -> BagLayout:
        return self._layout

    @torch.no_grad()
    def set_bags(self, bags: NgramBags) -> None:
        """Fill the buffers from bags that have the layout of this embedding."""
        hashes_G, by_hash_G = torch.sort(torch.from_numpy(bags.hashes))
        row_of_G = torch.empty_like(by_hash_G)
        row_of_G[by_hash_G] = torch.arange(len(by_hash_G), device=by_hash_G.device)
        offsets = torch.from_numpy(bags.offsets).long()
        counts_V = offsets.diff()
        has_none_V = counts_V == 0
        ends_V = counts_V.clamp(min=1).cumsum(0)
        own_rows = self._layout.num_ngrams + torch.arange(self._layout.num_own, device=offsets.device)
        rows_E = torch.empty(self._layout.num_entries, dtype=torch.int64, device=offsets.device)
        is_own_E = torch.zeros_like(rows_E, dtype=torch.bool)
        is_own_E[ends_V[has_none_V] - 1] = True
        rows_E[is_own_E] = own_rows
        rows_E[~is_own_E] = row_of_G[torch.from_numpy(bags.ngrams).long()]
        for buffer, content in ((self.bag_ends_V, ends_V), (self.rows_E, rows_E), (self.hashes_G, hashes_G)):
            buffer.copy_(content)

    def check_buffers(self) -> None:
        counts_V = self.bag_ends_V.diff(prepend=self.bag_ends_V.new_zeros(1))
        if (counts_V < 1).any() or int(self.bag_ends_V[-1]) != len(self.rows_E):
            raise ValueError("the bags of n-grams overlap or leave gaps")
        if (self.rows_E < 0).any() or (self.rows_E >= len(self.weight_RD)).any():
            raise ValueError("a bag contains an n-gram that does not exist")
        if (self.hashes_G.diff() <= 0).any():
            raise ValueError("the hashes of the n-grams are not sorted")

    def initial_state(self, batch_size: int) -> State:
        return tuple(empty_byte_runs(batch_size, self.weight_RD.device))

    def forward(self, inputs_BT: Tensor, state: State) -> tuple[Tensor, State]:
        x_ND = self.embed_known(inputs_BT.flatten())
        bytes_BT, carried = inputs_BT - self._layout.first_byte_id, ByteRuns(*state)
        rows_W, times_W = (inputs_BT == self._layout.end_id).nonzero(as_tuple=True)
        if len(rows_W):
            words = gather_byte_runs(bytes_BT, carried, rows_W, times_W)
            positions_W = rows_W * inputs_BT.shape[1] + times_W
            x_ND = x_ND.index_copy(0, positions_W, self._embed_unknown(words, x_ND[positions_W]))
        rows_B = torch.arange(len(inputs_BT), device=inputs_BT.device)
        next_state = gather_byte_runs(bytes_BT, carried, rows_B, torch.full_like(rows_B, inputs_BT.shape[1]))
        return x_ND.view(*inputs_BT.shape, self.size), tuple(next_state)

    def embed_known(self, ids_N: Tensor) -> Tensor:
        """Return the vectors (N, D) of ids by their own bags; that of </spell> is its own vector."""
        ends_N = self.bag_ends_V[ids_N]
        counts_N = ends_N - torch.where(ids_N > 0, self.bag_ends_V[ids_N - 1], 0)
        entries_N = counts_N.cumsum(0)
        shift_M = (ends_N - entries_N).repeat_interleave(counts_N)
        rows_M = self.rows_E[shift_M + torch.arange(len(shift_M), device=ids_N.device)]
        return self._combine(rows_M, counts_N)

    def _embed_unknown(self, words: ByteRuns, fallback_WD: Tensor) -> Tensor:
        hashes, is_valid = hash_ngrams(words, self._layout.boundary, self._layout.n)
        rows = torch.searchsorted(self.hashes_G, hashes).clamp(max=self._layout.num_ngrams - 1)
        is_known = is_valid & (self.hashes_G[rows] == hashes)
        counts_W = is_known.sum(1)
        return torch.where(counts_W[:, None] > 0, self._combine(rows[is_known], counts_W), fallback_WD)

    def _combine(self, rows_M: Tensor, counts_N: Tensor) -> Tensor:
        sums_ND = bag_sum(self.weight_RD, rows_M, counts_N)
        if self.combiner == "sum":
            return sums_ND
        counts_N1 = counts_N.clamp(min=1)[:, None].to(sums_ND.dtype)
        return sums_ND / (counts_N1 if self.combiner == "mean" else counts_N1.sqrt())
