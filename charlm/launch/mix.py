"""A network and an n-gram, mixed at the probability level: p = (1 - w) p_network + w p_ngram, w tuned on validation."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from charlm.checkpoint import LoadedModel
from charlm.data.corpus import Corpus
from charlm.data.store import TokenStream
from charlm.evaluation.baselines.kneser_ney import KneserNey
from charlm.evaluation.baselines.settings import MIB, KneserNeySettings
from charlm.evaluation.evaluate import token_nats

_MAX_TOKENS = 300_000  # of validation text, for the one weight
_PASSES = 40

Floats = npt.NDArray[np.float64]


def mixed_nats(
    loaded: LoadedModel,
    corpus: Corpus,
    stream: TokenStream,
    nats_P: npt.NDArray[np.float32],
    device: torch.device,
    on_progress: Callable[[int], None],
) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
    """The nats of a stream under the mixture, and its settings.

    Args:
        stream: as the model reads it. nats_P: of its predictions, by the network.
    """
    settings = KneserNeySettings()
    direction = loaded.settings.direction
    train = corpus.open("train").in_direction(direction)
    ngram = KneserNey.fit(
        np.ascontiguousarray(train.tokens), corpus.vocab.size, settings.order, memory=settings.memory_mib * MIB
    )
    valid = corpus.open("valid").in_direction(direction)
    valid = TokenStream(np.ascontiguousarray(valid.tokens[: _MAX_TOKENS + 1]), valid.documents[:0])
    network = token_nats(loaded.model, valid, device=device, on_progress=on_progress)
    weight = best_weight(np.exp(-network.astype(np.float64)), np.exp(ngram.log_probabilities(valid.tokens)))
    on_ngram = np.exp(ngram.log_probabilities(np.ascontiguousarray(stream.tokens)))
    mixed = (1 - weight) * np.exp(-nats_P.astype(np.float64)) + weight * on_ngram
    return -np.log(mixed).astype(np.float32), {"weight": weight, "order": ngram.order}


def best_weight(first_P: Floats, second_P: Floats) -> float:
    """The share of the second in the mixture of highest likelihood, by expectation-maximisation (which never falls).

    Args:
        first_P, second_P: the probabilities that each gives to what came.
    """
    weight = 0.5
    for _ in range(_PASSES):
        own_P = weight * second_P
        weight = float((own_P / (own_P + (1 - weight) * first_P)).mean())
    return weight
