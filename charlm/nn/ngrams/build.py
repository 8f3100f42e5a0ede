"""Settings, tables -> the head of a language model with n-grams."""

import torch

from charlm.errors import SettingsError
from charlm.nn.heads.softmax import Head
from charlm.nn.ngrams.head import NgramHead
from charlm.nn.ngrams.lookup import NgramLookup
from charlm.nn.ngrams.settings import NgramComponentSettings
from charlm.nn.ngrams.tables import NgramTables
from charlm.nn.settings import ModelSettings

USUAL_ORDER = 12
_MAX_USUAL_ORDER = 24
_LARGE_VOCABULARY = 4000
_USUAL_SHORT_ORDERS = ((0.2, 3), (0.6, 5))
"""Tokens per character below which the order is this: words, and pieces of words."""


def build_ngram_head(
    settings: NgramComponentSettings, features_size: int, network: Head, ngrams: NgramTables | int | None
) -> NgramHead:
    """Build the head.

    Args:
        network: the head of the network alone.
        ngrams: the tables; or only their order, or None for that of the settings, if they will be set later.
    """
    order = ngrams.order if isinstance(ngrams, NgramTables) else ngrams or settings.order or USUAL_ORDER
    lookup = NgramLookup(order)
    if isinstance(ngrams, NgramTables):
        lookup.set_tables(ngrams, torch.empty(0).device, torch.get_default_dtype())
    return NgramHead(network, features_size, lookup, settings.gate_size, settings.network_loss)


def check_ngram(settings: ModelSettings, *, is_language_model: bool) -> None:
    """
    Raises:
        SettingsError: there is an n-gram component that the task or the head does not have.
    """
    if settings.ngram is None:
        return
    if not is_language_model:
        raise SettingsError(
            "model.ngram is for language models: this corpus has labels, tags or conditions",
            "leave it out, or name a corpus of plain text with --data",
        )
    if settings.head.label_smoothing:
        raise SettingsError(
            "model.head.label_smoothing does not go with model.ngram: training computes the probability of the target"
            " alone",
            "leave one of them out",
        )


def usual_order(vocab_size: int, tokens_per_character: float) -> int:
    """Return the order that covers about 12 characters, if the settings name none."""
    for limit, order in _USUAL_SHORT_ORDERS:
        if tokens_per_character < limit:
            return order
    if vocab_size > _LARGE_VOCABULARY:
        return 5
    return max(2, min(round(USUAL_ORDER * tokens_per_character), _MAX_USUAL_ORDER))
