"""A corpus -> its task."""

from typing import assert_never

from charlm.data.corpus import Corpus
from charlm.data.task_settings import (
    ClassifyTaskSettings,
    GenerateTaskSettings,
    LanguageTaskSettings,
    TagTaskSettings,
    TaskSettings,
    TransduceTaskSettings,
)
from charlm.evaluation.evaluate_labels import LabelDecoder
from charlm.evaluation.segments import TagTransitions
from charlm.training.tasks.base import Task
from charlm.training.tasks.generate import GenerateTask
from charlm.training.tasks.labels import LabelTask
from charlm.training.tasks.language import LanguageTask
from charlm.training.tasks.transduce import TransduceTask


def build_task(corpus: Corpus) -> Task:
    """Return the task of a prepared corpus."""
    match corpus.task:
        case LanguageTaskSettings():
            return LanguageTask(corpus)
        case ClassifyTaskSettings():
            return LabelTask(corpus, build_decoder(corpus.task, _names(corpus)), per_document=True)
        case TagTaskSettings():
            return LabelTask(corpus, build_decoder(corpus.task, _names(corpus)), per_document=False)
        case GenerateTaskSettings():
            return GenerateTask(corpus)
        case TransduceTaskSettings():
            return TransduceTask(corpus)
        case _:
            assert_never(corpus.task)


def build_decoder(task: TaskSettings, names: tuple[str, ...]) -> LabelDecoder:
    """Return what chooses labels or tags from their probabilities."""
    is_segmentation = isinstance(task, TagTaskSettings) and task.scheme == "segments"
    return LabelDecoder(names, TagTransitions.of_segments(names) if is_segmentation else None)


def _names(corpus: Corpus) -> tuple[str, ...]:
    assert corpus.labels is not None, "open_corpus has read them"
    return corpus.labels.names
