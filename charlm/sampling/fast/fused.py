"""The steppers of recurrent networks whose cells all have a fast step: buffers and matrices are laid out once.

    model ──FusedMatrices──> matrices, shared by steppers of any number of streams
    matrices, state of the streams ──FusedStepper──> tokens_B ──embedding──body──head──> logits_BV

B streams, D embedding, H features, V vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from charlm.nn.bodies.recurrent import RecurrentLayer, RecurrentNetwork
from charlm.nn.embeddings.context import ContextEmbedding
from charlm.nn.embeddings.token_embedding import TokenEmbedding
from charlm.nn.heads.softmax import Softmax
from charlm.nn.model import LanguageModel
from charlm.nn.ngrams.head import NgramHead
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.state import State
from charlm.sampling.fast.base import Stepper
from charlm.sampling.fast.body import BodyMatrices, BodyStep
from charlm.sampling.fast.embedding import ContextStep, EmbeddingStep, ModuleStep, TokenStep
from charlm.sampling.fast.kernels import Operation
from charlm.sampling.fast.matmul import PRODUCTS, FullProduct, Product
from charlm.sampling.fast.ngrams import NgramStep
from charlm.sampling.options import StepPrecision

_MAX_TABLE_SIZE = 1 << 24  # elements, 64 MiB


class FusedMatrices:
    """The matrices of a recurrent network whose cells all have a fast step. Its steppers share them."""

    def __init__(self, model: LanguageModel, precision: StepPrecision = "fp32") -> None:
        body, embedding = model.body, model.embedding
        assert isinstance(body, RecurrentNetwork)
        self.model = model
        self.precision: StepPrecision = precision
        table = embedding.weight_VD if isinstance(embedding, TokenEmbedding) and reads_table(model) else None
        self.body = BodyMatrices(body, precision, table)
        self.head_module = model.ngram_head.network if isinstance(model, NgramLanguageModel) else model.head
        self.head: Product | None = None
        """None of a head that runs its own module."""
        if isinstance(self.head_module, Softmax):
            kind = (
                FullProduct if precision == "int8" else PRODUCTS[precision]
            )  # a head is small, and its rounding errors matter
            self.head = kind(self.head_module.weight_VH, self.head_module.bias_V.detach())


class FusedStepper(Stepper):
    """Runs recurrent networks whose cells all have a fast step."""

    @torch.inference_mode()
    def __init__(self, matrices: FusedMatrices, state: State) -> None:
        self.name = f"fast {matrices.precision}"
        self._model = matrices.model
        self._batch_size = len(state[0])
        self._has_table = matrices.body.has_table
        num_embedding_tensors = self._model.embedding.num_state_tensors
        self._embedding = self._embedding_step(state[:num_embedding_tensors])
        self._body = BodyStep(matrices.body, self._embedding.x_BD, state[num_embedding_tensors:])
        self._head_module = matrices.head_module
        self._logits_BV = self._embedding.x_BD.new_empty(self._batch_size, self._head_module.vocab_size)
        self._head: Sequence[Operation] = ()
        if matrices.head is not None:
            self._head = matrices.head.bind(self._body.features_BH, self._logits_BV)

    def _embedding_step(self, state: State) -> EmbeddingStep:
        embedding = self._model.embedding
        if isinstance(embedding, TokenEmbedding):
            return TokenStep(embedding, self._batch_size)
        if isinstance(embedding, ContextEmbedding) and isinstance(embedding.tokens, TokenEmbedding):
            return ContextStep(embedding, embedding.tokens, state)
        x_BD = next(self._model.parameters()).new_empty(self._batch_size, embedding.size)
        return ModuleStep(embedding, state, x_BD)

    def buffers(self) -> tuple[Tensor, Tensor]:
        """The features_BH and the logits_BV of the network, which every step overwrites."""
        return self._body.features_BH, self._logits_BV

    @torch.inference_mode()
    def step(self, tokens_B: Tensor) -> Tensor:
        if not self._has_table:
            self._embedding.run(tokens_B)
        self._body.run(tokens_B)
        if not self._head:
            self._logits_BV.copy_(self._head_module.logits(self._body.features_BH))
        for run in self._head:
            run()
        return self._logits_BV

    def state(self) -> State:
        return (*self._embedding.state(), *self._body.state())

    @torch.inference_mode()
    def select_rows(self, rows_B: Tensor) -> None:
        self._embedding.select_rows(rows_B)
        self._body.select_rows(rows_B)


class FusedNgramStepper(Stepper):
    """Runs the network of a model with n-grams by its fused step, and mixes it with them."""

    def __init__(self, matrices: FusedMatrices, head: NgramHead, state: State) -> None:
        self._network = FusedStepper(matrices, state[1:])
        self.name = self._network.name
        features_BH, logits_BV = self._network.buffers()
        self._ngrams = NgramStep(head, state[0], features_BH, logits_BV)

    @torch.inference_mode()
    def step(self, tokens_B: Tensor) -> Tensor:
        self._network.step(tokens_B)
        return self._ngrams.run(tokens_B)

    def state(self) -> State:
        return (self._ngrams.contexts_BK.clone(), *self._network.state())

    @torch.inference_mode()
    def select_rows(self, rows_B: Tensor) -> None:
        self._network.select_rows(rows_B)
        self._ngrams.select_rows(rows_B)


def reads_table(model: LanguageModel) -> bool:
    """Whether the fast step takes the first layer's input product from a table over the vocabulary."""
    embedding, body = model.embedding, model.body
    if not isinstance(embedding, TokenEmbedding) or not isinstance(body, RecurrentNetwork) or body.is_dense:
        return False
    first = next(layer for layer in body.layers if isinstance(layer, RecurrentLayer)).cell
    return len(embedding.weight_VD) * len(first.prepare(None)[0]) <= _MAX_TABLE_SIZE
