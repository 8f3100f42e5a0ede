"""The tables of a training text, and the evidence about all of its tokens, however long it is.

tokens ──the first max_tokens──> count_ngrams ──> tables, evidence without the own document
       ──the rest, never counted──> look-ups in the tables, when a batch is read ──> evidence
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from charlm import storage
from charlm.nn.ngrams.counting import CountingOptions, count_ngrams
from charlm.nn.ngrams.lookup import NgramLookup
from charlm.nn.ngrams.order_counts import NUM_FIGURES, Evidence
from charlm.nn.ngrams.settings import NgramComponentSettings
from charlm.nn.ngrams.tables import NgramTables
from charlm.vocab.base import IntArray

_MAX_BYTES_IN_MEMORY = 1 << 27


class EvidenceSpan(NamedTuple):
    """Consecutive predictions of the training text, and their place in a batch."""

    row: int
    column: int
    first: int
    length: int


class _LookedUpEvidence:
    """The evidence about text that was not counted: what the tables say, as in evaluation."""

    def __init__(self, tables: NgramTables, tokens: IntArray) -> None:
        self._lookup = NgramLookup(tables.order)
        self._lookup.set_tables(tables, torch.device("cpu"), torch.float32)
        self._tokens = tokens

    @torch.inference_mode()
    def read(self, spans: Sequence[EvidenceSpan], found_BTE: npt.NDArray[np.float32]) -> None:
        """Look all spans up at once. Contexts begin up to order - 1 tokens before a span."""
        before = self._lookup.num_contexts - 1
        longest = before + max(span.length for span in spans)
        ids_ST = np.zeros((len(spans), longest + 1), dtype=np.int64)
        for index, span in enumerate(spans):
            assert span.first >= before, "what is not counted comes after something that is"
            ids = self._tokens[span.first - before : span.first + span.length + 1]
            ids_ST[index, : len(ids)] = ids
        inputs_ST, targets_ST = torch.from_numpy(ids_ST[:, :-1]), torch.from_numpy(ids_ST[:, 1:])
        none_SK = self._lookup.initial_contexts(len(spans), torch.device("cpu"))
        contexts_STK = self._lookup.advance(inputs_ST, none_SK)[:, before:]
        contexts_NK = contexts_STK.flatten(0, 1)
        after_NK = self._lookup.after(contexts_NK, targets_ST[:, before:].flatten())
        figures_NK4 = torch.cat([after_NK[..., None], self._lookup.figures(contexts_NK)], dim=-1)
        figures_STE = figures_NK4.flatten(1).unflatten(0, contexts_STK.shape[:2]).half().numpy()
        for (row, column, _, length), figures_TE in zip(spans, figures_STE, strict=True):
            found_BTE[row, column : column + length] = figures_TE[:length]


class TrainingEvidence:
    """What n-grams of other documents say of each prediction of the training text.

    P predictions, E = 4 (order - 1) figures as in `counting.py`.
    """

    def __init__(self, counted_PE: Evidence, tables: NgramTables, tokens: IntArray) -> None:
        """
        Args:
            counted_PE: the evidence about the predictions in the counted text, which is the beginning.
            tokens: the whole training text.
        """
        self._counted_PE = counted_PE
        self._looked_up = _LookedUpEvidence(tables, tokens) if len(tokens) - 1 > len(counted_PE) else None
        self.num_figures = counted_PE.shape[1]

    def read(self, shape_BT: tuple[int, ...], spans: Sequence[EvidenceSpan]) -> torch.Tensor:
        """Return (B, T, E) the figures of the spans, and 0 elsewhere."""
        found_BTE = np.zeros((*shape_BT, self.num_figures), dtype=np.float32)
        counted, others = _split(spans, len(self._counted_PE))
        for row, column, first, length in counted:
            found_BTE[row, column : column + length] = self._counted_PE[first : first + length]
        if others:
            assert self._looked_up is not None, "spans lie in the text"
            self._looked_up.read(others, found_BTE)
        return torch.from_numpy(found_BTE)


@dataclass(frozen=True, slots=True)
class TrainingCounts:
    """The tables of a training text, and the evidence about it."""

    tables: NgramTables
    evidence: TrainingEvidence


def count_training_text(
    settings: NgramComponentSettings, tokens: IntArray, vocab_size: int, eod_id: int, order: int
) -> TrainingCounts:
    """Count a training text as the settings say.

    Args:
        tokens: (T,) ids, with an <eod> before the first document and after each one.
    """
    options = CountingOptions(order, settings.min_count, settings.block_tokens, settings.bytes)
    counted = np.ascontiguousarray(tokens[: settings.max_tokens])
    figures_PE = _empty_evidence(max(0, len(counted) - 1), (order - 1) * NUM_FIGURES)
    tables = count_ngrams(counted, vocab_size, eod_id, options, figures_PE).tables
    return TrainingCounts(tables, TrainingEvidence(figures_PE, tables, tokens))


def _empty_evidence(*shape: int) -> Evidence:
    """Return an array in memory, or if it is large in a file without a name, of which the kernel keeps in memory what
    fits."""
    size = 2 * math.prod(shape)
    if size < _MAX_BYTES_IN_MEMORY:
        return np.zeros(shape, dtype=np.float16)
    with storage.scratch_file(size) as file:
        return np.memmap(file, np.float16, "r+", shape=shape)


def _split(spans: Sequence[EvidenceSpan], num_counted: int) -> tuple[list[EvidenceSpan], list[EvidenceSpan]]:
    """Cut spans at the end of the counted text: those before it, and those after it."""
    before: list[EvidenceSpan] = []
    after: list[EvidenceSpan] = []
    for row, column, first, length in spans:
        inside = max(0, min(length, num_counted - first))
        if inside:
            before.append(EvidenceSpan(row, column, first, inside))
        if inside < length:
            after.append(EvidenceSpan(row, column + inside, first + inside, length - inside))
    return before, after
