"""A trained model -> its integer model, without a text to calibrate on: every scale comes from weights and bounds.

    embedding ──two bytes── x ──> layers: products of one-byte states, norms, cells ──> head: logits in bits

V vocabulary, D inputs, H hidden, G gates, K columns of a matrix.
"""

import math

import numpy as np

from charlm.archives.integer_model.activation_tables import make_powers, make_sigmoid, make_tanh
from charlm.archives.integer_model.bounds import check_bounds
from charlm.archives.integer_model.convert_layers import Sources, add_layer, as_floats
from charlm.archives.integer_model.description import CountsDescription, Description, GroupDescription
from charlm.archives.integer_model.fixed_point import (
    GATE_BITS,
    ONE,
)
from charlm.archives.integer_model.layout import Array, IntegerModel
from charlm.archives.integer_model.quantize import (
    quantize_embedding,
    quantize_group,
    to_gate_bits,
)
from charlm.archives.integer_model.supported import check_supported
from charlm.archives.integer_model.training_tables import make_tables
from charlm.checkpoint import LoadedModel, weights_hash
from charlm.errors import UsageError
from charlm.nn.bodies.recurrent import RecurrentLayer, RecurrentNetwork
from charlm.nn.cells.gru import GRUCell
from charlm.nn.cells.lstm import LSTMCell
from charlm.nn.embeddings.context import ContextEmbedding
from charlm.nn.embeddings.token_embedding import TokenEmbedding
from charlm.nn.heads.softmax import Softmax, TiedSoftmax
from charlm.nn.model import LanguageModel
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.norm import EPS, LayerNorm


def convert(loaded: LoadedModel) -> IntegerModel:
    """Return the integer model of a checkpoint.

    Raises:
        UsageError: a part of the model has no integer form, or its weights are too large for one.
    """
    check_supported(loaded)
    try:
        model = convert_model(loaded.model, loaded.vocab.eod_id, weights_hash(loaded.directory), CountsDescription())
        check_bounds(model)
    except ValueError as error:
        what = f"{loaded.directory} has no integer form for compression: {error}"
        raise UsageError(what, "name another run or checkpoint (--checkpoint)") from error
    return model


def convert_model(
    model: LanguageModel, eod_id: int, weights_sha256: str = "", counts: CountsDescription | None = None
) -> IntegerModel:
    """Return the integer form of a model that `check_supported` lets through.

    The n-gram component gives its tables to the counts. The weights of its own mixture are not used.

    Args:
        counts: those of the text so far; None for the network alone.

    Raises:
        ValueError: its weights are too large.
    """
    body = model.body
    assert isinstance(body, RecurrentNetwork)
    layers = [layer for layer in body.layers if isinstance(layer, RecurrentLayer)]
    first = layers[0].cell
    arrays: dict[str, Array] = {
        "sigmoid": make_sigmoid().astype(np.int32),
        "tanh": make_tanh().astype(np.int32),
        "powers": make_powers().astype(np.int32),
    }
    if counts is not None:
        counts = _add_counts(arrays, model, counts)
    embedding_scale, context = _add_embedding(arrays, model)
    sources = Sources(body, embedding_scale)
    inputs, recurrent = zip(*(add_layer(arrays, k, layer.cell, sources) for k, layer in enumerate(layers)), strict=True)
    has_memory_norm = isinstance(first, LSTMCell) and isinstance(first.memory_norm, LayerNorm)
    return IntegerModel(
        Description(
            vocab_size=model.head.vocab_size,
            eod_id=eod_id,
            embedding_size=model.embedding.size,
            context_orders=() if context is None else tuple(context.orders),
            context_buckets=1 if context is None else context.num_buckets,
            cell="lstm" if isinstance(first, LSTMCell) else "gru" if isinstance(first, GRUCell) else "rnn",
            hidden_size=first.hidden_size,
            coupled=isinstance(first, LSTMCell) and first.coupled,
            zoneout=round(first.options.zoneout * ONE),
            zoneout_hidden=round(first.options.zoneout_hidden * ONE),
            memory_epsilon=round(EPS * 4.0**GATE_BITS) if has_memory_norm else 0,
            inputs=inputs,
            recurrent=recurrent,
            head=_add_head(arrays, model, sources),
            counts=counts,
        ),
        arrays,
        weights_sha256,
    )


def _add_embedding(arrays: dict[str, Array], model: LanguageModel) -> tuple[float, ContextEmbedding | None]:
    """Add the vectors of tokens and context n-grams; return their scale, and the embedding of the n-grams."""
    embedding = model.embedding
    context = embedding if isinstance(embedding, ContextEmbedding) else None
    tokens = embedding if context is None else context.tokens
    assert isinstance(tokens, TokenEmbedding)
    tables = [] if context is None else np.split(as_floats(context.table_KD), len(context.orders))
    tokens_VD, context_KD, scale = quantize_embedding(as_floats(tokens.weight_VD), tables)
    arrays["embedding.tokens"] = tokens_VD
    if context_KD is not None:
        arrays["embedding.context"] = context_KD
    return scale, context


def _add_counts(arrays: dict[str, Array], model: LanguageModel, counts: CountsDescription) -> CountsDescription:
    """Add the tables of the n-gram component, if the model has one; return the counts with tables."""
    if isinstance(model, NgramLanguageModel):
        tables = model.ngram_head.lookup.tables
        arrays |= make_tables(tables, counts.orders[-1])
        sizes = tuple(len(table.keys) for table in tables.orders[: counts.orders[-1]])
        counts = counts.model_copy(update={"table_sizes": sizes})
    return counts


def _add_head(arrays: dict[str, Array], model: LanguageModel, sources: Sources) -> GroupDescription:
    """Add the head, whose logits are in bits: 2**logit is proportional to a probability."""
    head = model.ngram_head.network if isinstance(model, NgramLanguageModel) else model.head
    assert isinstance(head, Softmax | TiedSoftmax)
    if isinstance(head, Softmax):
        weight_VH = as_floats(head.weight_VH)
    else:
        weight_VH = as_floats(head.token_embedding.weight_VD)
        if head.projection_DH is not None:
            weight_VH = weight_VH @ as_floats(head.projection_DH)
    arrays["head.bias"] = to_gate_bits(as_floats(head.bias_V) / math.log(2))
    return quantize_group(arrays, "head", sources.products(sources.num_layers, weight_VH), None, unit=1 / math.log(2))
