"""Two baselines without a model: the source itself, and the most frequent target of each source."""

from collections import defaultdict
from collections.abc import Sequence

from charlm.evaluation.transduction_baselines.base import Pair, Symbols, TransductionBaseline


class CopySource(TransductionBaseline):
    """The target is the source."""

    name = "copy"

    def fit(self, pairs: Sequence[Pair]) -> None:
        del pairs

    def predict(self, sources: Sequence[Symbols]) -> list[Symbols]:
        return list(sources)


class MostFrequentTarget(TransductionBaseline):
    """The target that training gives most often for the source; of a source never seen, the most frequent of all.

    Targets count with the weights of their pairs. Of equally frequent ones, the first in training wins.
    """

    name = "most frequent"

    def __init__(self) -> None:
        self._targets: dict[Symbols, Symbols] = {}
        self._default: Symbols = ()

    def fit(self, pairs: Sequence[Pair]) -> None:
        weights: dict[Symbols, defaultdict[Symbols, float]] = {}
        totals: defaultdict[Symbols, float] = defaultdict(float)
        for source, target, weight in pairs:
            weights.setdefault(source, defaultdict(float))[target] += weight
            totals[target] += weight
        self._targets = {source: max(of_source, key=of_source.__getitem__) for source, of_source in weights.items()}
        self._default = max(totals, key=totals.__getitem__, default=())

    def predict(self, sources: Sequence[Symbols]) -> list[Symbols]:
        return [self._targets.get(source, self._default) for source in sources]
