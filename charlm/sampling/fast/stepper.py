"""The step of sampling: one token of each stream in, logits out.

    model, state after the prompt ──choose_stepper──> stepper          tokens_B ──stepper.step──> logits_BV

- Fused: recurrent layers of the cells in `cells`. Buffers and matrices are laid out once, the first layer's input
  product is a table over the vocabulary, and a layer's step neither allocates memory nor records gradients.
- CUDA graph: the model's own step on a CUDA device, recorded once and replayed.
- Plain: the model itself, for every architecture.

B streams, D embedding, H features, V vocabulary.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from charlm.device import Precision, autocast
from charlm.nn.bodies.recurrent import RecurrentLayer, RecurrentNetwork
from charlm.nn.embeddings.context import ContextEmbedding
from charlm.nn.embeddings.token_embedding import TokenEmbedding
from charlm.nn.heads.softmax import Softmax
from charlm.nn.model import LanguageModel
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.state import State
from charlm.sampling.fast.body import BodyStep
from charlm.sampling.fast.cells import fast_cell
from charlm.sampling.fast.embedding import ContextStep, EmbeddingStep, ModuleStep, TokenStep
from charlm.sampling.fast.kernels import Operation
from charlm.sampling.fast.matmul import PRODUCTS, FullProduct
from charlm.sampling.fast.ngrams import NgramStep
from charlm.sampling.options import StepPrecision

_MAX_TABLE_SIZE = 1 << 24  # elements, 64 MiB


class Stepper(ABC):
    """Advances all streams by one token at each step. `name` says how."""

    name: str

    @abstractmethod
    def step(self, tokens_B: Tensor) -> Tensor:
        """The logits_BV of the token after each token, in fp32 or better; valid until the next step."""

    @abstractmethod
    def state(self) -> State:
        """A copy of the state that the model's forward would return."""

    @abstractmethod
    def select_rows(self, rows_B: Tensor) -> None:
        """Stream i continues from the state of stream rows_B[i]."""


class PlainStepper(Stepper):
    """Runs the model itself, one token at a time."""

    name = "plain"

    def __init__(self, model: LanguageModel, state: State, precision: Precision = "fp32") -> None:
        self._model = model
        self._state = state
        self._precision: Precision = precision

    @torch.inference_mode()
    def step(self, tokens_B: Tensor) -> Tensor:
        with autocast(self._precision, tokens_B.device):
            features_BTH, self._state = self._model(tokens_B[:, None], self._state)
            return self._model.head.logits(features_BTH[:, -1])

    def state(self) -> State:
        return self._state

    def select_rows(self, rows_B: Tensor) -> None:
        self._state = tuple(tensor[rows_B] for tensor in self._state)


class FusedStepper(Stepper):
    """Runs recurrent networks whose cells all have a fast step."""

    @torch.inference_mode()
    def __init__(self, model: LanguageModel, state: State, precision: StepPrecision = "fp32") -> None:
        body = model.body
        assert isinstance(body, RecurrentNetwork)
        self.name = f"fast {precision}"
        self._model = model
        self._batch_size = len(state[0])
        self._precision: StepPrecision = precision
        embedding = model.embedding
        num_embedding_tensors = embedding.num_state_tensors
        self._embedding = self._embedding_step(state[:num_embedding_tensors])
        first = next(layer for layer in body.layers if isinstance(layer, RecurrentLayer)).cell
        gates = len(first.prepare(None)[0])
        table: Tensor | None = None
        if isinstance(embedding, TokenEmbedding) and len(embedding.weight_VD) * gates <= _MAX_TABLE_SIZE:
            table = embedding.weight_VD
        self._body = BodyStep(body, self._embedding.x_BD, state[num_embedding_tensors:], precision, table)
        head = model.ngram_head.network if isinstance(model, NgramLanguageModel) else model.head
        self._head_module = head
        self._logits_BV = self._embedding.x_BD.new_empty(self._batch_size, head.vocab_size)
        self._head: Sequence[Operation] = ()
        if isinstance(head, Softmax):
            kind = (
                FullProduct if precision == "int8" else PRODUCTS[precision]
            )  # a head is small, and its rounding errors matter
            self._head = kind(head.weight_VH, head.bias_V.detach()).bind(self._body.features_BH, self._logits_BV)

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
        if not self._body.has_table:
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

    def __init__(self, model: NgramLanguageModel, state: State, precision: StepPrecision = "fp32") -> None:
        self._network = FusedStepper(model, state[1:], precision)
        self.name = self._network.name
        features_BH, logits_BV = self._network.buffers()
        self._ngrams = NgramStep(model.ngram_head, state[0], features_BH, logits_BV)

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


class CudaGraphStepper(Stepper):
    """Runs the model's step on a CUDA device, recorded once: a replay is one launch instead of one for each kernel."""

    name = "CUDA graph"

    @torch.inference_mode()
    def __init__(self, model: LanguageModel, state: State, precision: Precision = "fp32") -> None:
        self._state = tuple(tensor.clone() for tensor in state)
        self._tokens_B = torch.zeros(len(state[0]), dtype=torch.int64, device=state[0].device)

        def advance() -> tuple[Tensor, State]:
            with autocast(precision, self._tokens_B.device):
                features_BTH, after = model(self._tokens_B[:, None], self._state)
                return model.head.logits(features_BTH[:, -1]), after

        warmup_stream = torch.cuda.Stream()
        warmup_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(warmup_stream):
            for _ in range(3):  # choose kernels and allocate workspaces before recording
                advance()
        torch.cuda.current_stream().wait_stream(warmup_stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._logits_BV, after = advance()
            for own, new in zip(self._state, after, strict=True):
                own.copy_(new)
        for own, before in zip(self._state, state, strict=True):
            own.copy_(before)

    @torch.inference_mode()
    def step(self, tokens_B: Tensor) -> Tensor:
        self._tokens_B.copy_(tokens_B)
        self._graph.replay()
        return self._logits_BV

    def state(self) -> State:
        return tuple(tensor.clone() for tensor in self._state)

    @torch.inference_mode()
    def select_rows(self, rows_B: Tensor) -> None:
        for own in self._state:
            own.copy_(own[rows_B])


def choose_stepper(model: LanguageModel, state: State, precision: StepPrecision = "fp32") -> Stepper:
    """Choose the fastest stepper for a model. For int8, `quantize_cells` must have rounded the cells' matrices before.

    Args:
        state: of all streams, after the prompt.
    """
    device = state[0].device if state else next(model.parameters()).device
    model_precision: Precision = "bf16" if precision == "bf16" else "fp32"
    if not state or len(state[0]) == 0:
        return PlainStepper(model, state, model_precision)
    if device.type == "cuda" and _is_graph_capturable(model):
        return CudaGraphStepper(model, state, model_precision)
    if isinstance(model, NgramLanguageModel) and device.type == "cpu" and has_fast_stepper(model):
        if _has_uniform_counters(model, state[1:]):
            return FusedNgramStepper(model, state, precision)
        return PlainStepper(model, state, model_precision)
    if device.type == "cpu" and has_fast_stepper(model) and _has_uniform_counters(model, state):
        return FusedStepper(model, state, precision)
    return PlainStepper(model, state, model_precision)


def has_fast_stepper(model: LanguageModel) -> bool:
    """Whether every cell has a fast step."""
    if not isinstance(model.body, RecurrentNetwork):
        return False
    return all(fast_cell(layer.cell) for layer in model.body.layers if isinstance(layer, RecurrentLayer))


def _has_uniform_counters(model: LanguageModel, state: State) -> bool:
    """Whether all rows have the same counters and phases, as after prompts of equal length."""
    num_embedding_tensors = model.embedding.num_state_tensors
    counters = [tensor for tensor in state[num_embedding_tensors:] if not tensor.is_floating_point()]
    return all(bool((tensor == tensor[:1]).all()) for tensor in counters)


def _is_graph_capturable(model: LanguageModel) -> bool:
    """Whether a CUDA graph can record the step: strided layers read phases on the host, and bags vary in size."""
    return (
        model.body.stride_period == 1
        and isinstance(model.embedding, TokenEmbedding)
        and isinstance(model.head, Softmax)
    )
