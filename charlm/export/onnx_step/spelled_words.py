"""One step of the embedding of words by their n-grams, unknown words included.

    token ──table──> the vector of a known word ──────────────────────────────────────┐
    </spell> ──the bytes before it──> n-grams ──hash──> known ones ──sum──> a vector ──┴── chosen by the token ──> x_BD

`charlm.nn.embeddings.spelling` computes the same for many words at once, in the same steps.

B batch, S bytes kept of a word, F bytes of a word with its marks, G known n-grams, D embedding size, V vocabulary.
"""

import torch

from charlm.export.onnx_step.graph import Graph, Name, State
from charlm.export.onnx_step.hashing import lower_bound
from charlm.nn.embeddings.bag_layout import BagLayout
from charlm.nn.embeddings.ngrams import NgramEmbedding
from charlm.nn.embeddings.spelling import HASH_BASE_INVERSE, MAX_WORD_BYTES, powers
from charlm.vocab.base import HASH_BASE, NUM_BYTES

_CONTINUATION_MASK, _CONTINUATION_BITS = 0xC0, 0x80
"""A byte with these bits continues a character of UTF-8."""


def step_ngram_embedding(graph: Graph, embedding: NgramEmbedding, tokens_B: Name, state: State) -> tuple[Name, State]:
    layout = embedding.bag_layout
    ids_V = torch.arange(len(embedding.bag_ends_V))
    known_BD = graph.op("Gather", graph.constant(embedding.embed_known(ids_V)), tokens_B, axis=0)
    bytes_BS, length_B = state
    spelled_BD, is_spelled_B = _embed_spelled(graph, embedding, bytes_BS, length_B)
    ends_B = graph.op("And", graph.op("Equal", tokens_B, graph.number(layout.end_id)), is_spelled_B)
    x_BD = graph.op("Where", graph.unsqueeze(ends_B, 1), spelled_BD, known_BD)
    return x_BD, _append_byte(graph, layout, tokens_B, bytes_BS, length_B)


def _append_byte(graph: Graph, layout: BagLayout, tokens_B: Name, bytes_BS: Name, length_B: Name) -> State:
    """Return the bytes of the word so far and their number; 0 after a token that is no byte."""
    byte_B = graph.op("Sub", tokens_B, graph.number(layout.first_byte_id))
    is_byte_B = graph.op(
        "And",
        graph.op("GreaterOrEqual", byte_B, graph.number(0)),
        graph.op("Less", byte_B, graph.number(NUM_BYTES)),
    )
    positions_S = graph.constant(torch.arange(MAX_WORD_BYTES))
    is_next_BS = graph.op("Equal", positions_S, graph.unsqueeze(length_B, 1))
    appended_BS = graph.op("Where", is_next_BS, graph.unsqueeze(byte_B, 1), bytes_BS)
    grown_B = graph.op("Min", graph.op("Add", length_B, graph.number(1)), graph.number(MAX_WORD_BYTES))
    return (
        graph.op("Where", graph.unsqueeze(is_byte_B, 1), appended_BS, graph.number(0)),
        graph.op("Where", is_byte_B, grown_B, graph.number(0)),
    )


def _embed_spelled(graph: Graph, embedding: NgramEmbedding, bytes_BS: Name, length_B: Name) -> tuple[Name, Name]:
    """Return the combined vectors of the known n-grams of each word (B, D), and whether there are any (B)."""
    hashes_BF, is_valid_BF = _hash_ngrams(graph, embedding.bag_layout, bytes_BS, length_B)
    rows_BF = lower_bound(graph, embedding.hashes_G, hashes_BF)
    rows_BF = graph.op("Min", rows_BF, graph.number(embedding.bag_layout.num_ngrams - 1))
    found_BF = graph.op("Gather", graph.constant(embedding.hashes_G), rows_BF, axis=0)
    is_known_BF = graph.op("And", is_valid_BF, graph.op("Equal", found_BF, hashes_BF))
    vectors_BFD = graph.op("Gather", graph.constant(embedding.weight_RD), rows_BF, axis=0)
    zero = graph.number(0.0, torch.float32)
    vectors_BFD = graph.op("Where", graph.unsqueeze(is_known_BF, 2), vectors_BFD, zero)
    sums_BD = graph.op("ReduceSum", vectors_BFD, graph.shape(1), keepdims=0)
    count_B1 = graph.op("ReduceSum", graph.cast(is_known_BF, torch.float32), graph.shape(1), keepdims=1)
    divisor_B1 = graph.op("Max", count_B1, graph.number(1.0, torch.float32))
    if embedding.combiner == "sqrt":
        divisor_B1 = graph.op("Sqrt", divisor_B1)
    combined_BD = sums_BD if embedding.combiner == "sum" else graph.op("Div", sums_BD, divisor_B1)
    return combined_BD, graph.op("Squeeze", graph.op("Greater", count_B1, zero), graph.shape(1))


def _hash_ngrams(graph: Graph, layout: BagLayout, bytes_BS: Name, length_B: Name) -> tuple[Name, Name]:
    """Return the hashes of the n-grams of each word with its marks (B, F), and which of them are valid."""
    num_marks = len(layout.boundary)
    width = MAX_WORD_BYTES + 2 * num_marks
    device = torch.device("cpu")
    positions_F = graph.constant(torch.arange(width))
    framed_length_B1 = graph.op("Add", graph.unsqueeze(length_B, 1), graph.number(2 * num_marks))
    framed_BF = graph.op("Pad", bytes_BS, graph.shape(0, num_marks, 0, num_marks))
    for index, byte in enumerate(layout.boundary):
        closing_B1 = graph.op("Add", framed_length_B1, graph.number(index - num_marks))
        is_mark_BF = graph.op(
            "Or", graph.op("Equal", positions_F, closing_B1), graph.op("Equal", positions_F, graph.number(index))
        )
        framed_BF = graph.op("Where", is_mark_BF, graph.number(byte), framed_BF)
    inside_BF = graph.op("Less", positions_F, framed_length_B1)

    terms_BF = graph.op(
        "Mul", graph.op("Add", framed_BF, graph.number(1)), graph.constant(powers(HASH_BASE, width, device))
    )
    terms_BF = graph.op("Where", inside_BF, terms_BF, graph.number(0))
    sums = graph.op("Pad", graph.op("CumSum", terms_BF, graph.number(1)), graph.shape(0, 1, 0, 0))

    bits_BF = graph.op("BitwiseAnd", framed_BF, graph.number(_CONTINUATION_MASK))
    is_start_BF = graph.op("Not", graph.op("Equal", bits_BF, graph.number(_CONTINUATION_BITS)))
    is_start_BF = graph.op("Or", is_start_BF, graph.op("Equal", positions_F, graph.number(0)))
    is_start_BF = graph.op("And", is_start_BF, inside_BF)
    start_counts_BF = graph.op("CumSum", graph.cast(is_start_BF, torch.int64), graph.number(1))
    num_characters_B1 = graph.slice(start_counts_BF, width - 1, width, axis=1)
    discard_column = width + layout.n
    columns_BF = graph.op("Sub", start_counts_BF, graph.number(1))
    columns_BF = graph.op("Where", is_start_BF, columns_BF, graph.number(discard_column))
    ends = graph.op("Tile", framed_length_B1, graph.shape(1, discard_column + 1))
    start_positions_BF = graph.op("Add", positions_F, graph.op("Mul", framed_BF, graph.number(0)))
    starts = graph.op("ScatterElements", ends, columns_BF, start_positions_BF, axis=1)

    from_BF, to_BF = graph.slice(starts, 0, width, axis=1), graph.slice(starts, layout.n, layout.n + width, axis=1)
    spans_BF = graph.op(
        "Sub", graph.op("GatherElements", sums, to_BF, axis=1), graph.op("GatherElements", sums, from_BF, axis=1)
    )
    inverse_powers = graph.constant(powers(HASH_BASE_INVERSE, width + 1, device))
    hashes_BF = graph.op("Mul", spans_BF, graph.op("Gather", inverse_powers, from_BF, axis=0))
    ends_BF = graph.op("Add", positions_F, graph.number(layout.n))
    is_valid_BF = graph.op(
        "Or",
        graph.op("LessOrEqual", ends_BF, num_characters_B1),
        graph.op("Equal", positions_F, graph.number(0)),
    )
    return hashes_BF, is_valid_BF
