"""The tables of a training text, and the evidence about all of its tokens, however long it is.

tokens ──the first max_tokens──> count_ngrams ──> tables, evidence without the own document
       ──the rest, never counted──> look-ups in the tables ──────> evidence
"""

import math

import numpy as np
import torch

from charlm import storage
from charlm.nn.ngrams.counting import NUM_FIGURES, CountingOptions, Evidence, NgramCounts, count_ngrams
from charlm.nn.ngrams.lookup import NgramLookup
from charlm.nn.ngrams.settings import NgramComponentSettings
from charlm.nn.ngrams.tables import NgramTables
from charlm.vocab.base import IntArray

_CHUNK = 1 << 16
_MAX_BYTES_IN_MEMORY = 1 << 27


def count_training_text(
    settings: NgramComponentSettings, tokens: IntArray, vocab_size: int, eod_id: int, order: int
) -> NgramCounts:
    """Count a training text as the settings say.

    Args:
        tokens: (T,) ids, with an <eod> before the first document and after each one.
    """
    options = CountingOptions(order, settings.min_count, settings.block_tokens, settings.bytes)
    evidence = _empty_evidence(max(0, len(tokens) - 1), (order - 1) * NUM_FIGURES)
    counted = np.ascontiguousarray(tokens[: settings.max_tokens])
    tables = count_ngrams(counted, vocab_size, eod_id, options, evidence).tables
    if len(tokens) > len(counted):
        look_up_evidence(tables, tokens[len(counted) - order :], evidence[len(counted) - 1 :], skipped=order - 1)
    return NgramCounts(tables, evidence)


def _empty_evidence(*shape: int) -> Evidence:
    """Return an array in memory, or if it is large in a file without a name, of which the kernel keeps in memory what
    fits."""
    size = 2 * math.prod(shape)
    if size < _MAX_BYTES_IN_MEMORY:
        return np.zeros(shape, dtype=np.float16)
    with storage.scratch_file(size) as file:
        return np.memmap(file, np.float16, "r+", shape=shape)


@torch.inference_mode()
def look_up_evidence(tables: NgramTables, tokens: IntArray, found: Evidence, *, skipped: int = 0) -> None:
    """Compute the evidence about each token of a text that was not counted, except the first.

    Args:
        found: where it is written.
        skipped: so many predictions at the beginning are only context.
    """
    lookup = NgramLookup(tables.order)
    lookup.set_tables(tables, torch.device("cpu"), torch.float32)
    contexts_BK = lookup.initial_contexts(1, torch.device("cpu"))
    for start in range(0, len(tokens) - 1, _CHUNK):
        ids_T = torch.from_numpy(tokens[start : start + _CHUNK + 1].astype(np.int64))
        contexts_BTK = lookup.advance(ids_T[None, :-1], contexts_BK)
        contexts_BK = contexts_BTK[:, -1]
        after_TK = lookup.after(contexts_BTK[0], ids_T[1:])
        figures_TK4 = torch.cat([after_TK[..., None], lookup.figures(contexts_BTK[0])], dim=-1)
        first = max(0, skipped - start)
        rows = figures_TK4[first:].flatten(1).half().numpy()
        found[start + first - skipped : start + first - skipped + len(rows)] = rows
