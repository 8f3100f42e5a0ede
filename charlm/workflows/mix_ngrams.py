"""Mix the probabilities of a network with those of n-grams, with weights fitted on validation text.

    p_network ──Kneser-Ney, one weight──> ──n-grams of the training text, a weight for each class of contexts──> mix
                                          ──n-grams of the text so far too, likewise──────────────────────────> recall

`mix` is a static model, like an n-gram model. `recall` learns from the text that it reads, like a compressor.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from charlm.checkpoint import LoadedModel
from charlm.data.corpus import Corpus
from charlm.data.store import TokenStream
from charlm.device import Precision
from charlm.evaluation.baselines.kneser_ney import KneserNey
from charlm.evaluation.baselines.settings import MIB, KneserNeySettings
from charlm.evaluation.evaluate import score_tokens
from charlm.evaluation.recall import (
    ContextEvidence,
    evidence_from_history,
    evidence_from_prefix,
    fit_mixture_weights,
    interpolate,
)

_MAX_TOKENS = 300_000  # of validation text, to fit the weights
_MAX_HISTORY = 20_000_000  # tokens at the end of the training text: about 2 GB of memory
_EM_STEPS = 40
HISTORY_ORDERS = (4, 5, 6, 7, 8, 10, 12, 16, 24)
RECENT_ORDERS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24)

Floats = npt.NDArray[np.float64]


def mixed_nats(
    loaded: LoadedModel,
    corpus: Corpus,
    stream: TokenStream,
    nats_P: npt.NDArray[np.float32],
    device: torch.device,
    precision: Precision,
    on_progress: Callable[[int], None],
    *,
    uses_recent: bool,
) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
    """Score a stream with the mixture; return the nats and the settings of the mixture.

    Args:
        stream: in the order in which the model reads it.
        nats_P: of its predictions, by the network, in this precision.
        uses_recent: whether n-grams of the text so far are mixed in too (`recall`).
    """
    settings = KneserNeySettings()
    direction = loaded.settings.text_direction
    train = np.ascontiguousarray(corpus.open("train").in_direction(direction).tokens)
    ngram = KneserNey.fit(train, corpus.vocab.size, settings.order, memory=settings.memory_mib * MIB)
    valid = corpus.open("valid").in_direction(direction)
    valid = TokenStream(np.ascontiguousarray(valid.tokens[: _MAX_TOKENS + 1]), valid.documents[:0])
    texts = valid.tokens, np.ascontiguousarray(stream.tokens)
    tuned_P = score_tokens(loaded.model, valid, device=device, precision=precision, on_progress=on_progress)
    p = [np.exp(-nats.astype(np.float64)) for nats in (tuned_P, nats_P)]
    on_ngram = [np.exp(ngram.log_probabilities(text)) for text in texts]
    weight = fit_weight(p[0], on_ngram[0])
    tuned, scored = ((1 - weight) * first + weight * second for first, second in zip(p, on_ngram, strict=True))
    mixture = _Mixture(tuned, scored)
    history = train[-_MAX_HISTORY:]
    for n in HISTORY_ORDERS:
        mixture = mixture.add(evidence_from_history(history, text, n) for text in texts)
    for n in RECENT_ORDERS if uses_recent else ():
        mixture = mixture.add(evidence_from_prefix(text, n) for text in texts)
    about: dict[str, Any] = {"weight": weight, "order": ngram.order, "orders": list(HISTORY_ORDERS)}
    return -np.log(mixture.scored_P).astype(np.float32), about | (
        {"so_far": list(RECENT_ORDERS)} if uses_recent else {}
    )


@dataclass(frozen=True)
class _Mixture:
    """The probability of each token of two texts; weights are fitted on the first one."""

    tuned_P: Floats
    scored_P: Floats

    def add(self, evidence: Iterable[ContextEvidence]) -> "_Mixture":
        """Mix in more evidence about both texts."""
        of_tuned, of_scored = evidence
        weights_K = fit_mixture_weights(self.tuned_P, of_tuned)
        return _Mixture(
            interpolate(self.tuned_P, of_tuned, weights_K), interpolate(self.scored_P, of_scored, weights_K)
        )


def fit_weight(first_P: Floats, second_P: Floats) -> float:
    """The weight of the second model in the mixture of highest likelihood, by expectation-maximisation.

    Args:
        first_P, second_P: the probabilities that each model gives to the observed tokens.
    """
    weight = 0.5
    for _ in range(_EM_STEPS):
        joint_P = weight * second_P
        weight = float((joint_P / (joint_P + (1 - weight) * first_P)).mean())
    return weight
