"""A prompt goes in, text comes out, one whole character at a time; or several texts at once, or the best of them.

<eod> prompt ──prime──> state ──Streams──> text of each stream

A model of the direction "backward" reads and writes last things first: its prompt is the end of the text, and what it
writes can be shown only when it is complete.
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
    """A model that has read a prompt, ready to write. The same arguments give the same texts."""

    model: LanguageModel
    vocab: Vocab
    primed: PrimedState
    prompt_ids: IntArray
    direction: Direction
    sampling: SamplingPlan

    def stream_generate(self) -> Iterator[str]:
        """The first text, in pieces; the prompt is not among them."""
        for (piece,) in self._streams(range(1)).run():
            if piece:
                yield piece

    def generate_batch(self, count: int, *, first: int = 0, unbatched: bool = False) -> list[str]:
        """Text i is drawn from the generator of (seed, i).

        Args:
            first: the number of the first of them.
            unbatched: step each stream by itself, so that no text depends on the others by rounding either.
        """
        return [
            text
            for text, _ in self._generate_with_nats(range(first, first + count), with_nats=False, unbatched=unbatched)
        ]

    def generate_best(self, count: int, *, unbatched: bool = False) -> tuple[str, float]:
        """Of several texts the one that costs the model least for each of its characters; and those nats."""
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
        """Where a text begins."""
        kind = BackwardDetokenizer if self.direction == "backward" else Detokenizer
        constraint = self.sampling.constraint
        ends = constraint is not None and constraint.ends_at_eod
        return kind(self.vocab, self.sampling.length, self.sampling.stop_strings, ends_at_eod=ends)

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
    """
    Args:
        direction: of the model. Backward, the texts are what comes before the prompt.

    Raises:
        DataError: the prompt holds a lone surrogate, or characters the vocabulary cannot spell.
    """
    prompt_ids = vocab.encode(prompt).astype(np.int64)
    if direction == "backward":
        prompt_ids = prompt_ids[::-1]
    precision: Precision = "bf16" if sampling.precision == "bf16" else "fp32"
    primed = prime(model, np.concatenate([[vocab.eod_id], prompt_ids]), device, precision=precision)
    return TextGenerator(model, vocab, primed, prompt_ids, direction, sampling)
