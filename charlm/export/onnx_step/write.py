"""A model as one ONNX file of one step.

    token (B), state.0 (B, ...), state.1 ... ──embedding──body──head──> log_probabilities (B, V), next.0, next.1 ...

What a program needs to know besides is JSON in the model's metadata, under the key `charlm`.

B batch, V vocabulary.
"""

from typing import IO, Any

import torch

from charlm import formats, storage
from charlm.errors import UsageError
from charlm.export.exported_model import ExportedModel
from charlm.export.onnx_step.bodies import step_body
from charlm.export.onnx_step.embeddings import step_embedding
from charlm.export.onnx_step.graph import OPSET, Graph
from charlm.export.onnx_step.heads import log_probabilities
from charlm.export.vocabulary import describe_vocabulary
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.state import State
from charlm.version import __version__

METADATA_KEY = "charlm"
_MAX_BYTES = 2**31 - 2**20
"""A file of ONNX is one message of at most 2 GiB."""


def write_onnx(model: ExportedModel, file: IO[bytes]) -> list[str]:
    """Write the file; return what its user should know."""
    file.write(export_step(model))
    return [f"one step with its state as inputs and outputs, in operators of version {OPSET}"]


@torch.no_grad()
def export_step(model: ExportedModel) -> bytes:
    """Return the content of the file.

    Raises:
        UsageError: ONNX cannot express the model.
    """
    network = model.loaded.model
    if isinstance(network, NgramLanguageModel):
        raise UsageError(
            f"{model.name} has n-grams inside, whose tables ONNX cannot look up",
            "use --format hub, or train it with model.ngram left out",
        )
    if sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values()) > _MAX_BYTES:
        raise UsageError(f"{model.name} has more than 2 GiB of weights, the most that ONNX takes", "use --format hub")
    graph, fresh = Graph(), network.initial_state(1)
    token_B = graph.input("token", torch.zeros(1, dtype=torch.int64))
    state = tuple(graph.input(f"state.{number}", tensor) for number, tensor in enumerate(fresh))
    size = network.embedding.num_state_tensors
    x_BD, embedding_state = step_embedding(graph, network.embedding, token_B, state[:size])
    features_BH, body_state = step_body(graph, network.body, x_BD, state[size:])
    log_p_BV = log_probabilities(graph, network.head, features_BH)
    graph.output(log_p_BV, "log_probabilities", torch.zeros(1, network.head.vocab_size))
    for number, (after, tensor) in enumerate(zip((*embedding_state, *body_state), fresh, strict=True)):
        graph.output(after, f"next.{number}", tensor)
    description = f"One step of the character-level language model {model.name}."
    metadata = {METADATA_KEY: storage.to_json(_describe(model, fresh), indent=None)}
    return graph.to_model("step", description, metadata).SerializeToString()


def _describe(model: ExportedModel, fresh: State) -> dict[str, Any]:
    loaded = model.loaded
    return {
        "format": formats.ONNX,
        "charlm": __version__,
        "name": model.name,
        "direction": loaded.settings.direction,
        "vocabulary": describe_vocabulary(loaded.vocab),
        "state": [
            {
                "input": f"state.{number}",
                "output": f"next.{number}",
                "type": "int64" if tensor.dtype == torch.int64 else "float32",
                "shape": list(tensor.shape[1:]),
                "initial": _only_value(tensor),
            }
            for number, tensor in enumerate(fresh)
        ],
    }


def _only_value(tensor: torch.Tensor) -> float:
    """Return the value with which a tensor of the state begins everywhere."""
    value = tensor.flatten()[0].item()
    assert bool((tensor == value).all()), "a state begins with one value"
    return value
