"""Settings -> an embedding."""

from typing import assert_never

from charlm.errors import SettingsError
from charlm.nn.dropout import NoiseRNG
from charlm.nn.embeddings.bag_layout import BagLayout
from charlm.nn.embeddings.context import ContextEmbedding
from charlm.nn.embeddings.ngrams import NgramEmbedding
from charlm.nn.embeddings.settings import AnyEmbeddingSettings, NgramEmbeddingSettings, TokenEmbeddingSettings
from charlm.nn.embeddings.token_embedding import Embedding, TokenEmbedding
from charlm.vocab.base import NgramBags


def build_embedding(
    settings: AnyEmbeddingSettings, vocab_size: int, bags: NgramBags | BagLayout | None, rng: NoiseRNG
) -> Embedding:
    """Build an embedding for a vocabulary.

    Args:
        bags: `Vocab.bags()`; or only their layout, if the arrays will be loaded from a checkpoint.

    Raises:
        SettingsError: the embedding needs bags, and the vocabulary has none.
    """
    token_embedding = _build_token_embedding(settings, vocab_size, bags)
    if not settings.context_ngrams:
        return token_embedding
    return ContextEmbedding(
        token_embedding,
        settings.context_ngrams,
        settings.context_buckets,
        rng,
        dropout=settings.context_dropout,
        backoff=settings.context_backoff,
    )


def _build_token_embedding(
    settings: AnyEmbeddingSettings, vocab_size: int, bags: NgramBags | BagLayout | None
) -> Embedding:
    """Build the embedding without n-grams of tokens."""
    match settings:
        case TokenEmbeddingSettings():
            return TokenEmbedding(vocab_size, settings.size)
        case NgramEmbeddingSettings():
            check_bags(settings, bags)
            assert bags is not None
            layout = bags if isinstance(bags, BagLayout) else BagLayout.from_bags(bags)
            embedding = NgramEmbedding(vocab_size, settings.size, layout, settings.combiner)
            if not isinstance(bags, BagLayout):
                embedding.set_bags(bags)
            return embedding
        case _:
            assert_never(settings)


def check_bags(settings: AnyEmbeddingSettings, bags: NgramBags | BagLayout | None) -> None:
    """Check that an embedding has the bags of n-grams that it needs.

    Raises:
        SettingsError: the embedding needs bags, and the vocabulary has none.
    """
    if isinstance(settings, NgramEmbeddingSettings) and bags is None:
        raise SettingsError(
            'model.embedding.type = "ngram" needs a corpus whose vocabulary has n-grams',
            "prepare one with corpus.vocab.type=ngram, or set model.embedding.type=token",
        )
