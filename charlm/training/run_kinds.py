"""The two kinds of runs, which have no common figure: language models, and models of labels or tags."""

from collections.abc import Mapping

from charlm.errors import UsageError


def check_same_kind(predicts_labels_by_run: Mapping[str, bool]) -> None:
    """
    Raises:
        UsageError: some of the runs predict labels or tags, and others are language models.
    """
    if len(set(predicts_labels_by_run.values())) > 1:
        labels, language = (
            next(run for run, predicts in predicts_labels_by_run.items() if predicts is wanted)
            for wanted in (True, False)
        )
        raise UsageError(
            f"{labels} predicts labels or tags, and {language} is a language model: they have no common figure",
            "name runs of one kind",
        )
