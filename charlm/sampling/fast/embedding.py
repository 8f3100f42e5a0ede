"""From one token of each stream to its vector, in a fixed buffer.

B streams, D embedding size, L tokens carried, O orders of n-grams.
"""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from charlm.nn.embeddings.context import ContextEmbedding, context_rows
from charlm.nn.embeddings.token_embedding import Embedding, TokenEmbedding
from charlm.nn.state import State


class EmbeddingStep(ABC):
    """`run` fills x_BD."""

    x_BD: Tensor

    @abstractmethod
    def run(self, tokens_B: Tensor) -> None: ...

    @abstractmethod
    def state(self) -> State:
        """The state that the embedding's forward would return."""

    @abstractmethod
    def select_rows(self, rows_B: Tensor) -> None:
        """Row i continues from the state of row rows_B[i]."""


class TokenStep(EmbeddingStep):
    """Looks up a row of the table."""

    def __init__(self, embedding: TokenEmbedding, batch_size: int) -> None:
        self._weight_VD = embedding.weight_VD.detach()
        self.x_BD = self._weight_VD.new_empty(batch_size, embedding.size)

    def run(self, tokens_B: Tensor) -> None:
        torch.index_select(self._weight_VD, 0, tokens_B, out=self.x_BD)

    def state(self) -> State:
        return ()

    def select_rows(self, rows_B: Tensor) -> None:
        del rows_B  # there is no state


class ContextStep(EmbeddingStep):
    """Sums the rows of the token and of each n-gram that ends with it; numpy hashes small arrays faster than torch."""

    def __init__(self, embedding: ContextEmbedding, tokens: TokenEmbedding, state: State) -> None:
        (carried_BL,) = state
        self._embedding = embedding
        self._weight_VD, self._table_KD = tokens.weight_VD.detach(), embedding.table_KD.detach()
        self._history_BL = np.concatenate([carried_BL.numpy(), np.zeros((len(carried_BL), 1), dtype=np.int64)], axis=1)
        self.x_BD = self._weight_VD.new_empty(len(carried_BL), tokens.size)

    def run(self, tokens_B: Tensor) -> None:
        history_BL = self._history_BL
        history_BL[:, -1] = tokens_B.numpy()
        torch.index_select(self._weight_VD, 0, tokens_B, out=self.x_BD)
        for rows_B1 in context_rows(history_BL, 1, self._embedding.orders, self._embedding.num_buckets):
            self.x_BD += self._table_KD.index_select(0, torch.from_numpy(rows_B1[:, 0]))
        history_BL[:, :-1] = history_BL[:, 1:]

    def state(self) -> State:
        return (torch.from_numpy(self._history_BL[:, :-1].copy()),)

    def select_rows(self, rows_B: Tensor) -> None:
        self._history_BL = self._history_BL[rows_B.numpy()]


class ModuleStep(EmbeddingStep):
    """Runs the forward of any other embedding."""

    def __init__(self, embedding: Embedding, state: State, x_BD: Tensor) -> None:
        self._embedding = embedding
        self._state = state
        self.x_BD = x_BD

    def run(self, tokens_B: Tensor) -> None:
        x_BTD, self._state = self._embedding(tokens_B[:, None], self._state)
        self.x_BD.copy_(x_BTD[:, 0])

    def state(self) -> State:
        return self._state

    def select_rows(self, rows_B: Tensor) -> None:
        self._state = tuple(tensor[rows_B] for tensor in self._state)
