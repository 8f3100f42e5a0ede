"""What a general compressor pays for the same text: the floor that a model should beat."""

import lzma
import math

from charlm.evaluation.score import Score

_PRESET = 9 | lzma.PRESET_EXTREME


def xz_conditional(train: str, test: str) -> Score:
    """xz -9e on `test` given `train`: the size of both together less the size of `train` alone."""
    before = len(lzma.compress(train.encode("utf-8"), preset=_PRESET))
    together = len(lzma.compress((train + test).encode("utf-8"), preset=_PRESET))
    nats = (together - before) * 8 * math.log(2)
    size = len(test.encode("utf-8"))
    return Score(nats, size, len(test), len(test.split()), size)
