"""Where each token of a target comes from: the attention of a transducer, and the surprisal of each token.

    source ──given──> bound model ── <eod> target <eod> ──> surprisals_P, weights_PS ── cells ──> weights_PC

P predictions (the tokens of the target and its <eod>), S tokens of the source, C cells: characters with their accents.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import regex
import torch

from charlm.data.source_texts import SourceConditions, pad_sources
from charlm.data.store import TokenStream
from charlm.evaluation.explain.surprisal import Surprisals, find_surprisals
from charlm.nn.conditions.source import BoundTransducer, Transducer
from charlm.vocab.base import Vocab

_LN_2 = float(np.log(2))


@dataclass(frozen=True)
class AlignmentExplanation:
    """A source, the target that is explained, and the weights of attention.

    Attributes:
        cells: the parts of the source, in order.
        weights_PC: for each prediction, how much it looks at each cell; a row sums to at most 1.
        surprisals: of the tokens of the target and of its <eod>, in reading order.
    """

    source: str
    target: str
    vocab: Vocab
    cells: tuple[str, ...]
    weights_PC: npt.NDArray[np.float64]
    surprisals: Surprisals

    @property
    def bits_P(self) -> npt.NDArray[np.float64]:
        return self.surprisals.nats_P / _LN_2

    def alternatives(self, prediction: int) -> list[tuple[int, float]]:
        """Return the most probable tokens with their probabilities, the best first."""
        ids: list[int] = self.surprisals.top_ids_PK[prediction].tolist()
        p_K: list[float] = np.exp(-self.surprisals.top_nats_PK[prediction]).tolist()
        return list(zip(ids, p_K, strict=True))

    def to_json(self) -> dict[str, Any]:
        """The source, the target, and for each token of the target its weights."""
        return {
            "source": self.source,
            "target": self.target,
            "probability": float(np.exp(-self.surprisals.nats_P.sum())),
            "cells": list(self.cells),
            "tokens": [
                {
                    "token": self.vocab.symbol(int(self.surprisals.ids_P[index])),
                    "bits": bits,
                    "probability": 2**-bits,
                    "weights": [round(weight, 6) for weight in self.weights_PC[index].tolist()],
                    "alternatives": [
                        {"token": self.vocab.symbol(token), "probability": p} for token, p in self.alternatives(index)
                    ],
                }
                for index, bits in enumerate(self.bits_P.tolist())
            ],
        }


@torch.inference_mode()
def explain_alignment(
    model: Transducer,
    vocab: Vocab,
    conditions: SourceConditions,
    source: str,
    target: str,
    stream: TokenStream,
    *,
    direction: Literal["forward", "backward"],
    top: int,
    device: torch.device,
) -> AlignmentExplanation:
    """Explain why a model writes a target for a source, or how far it is from doing so.

    Args:
        source: normalised.
        stream: `<eod> target <eod>`, in reading order.
        top: number of alternatives for each token.

    Raises:
        DataError: the model's numbers overflow, so that it gives no probabilities.
    """
    model.eval()
    cells = source_cells(source, conditions.vocab)
    ids = conditions.vocab.encode(source)
    bound = model.given(tuple(torch.from_numpy(array).to(device) for array in pad_sources([ids])))
    directed = stream.in_direction(direction)
    surprisals = find_surprisals(bound, directed, top=top, device=device)
    weights_PS = _weights(bound, directed, device)
    if direction == "backward":
        surprisals, weights_PS = surprisals.reversed(), weights_PS[::-1]
    starts = np.cumsum([0, *(size for _, size in cells)])[:-1]
    weights_PC = np.add.reduceat(weights_PS, starts, axis=1) if cells else np.zeros((len(weights_PS), 0))
    return AlignmentExplanation(source, target, vocab, tuple(text for text, _ in cells), weights_PC, surprisals)


def _weights(bound: BoundTransducer, stream: TokenStream, device: torch.device) -> npt.NDArray[np.float64]:
    inputs_1T, targets_1T = (
        torch.from_numpy(array.astype(np.int64))[None].to(device) for array in (stream.inputs, stream.targets)
    )
    found = bound.alignment(inputs_1T, bound.initial_state(1), targets_1T)
    return found[0].double().cpu().numpy()


def source_cells(source: str, vocab: Vocab) -> Sequence[tuple[str, int]]:
    """Return the parts of a source with their numbers of tokens: characters with their accents, or else tokens."""
    if not vocab.spells_characters:
        return [(vocab.symbol(token), 1) for token in vocab.encode(source).tolist()]
    sizes = vocab.tokens_per_character(source)
    return [(found.group(), int(sizes[found.start() : found.end()].sum())) for found in regex.finditer(r"\X", source)]
