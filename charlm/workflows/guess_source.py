"""The source that a command line means: the one it names, or the only kind that has such inputs.

*.conllu                                 ──> conllu
*.csv, *.jsonl, *.parquet ... with a task ──> table
folders, *.txt with labels               ──> classes
other files with --task transduce        ──> aligned

Of examples, only a kind that the task reads is guessed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from charlm.data.task_settings import EXAMPLE_TASKS
from charlm.settings import Layer
from charlm.text.examples.example import TargetKind
from charlm.text.reading.inputs import strip_compression_suffix

_TABLES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".arrow")


def guess_source(layer: Layer, given: str | None, inputs: Sequence[str]) -> str | None:
    """Return the kind of source: the given one, or a guess; None if a config names one or there is nothing to go by.

    Args:
        layer: the raw settings without the options about the source.
        inputs: the first inputs that the command line names.
    """
    corpus = _table(layer.tree, "corpus")
    if given is not None or "type" in _table(corpus, "source") or not inputs:
        return given
    suffixes = {Path(strip_compression_suffix(name.lower())).suffix for name in inputs}
    if suffixes == {".conllu"}:
        return "conllu"
    name = _table(corpus, "task").get("type")
    task = EXAMPLE_TASKS.get(name) if isinstance(name, str) else None
    guessed = _guess_examples(suffixes, inputs, task.target) if task else None
    return guessed if task and guessed in task.sources else None


def _guess_examples(suffixes: set[str], inputs: Sequence[str], target: TargetKind | None) -> str | None:
    """Return the kind of source that has examples in such inputs, with such targets."""
    if suffixes <= {*_TABLES}:
        return "table"
    if target == "target":
        return "aligned" if all(Path(name).is_file() for name in inputs) else None
    is_classes = suffixes == {".txt"} or all(Path(name).is_dir() for name in inputs)
    return "classes" if target == "label" and is_classes else None


def text_column_key(layer: Layer) -> str:
    """Return the setting of the column with the text, which has another name in the hub source."""
    source = _table(_table(layer.tree, "corpus"), "source")
    return "corpus.source.column" if source.get("type") == "hub" else "corpus.source.text_column"


def _table(tree: dict[str, Any], key: str) -> dict[str, Any]:
    value = tree.get(key)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
