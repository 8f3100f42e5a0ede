"""The features of a text's characters or tokens: what `model.hidden` returns.

text ──vocab──> ids ──network──> features of each token ──the token at which each character ends──> of each character

T tokens, H features, C characters.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charlm.checkpoint import LoadedModel
from charlm.errors import UsageError
from charlm.evaluation.lane import read_row, read_stream
from charlm.vocab.base import Vocab
from charlm.workflows.evaluate import stream_from_text


def text_features(loaded: LoadedModel, text: str, name: str, *, per_token: bool, device: torch.device) -> Tensor:
    """Return (C, H), or (T, H) with `per_token`: fp32, on the CPU, without gradient.

    Args:
        name: of the run, for messages.

    Raises:
        UsageError: it is a model of labels or tags that reads backward.
        DataError: the text has a lone surrogate, or a character that the vocabulary cannot spell.
    """
    if loaded.labels is not None and not loaded.model.is_causal:
        raise UsageError(
            f"{name} reads texts from their ends, so its features of a character depend on all that follows",
            'use model.predict(texts), or train a model with model.direction = "forward"',
        )
    if not text:
        return torch.empty(0, loaded.model.body.features_size)
    is_backward = loaded.labels is None and loaded.settings.text_direction == "backward"
    features_TH = _token_features(loaded, text, device, is_backward=is_backward)
    return features_TH if per_token else features_TH[_last_token_indices(text, loaded.vocab, is_backward=is_backward)]


def _token_features(loaded: LoadedModel, text: str, device: torch.device, *, is_backward: bool) -> Tensor:
    """Return the features of each token in the order of the text, (T, H)."""
    if loaded.labels is not None:
        return read_row(loaded.model, loaded.vocab.encode(text), device).float().cpu()
    stream = stream_from_text(text, loaded.vocab).in_direction(loaded.settings.text_direction)
    chunks = [chunk.features_TH for chunk in read_stream(loaded.model, stream, device)]
    features_TH = (
        loaded.model.head.network_features(torch.cat(chunks))[1:].float().cpu()
    )  # the row after <eod> precedes the text
    return features_TH.flip(0) if is_backward else features_TH


def _last_token_indices(text: str, vocab: Vocab, *, is_backward: bool) -> npt.NDArray[np.int64]:
    """(C,): for each character, the index (in text order) of the last token of it that the model reads."""
    decoder = vocab.stream_decoder()
    ends_T = np.cumsum([len(decoder.push(int(token))) for token in vocab.encode(text)])
    last_C = np.searchsorted(ends_T, np.arange(len(text)), side="right")
    if not is_backward:
        return last_C
    before_C = np.concatenate([[0], last_C[:-1]])
    begins_C = np.where(last_C > before_C, before_C + 1, before_C)  # a token may cover several characters
    begins_C[0] = 0
    return begins_C
