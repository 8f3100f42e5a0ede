"""Several runs that work as one model: the mean of the probabilities that they give.

RUN ... ──load──> models of one task, vocabulary and direction ──> members of an ensemble
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from charlm.checkpoint import LoadedModel
from charlm.data.source_texts import SourceConditions
from charlm.errors import DataError, UsageError
from charlm.evaluation.evaluate_labels import mean_log_probabilities
from charlm.workflows.load_run import load_any_run


def load_members(runs: Sequence[str | None], checkpoint: str | None, device: str) -> tuple[list[LoadedModel], str]:
    """Load runs that can work as one model, usually a single one; return them with the names of all.

    Raises:
        UsageError: there is no such run, or one is named twice.
        DataError: they differ in their task, vocabulary, labels or direction.
    """
    found = [load_any_run(run, checkpoint, device) for run in runs]
    places = [loaded.directory.resolve() for loaded, _ in found]
    if len(set(places)) < len(places):
        raise UsageError("a run is named twice, so its probabilities would count twice", "name each run once")
    first, first_name = found[0]
    for other, name in found[1:]:
        difference = _find_difference(first, other)
        if difference is not None:
            raise DataError(
                f"{first_name} and {name} have different {difference}, so they cannot work as one model",
                "name runs of one corpus",
            )
    return [loaded for loaded, _ in found], " + ".join(name for _, name in found)


def _find_difference(first: LoadedModel, other: LoadedModel) -> str | None:
    """Return what two models differ in that makes their probabilities those of different things."""
    if first.task != other.task:
        return "tasks"
    if not first.vocab.is_same(other.vocab):
        return "vocabularies"
    if first.labels != other.labels:
        return "labels"
    mine, theirs = first.conditions, other.conditions
    if isinstance(mine, SourceConditions) and isinstance(theirs, SourceConditions):
        if not mine.vocab.is_same(theirs.vocab):
            return "vocabularies of sources"
    elif mine != theirs:
        return "labels"
    if first.labels is None and first.settings.text_direction != other.settings.text_direction:
        return "directions"
    return None


def average_nats(nats_MP: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Return the nats of the mean of the probabilities that M models give to each token."""
    return -mean_log_probabilities([-nats_P for nats_P in nats_MP])
