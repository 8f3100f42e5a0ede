"""The sampler to read first: one text, one token at a time, without caches or buffers.

    prompt ──> model ──> logits ── filters ──softmax──> probabilities ── draw ──> token ──> text
                 ^                                                                  │
                 └──────────────────────────────────────────────────────────────────┘

`sampling_loop` draws the same text from the same seed, faster; the tests compare them.
"""

from collections.abc import Sequence

import torch

from charlm.nn.model import LanguageModel
from charlm.sampling.detokenizer import DOCUMENT_BREAK
from charlm.sampling.filters import Filter, apply_filters
from charlm.vocab.base import Vocab


@torch.inference_mode()
def sample_text(
    model: LanguageModel, vocab: Vocab, prompt: str, length: int, filters: Sequence[Filter], seed: int = 0
) -> str:
    """Return `length` characters that go on from the prompt; temperature, top-k, top-p and min-p are filters."""
    generator, decoder, text = torch.Generator().manual_seed(seed), vocab.stream_decoder(), ""
    features_BTH, state = model(torch.tensor([[vocab.eod_id, *vocab.encode(prompt)]]), model.initial_state(1))
    while len(text) < length:
        logits_BV = apply_filters(filters, model.head.logits(features_BTH[:, -1]))
        cumulative_V = logits_BV[0].double().softmax(-1).cumsum(-1)
        uniform = torch.rand(1, dtype=torch.float64, generator=generator) * cumulative_V[-1]
        token = int(torch.searchsorted(cumulative_V, uniform, right=True))
        text += decoder.finish() + DOCUMENT_BREAK if token == vocab.eod_id else decoder.push(token)
        features_BTH, state = model(torch.tensor([[token]]), state)
    return text[:length]
