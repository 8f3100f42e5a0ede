"""Heads as operations: features_BH -> log-probabilities of all ids (B, V).

B batch, H features, C entries of the first softmax, V vocabulary.
"""

from torch import nn

from charlm.errors import UsageError
from charlm.export.onnx_step.graph import Graph, Name
from charlm.nn.heads.adaptive import AdaptiveSoftmax
from charlm.nn.heads.softmax import Head, Softmax, TiedSoftmax


def log_probabilities(graph: Graph, head: Head, features_BH: Name) -> Name:
    """
    Raises:
        UsageError: the head has n-grams of the training text.
    """
    match head:
        case Softmax():
            logits_BV = graph.linear(features_BH, head.weight_VH, head.bias_V)
            return graph.op("LogSoftmax", logits_BV, axis=-1)
        case TiedSoftmax():
            if head.projection_DH is not None:
                features_BH = graph.linear(features_BH, head.projection_DH)
            logits_BV = graph.linear(features_BH, head.token_embedding.weight_VD, head.bias_V)
            return graph.op("LogSoftmax", logits_BV, axis=-1)
        case AdaptiveSoftmax():
            return _adaptive(graph, head, features_BH)
        case _:
            raise UsageError(f"ONNX cannot express a {type(head).__name__}", "use --format hub")


def _adaptive(graph: Graph, head: AdaptiveSoftmax, features_BH: Name) -> Name:
    clusters = head.clusters
    num_frequent = clusters.shortlist_size
    first_BC = graph.op("LogSoftmax", graph.linear(features_BH, clusters.head.weight, clusters.head.bias), axis=-1)
    by_rank = [graph.slice(first_BC, 0, num_frequent, axis=1)]
    for index, cluster in enumerate(clusters.tail, num_frequent):
        assert isinstance(cluster, nn.Sequential)
        inner = features_BH
        for layer in cluster:
            assert isinstance(layer, nn.Linear)
            inner = graph.linear(inner, layer.weight, layer.bias)
        of_cluster = graph.slice(first_BC, index, index + 1, axis=1)
        by_rank.append(graph.op("Add", of_cluster, graph.op("LogSoftmax", inner, axis=-1)))
    return graph.op("Gather", graph.concat(by_rank, axis=1), graph.constant(head.rank_V), axis=1)
