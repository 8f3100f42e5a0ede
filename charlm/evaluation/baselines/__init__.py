"""What other methods pay for the same text: the floor that a model should beat.

settings ──build──> Baseline ──results(corpus, split)──> BaselineResult, with a Score as a network's
"""

from charlm.evaluation.baselines.compressed import xz_conditional

__all__ = ["xz_conditional"]
