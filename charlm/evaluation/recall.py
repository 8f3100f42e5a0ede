"""A network whose predictions are mixed with what followed the same tokens before, in the training text or just now.

Beginning with the network's p of each token, one mixture after the other, over longer and longer contexts:

    p_k(w) = (1 - s) p_k-1(w) + s c(h w) / c(h)        h: the n - 1 tokens before w; c: how often each was met before

The share s depends on what is known of h, never on w: on n, on how often h was met, and on how many different tokens
followed it (Witten & Bell, 1991, have a formula for it; here each such class of contexts has a share of its own, found
by expectation-maximisation on validation text). A context never met changes nothing. What "before" is:

    history   the training text: a static model, as any n-gram
    so far    the text that is scored, up to w: an adaptive one, as every compressor is

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
_COUNT_CLASSES = np.array([1, 2, 3, 5, 9, 33])  # classes of how often a context was met
_FOLLOWER_CLASSES = np.array([1, 2, 3, 5])  # and of how many different tokens followed it
NUM_CLASSES = 1 + len(_COUNT_CLASSES) * len(_FOLLOWER_CLASSES)
_NUM_EM_STEPS = 30
_PRIOR_STRENGTH = 2.0  # predictions: what keeps the share of a class that was hardly met from 0 and 1


@dataclass(frozen=True)
class ContextEvidence:
    """What is known of each prediction's context.

    Attributes:
        p_P: c(h w) / c(h) of the token that came; 0 where h was never met.
        class_P: which share of the mixture it gets; 0 where h was never met.
    """

    p_P: Floats
    class_P: Counts


def evidence_from_history(history: IntArray, tokens: IntArray, n: int) -> ContextEvidence:
    """What the history says of each token of a text but the first.

    Args:
        n: length of the n-grams, at least 2. A text's first n - 2 predictions have no such context.
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
    """What the text itself, up to each of its tokens, says of that token."""
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
    """One mixture more."""
    weight_P = weights_K[evidence.class_P]
    return (1 - weight_P) * p_P + weight_P * evidence.p_P


def fit_mixture_weights(p_P: Floats, evidence: ContextEvidence) -> Floats:
    """(K,): of each class the share of highest likelihood; 0 of class 0."""
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
    """(N,) each: of the contexts of n - 1 tokens that something follows, and of them with what follows."""
    values = tokens.astype(np.uint64) + np.uint64(1)
    count = max(0, len(tokens) - n + 1)
    hash_N = np.zeros(count, dtype=np.uint64)
    for offset in range(n - 1):
        hash_N = (hash_N ^ (hash_N >> np.uint64(29))) * _MULTIPLIER + values[offset : offset + count]
    return hash_N, (hash_N ^ (hash_N >> np.uint64(29))) * _MULTIPLIER + values[n - 1 : n - 1 + count]


def _look_up(queries: Hashes, keys: Hashes, counts: Counts) -> Counts:
    """The count of each, 0 where it is no key."""
    if not len(keys):
        return np.zeros(len(queries), dtype=np.int64)
    indices = np.minimum(np.searchsorted(keys, queries), len(keys) - 1)
    return np.where(keys[indices] == queries, counts[indices], 0)


def _group_equal(keys_N: Hashes) -> tuple[Counts, Counts]:
    """An order in which equal keys stand together, earlier ones first; and for each place in it where its group
    begins."""
    order_N = np.argsort(keys_N, kind="stable")
    sorted_N = keys_N[order_N]
    is_group_start_N = np.ones(len(keys_N), dtype=np.bool_)
    is_group_start_N[1:] = sorted_N[1:] != sorted_N[:-1]
    return order_N, np.maximum.accumulate(np.where(is_group_start_N, np.arange(len(keys_N)), 0))


def _rank_in_group(order_N: Counts, group_starts_N: Counts) -> Counts:
    """Of each key, how many equal ones came before it."""
    rank_N = np.empty(len(order_N), dtype=np.int64)
    rank_N[order_N] = np.arange(len(order_N)) - group_starts_N
    return rank_N
