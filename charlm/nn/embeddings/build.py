"""Settings -> an embedding."""

from typing import Literal, assert_never

from charlm.errors import SettingsError
from charlm.nn.bodies.build import build_body
from charlm.nn.dropout import NoiseRNG
from charlm.nn.embeddings.bag_layout import BagLayout
from charlm.nn.embeddings.context import ContextEmbedding
from charlm.nn.embeddings.contextual import ContextualEmbedding
from charlm.nn.embeddings.frozen import NO_FROZEN_MODELS, FrozenLanguageModel, FrozenModel, FrozenModels
from charlm.nn.embeddings.ngrams import NgramEmbedding
from charlm.nn.embeddings.settings import (
    AnyEmbeddingSettings,
    ContextualEmbeddingSettings,
    NgramEmbeddingSettings,
    TokenEmbeddingSettings,
)
from charlm.nn.embeddings.token_embedding import Embedding, TokenEmbedding
from charlm.vocab.base import NgramBags

Direction = Literal["forward", "backward"]
_DIRECTIONS: tuple[Direction, ...] = ("forward", "backward")


def build_embedding(
    settings: AnyEmbeddingSettings,
    vocab_size: int,
    bags: NgramBags | BagLayout | None,
    rng: NoiseRNG,
    *,
    setting: str = "model.embedding",
    frozen: FrozenModels = NO_FROZEN_MODELS,
    language_direction: Direction | None = None,
) -> Embedding:
    """Build an embedding for a vocabulary.

    Args:
        bags: `Vocab.bags()`; or only their layout, if the arrays will be loaded from a checkpoint.
        setting: the name of the settings.
        frozen: the frozen language models that a contextual embedding reads.
        language_direction: the direction of the language model that it is for, which reads the <eod> before each
            document; None for a model that reads rows, in the order of the text.

    Raises:
        SettingsError: the embedding needs bags, and the vocabulary has none; or it would show a language model what
            that predicts.
        ValueError: a frozen language model is missing, or has another number of ids.
    """
    if isinstance(settings, ContextualEmbeddingSettings):
        trained = _build_trained(settings, vocab_size, None, rng) if settings.size else None
        return _build_contextual(settings, vocab_size, trained, setting, frozen, language_direction)
    return _build_trained(settings, vocab_size, bags, rng)


def _build_trained(
    settings: AnyEmbeddingSettings, vocab_size: int, bags: NgramBags | BagLayout | None, rng: NoiseRNG
) -> Embedding:
    """Build an embedding whose vectors are all trained."""
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


def _build_contextual(
    settings: ContextualEmbeddingSettings,
    vocab_size: int,
    trained: Embedding | None,
    setting: str,
    frozen: FrozenModels,
    language_direction: Direction | None,
) -> ContextualEmbedding:
    if language_direction is not None:
        check_language_embedding(settings, language_direction)
    readers = {
        direction: _build_frozen(f"{setting}.{direction}", vocab_size, frozen)
        for direction in _DIRECTIONS
        if getattr(settings, direction)
    }
    along = readers.get(language_direction or "forward")
    against = readers.get("backward") if language_direction is None else None
    return ContextualEmbedding(
        along, against, trained, settings.projection, begins_with_eod=language_direction is not None
    )


def _build_frozen(setting: str, vocab_size: int, frozen: FrozenModels) -> FrozenLanguageModel:
    if setting not in frozen:
        raise ValueError(f"{setting} names a language model that is missing")
    model: FrozenModel = frozen[setting]
    description, rng = model.description, NoiseRNG()
    if description.vocab_size != vocab_size:
        raise ValueError(f"{setting} has {description.vocab_size} ids, and the model around it {vocab_size}")
    embedding = build_embedding(description.settings.embedding, description.vocab_size, description.bags, rng)
    body = build_body(description.settings.body, embedding.size, rng)
    reader = FrozenLanguageModel(setting, description, embedding, body)
    if model.weights is not None:
        reader.load_weights(model.weights)
    return reader


def check_language_embedding(settings: AnyEmbeddingSettings, direction: Direction) -> None:
    """
    Raises:
        SettingsError: the embedding would show a language model of this direction what that predicts.
    """
    other: Direction = "forward" if direction == "backward" else "backward"
    if isinstance(settings, ContextualEmbeddingSettings) and getattr(settings, other):
        raise SettingsError(
            f"model.embedding.{other} is for labels and tags: a language model that reads {direction} would see what it"
            f' predicts, which "{getattr(settings, other)}" has read',
            f"leave it out and set model.embedding.{direction}, or name a corpus of labels or tags with --data",
        )


def _build_token_embedding(
    settings: AnyEmbeddingSettings, vocab_size: int, bags: NgramBags | BagLayout | None
) -> Embedding:
    """Build the embedding without n-grams of tokens."""
    match settings:
        case TokenEmbeddingSettings() | ContextualEmbeddingSettings():
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
