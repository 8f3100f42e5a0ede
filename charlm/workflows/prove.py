"""What an archive of a scored text would pay, from the frequencies of the integer model: a score that a file proves.

EvalResult ──its tokens──> blocks ──lanes, integer predictor──> frequencies ──-log2(frequency / 2**24)──> Score
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from charlm.archives.blocks import count_bits, find_intervals
from charlm.archives.compress import BLOCK_BYTES
from charlm.archives.lanes import choose_lanes
from charlm.archives.model import CompressionModel
from charlm.archives.symbols import SymbolCodec
from charlm.workflows.evaluate import EvalResult


def prove_score(
    model: CompressionModel, found: EvalResult, num_lanes: int | None, on_progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Return the JSON of a proved score: every token of the text is paid, and each <eod>.

    Args:
        model: of the scored run.
        num_lanes: None: as many as `charlm compress` would take.
        on_progress: called with the newly priced tokens, and all tokens.
    """
    symbols_N = np.asarray(found.stream.targets, dtype=np.int64)
    blocks = [*SymbolCodec(model.vocab).split(symbols_N, BLOCK_BYTES)]
    lanes = num_lanes or choose_lanes(len(blocks[0]))
    model.predictor.start(lanes)
    bits = 0.0
    for block_N in blocks:
        frequency_N = find_intervals(model.predictor, block_N, lanes, lambda done: on_progress(done, len(symbols_N)))[1]
        bits += count_bits(frequency_N)
    score = replace(found.score, nats=bits * math.log(2))
    return {**score.to_json(), "lanes": lanes, "model": model.digest.hex()}
