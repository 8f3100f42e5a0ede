"""The kind of source that inputs and a task mean, without --source."""

from pathlib import Path
from typing import Any

import pytest

from charlm.data.task_settings import EXAMPLE_TASKS, ClassifyTaskSettings
from charlm.settings import Layer
from charlm.workflows.guess_source import guess_source


def guessed(task: object, *inputs: str) -> str | None:
    tree: dict[str, Any] = {"corpus": {"task": {"type": task}}} if task else {}
    return guess_source(Layer(tree), None, inputs)


@pytest.mark.parametrize(
    ("task", "inputs", "expected"),
    [
        (None, ["a.csv"], None),
        (None, ["a.conllu"], "conllu"),
        ("language", ["a.csv"], None),
        (["classify"], ["a.csv"], None),
        ("no-such-task", ["a.csv"], None),
        ("classify", ["a.csv", "b.tsv.gz"], "table"),
        ("classify", ["a.txt"], "classes"),
        ("generate", ["a.txt"], "classes"),
        ("tag", ["a.txt"], None),
        ("tag", ["a.jsonl"], "table"),
        ("transduce", ["a.parquet"], "table"),
        ("transduce", ["no-such-file.txt"], None),
    ],
)
def test_what_inputs_mean(task: object, inputs: list[str], expected: str | None) -> None:
    assert guessed(task, *inputs) == expected


def test_files_and_folders_that_exist(tmp_path: Path) -> None:
    path = tmp_path / "a.src"
    path.touch()
    assert guessed("transduce", str(path), str(path)) == "aligned"
    assert guessed("classify", str(tmp_path)) == "classes"


@pytest.mark.parametrize("task", EXAMPLE_TASKS)
def test_only_what_the_task_reads_is_guessed(task: str) -> None:
    for name in ("a.csv", "a.txt", "a.conllu"):
        found = guessed(task, name)
        assert found in (None, "conllu", *EXAMPLE_TASKS[task].sources)


def test_a_table_is_not_guessed_for_a_task_that_reads_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class CountTaskSettings(ClassifyTaskSettings):
        """A task whose examples are made of texts."""

        sources = ("text",)

    monkeypatch.setattr("charlm.workflows.guess_source.EXAMPLE_TASKS", {"count": CountTaskSettings})
    assert guessed("count", "a.csv") is None
    assert guessed("count", "a.txt") is None
