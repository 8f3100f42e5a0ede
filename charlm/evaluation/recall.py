"""Mix a network's predictions with counts of what followed the same tokens before.

The mixtures start from the network's p of each token and go on to longer and longer contexts:

    p_k(w) = (1 - s) p_k-1(w) + s c(h w) / c(h)        h: the n - 1 tokens before w; c: counts of earlier occurrences

The weight s depends on h, never on w: on n, on the count of h, and on the number of different tokens that followed it.
Witten & Bell (1991) give a formula for s; here each class of contexts has a weight that expectation-maximisation finds
on validation text. A context that never occurred leaves p unchanged. The counts come from one of two texts:

    history   the training text: a static model, as any n-gram model
    prefix    the scored text before w: an adaptive model, as every compressor

N n-grams, P predictions, K classes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.vocab.base import HASH_BASE, IntArray

Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]

_MULTIPLIER = np.uint64(HASH_BASE)
_COUNT_CLASSES = np.array([1, 2, 3, 5, 9, 33])  # lower limits of the classes of a context's count
_FOLLOWER_CLASSES = np.array([1, 2, 3, 5])  # and of the number of different tokens that followed it
NUM_CLASSES = 1 + len(_COUNT_CLASSES) * len(_FOLLOWER_CLASSES)
_NUM_EM_STEPS = 30
_PRIOR_STRENGTH = 2.0  # predictions: a prior that keeps the weight of a rare class away from 0 and 1


@dataclass(frozen=True)
class ContextEvidence:
    """Counts of each prediction's context.

    Attributes:
        p_P: c(h w) / c(h) of the token that came; 0 where h never occurred.
        class_P: the class of h, which chooses the weight of the mixture; 0 where h never occurred.
    """

    p_P: Floats
    class_P: Counts


def evidence_from_history(history: IntArray, tokens: IntArray, n: int) -> ContextEvidence:
    """Return the evidence of the history for each token of a text except the first.

    Args:
        n: length of the n-grams, at least 2. The first n - 2 predictions of a text have no context of this length.
    """
    contexts_N, ngrams_N = _hashes(history, n)
    keys, first, ngram_counts = np.unique(ngrams_N, return_index=True, return_counts=True)
    context_keys, context_counts = np.unique(contexts_N, return_counts=True)
    _, followers = np.unique(contexts_N[first], return_counts=True)  # of the same keys, in the same order
    queried_contexts_N, queried_ngrams_N = _hashes(tokens, n)
    return _build_evidence(
        len(tokens),
        _look_up(queried_contexts_N, context_keys, context_counts),
        _look_up(queried_contexts_N, context_keys, followers),
        _look_up(queried_ngrams_N, keys, ngram_counts),
    )


def evidence_from_prefix(tokens: IntArray, n: int) -> ContextEvidence:
    """Return the evidence of the text before each of its tokens for that token."""
    contexts_N, ngrams_N = _hashes(tokens, n)
    order_N, group_starts_N = _group_equal(contexts_N)
    context_counts_N = _rank_in_group(order_N, group_starts_N)
    ngram_counts_N = _rank_in_group(*_group_equal(ngrams_N))
    is_new = (ngram_counts_N == 0)[order_N].astype(np.int64)
    sums_N = np.cumsum(is_new) - is_new
    followers_N = np.empty_like(sums_N)
    followers_N[order_N] = sums_N - sums_N[group_starts_N]
    return _build_evidence(len(tokens), context_counts_N, followers_N, ngram_counts_N)


def interpolate(p_P: Floats, evidence: ContextEvidence, weights_K: Floats) -> Floats:
    """Return the probabilities after one more mixture."""
    weight_P = weights_K[evidence.class_P]
    return (1 - weight_P) * p_P + weight_P * evidence.p_P


def fit_mixture_weights(p_P: Floats, evidence: ContextEvidence) -> Floats:
    """Return (K,) the weight of each class that maximizes the likelihood; 0 for class 0."""
    weights_K = np.full(NUM_CLASSES, 0.5)
    sizes_K = np.bincount(evidence.class_P, minlength=NUM_CLASSES)
    for _ in range(_NUM_EM_STEPS):
        recalled_P = weights_K[evidence.class_P] * evidence.p_P
        mixed_P = recalled_P + (1 - weights_K[evidence.class_P]) * p_P
        sums_K = np.bincount(evidence.class_P, weights=recalled_P / mixed_P, minlength=NUM_CLASSES)
        weights_K = (sums_K + _PRIOR_STRENGTH * 0.1) / (sizes_K + _PRIOR_STRENGTH)
    weights_K[0] = 0.0
    return weights_K


def _build_evidence(
    num_tokens: int, context_counts_N: Counts, followers_N: Counts, ngrams_N: Counts
) -> ContextEvidence:
    num_predictions = max(0, num_tokens - 1)
    p_P, class_P = np.zeros(num_predictions), np.zeros(num_predictions, dtype=np.int64)
    is_known_N = context_counts_N > 0
    p_N = np.where(is_known_N, ngrams_N / np.maximum(context_counts_N, 1), 0.0)
    count_class_N = np.searchsorted(_COUNT_CLASSES, context_counts_N, side="right") - 1
    class_N = (
        1 + count_class_N * len(_FOLLOWER_CLASSES) + np.searchsorted(_FOLLOWER_CLASSES, followers_N, side="right") - 1
    )
    start = num_predictions - len(context_counts_N)
    p_P[start:], class_P[start:] = p_N, np.where(is_known_N, class_N, 0)
    return ContextEvidence(p_P, class_P)


def _hashes(tokens: IntArray, n: int) -> tuple[Hashes, Hashes]:
    """(N,) each: hashes of the contexts of n - 1 tokens that have a next token, and of the contexts with that token."""
    values = tokens.astype(np.uint64) + np.uint64(1)
    count = max(0, len(tokens) - n + 1)
    hash_N = np.zeros(count, dtype=np.uint64)
    for offset in range(n - 1):
        hash_N = (hash_N ^ (hash_N >> np.uint64(29))) * _MULTIPLIER + values[offset : offset + count]
    return hash_N, (hash_N ^ (hash_N >> np.uint64(29))) * _MULTIPLIER + values[n - 1 : n - 1 + count]


def _look_up(queries: Hashes, keys: Hashes, counts: Counts) -> Counts:
    """The count of each query, 0 where it is not among the keys."""
    if not len(keys):
        return np.zeros(len(queries), dtype=np.int64)
    indices = np.minimum(np.searchsorted(keys, queries), len(keys) - 1)
    return np.where(keys[indices] == queries, counts[indices], 0)


def _group_equal(keys_N: Hashes) -> tuple[Counts, Counts]:
    """A stable order in which equal keys are neighbours, and for each index in it the index where its group begins."""
    order_N = np.argsort(keys_N, kind="stable")
    sorted_N = keys_N[order_N]
    is_group_start_N = np.ones(len(keys_N), dtype=np.bool_)
    is_group_start_N[1:] = sorted_N[1:] != sorted_N[:-1]
    return order_N, np.maximum.accumulate(np.where(is_group_start_N, np.arange(len(keys_N)), 0))


def _rank_in_group(order_N: Counts, group_starts_N: Counts) -> Counts:
    """The number of equal keys before each key."""
    rank_N = np.empty(len(order_N), dtype=np.int64)
    rank_N[order_N] = np.arange(len(order_N)) - group_starts_N
    return rank_N
