"""One step of each embedding as operations: (tokens_B, state) -> (x_BD, state).

B batch, D embedding size, H features, L tokens carried, V vocabulary.
"""

from charlm.errors import UsageError
from charlm.export.onnx_step.bodies import step_body
from charlm.export.onnx_step.graph import Graph, Name, State
from charlm.export.onnx_step.hashing import shift_right, wrap
from charlm.export.onnx_step.spelled_words import step_ngram_embedding
from charlm.nn.embeddings.context import ContextEmbedding
from charlm.nn.embeddings.contextual import ContextualEmbedding
from charlm.nn.embeddings.ngrams import NgramEmbedding
from charlm.nn.embeddings.token_embedding import Embedding, TokenEmbedding
from charlm.vocab.base import HASH_BASE


def step_embedding(graph: Graph, embedding: Embedding, tokens_B: Name, state: State) -> tuple[Name, State]:
    """
    Raises:
        UsageError: ONNX cannot express the embedding.
    """
    match embedding:
        case TokenEmbedding():
            return graph.op("Gather", graph.constant(embedding.weight_VD), tokens_B, axis=0), ()
        case NgramEmbedding():
            return step_ngram_embedding(graph, embedding, tokens_B, state)
        case ContextEmbedding():
            return _step_context(graph, embedding, tokens_B, state)
        case ContextualEmbedding():
            return _step_contextual(graph, embedding, tokens_B, state)
        case _:
            raise UsageError(f"ONNX cannot express a {type(embedding).__name__}", "use --format hub")


def _step_context(graph: Graph, embedding: ContextEmbedding, tokens_B: Name, state: State) -> tuple[Name, State]:
    """The token's vector, plus those of the hashed n-grams; `context_rows` defines the hash."""
    *tokens_state, carried_BL = state
    x_BD, after = step_embedding(graph, embedding.tokens, tokens_B, tuple(tokens_state))
    num_carried = max(embedding.orders) - 1
    history = graph.op("Concat", carried_BL, graph.unsqueeze(tokens_B, 1), axis=1)
    multiplier, table_KD = graph.number(wrap(HASH_BASE)), graph.constant(embedding.table_KD)
    hash_B = graph.op("Mul", tokens_B, graph.number(0))
    num_orders = 0
    for lag in range(max(embedding.orders)):
        token_B = graph.op("Gather", history, graph.number(num_carried - lag), axis=1)
        hash_B = graph.op("Mul", hash_B, multiplier)
        hash_B = graph.op("Add", hash_B, graph.op("Add", token_B, graph.number(2)))
        if lag + 1 in embedding.orders:
            mixed_B = graph.op("Mul", graph.op("BitwiseXor", hash_B, shift_right(graph, hash_B, 32)), multiplier)
            bits_B = graph.op("BitwiseAnd", shift_right(graph, mixed_B, 33), graph.number(0x7FFFFFFF))
            bucket_B = graph.op("Mod", bits_B, graph.number(embedding.num_buckets))
            row_B = graph.op("Add", bucket_B, graph.number(num_orders * embedding.num_buckets))
            x_BD = graph.op("Add", x_BD, graph.op("Gather", table_KD, row_B, axis=0))
            num_orders += 1
    return x_BD, (*after, graph.slice(history, 1, num_carried + 1, axis=1))


def _step_contextual(graph: Graph, embedding: ContextualEmbedding, tokens_B: Name, state: State) -> tuple[Name, State]:
    """The features of a frozen language model, and the trained vectors beside them."""
    assert embedding.against is None, "a language model reads no later token"
    parts: list[Name] = []
    after: State = ()
    if (reader := embedding.along) is not None:
        size, end = reader.embedding.num_state_tensors, reader.num_state_tensors
        x_BD, embedding_state = step_embedding(graph, reader.embedding, tokens_B, state[:size])
        features_BH, body_state = step_body(graph, reader.body, x_BD, state[size:end])
        if embedding.projection is not None:
            features_BH = graph.linear(features_BH, embedding.projection.weight, embedding.projection.bias)
        parts.append(features_BH)
        after, state = (*embedding_state, *body_state), state[end:]
    if embedding.trained is not None:
        trained_BD, trained_state = step_embedding(graph, embedding.trained, tokens_B, state)
        parts.append(trained_BD)
        after = (*after, *trained_state)
    return graph.concat(parts, axis=1), after
