"""A network as JSON and tensors, laid out as `charlm.sampling.fast` runs it, for page/model.js.

    embedding ──> layers: 8-bit products of input and state, norms, cell ──> head

V vocabulary, G gates, D inputs, H hidden, K rows of a table.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from charlm.export.web_page.tensors import TensorBlock
from charlm.nn.bodies.recurrent import RecurrentLayer, RecurrentNetwork
from charlm.nn.cells.base import Cell
from charlm.nn.cells.gru import GRUCell
from charlm.nn.cells.lstm import LSTMCell
from charlm.nn.cells.rnn import RNNCell
from charlm.nn.embeddings.context import ContextEmbedding
from charlm.nn.embeddings.token_embedding import Embedding, TokenEmbedding
from charlm.nn.heads.softmax import Head, Softmax, TiedSoftmax
from charlm.nn.model import LanguageModel
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.norm import LayerNorm
from charlm.nn.quantize import quantize_int8
from charlm.sampling.fast.cells import fast_cell
from charlm.sampling.fast.fused import reads_table

ContextBits = Literal[8, 32]
"""Bits of the numbers in the vectors of context n-grams."""


def describe_network(block: TensorBlock, model: LanguageModel, context_bits: ContextBits) -> dict[str, Any]:
    """Add the tensors of a model to a block, and return what they are.

    Args:
        model: its cells rounded by `quantize_cells`; a model that `check_supported` lets through.
    """
    body = model.body
    assert isinstance(body, RecurrentNetwork)
    layers = [layer for layer in body.layers if isinstance(layer, RecurrentLayer)]
    head = model.ngram_head.network if isinstance(model, NgramLanguageModel) else model.head
    return {
        "embedding": _describe_embedding(block, model.embedding, context_bits),
        "skip": "dense" if body.is_dense else "residual" if body.is_residual else "none",
        "has_table": reads_table(model),
        "layers": [_describe_layer(block, f"layer{number}", layer) for number, layer in enumerate(layers)],
        "head": _describe_head(block, head),
    }


def round_context_vectors(model: LanguageModel) -> None:
    """Round the vectors of context n-grams to 8 bits, in place, so that Python computes what the page computes."""
    embedding = model.embedding
    if isinstance(embedding, ContextEmbedding):
        q_KD, scale_K = quantize_int8(embedding.table_KD.detach())
        with torch.no_grad():
            embedding.table_KD.copy_(q_KD * scale_K[:, None])


def _describe_embedding(block: TensorBlock, embedding: Embedding, context_bits: ContextBits) -> dict[str, Any]:
    tokens = embedding.tokens if isinstance(embedding, ContextEmbedding) else embedding
    assert isinstance(tokens, TokenEmbedding)
    described: dict[str, Any] = {
        "size": tokens.size,
        "tokens": block.add_floats("embedding.tokens", tokens.weight_VD),
        "context": None,
    }
    if isinstance(embedding, ContextEmbedding):
        described["context"] = {
            "orders": list(embedding.orders),
            "buckets": embedding.num_buckets,
            **_describe_table(block, embedding.table_KD.detach(), context_bits),
        }
    return described


def _describe_table(block: TensorBlock, table_KD: Tensor, bits: ContextBits) -> dict[str, str | None]:
    if bits == 32:
        return {"table": block.add_floats("embedding.context", table_KD), "scale": None}
    q_KD, scale_K = quantize_int8(table_KD)
    return {
        "table": block.add_int8("embedding.context", q_KD),
        "scale": block.add_floats("embedding.context.scale", scale_K),
    }


def _describe_layer(block: TensorBlock, name: str, layer: RecurrentLayer) -> dict[str, Any]:
    cell = layer.cell
    fast = fast_cell(cell)
    assert fast is not None
    input_GD, recurrent_GH, bias_G = (tensor.detach() for tensor in cell.prepare(None)[:3])
    return {
        "hidden_size": cell.hidden_size,
        "stride": layer.stride,
        "dilation": layer.dilation,
        "input": _describe_product(block, f"{name}.input", input_GD, fast.input_norms),
        "recurrent": _describe_product(block, f"{name}.recurrent", recurrent_GH, fast.recurrent_norms),
        "bias": block.add_floats(f"{name}.bias", bias_G),
        **_describe_cell(block, name, cell),
    }


def _describe_product(block: TensorBlock, name: str, weight_GD: Tensor, norms: list[nn.Module]) -> dict[str, Any]:
    """Describe a product, and the layer norms of its parts side by side."""
    q_GD, scale_G = quantize_int8(weight_GD)
    gains = [norm.gain_G.detach() for norm in norms if isinstance(norm, LayerNorm)]
    return {
        "rows": weight_GD.shape[0],
        "columns": weight_GD.shape[1],
        "matrix": block.add_int8_matrix(f"{name}.matrix", q_GD),
        "scale": block.add_floats(f"{name}.scale", scale_G),
        "norm_sizes": [len(gain) for gain in gains],
        "gain": block.add_floats(f"{name}.gain", torch.cat(gains)) if gains else None,
    }


def _describe_cell(block: TensorBlock, name: str, cell: Cell) -> dict[str, Any]:
    zoneout = {"zoneout": cell.options.zoneout, "zoneout_hidden": cell.options.zoneout_hidden}
    match cell:
        case LSTMCell():
            norm = cell.memory_norm if isinstance(cell.memory_norm, LayerNorm) else None
            gain = bias = None
            if norm is not None and norm.bias_G is not None:
                gain = block.add_floats(f"{name}.memory_gain", norm.gain_G)
                bias = block.add_floats(f"{name}.memory_bias", norm.bias_G)
            return {"type": "lstm", "coupled": cell.coupled, "memory_gain": gain, "memory_bias": bias, **zoneout}
        case GRUCell():
            assert cell.candidate_bias_H is not None, "a cell without a fast step is not supported"
            bias = block.add_floats(f"{name}.candidate_bias", cell.candidate_bias_H)
            return {"type": "gru", "candidate_bias": bias, **zoneout}
        case RNNCell():
            return {"type": "rnn", "relu": cell.is_relu, **zoneout}
        case _:
            raise AssertionError(f"{type(cell).__name__} is not supported")


def _describe_head(block: TensorBlock, head: Head) -> dict[str, Any]:
    match head:
        case Softmax():
            weight, projection = block.add_floats("head.weight", head.weight_VH), None
        case TiedSoftmax():
            weight = "embedding.tokens"
            matrix = head.projection_DH
            projection = None if matrix is None else block.add_floats("head.projection", matrix)
        case _:
            raise AssertionError(f"{type(head).__name__} is not supported")
    return {"weight": weight, "projection": projection, "bias": block.add_floats("head.bias", head.bias_V)}
