"""The baselines of a corpus, one after the other.

Corpus, split, BaselineSettings ──build_baseline, results──> [BaselineResult, ...] in the order of the settings
"""

from charlm.data.corpus import Corpus
from charlm.evaluation.baselines.build import build_baseline
from charlm.evaluation.baselines.result import BaselineResult, OnProgress
from charlm.evaluation.baselines.settings import BaselineSettings


def run_baselines(
    corpus: Corpus, split: str, settings: BaselineSettings, *, on_progress: OnProgress
) -> list[BaselineResult]:
    """What each baseline pays for `split`, in the order of `settings`; a compressor gives two results.

    Args:
        on_progress: gets the name of the baseline, how much of its work is done and how much there is, in tokens or
            bytes. It may raise to stop.

    Raises:
        UsageError: the corpus has no such split, or none to learn from.
        DataError: its files are damaged.
        OutOfMemoryError: a baseline does not get its memory.
    """
    for name in (split, "train"):
        corpus.open(name)  # so that what is wrong with it is said before the work
    built = [build_baseline(baseline) for baseline in settings.baselines]
    return [result for baseline in built for result in baseline.results(corpus, split, on_progress)]
