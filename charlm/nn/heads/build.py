"""Settings -> a head."""

from typing import assert_never

from charlm.errors import SettingsError
from charlm.nn.embeddings.context import ContextEmbedding
from charlm.nn.embeddings.contextual import ContextualEmbedding
from charlm.nn.embeddings.token_embedding import Embedding, TokenEmbedding
from charlm.nn.heads.adaptive import AdaptiveSoftmax
from charlm.nn.heads.settings import AdaptiveSoftmaxSettings, HeadSettings, SoftmaxSettings
from charlm.nn.heads.softmax import Head, Softmax, TiedSoftmax


def build_head(settings: HeadSettings, features_size: int, vocab_size: int, embedding: Embedding | None) -> Head:
    """Build a head.

    Args:
        vocab_size: the number of ids, labels or tags that are predicted.
        embedding: the embedding whose vectors a tied head uses; None for labels and tags, which have none.

    Raises:
        SettingsError: the head is tied to an embedding that has no vector for each id; a language model has class
            weights; or the vocabulary is too small for the cutoffs, or the features for the clusters.
    """
    match settings:
        case SoftmaxSettings():
            return _build_softmax(settings, features_size, vocab_size, embedding)
        case AdaptiveSoftmaxSettings():
            return _build_adaptive(settings, features_size, vocab_size)
        case _:
            assert_never(settings)


def _build_softmax(settings: SoftmaxSettings, features_size: int, vocab_size: int, embedding: Embedding | None) -> Head:
    if settings.class_weights and embedding is not None:
        raise SettingsError(
            "model.head.class_weights is for labels and tags: a language model must give ids their true probabilities",
            "name a corpus of labels or tags with --data, or leave it out",
        )
    if not settings.tied:
        return Softmax(features_size, vocab_size, settings.label_smoothing, settings.class_weights)
    if embedding is None:
        raise SettingsError(
            "model.head.tied = true needs ids that are read and predicted, and labels are only predicted",
            "set model.head.tied=false",
        )
    token_embedding = embedding.tokens if isinstance(embedding, ContextEmbedding) else embedding
    if not isinstance(token_embedding, TokenEmbedding):
        does = "reads frozen models" if isinstance(token_embedding, ContextualEmbedding) else "sums n-gram vectors"
        raise SettingsError(
            f"model.head.tied = true needs an embedding with a vector for each id, and this one {does}",
            "set model.head.tied=false, or model.embedding.type=token",
        )
    return TiedSoftmax(features_size, token_embedding, settings.label_smoothing)


def _build_adaptive(settings: AdaptiveSoftmaxSettings, features_size: int, vocab_size: int) -> AdaptiveSoftmax:
    cutoffs = settings.cutoffs or tuple(sorted({max(1, vocab_size // 20), max(1, vocab_size // 5)}))
    if cutoffs[-1] >= vocab_size:
        raise SettingsError(
            f"model.head.cutoffs ends at {cutoffs[-1]:,}, which leaves no id of {vocab_size:,} for the last cluster",
            "lower the cutoffs, or set model.head.type=softmax",
        )
    for cluster_number in range(1, len(cutoffs) + 1):
        if features_size // settings.div_value**cluster_number < 1:
            raise SettingsError(
                f"model.head.div_value = {settings.div_value:g} leaves no feature of {features_size:,} for cluster"
                f" {cluster_number} of model.head.cutoffs",
                "lower it, or set fewer cutoffs",
            )
    return AdaptiveSoftmax(features_size, vocab_size, cutoffs, settings.div_value, settings.label_smoothing)
