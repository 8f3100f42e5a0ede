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
from charlm.sampling.decode import Primed, Sampling, Streams, prime
from charlm.sampling.text_writer import BackwardWriter, Writer
from charlm.vocab.base import IntArray, Vocab

Direction = Literal["forward", "backward"]


@dataclass(frozen=True)
class Generator:
    """A model that has read a prompt, ready to write. The same arguments give the same texts."""

    model: LanguageModel
    vocab: Vocab
    primed: Primed
    prompt_ids: IntArray
    direction: Direction
    sampling: Sampling

    def one(self) -> Iterator[str]:
        """The first text, in pieces; the prompt is not among them."""
        for (piece,) in self._streams(range(1)).run():
            if piece:
                yield piece

    def many(self, count: int, *, first: int = 0, alone: bool = False) -> list[str]:
        """Text i is drawn from the generator of (seed, i).

        Args:
            first: the number of the first of them.
            alone: step each stream by itself, so that no text depends on the others by rounding either.
        """
        return [text for text, _ in self._scored(range(first, first + count), scored=False, alone=alone)]

    def best(self, count: int, *, alone: bool = False) -> tuple[str, float]:
        """Of several texts the one that costs the model least for each of its characters; and those nats."""
        texts = self._scored(range(count), scored=True, alone=alone)
        return min(
            ((text, nats / max(1, len(text))) for text, nats in texts),
            key=lambda pair: pair[1],
        )

    def _scored(self, numbers: range, *, scored: bool, alone: bool) -> list[tuple[str, float]]:
        groups = [range(i, i + 1) for i in numbers] if alone else [numbers]
        found: list[tuple[str, float]] = []
        for group in groups:
            streams = self._streams(group)
            steps = list(streams.run(scored=scored))
            texts = ["".join(pieces) for pieces in zip(*steps, strict=True)] or [""] * len(group)
            found.extend(zip(texts, streams.nats_B.tolist(), strict=True))
        return found

    def writer(self) -> Writer:
        """Where a text begins."""
        kind = BackwardWriter if self.direction == "backward" else Writer
        constraint = self.sampling.constraint
        ends = constraint is not None and constraint.ends_at_eod
        return kind(self.vocab, self.sampling.length, self.sampling.stops, ends_at_eod=ends)

    def _streams(self, streams: range) -> Streams:
        writers = [self.writer() for _ in streams]
        return Streams(self.model, self.primed, self.sampling, streams, writers, self.prompt_ids)


def read_prompt(
    model: LanguageModel,
    vocab: Vocab,
    prompt: str,
    sampling: Sampling,
    device: torch.device,
    direction: Direction = "forward",
) -> Generator:
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
    return Generator(model, vocab, primed, prompt_ids, direction, sampling)
