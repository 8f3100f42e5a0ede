"""Run the baselines of a corpus, one after the other.

Corpus, split, BaselineSettings ──build_baseline, results──> [BaselineResult, ...] in the order of the settings
"""

from collections.abc import Callable

from charlm.data.corpus import Corpus
from charlm.evaluation.baselines.build import build_baseline
from charlm.evaluation.baselines.result import Baseline, BaselineResult, OnProgress
from charlm.evaluation.baselines.settings import ArchiveSettings, BaselineSettings


def run_baselines(
    corpus: Corpus,
    split: str,
    settings: BaselineSettings,
    *,
    open_archive: Callable[[ArchiveSettings], Baseline],
    on_progress: OnProgress,
) -> list[BaselineResult]:
    """Return the scores of `split`, in the order of `settings`; a compressor gives two results.

    Args:
        open_archive: opens the run of an archive; may raise UsageError.
        on_progress: gets the name of the baseline, the amount of work done, and the whole amount, in tokens or bytes.
            It may raise to stop.

    Raises:
        UsageError: the corpus has no split of this name, or no training split.
        DataError: its files are damaged.
        OutOfMemoryError: there is not enough memory for a baseline.
    """
    for name in (split, "train"):
        corpus.open(name)  # fail before the work starts
    built = [
        open_archive(baseline) if isinstance(baseline, ArchiveSettings) else build_baseline(baseline)
        for baseline in settings.baselines
    ]
    return [result for baseline in built for result in baseline.results(corpus, split, on_progress)]
