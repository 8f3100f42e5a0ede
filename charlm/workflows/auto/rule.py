"""The rule of `--config auto`: time, corpus and speed of the machine -> network, batch, learning rate, n-grams.

What it chooses by was fitted by experiments; charlm/docs/results.md ("The dial") has their figures. Torch-free.

    time - start - counting ──seconds of an update of each size──> updates ──> the largest size that has enough of them
    time, speed, corpus     ──> epochs ──> dropout, and a limit on epochs
    updates                 ──> the learning rate of the size, or up to twice as much for fewer updates
"""

import math
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from charlm.workflows.auto.speed import EMBEDDING_SIZE, Size, Speed

SIZES = (
    (0, Size(128, 8, 64, 5e-3)),
    (800, Size(256, 16, 64, 4e-3)),
    (2_000, Size(384, 16, 64, 2.5e-3)),
    (4_000, Size(512, 32, 64, 2e-3)),
    (12_000, Size(768, 32, 64, 1.5e-3)),
    (30_000, Size(1024, 32, 128, 1.2e-3)),
)
"""The number of updates from which on a size beats the one before it in equal time. Up to 512 this was measured. Above,
it is extrapolated: 768 lost with 8,600."""
_UPDATES_OF_RATES = 10_000
"""The number of updates for which the learning rates of the sizes are right. For fewer updates the rate is higher, by
the square root of what is missing, and at most twice as high."""
_MAX_RATE_FACTOR = 2.0
_DROPOUT = ((4.0, 0.1), (10.0, 0.2), (math.inf, 0.4))
"""Epochs up to which the dropout of the features is this."""
_MAX_EPOCHS = 40.0
_START_SECONDS = 4.0
_COUNTING_SECONDS = 1.2e-7
"""Of a token and order, on the machine of the experiments."""
_MAX_COUNTING_SHARE = 0.35
_MAX_COUNTED_TOKENS = 20_000_000
_COUNTING_BYTES = 400
"""Memory for each counted token, at most; half of what is free may be used."""
_VALIDATION_SHARE = 0.08
_VALIDATION_COST = 3.5
"""Tokens that are trained on in the time of one of validation text: all n-grams are looked up, and the weights of the
mixture are fitted."""
_MAX_VALIDATIONS = 12
_MAX_VALIDATION_TOKENS = 200_000
_CONTEXT_EMBEDDING = {"context_ngrams": (2, 3, 4, 5, 6), "context_buckets": 65_536}
"""What takes the place of counts in a network alone: vectors of the n-grams before each token."""
_CONTEXT_BACKOFF = ((4.0, 0.0), (math.inf, 0.2))
"""Epochs up to which so many of these vectors are left out in training: of a text that is read a few times, none."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the choice depends on."""

    minutes: float
    is_limited_otherwise: bool
    """Whether the user gave another budget; then the minutes are assumed, and do not end the run."""
    characters: int
    """Of the training text."""
    tokens: int
    vocab_size: int
    speed: Speed
    memory: int | None
    """Free bytes; None if unknown."""
    num_processes: int = 1
    """Each with a batch of its own."""
    ngram_order: int = 12
    """Of the n-grams that are counted; 0 for a network alone."""
    first_document: int = 0
    """Tokens of the first document of the validation text: a validation reads whole documents."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The settings, and why they were chosen."""

    settings: dict[str, Any]
    """A tree with the roots model and training."""
    size: Size
    reason: str


def choose(facts: Facts) -> Choice:
    """Choose settings for a language model."""
    slowness = facts.speed.slowness(SIZES[1][1], facts.vocab_size)
    seconds = max(1.0, 60 * facts.minutes - _START_SECONDS * min(slowness, 4))
    second_per_token = _COUNTING_SECONDS * slowness * facts.ngram_order
    has_counts = facts.ngram_order > 0
    counted = _choose_counted_tokens(facts, _MAX_COUNTING_SHARE * seconds / second_per_token) if has_counts else 0
    seconds = max(1.0, seconds - second_per_token * min(counted, facts.tokens))
    size = _choose_size(facts, seconds)
    update_seconds = facts.speed.update_seconds(size, facts.vocab_size)
    updates = seconds * (1 - _VALIDATION_SHARE) / update_seconds
    lr = _learning_rate(size, updates)
    validations = _choose_validations(updates, size.tokens, facts.first_document)
    epochs = updates * size.tokens * facts.num_processes / max(1, facts.tokens)
    dropout = _up_to(epochs, _DROPOUT)
    vectors = {} if has_counts else {**_CONTEXT_EMBEDDING, "context_backoff": _up_to(epochs, _CONTEXT_BACKOFF)}
    is_limited = epochs > _MAX_EPOCHS
    settings: dict[str, Any] = {
        "model": {
            "embedding": {"size": EMBEDDING_SIZE, **vectors},
            "body": {"type": "recurrent", "hidden_size": size.hidden_size, "output_dropout": dropout},
            **({"ngram": {"max_tokens": counted}} if has_counts else {}),
        },
        "training": {
            "batch_size": size.batch_size,
            "seq_len": size.seq_len,
            "optimizer": {"type": "adamw", "lr": lr},
            **validations,
            **({} if facts.is_limited_otherwise else {"max_minutes": facts.minutes}),
            **({"max_epochs": _MAX_EPOCHS} if is_limited and not facts.is_limited_otherwise else {}),
        },
    }
    return Choice(settings, size, _explain(facts, size, lr, update_seconds, epochs, dropout))


def _learning_rate(size: Size, updates: float) -> float:
    """Return the learning rate for so many updates, rounded to two digits."""
    factor = math.sqrt(_UPDATES_OF_RATES / max(1.0, updates))
    return float(f"{size.lr * min(_MAX_RATE_FACTOR, max(1.0, factor)):.2g}")


def _up_to(epochs: float, values: tuple[tuple[float, float], ...]) -> float:
    """Return the value of the first limit that is not exceeded."""
    return next(value for limit, value in values if epochs <= limit)


def _choose_size(facts: Facts, seconds: float) -> Size:
    """Return the largest size that makes enough updates."""
    *_, chosen = (
        size
        for min_updates, size in SIZES
        if seconds / facts.speed.update_seconds(size, facts.vocab_size) >= min_updates
    )
    return chosen


def _choose_counted_tokens(facts: Facts, most: float) -> int:
    """Return how many tokens are counted at most: all, if time and memory allow."""
    limits = [_MAX_COUNTED_TOKENS, most]
    if facts.memory is not None:
        limits.append(facts.memory / 2 / _COUNTING_BYTES)
    return _MAX_COUNTED_TOKENS if min(limits) >= facts.tokens else max(1000, _round(min(limits)))


def _choose_validations(updates: float, tokens: int, first_document: int) -> dict[str, int]:
    """Return settings with which validations take a small part of the time.

    They are few, but each reads as much text as the weights of the mixture can use. The last one follows the updates.

    Args:
        tokens: of an update.
        first_document: of the validation text, which is read as a whole.
    """
    affordable = _VALIDATION_SHARE * updates * tokens / _VALIDATION_COST
    of_each = int(min(_MAX_VALIDATION_TOKENS, max(20_000, _round(affordable))))
    number = max(1, min(_MAX_VALIDATIONS, affordable / max(of_each, first_document)))
    return {"validation_interval": max(50, _round(updates / (number - 0.5))), "validation_tokens": of_each}


def _round(number: float) -> int:
    """Round to two digits."""
    digits = max(0, math.floor(math.log10(max(1.0, number))) - 1)
    return int(number // 10**digits * 10**digits)


def _explain(facts: Facts, size: Size, lr: float, update_seconds: float, epochs: float, dropout: float) -> str:
    """Say in one line what was chosen and why."""
    tokens_per_second = size.tokens * facts.num_processes / update_seconds
    speed = tokens_per_second * facts.characters / max(1, facts.tokens)
    time = tqdm.format_interval(60 * facts.minutes)
    reads = f"reads {facts.characters / 1e6:.3g} million characters {epochs:.2g} times"
    if epochs > _MAX_EPOCHS and not facts.is_limited_otherwise:
        reads = f"would read {facts.characters / 1e6:.3g} million characters {epochs:.2g} times, so {_MAX_EPOCHS:g} do"
    network = f"LSTM {size.hidden_size}, batch {size.batch_size} x {size.seq_len}, learning rate {lr:g}"
    ngrams = f"n-grams of up to {facts.ngram_order}" if facts.ngram_order else "no counts; vectors of n-grams"
    rest = f"dropout {dropout:g}, {ngrams}"
    return f"auto: {speed:,.0f} characters/s in {time} {reads}: {network}, {rest}"
