"""Contexts of a text, and the probabilities after them, from tables on any device.

    inputs_BT, contexts_BK ──advance──> contexts_BTK ──figures──> 3 figures of each order, for the weights of a mixture
                                             ├──after, targets──> (c(h w) - D) / c(h) of one token
                                             └──rows────────────> the same of all tokens, weighted and added up

The context of length k is named by its index among the n-grams of length k (of length 1: by its token), or by -1 where
it is not in the tables.

B batch, T time, K = order - 1 orders (2, 3, ...), N tokens, V vocabulary.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from charlm.nn.ngrams.tables import NUM_CLASSES, NgramTables

UNKNOWN = -1


@dataclass(slots=True)
class LookupOrder:
    """The tensors of one order, as in `OrderTable`; floats have the type of the model."""

    keys_G: Tensor
    tokens_G: Tensor
    counts_G: Tensor
    starts_C: Tensor
    totals_C: Tensor
    squares_C: Tensor
    mass_C: Tensor
    """sum_v D(c(h v)), float."""
    discounts: Tensor

    def by_name(self) -> dict[str, Tensor]:
        """Return the tensors by their names in `OrderTable`."""
        return {name.rpartition("_")[0] or name: getattr(self, name) for name in self.__slots__}

    def kept(self, number_N: Tensor) -> Tensor:
        """Return c - D(c) of n-grams, (N,); 0 for any number in an empty order."""
        if len(self.counts_G) == 0:
            return torch.zeros(number_N.shape, dtype=self.discounts.dtype, device=number_N.device)
        count_N = self.counts_G[number_N]
        return count_N - self.discounts[count_N.clamp(max=NUM_CLASSES)]


class NgramLookup(nn.Module):
    """Tables as tensors that move with the model, and are neither parameters nor in its state dict."""

    def __init__(self, order: int) -> None:
        super().__init__()
        self.order = order
        self._tables: NgramTables | None = None
        self.orders: list[LookupOrder] = []
        self.unigrams_V = torch.empty(0)

    @property
    def num_contexts(self) -> int:
        """The number K of contexts of a token, of length 1 to order - 1."""
        return self.order - 1

    @property
    def known_tables(self) -> NgramTables | None:
        """The tables; None before they are set."""
        return self._tables

    @property
    def tables(self) -> NgramTables:
        assert self._tables is not None, "a checkpoint or the training text gives them before the model is used"
        return self._tables

    def set_tables(self, tables: NgramTables, device: torch.device, dtype: torch.dtype) -> None:
        """Put tables of this order on a device.

        Raises:
            ValueError: they have another order.
        """
        if tables.order != self.order:
            raise ValueError(f"the n-grams have up to {tables.order} tokens, and the settings say {self.order}")
        self._tables = tables

        def floats(values: Any) -> Tensor:
            return torch.from_numpy(values).to(device, dtype)

        def ids(values: Any) -> Tensor:
            return torch.from_numpy(values).to(device)

        self.unigrams_V = floats(tables.unigram_probabilities)
        self.orders = []
        for table in tables.orders:
            sums = table.context_sums()
            self.orders.append(
                LookupOrder(
                    ids(table.keys),
                    ids((table.keys % tables.vocab_size).astype(np.int32)),
                    ids(table.counts),
                    ids(_pad_with_0(table.starts, 2)),
                    ids(_pad_with_0(sums.totals.astype(np.int32), 1)),
                    floats(_pad_with_0(sums.squares, 1)),
                    floats(_pad_with_0(sums.masses, 1)),
                    floats(table.discounts),
                )
            )

    def _apply(self, fn: Any, recurse: bool = True) -> "NgramLookup":
        """Move with the model around it: `to`, `cuda`, `double`."""
        super()._apply(fn, recurse)
        moved = fn(self.unigrams_V[:0])
        if self._tables is not None:
            self.set_tables(self._tables, moved.device, moved.dtype)  # again from float64: sums stay exact
        return self

    def initial_contexts(self, batch_size: int, device: torch.device) -> Tensor:
        """Return (B, K): nothing was read."""
        return torch.full((batch_size, self.num_contexts), UNKNOWN, dtype=torch.int64, device=device)

    def check_contexts(self, contexts_BK: Tensor) -> None:
        """
        Raises:
            ValueError: a context has a number that no context of its length has.
        """
        sizes = [len(self.unigrams_V), *(len(order.keys_G) for order in self.orders[:-1])]
        if bool(((contexts_BK < UNKNOWN) | (contexts_BK >= torch.tensor(sizes, device=contexts_BK.device))).any()):
            raise ValueError("it has contexts that the n-grams do not have")

    def advance(self, inputs_BT: Tensor, contexts_BK: Tensor) -> Tensor:
        """Return (B, T, K) the contexts after each token, from those before the first one."""
        found = [inputs_BT]
        vocab_size = len(self.unigrams_V)
        for k, order in enumerate(self.orders[:-1]):
            before_BT = torch.cat([contexts_BK[:, k : k + 1], found[k][:, :-1]], dim=1)
            number_BT, is_known_BT = _find(order.keys_G, before_BT * vocab_size + inputs_BT)
            found.append(number_BT.where(is_known_BT & (before_BT != UNKNOWN), UNKNOWN))
        return torch.stack(found, dim=-1)

    def figures(self, contexts_NK: Tensor) -> Tensor:
        """Return (N, K, 3): gamma(h), log(1 + c(h)), and sum_v c(h v)^2 / c(h)^2; 1, 0, 0 without counts."""
        parts: list[Tensor] = []
        for k, order in enumerate(self.orders):
            context_N = contexts_NK[:, k].clamp(min=0)
            total_N = order.totals_C[context_N].where(contexts_NK[:, k] != UNKNOWN, 0)
            divisor_N = total_N.clamp(min=1).to(order.mass_C)
            is_known_N = total_N > 0
            parts.append(
                torch.stack(
                    [
                        (order.mass_C[context_N] / divisor_N).where(is_known_N, 1),
                        total_N.to(order.mass_C).log1p(),
                        (order.squares_C[context_N] / divisor_N.square()).where(is_known_N, 0),
                    ],
                    dim=-1,
                )
            )
        return torch.stack(parts, dim=1)

    def unigrams(self, targets_N: Tensor) -> Tensor:
        """Return (N,): p_1 of each target."""
        return self.unigrams_V[targets_N]

    def after(self, contexts_NK: Tensor, targets_N: Tensor) -> Tensor:
        """Return (N, K): (c(h w) - D) / c(h) of each target w in each order; 0 where it never followed."""
        vocab_size = len(self.unigrams_V)
        parts: list[Tensor] = []
        for k, order in enumerate(self.orders):
            context_N = contexts_NK[:, k]
            number_N, is_known_N = _find(order.keys_G, context_N.clamp(min=0) * vocab_size + targets_N)
            kept_N = order.kept(number_N) / order.totals_C[context_N.clamp(min=0)].clamp(min=1)
            parts.append(kept_N.where(is_known_N & (context_N != UNKNOWN), 0))
        return torch.stack(parts, dim=1)

    def rows(self, contexts_NK: Tensor, weights_NK: Tensor, unigram_weight_N: Tensor) -> Tensor:
        """Return (N, V): unigram_weight p_1(v) + the sum over orders of weight (c(h v) - D) / c(h)."""
        rows_NV = unigram_weight_N[:, None] * self.unigrams_V
        row_N = torch.arange(len(contexts_NK), device=contexts_NK.device)
        for k, order in enumerate(self.orders):
            context_N = contexts_NK[:, k].clamp(min=0)
            start_N = order.starts_C[context_N].long()
            length_N = (order.starts_C[context_N + 1] - start_N).where(contexts_NK[:, k] != UNKNOWN, 0)
            row_M = row_N.repeat_interleave(length_N)
            before_N = length_N.cumsum(0) - length_N
            number_M = torch.arange(len(row_M), device=row_N.device) + (start_N - before_N)[row_M]
            weight_N = weights_NK[:, k] / order.totals_C[context_N].clamp(min=1)
            rows_NV.index_put_(
                (row_M, order.tokens_G[number_M].long()), weight_N[row_M] * order.kept(number_M), accumulate=True
            )
        return rows_NV


def _pad_with_0(values: npt.NDArray[Any], min_length: int) -> npt.NDArray[Any]:
    """Return the figures of an order's contexts, with a context 0 where pruning has left none.

    An unknown context is looked up as context 0, and what is found there is not used.
    """
    return np.pad(values, (0, min_length - len(values))) if len(values) < min_length else values


def _find(keys_G: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Return the index of each key in a sorted table, and whether it is there (where not, the index is arbitrary)."""
    if len(keys_G) == 0:
        return torch.zeros_like(keys), torch.zeros_like(keys, dtype=torch.bool)
    index = torch.searchsorted(keys_G, keys).clamp(max=len(keys_G) - 1)
    return index, keys_G[index] == keys
