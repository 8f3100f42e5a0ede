"""A prompt goes in, text comes out: one text in pieces, several at once, or the best of several.

    <eod> prompt ──prime──> PrimedState ──SamplingLoop──> text of each stream

A backward model reads and writes from right to left: its prompt is the end of the text, and its text is shown when it
is complete.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from charlm.device import Precision
from charlm.nn.model import LanguageModel
from charlm.sampling.detokenizer import BackwardDetokenizer, Detokenizer
from charlm.sampling.plan import SamplingPlan
from charlm.sampling.prime import PrimedState, prime
from charlm.sampling.sampling_loop import SamplingLoop
from charlm.vocab.base import IntArray, Vocab

Direction = Literal["forward", "backward"]


@dataclass(frozen=True)
class TextGenerator:
    """A model that has read a prompt and can write. The same arguments give the same texts."""

    model: LanguageModel
    vocab: Vocab
    primed: PrimedState
    prompt_ids: IntArray
    direction: Direction
    sampling: SamplingPlan

    def stream_generate(self) -> Iterator[str]:
        """Yield the first text in pieces, without the prompt."""
        for (piece,) in self._streams(range(1)).run():
            if piece:
                yield piece

    def generate_batch(self, count: int, *, first: int = 0, unbatched: bool = False) -> list[str]:
        """Return `count` texts. Text i is drawn from the generator of (seed, i).

        Args:
            first: the number i of the first text.
            unbatched: step each text by itself, so that rounding does not depend on the other texts either.
        """
        return [
            text
            for text, _ in self._generate_with_nats(range(first, first + count), with_nats=False, unbatched=unbatched)
        ]

    def generate_best(self, count: int, *, unbatched: bool = False) -> tuple[str, float]:
        """Draw `count` texts; return the one with the least nats per character, and its nats per character."""
        texts = self._generate_with_nats(range(count), with_nats=True, unbatched=unbatched)
        return min(
            ((text, nats / max(1, len(text))) for text, nats in texts),
            key=lambda pair: pair[1],
        )

    def _generate_with_nats(self, indices: range, *, with_nats: bool, unbatched: bool) -> list[tuple[str, float]]:
        groups = [range(i, i + 1) for i in indices] if unbatched else [indices]
        found: list[tuple[str, float]] = []
        for group in groups:
            streams = self._streams(group)
            steps = list(streams.run(with_nats=with_nats))
            texts = ["".join(pieces) for pieces in zip(*steps, strict=True)] or [""] * len(group)
            found.extend(zip(texts, streams.nats_B.tolist(), strict=True))
        return found

    def new_detokenizer(self) -> Detokenizer:
        """A detokenizer at the beginning of a text."""
        kind = BackwardDetokenizer if self.direction == "backward" else Detokenizer
        plan = self.sampling
        return kind(self.vocab, plan.length, plan.stop_strings, ends_at_eod=plan.ends_at_eod)

    def _streams(self, streams: range) -> SamplingLoop:
        detokenizers = [self.new_detokenizer() for _ in streams]
        return SamplingLoop(self.model, self.primed, self.sampling, streams, detokenizers, self.prompt_ids)


def prime_generator(
    model: LanguageModel,
    vocab: Vocab,
    prompt: str,
    sampling: SamplingPlan,
    device: torch.device,
    direction: Direction = "forward",
) -> TextGenerator:
    """Read a prompt, after <eod>; the result generates texts.

    Args:
        direction: of the model. The texts of a backward model come before the prompt.

    Raises:
        DataError: the prompt has a lone surrogate, or a character that the vocabulary cannot spell.
    """
    prompt_ids = vocab.encode(prompt).astype(np.int64)
    if direction == "backward":
        prompt_ids = prompt_ids[::-1]
    precision: Precision = "bf16" if sampling.precision == "bf16" else "fp32"
    primed = prime(model, np.concatenate([[vocab.eod_id], prompt_ids]), device, precision=precision)
    return TextGenerator(model, vocab, primed, prompt_ids, direction, sampling)
