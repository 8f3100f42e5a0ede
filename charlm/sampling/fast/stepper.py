"""The step of sampling: one token of each stream in, logits out.

    model, state after the prompt ──choose_stepper──> stepper          tokens_B ──stepper.step──> logits_BV

- Fused: recurrent layers of the cells in `cells`. Buffers and matrices are laid out once, the first layer's input
  product is a table over the vocabulary, and a layer's step neither allocates memory nor records gradients.
- CUDA graph: the model's own step on a CUDA device, recorded once and replayed.
- Plain: the model itself, for every architecture.

B streams, V vocabulary.
"""

from functools import cached_property

import torch
from torch import Tensor

from charlm.device import Precision, autocast
from charlm.nn.bodies.recurrent import RecurrentLayer, RecurrentNetwork
from charlm.nn.embeddings.token_embedding import TokenEmbedding
from charlm.nn.heads.softmax import Softmax
from charlm.nn.model import LanguageModel
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.state import State
from charlm.sampling.fast.base import PlainStepper, Stepper
from charlm.sampling.fast.cells import fast_cell
from charlm.sampling.fast.fused import FusedMatrices, FusedNgramStepper, FusedStepper
from charlm.sampling.options import StepPrecision


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
    return StepperBuilder(model, precision).build(state)


class StepperBuilder:
    """Builds steppers of one model for any number of streams; the matrices are laid out once."""

    def __init__(
        self, model: LanguageModel, precision: StepPrecision = "fp32", *, streams_change: bool = False
    ) -> None:
        """
        Args:
            streams_change: whether streams come and go, so that a stepper does not live long, and streams have read
                different numbers of tokens. Then no CUDA graph is recorded, and how a model steps depends on the model
                alone.
        """
        self._model = model
        self._precision: StepPrecision = precision
        self._streams_change = streams_change

    def build(self, state: State) -> Stepper:
        """Return the fastest stepper.

        Args:
            state: of all streams.
        """
        model, changes = self._model, self._streams_change
        device = state[0].device if state else next(model.parameters()).device
        model_precision: Precision = "bf16" if self._precision == "bf16" else "fp32"
        plain = PlainStepper(model, state, model_precision)
        if not state or len(state[0]) == 0:
            return plain
        if device.type == "cuda" and not changes and _is_graph_capturable(model):
            return CudaGraphStepper(model, state, model_precision)
        counters = count_tensors(model, state)
        is_uniform = not counters if changes else all(bool((tensor == tensor[:1]).all()) for tensor in counters)
        if device.type != "cpu" or not has_fast_stepper(model) or not is_uniform:
            return plain
        if isinstance(model, NgramLanguageModel):
            return FusedNgramStepper(self._matrices, model.ngram_head, state)
        return FusedStepper(self._matrices, state)

    @cached_property
    def _matrices(self) -> FusedMatrices:
        return FusedMatrices(self._model, self._precision)


def has_fast_stepper(model: LanguageModel) -> bool:
    """Whether every cell has a fast step."""
    if not isinstance(model.body, RecurrentNetwork):
        return False
    return all(fast_cell(layer.cell) for layer in model.body.layers if isinstance(layer, RecurrentLayer))


def count_tensors(model: LanguageModel, state: State) -> list[Tensor]:
    """Return the counters and phases of a body. The fast step needs equal ones in all rows, as after prompts of one
    length.

    Args:
        state: of the whole model.
    """
    first = model.embedding.num_state_tensors + isinstance(model, NgramLanguageModel)
    return [tensor for tensor in state[first:] if not tensor.is_floating_point()]


def _is_graph_capturable(model: LanguageModel) -> bool:
    """Whether a CUDA graph can record the step: strided layers read phases on the host, and bags vary in size."""
    return (
        model.body.stride_period == 1
        and isinstance(model.embedding, TokenEmbedding)
        and isinstance(model.head, Softmax)
    )
