"""Opens and checks a prepared corpus: corpus.json, the vocabulary, and the token stream of each split."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charlm import formats, storage
from charlm.data.conditions import (
    CONDITIONS_FILE,
    DocumentConditions,
    LabelConditions,
    load_conditions,
    read_document_labels,
)
from charlm.data.examples import Examples, read_examples
from charlm.data.labels import LABELS_FILE, Labels, load_labels
from charlm.data.source_texts import (
    SOURCE_FOLDER,
    DocumentSources,
    Floats,
    SourceConditions,
    load_source_conditions,
    read_document_sources,
    read_weights,
)
from charlm.data.store import TokenStream, read_stream
from charlm.data.task_settings import LANGUAGE_TASK, TaskSettings, TransduceTaskSettings, parse_task
from charlm.errors import DataError, UsageError
from charlm.suggestions.words import suggest
from charlm.vocab.base import Vocab
from charlm.vocab.build import load_vocab

CORPUS_FILE = "corpus.json"


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus. `metadata` is the content of corpus.json."""

    directory: Path
    metadata: dict[str, Any]
    vocab: Vocab
    task: TaskSettings = LANGUAGE_TASK
    labels: Labels | None = None
    """The labels or tags of its documents; None for a corpus of plain text."""
    conditions: LabelConditions | SourceConditions | None = None
    """The labels, or the vocabulary of the sources, that a model of its documents is given; None if it is given
    nothing."""
    _streams: dict[str, TokenStream] = field(
        default_factory=dict[str, TokenStream], init=False, repr=False, compare=False
    )

    @property
    def name(self) -> str:
        """The name of its folder; that of the link where it is given by one."""
        return storage.directory_name(self.directory)

    @property
    def fingerprint(self) -> str:
        return str(self.metadata["fingerprint"])

    @property
    def splits(self) -> list[str]:
        return list(self.metadata["splits"])

    def open(self, split: str) -> TokenStream:
        """Return a split; the first time, check its files against the hashes in corpus.json.

        Raises:
            UsageError: the corpus has no such split.
            DataError: its files are missing, truncated or changed.
        """
        if split not in self._streams:
            self._check_split(split, f"{split}.npy", f"{split}.documents.npy")
            self._streams[split] = read_stream(self.directory, split, self.vocab)
        return self._streams[split]

    def open_examples(self, split: str) -> Examples:
        """Return a split with its labels or tags, checked as by `open`.

        Raises:
            UsageError: the corpus has no such split, or no labels.
            DataError: its files are missing, truncated or changed.
        """
        if self.labels is None:
            raise UsageError(
                f"{self.directory} has no labels or tags", "prepare one with `charlm prepare --task classify` or tag"
            )
        self._check_split(split, f"{split}.npy", f"{split}.documents.npy", f"{split}.targets.npy")
        return read_examples(self.directory, split, self.vocab, self.labels.size)

    def open_conditions(self, split: str) -> DocumentConditions | None:
        """Return the conditions of the documents of a split, checked as by `open`; None if there are none.

        Raises:
            UsageError, DataError: as `open`.
        """
        if self.conditions is None:
            return None
        if isinstance(self.conditions, SourceConditions):
            return self.open_sources(split)
        num_documents = len(self.open(split).documents)
        self._check_split(split, f"{split}.conditions.npy")
        return read_document_labels(self.directory, split, num_documents, self.conditions)

    def open_sources(self, split: str) -> DocumentSources:
        """Return the sources of the targets of a split, checked as by `open`.

        Raises:
            UsageError, DataError: as `open`.
        """
        assert isinstance(self.conditions, SourceConditions), "the task has sources"
        names = (f"{split}.npy", f"{split}.documents.npy")
        self._check_split(split, *(f"{SOURCE_FOLDER}/{name}" for name in names))
        return read_document_sources(self.directory, split, len(self.open(split).documents), self.conditions)

    def open_weights(self, split: str) -> Floats:
        """Return how much each target of a split counts, (D,), checked as by `open`.

        Raises:
            UsageError, DataError: as `open`.
        """
        self._check_split(split, f"{SOURCE_FOLDER}/{split}.weights.npy")
        return read_weights(self.directory, split, len(self.open(split).documents))

    def _check_split(self, split: str, *names: str) -> None:
        if split not in self.splits:
            raise UsageError(f"{self.directory} has no split {split!r}", suggest(split, self.splits, "choose one of"))
        for name in names:
            _check_file(self.directory, name, self.metadata["files"])


def open_corpus(directory: Path) -> Corpus:
    """Open the corpus that `charlm prepare` wrote.

    Raises:
        UsageError: the directory has no corpus.
        DataError: the corpus is damaged, or was written by a newer charlm.
    """
    path = directory / CORPUS_FILE
    if not path.is_file():
        raise UsageError(f"there is no prepared corpus in {directory}", "make one with `charlm prepare`")
    try:
        metadata = storage.read_json(path)
        version = metadata["format"]
        if isinstance(version, int) and version > formats.EXAMPLES:
            raise DataError(
                f"{path} has format {version}; this charlm reads up to {formats.EXAMPLES}", "upgrade charlm"
            )
        _check_metadata(metadata)
        damaged = compute_fingerprint(metadata["files"]) != metadata["fingerprint"]
        task = parse_task(metadata)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged", "prepare the corpus again with --overwrite") from error
    if damaged:
        raise DataError(
            f"{path} was changed: its fingerprint differs from the hashes of its files",
            "prepare the corpus again with --overwrite",
        )
    _check_file(directory, "vocab.json", metadata["files"])
    labels = None
    if task.has_labels:
        _check_file(directory, LABELS_FILE, metadata["files"])
        labels = load_labels(directory)
    conditions = None
    if isinstance(task, TransduceTaskSettings):
        _check_file(directory, f"{SOURCE_FOLDER}/vocab.json", metadata["files"])
        conditions = load_source_conditions(directory, task)
    elif task.has_conditions:
        _check_file(directory, CONDITIONS_FILE, metadata["files"])
        conditions = load_conditions(directory)
    return Corpus(directory, metadata, load_vocab(directory), task, labels, conditions)


def _check_metadata(metadata: dict[str, Any]) -> None:
    """Check the values that are read from corpus.json; KeyError, TypeError or ValueError if they are invalid."""
    counts = [metadata["documents"]["pages"], metadata["documents"]["kept"], *metadata["documents"]["dropped"].values()]
    for split in ("train", "valid", *metadata["splits"]):
        counts += [metadata["splits"][split][unit] for unit in ("documents", "characters", "words", "bytes")]
    counts += [metadata["vocabulary"]["size"], *metadata["vocabulary"]["frequent"].values()]
    counts += [entry["bytes"] for entry in metadata["files"].values()]
    if any(type(count) is not int or count < 0 for count in counts):
        raise ValueError("a count is not a whole number from 0 up")
    texts = [
        metadata["split"]["shares"],
        metadata["split"]["method"],
        metadata["vocabulary"]["type"],
        metadata["fingerprint"],
    ]
    texts += [entry["sha256"] for entry in metadata["files"].values()]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a text is not a string")
    if not all(isinstance(metadata[name], dict) for name in ("origin", "settings")):
        raise TypeError("a table is not an object")
    origin: dict[str, Any] = metadata["origin"]
    for each in (origin, *origin.get("sources", {}).values()):
        names = [entry["name"] for entry in each.get("files", [])] + each.get("urls", [])
        if not all(isinstance(name, str) for name in names):
            raise TypeError("a name is not a string")


def check_documents(corpus: Corpus) -> Iterator[tuple[str, Path]]:
    """Yield the name and the path of each parquet file of a corpus, after a check against its corpus.json.

    Raises:
        DataError: a file is missing or was changed.
    """
    for name, entry in corpus.metadata["files"].items():
        if _is_document(name):
            path = corpus.directory / name
            if not path.is_file() or describe_file(path) != entry:
                raise DataError(f"{path} is missing or has been changed", "prepare that corpus again with --overwrite")
            yield name, path


def describe_file(path: Path) -> dict[str, Any]:
    """Return the entry of a file in corpus.json: its size and its hash."""
    return {"bytes": path.stat().st_size, "sha256": storage.sha256(path)}


def documents_digest(files: Mapping[str, Mapping[str, Any]]) -> str:
    """Return one hash of the documents of all splits, with their ids; corpora that are split alike have equal ones.

    Args:
        files: the entry of corpus.json.
    """
    lines = (f"{name} {entry['sha256']}\n" for name, entry in sorted(files.items()) if _is_document(name))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def compute_fingerprint(files: dict[str, dict[str, Any]]) -> str:
    """Return one hash of the arrays and the vocabulary; corpora with equal fingerprints train equal models."""
    lines = (f"{name} {entry['sha256']}\n" for name, entry in sorted(files.items()) if not _is_document(name))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _is_document(name: str) -> bool:
    return name.startswith("documents/")


def _check_file(directory: Path, name: str, files: dict[str, dict[str, Any]]) -> None:
    cure = "prepare the corpus again with --overwrite"
    path, entry = directory / name, files.get(name)
    if entry is None or not path.is_file():
        raise DataError(f"{path} is missing", cure)
    size = path.stat().st_size
    if size != entry["bytes"]:
        raise DataError(f"{path} has {size:,} bytes instead of {entry['bytes']:,}", cure)
    if storage.sha256(path) != entry["sha256"]:
        raise DataError(f"{path} was changed: its SHA-256 differs from that in {CORPUS_FILE}", cure)
