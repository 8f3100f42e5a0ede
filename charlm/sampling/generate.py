"""A prompt goes in, text comes out, one whole character at a time.

<eod> prompt ──model, chunk by chunk──> state ──logits──> temperature ──> draw ──> id ──> text
                                          ^────────────── one step ───────────────┘
"""

from collections.abc import Iterator

import numpy as np
import torch

from charlm.nn.model import LanguageModel
from charlm.sampling.filters import Temperature, draw
from charlm.vocab.base import Vocab

_PROMPT_CHUNK = 1024
DOCUMENT_BREAK = "\n\n"
"""What <eod> looks like in a sample: the text goes on with a new document."""


@torch.inference_mode()
def generate(
    model: LanguageModel,
    vocab: Vocab,
    *,
    prompt: str = "",
    length: int,
    temperature: Temperature,
    seed: int,
    device: torch.device,
) -> Iterator[str]:
    """Yield `length` characters in pieces; the prompt is not among them.

    The same arguments give the same text: draws come from a CPU generator of their own.

    Raises:
        DataError: the prompt holds a lone surrogate, or characters the vocabulary cannot spell.
    """
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    prompt_ids = np.concatenate([[vocab.eod_id], vocab.encode(prompt).astype(np.int64)])
    state = model.initial_state(1)
    features_BTH = None
    for start in range(0, len(prompt_ids), _PROMPT_CHUNK):
        inputs_BT = torch.from_numpy(prompt_ids[start : start + _PROMPT_CHUNK])[None].to(device)
        features_BTH, state = model(inputs_BT, state)
    assert features_BTH is not None
    decoder = vocab.stream_decoder()
    remaining = length
    while remaining > 0:
        logits_V = model.head.logits(features_BTH[0, -1]).cpu()
        token = draw(temperature(logits_V), generator)
        text = decoder.finish() + DOCUMENT_BREAK if token == vocab.eod_id else decoder.push(token)
        if text:
            yield text[:remaining]
            remaining -= len(text)
        features_BTH, state = model(torch.tensor([[token]], device=device), state)
