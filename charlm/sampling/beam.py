"""Beam search: of all texts of a length, about the one that the model finds most probable.

    the W best beginnings ──one step──> W x V longer ones ──the W best──> ...          no chance is involved

Beginnings are compared by their nats after equally many tokens, whole texts by their nats a character. What likelihood
finds best is often dull and repeats itself (Holtzman et al., 2020): it shows what a model knows, not how it writes.

B beams, V vocabulary.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from charlm.sampling.decode import Constraint
from charlm.sampling.fast.stepper import choose_stepper
from charlm.sampling.generate import Generator
from charlm.sampling.text_writer import Writer


@dataclass
class _Beam:
    writer: Writer
    pieces: list[str]
    nats: float
    constraint: object

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def nats_per_character(self) -> float:
        return self.nats / max(1, len(self.text))

    def then(self, token: int, nats: float, constraint: object) -> "_Beam":
        writer = copy.deepcopy(self.writer)
        return _Beam(writer, [*self.pieces, writer.push(token)], nats, constraint)


@torch.inference_mode()
def beam_search(generator: Generator, width: int) -> tuple[str, float]:
    """The best text found, and its nats a character. Filters are left out: they are for draws."""
    sampling = generator.sampling
    first = generator.writer()
    start = None if sampling.constraint is None else sampling.constraint.start
    beams = [_Beam(first, [], 0.0, start)]
    done: list[_Beam] = []
    if first.done:
        return "", 0.0
    logits_BV = generator.primed.logits_1V.cpu()
    stepper = None
    while True:
        rows, tokens, nats = _best(logits_BV, beams, sampling.constraint, width)
        grown = [
            beams[row].then(token, cost, _next(sampling.constraint, beams[row].constraint, token))
            for row, token, cost in zip(rows, tokens, nats, strict=True)
        ]
        done += [beam for beam in grown if beam.writer.done]
        kept = [place for place, beam in enumerate(grown) if not beam.writer.done]
        beams = [grown[place] for place in kept]
        if not beams or len(done) >= width:
            best = min(done, key=lambda beam: beam.nats_per_character)
            return best.text, best.nats_per_character
        # As many rows as at first, some perhaps twice: the stepper's buffers have one size.
        padded = (kept * width)[:width]
        rows_B = torch.tensor([rows[place] for place in padded])
        tokens_B = torch.tensor([tokens[place] for place in padded])
        if stepper is None:
            state = tuple(tensor.repeat_interleave(width, dim=0) for tensor in generator.primed.state)
            stepper = choose_stepper(generator.model, state, sampling.precision)
        else:
            stepper.select(rows_B)
        logits_BV = stepper.step(tokens_B.to(generator.primed.logits_1V.device)).cpu()[: len(beams)]


def _best(
    logits_BV: Tensor, beams: list[_Beam], constraint: Constraint | None, width: int
) -> tuple[list[int], list[int], list[float]]:
    """Rows, tokens and nats of the `width` cheapest continuations."""
    costs_BV = -logits_BV.double().log_softmax(-1)
    if constraint is not None:
        masks = [constraint.mask(beam.constraint, beam.writer.remaining) for beam in beams]
        costs_BV = costs_BV.masked_fill(~torch.from_numpy(np.stack(masks)), torch.inf)
    costs_BV = costs_BV + torch.tensor([beam.nats for beam in beams], dtype=torch.float64)[:, None]
    found = costs_BV.flatten().topk(min(width, costs_BV.numel()), largest=False)
    vocab_size = costs_BV.shape[1]
    places = [
        (index, cost)
        for index, cost in zip(found.indices.tolist(), found.values.tolist(), strict=True)
        if cost < float("inf")
    ]
    return (
        [index // vocab_size for index, _ in places],
        [index % vocab_size for index, _ in places],
        [cost for _, cost in places],
    )


def _next(constraint: Constraint | None, state: object, token: int) -> object:
    return None if constraint is None else constraint.advance(state, token)
