"""Beam search: approximately the most probable text of a length.

    the W best prefixes ──one step──> W x V longer prefixes ──the W best──> ...          nothing is random

Prefixes are compared by their nats after equally many tokens, complete texts by their nats per character. The most
probable text is often dull and repetitive (Holtzman et al., 2020): it shows what a model knows, not how it writes.

B beams, V vocabulary.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from charlm.sampling.constraints.base import Constraint
from charlm.sampling.detokenizer import Detokenizer
from charlm.sampling.fast.stepper import choose_stepper
from charlm.sampling.generate import TextGenerator
from charlm.sampling.growing_text import check_probabilities


@dataclass
class _Beam:
    detokenizer: Detokenizer
    pieces: list[str]
    nats: float
    constraint_state: object

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def nats_per_character(self) -> float:
        return self.nats / max(1, len(self.text))

    def extend(self, token: int, nats: float, constraint_state: object) -> "_Beam":
        detokenizer = copy.deepcopy(self.detokenizer)
        return _Beam(detokenizer, [*self.pieces, detokenizer.push(token)], nats, constraint_state)


@torch.inference_mode()
def beam_search(generator: TextGenerator, beam_width: int) -> tuple[str, float]:
    """The best text found, and its nats per character. Filters are not applied: they are for draws.

    Raises:
        CheckpointError: the model's numbers overflow.
    """
    sampling = generator.sampling
    first = generator.new_detokenizer()
    start = None if sampling.constraint is None else sampling.constraint.start
    beams = [_Beam(first, [], 0.0, start)]
    done: list[_Beam] = []
    if first.done:
        return "", 0.0
    logits_BV = generator.primed.logits_1V.cpu()
    stepper = None
    while True:
        check_probabilities(logits_BV)
        rows, tokens, nats = _top_continuations(logits_BV, beams, sampling.constraint, beam_width)
        extended = [
            beams[row].extend(token, cost, _advance_constraint(sampling.constraint, beams[row].constraint_state, token))
            for row, token, cost in zip(rows, tokens, nats, strict=True)
        ]
        done += [beam for beam in extended if beam.detokenizer.done]
        unfinished = [position for position, beam in enumerate(extended) if not beam.detokenizer.done]
        beams = [extended[position] for position in unfinished]
        if not beams or len(done) >= beam_width:
            best = min(done, key=lambda beam: beam.nats_per_character)
            return best.text, best.nats_per_character
        # Rows may repeat, because the stepper's buffers have a fixed size.
        padded_indices = (unfinished * beam_width)[:beam_width]
        rows_B = torch.tensor([rows[position] for position in padded_indices])
        tokens_B = torch.tensor([tokens[position] for position in padded_indices])
        if stepper is None:
            state = tuple(tensor.repeat_interleave(beam_width, dim=0) for tensor in generator.primed.state)
            stepper = choose_stepper(generator.model, state, sampling.precision)
        else:
            stepper.select_rows(rows_B)
        logits_BV = stepper.step(tokens_B.to(generator.primed.logits_1V.device)).cpu()[: len(beams)]


def _top_continuations(
    logits_BV: Tensor, beams: list[_Beam], constraint: Constraint | None, beam_width: int
) -> tuple[list[int], list[int], list[float]]:
    """Rows, tokens and nats of the `beam_width` most probable continuations."""
    costs_BV = -logits_BV.double().log_softmax(-1)
    if constraint is not None:
        masks = [constraint.mask(beam.constraint_state, beam.detokenizer.remaining) for beam in beams]
        costs_BV = costs_BV.masked_fill(~torch.from_numpy(np.stack(masks)), torch.inf)
    costs_BV = costs_BV + torch.tensor([beam.nats for beam in beams], dtype=torch.float64)[:, None]
    found = costs_BV.flatten().topk(min(beam_width, costs_BV.numel()), largest=False)
    vocab_size = costs_BV.shape[1]
    candidates = [
        (index, cost)
        for index, cost in zip(found.indices.tolist(), found.values.tolist(), strict=True)
        if cost < float("inf")
    ]
    return (
        [index // vocab_size for index, _ in candidates],
        [index % vocab_size for index, _ in candidates],
        [cost for _, cost in candidates],
    )


def _advance_constraint(constraint: Constraint | None, state: object, token: int) -> object:
    return None if constraint is None else constraint.advance(state, token)
