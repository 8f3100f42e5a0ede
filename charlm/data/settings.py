"""Settings of a prepared corpus: source, split, vocabulary."""

import os
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any, Literal, Self, cast

from pydantic import Field, field_validator, model_validator

from charlm.data.task_settings import EXAMPLE_TASKS, LANGUAGE_TASK, TaskSettings
from charlm.settings import Settings
from charlm.suggestions.words import to_text
from charlm.text.examples.example import TargetKind
from charlm.text.examples.settings import SPLIT_KEYS, TableSettings
from charlm.text.settings import SourceSettings, WikipediaSettings
from charlm.text.split import parse_percentages
from charlm.vocab.settings import AnyVocabSettings, CharSettings


class CorpusSettings(Settings):
    """Settings of `charlm prepare`."""

    task: TaskSettings = LANGUAGE_TASK
    """What a model of this corpus predicts."""
    source: SourceSettings = WikipediaSettings()
    split: str = "auto"
    """Percentages of train, valid and test, for example `90/5/5` (`90/10`: no test). `auto`: 98/1/1 above 100 MB of
    text, 90/5/5 below; 80/10/10 of examples with labels or tags."""
    min_characters: int = Field(default=0, ge=0)
    """Documents with fewer characters are dropped and counted as `short`. Default: keep all."""
    normalize: Literal["none", "nfc"] = "none"
    """Unicode normalisation of the text; `none` keeps all characters unchanged."""
    vocab: AnyVocabSettings = CharSettings()
    repeats: Literal["auto", "drop", "keep"] = "auto"
    """Examples with a text and a label or tags that an earlier one has: `drop` counts them as `duplicate`, `keep` keeps
    them. `auto` keeps them where the source gives the splits, as published figures count them, and of texts with
    targets, where they are frequencies; it drops them elsewhere."""

    @field_validator("split", mode="before")
    @classmethod
    def _check_split(cls, spec: object) -> object:
        if spec != "auto":
            parse_percentages(to_text(spec))  # a number like 0.9 too, which a type error would misreport
        return spec

    @model_validator(mode="after")
    def _check_task(self) -> Self:
        """Check that the source gives what the task predicts, and that no setting would be ignored."""
        error = find_task_error(self)
        if error:
            raise ValueError(error)
        return self

    @property
    def target(self) -> TargetKind | None:
        """What an example has beside its text; None if a document needs only its text."""
        return "labels" if has_several_labels(self.source) else self.task.target

    @property
    def name(self) -> str:
        """The default name of the corpus: its source, and its vocabulary unless that is `char`."""
        return self.source.name + self.vocab.suffix

    def to_record(self) -> dict[str, Any]:
        """Return the settings that corpus.json records."""
        record = make_portable(self.model_dump(mode="json", exclude_none=True))
        if self.task == LANGUAGE_TASK:
            for key in _TASK_DEFAULTS:
                del record[key]
        return record


_TASK_DEFAULTS: dict[str, Any] = {"task": LANGUAGE_TASK.model_dump(mode="json"), "repeats": "auto"}
"""What the record of a language corpus leaves out, since charlm 0.1.0 had no other task."""


def complete_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that corpus.json records, with those that the record of a language corpus leaves out."""
    return {**_TASK_DEFAULTS, **record}


_HUB_KEYS = ("label_column", "tags_column", "target_column", "valid_split", "test_split")


def find_task_error(settings: "CorpusSettings") -> str:
    """Return why the source or the text settings do not fit the task, and what to do; empty if they fit."""
    source, task = settings.source.type, settings.task
    if source not in task.sources:
        if task.needs_examples:
            needed = f"{task.noun} for documents" if task.per_document else task.noun
            given = ", ".join(task.sources)
            return f"--source {source} gives no {needed}, which --task {task.type} needs; give --source {given}"
        fitting = [f"--task {name}" for name, each in EXAMPLE_TASKS.items() if source in each.sources]
        if not fitting:
            return (
                f"no task reads --source {source}; give another --source, or name this one in the `sources` of a task"
                " (charlm/data/task_settings.py)"
            )
        return (
            f"--source {source} gives examples of another task, and the task is {task.type}; add"
            f" {' or '.join(fitting)}, or read plain text with --source text or --source hub"
        )
    ignored = [key for key in _HUB_KEYS if source == "hub" and getattr(settings.source, key)]
    if ignored and not task.needs_examples:
        return f"source.{ignored[0]} is for labels and tags, and the task is {task.type}; add --task classify or tag"
    if isinstance(settings.source, TableSettings) and settings.source.weight_column != "" and task.target != "target":
        return f"source.weight_column is for --task transduce, and the task is {task.type}; leave it out"
    if has_several_labels(settings.source) and task.type != "generate":
        return f"source.label_columns is for --task generate, and the task is {task.type}; set source.label_column"
    if settings.repeats != "auto" and not task.needs_examples:
        return "repeats is for examples with labels or tags, and the task is language; leave it out"
    if task.needs_characters and settings.normalize != "none":
        return f"normalize changes the characters that {task.noun} belong to; leave it out for --task {task.type}"
    if task.needs_characters and settings.vocab.type not in ("char", "byte", "copied"):
        return (
            f"--task {task.type} needs ids for each character, and the vocabulary {settings.vocab.type} joins"
            " characters; give --vocab char or --vocab byte"
        )
    return ""


def has_several_labels(source: SourceSettings) -> bool:
    """Return whether examples have several labels each."""
    return isinstance(source, TableSettings) and bool(source.label_columns)


_DOWNLOAD_KEYS = ("mirrors", "contact", "url")
_LATER_DEFAULTS = {
    ("versions", "newest"),
    ("label_column", ""),
    ("tags_column", ""),
    ("target_column", ""),
    ("weight_column", ""),
    ("label_columns", ()),
    ("valid_split", ""),
    ("test_split", ""),
}
"""Settings that charlm 0.1.0 did not have, with their defaults, which are not recorded: older corpora still match."""


def make_portable(corpus: dict[str, Any]) -> dict[str, Any]:
    """Reduce raw corpus settings to those that decide the text: inputs without folders, no settings of downloads.

    So equal files give equal corpora, wherever they are stored and however they were downloaded.
    """
    source, vocab = corpus.get("source"), corpus.get("vocab")
    kept = dict(corpus)
    if isinstance(source, dict):
        kept["source"] = _make_source_portable(cast("dict[str, Any]", source))
    if isinstance(vocab, dict) and "directory" in vocab:
        copied = cast("dict[str, Any]", vocab)
        kept["vocab"] = {**copied, "directory": PurePath(str(copied["directory"])).name}
    return kept


def _is_later_default(source_type: object, key: str, value: object) -> bool:
    if source_type == "table" and (key, value) == ("target_column", "target"):
        return True
    found = tuple(cast("list[object]", value)) if isinstance(value, list) else value
    return any((key, found) == default for default in _LATER_DEFAULTS)


def _make_source_portable(source: dict[str, Any]) -> dict[str, Any]:
    kept = {
        key: value
        for key, value in source.items()
        if key not in _DOWNLOAD_KEYS and not _is_later_default(source.get("type"), key, value)
    }
    for key in ("input", *SPLIT_KEYS):
        if kept.get(key):
            paths = map(os.path.abspath, cast("Iterable[str]", kept[key]))
            kept[key] = [PurePath(path).name for path in paths]
    if isinstance(kept.get("sources"), list | tuple):
        kept["sources"] = [_make_source_portable(each) for each in cast("Iterable[dict[str, Any]]", kept["sources"])]
    return kept
