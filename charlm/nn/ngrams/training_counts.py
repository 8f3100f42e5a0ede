"""The tables of a training text, and the evidence about all of its tokens, however long it is.

tokens ──the first max_tokens──> count_ngrams ──> tables, evidence without the own document
       ──the rest, never counted──> look-ups in the tables ──────> evidence
"""

import numpy as np
import torch

from charlm.nn.ngrams.counting import NUM_FIGURES, CountingOptions, Evidence, NgramCounts, count_ngrams
from charlm.nn.ngrams.lookup import NgramLookup
from charlm.nn.ngrams.settings import NgramComponentSettings
from charlm.nn.ngrams.tables import NgramTables
from charlm.vocab.base import IntArray

_CHUNK = 1 << 16


def count_training_text(
    settings: NgramComponentSettings, tokens: IntArray, vocab_size: int, eod_id: int, order: int
) -> NgramCounts:
    """Count a training text as the settings say.

    Args:
        tokens: (T,) ids, with an <eod> before the first document and after each one.
    """
    options = CountingOptions(order, settings.min_count, settings.block_tokens, settings.bytes)
    counted = count_ngrams(np.ascontiguousarray(tokens[: settings.max_tokens]), vocab_size, eod_id, options)
    if len(tokens) <= settings.max_tokens:
        return counted
    rest = look_up_evidence(counted.tables, tokens[settings.max_tokens - order :])[order - 1 :]
    return NgramCounts(counted.tables, np.concatenate([counted.evidence, rest]))


@torch.inference_mode()
def look_up_evidence(tables: NgramTables, tokens: IntArray) -> Evidence:
    """Return the evidence about each token of a text that was not counted, except the first."""
    lookup = NgramLookup(tables.order)
    lookup.set_tables(tables, torch.device("cpu"), torch.float32)
    contexts_BK = lookup.initial_contexts(1, torch.device("cpu"))
    found = np.empty((max(0, len(tokens) - 1), lookup.num_contexts * NUM_FIGURES), dtype=np.float16)
    for start in range(0, len(found), _CHUNK):
        ids_T = torch.from_numpy(tokens[start : start + _CHUNK + 1].astype(np.int64))
        contexts_BTK = lookup.advance(ids_T[None, :-1], contexts_BK)
        contexts_BK = contexts_BTK[:, -1]
        after_TK = lookup.after(contexts_BTK[0], ids_T[1:])
        figures_TK4 = torch.cat([after_TK[..., None], lookup.figures(contexts_BTK[0])], dim=-1)
        found[start : start + _CHUNK] = figures_TK4.flatten(1).half().numpy()
    return found
