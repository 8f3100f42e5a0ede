"""A prompt goes in, text comes out, one whole character at a time.

<eod> prompt ──model, chunk by chunk──> state ──logits──> temperature ──> draw ──> id ──> text
                                          ^────────────── one step ───────────────┘

A model of the direction "backward" reads and writes last things first: its prompt is the end of the text, and what it
writes can be shown only when it is complete.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch

from charlm.nn.model import LanguageModel
from charlm.sampling.filters import Temperature, draw
from charlm.vocab.base import IntArray, Vocab

_PROMPT_CHUNK = 1024
_MOST_CONTINUATION_BYTES = 3
DOCUMENT_BREAK = "\n\n"
"""What <eod> looks like in a sample: the text goes on with a new document."""


def generate(
    model: LanguageModel,
    vocab: Vocab,
    *,
    prompt: str = "",
    length: int,
    temperature: Temperature,
    seed: int,
    device: torch.device,
    direction: Literal["forward", "backward"] = "forward",
) -> Iterator[str]:
    """Yield `length` characters in pieces; the prompt is not among them.

    The same arguments give the same text: draws come from a CPU generator of their own.

    Args:
        direction: of the model. Backward, the text is what comes before the prompt, and comes in one piece.

    Raises:
        DataError: the prompt holds a lone surrogate, or characters the vocabulary cannot spell.
    """
    prompt_ids = vocab.encode(prompt).astype(np.int64)
    if direction == "backward":
        ids = _draws(model, vocab.eod_id, prompt_ids[::-1], temperature, seed, device)
        return _text_before(ids, vocab, length)
    return _text_after(_draws(model, vocab.eod_id, prompt_ids, temperature, seed, device), vocab, length)


@torch.inference_mode()
def _draws(
    model: LanguageModel, eod_id: int, prompt_ids: IntArray, temperature: Temperature, seed: int, device: torch.device
) -> Iterator[int]:
    """The ids that follow <eod> and the prompt, without end."""
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    ids = np.concatenate([[eod_id], prompt_ids])
    state = model.initial_state(1)
    features_BTH = None
    for start in range(0, len(ids), _PROMPT_CHUNK):
        inputs_BT = torch.from_numpy(ids[start : start + _PROMPT_CHUNK])[None].to(device)
        features_BTH, state = model(inputs_BT, state)
    assert features_BTH is not None
    while True:
        logits_V = model.head.logits(features_BTH[0, -1]).cpu()
        token = draw(temperature(logits_V), generator)
        yield token
        features_BTH, state = model(torch.tensor([[token]], device=device), state)


def _text_after(ids: Iterator[int], vocab: Vocab, length: int) -> Iterator[str]:
    decoder = vocab.stream_decoder()
    remaining = length
    while remaining > 0:
        token = next(ids)
        text = decoder.finish() + DOCUMENT_BREAK if token == vocab.eod_id else decoder.push(token)
        if text:
            yield text[:remaining]
            remaining -= len(text)


def _text_before(ids: Iterator[int], vocab: Vocab, length: int) -> Iterator[str]:
    """One piece: the last `length` characters of the text whose ids come last first.

    The bytes of a character come last first too, so continuation bytes (10xxxxxx) wait for the byte that begins it.
    """
    pieces: list[str] = []
    waiting: list[int] = []
    remaining = length
    while remaining > 0:
        token = next(ids)
        if _continues_a_character(token, vocab):
            waiting.append(token)
            if len(waiting) <= _MOST_CONTINUATION_BYTES:
                continue
            text = vocab.decode([waiting.pop(0)])  # no character has so many: this one is part of none
        else:
            text = DOCUMENT_BREAK if token == vocab.eod_id else ""
            text += vocab.decode([token, *reversed(waiting)])
            waiting.clear()
        pieces.append(text)
        remaining -= len(text)
    if pieces:
        yield "".join(reversed(pieces))[-length:]


def _continues_a_character(token: int, vocab: Vocab) -> bool:
    """Whether an id, by itself, is bytes of a character that must have begun before."""
    return vocab.stream_decoder().push(token) == "\ufffd"
