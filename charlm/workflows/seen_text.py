"""What a score is worth on text that has been seen: by the network, by n-grams, or when settings were tuned.

split ──> train: learned, counted        valid: weights and settings were chosen there        test: new
"""

from collections.abc import Mapping
from typing import Any

from charlm.data.corpus import Corpus

_TRAINED = "the model was trained on this split, so the score says little about new text"
_COUNTED = "its n-grams were counted on this split, so the score says nothing about new text"
_FITTED = "its weights were fitted on this split, so the score is too good for new text"
_REFITTED = "the weights of its mixture were fitted on half of this split, so the score is too good for new text"
_TUNED = "`charlm tune` chose its settings on validation text, so the score is too good for new text"


def describe_seen_text(
    method: str | None, split: str, corpus: Corpus | None, trained_on: Mapping[str, Any], *, refits: bool = False
) -> str | None:
    """Return a sentence about a score on text that is not new; None if it is new, or nothing is known about it.

    Args:
        method: of a further score ("mix", "recall", "dynamic", "cache", "temperature"); None for the plain one.
        corpus: of the split; None for any other text.
        trained_on: the entry in model.json.
        refits: whether validations of the model's run fitted the weights of a mixture.
    """
    if corpus is None:
        return None
    mixes = method in ("mix", "recall")
    if split == "train" and mixes:
        return _COUNTED
    if split == "train" and corpus.fingerprint == trained_on.get("fingerprint"):
        return _TRAINED
    if split == "valid" and method is None and refits and corpus.fingerprint == trained_on.get("fingerprint"):
        return _REFITTED
    if split == "valid" and method is not None:
        return _FITTED if mixes else _TUNED
    return None
