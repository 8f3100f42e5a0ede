"""Which sources give what a task predicts: every source has a task, and the error names what to do."""

from typing import Any

import pytest

from charlm.data.example_sources import open_example_source
from charlm.data.settings import CorpusSettings, find_task_error
from charlm.data.task_settings import EXAMPLE_TASKS, LANGUAGE_TASK, ClassifyTaskSettings, TaskSettings
from charlm.errors import SettingsError
from charlm.settings import settings_classes, type_names
from charlm.text.examples.settings import TableSettings
from charlm.text.settings import MixSettings, SingleSource, SourceSettings, TextSettings

TASKS: dict[str, Any] = {task.model_fields["type"].default: task for task in settings_classes(TaskSettings)}
SOURCES = type_names(SourceSettings)


def test_the_language_task_reads_every_source_of_text() -> None:
    assert set(LANGUAGE_TASK.sources) == {*type_names(SingleSource), *type_names(MixSettings)}


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_has_a_task(source: str) -> None:
    fitting = [task for task, kind in TASKS.items() if source in kind.sources]
    assert fitting, f"name {source} in the `sources` of a task in charlm/data/task_settings.py"


@pytest.mark.parametrize("task", TASKS)
def test_a_task_names_sources_that_exist(task: str) -> None:
    assert set(TASKS[task].sources) <= set(SOURCES)


def test_the_tasks_of_examples_are_all_others() -> None:
    assert ["language", *EXAMPLE_TASKS] == [*TASKS]


def test_documents_without_examples_are_refused() -> None:
    settings = CorpusSettings.model_construct(task=ClassifyTaskSettings(), source=TextSettings(input=("a.txt",)))
    with pytest.raises(SettingsError, match="--source text gives documents without labels, which --task classify"):
        open_example_source(settings)


def test_a_source_without_a_task_is_said_to_have_none() -> None:
    class NewSettings(TableSettings):
        """A source that no task names yet."""

    source = NewSettings().model_copy(update={"type": "new"})
    error = find_task_error(CorpusSettings.model_construct(task=LANGUAGE_TASK, source=source))
    assert error.startswith("no task reads --source new; give another --source")
    assert "charlm/data/task_settings.py" in error


def test_examples_without_a_task_name_the_tasks_that_read_them() -> None:
    with pytest.raises(ValueError, match="add --task classify or --task tag or --task generate or --task transduce"):
        CorpusSettings(source=TableSettings())
