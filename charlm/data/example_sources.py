"""Settings of a corpus -> its source of examples; and the source that reads a prepared corpus.

prepared corpus ── documents of each split ── reversible change ──> Example(changed text; tags or text that restore it)
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from charlm.data.corpus import Corpus, check_documents, open_corpus
from charlm.data.documents import read_parts
from charlm.data.settings import CorpusSettings
from charlm.errors import SettingsError
from charlm.text.examples.build import build_example_source
from charlm.text.examples.example import Example, ExampleCounts, ExampleSource, TargetKind
from charlm.text.examples.pieces import cut_into_pieces
from charlm.text.examples.reversible_changes import CHANGES
from charlm.text.examples.settings import DerivedSettings, TextExampleSettings
from charlm.text.settings import HubSettings


def open_example_source(settings: CorpusSettings) -> ExampleSource:
    """Return the source of examples of these settings.

    Raises:
        UsageError: an input does not exist.
        SettingsError: settings that contradict each other.
    """
    source = settings.source
    target = settings.target
    assert target is not None, "this task needs examples"
    if isinstance(source, DerivedSettings):
        return DerivedSource(source, target)
    if isinstance(source, TextExampleSettings | HubSettings):
        return build_example_source(source, target)
    raise SettingsError(
        f"--source {source.type} gives documents without {settings.task.noun}, which --task {settings.task.type} needs",
        "give another --source; a task that makes its examples of documents has a case in"
        " charlm/data/example_sources.py",
    )


class DerivedSource(ExampleSource):
    """The documents of a prepared corpus, in its splits, with what reverses a change of their characters: tags, or the
    text itself."""

    def __init__(self, settings: DerivedSettings, target: TargetKind) -> None:
        """
        Args:
            settings: `input` is the directory of the corpus.
            target: what reverses the change.

        Raises:
            SettingsError: no corpus is named.
            UsageError, DataError: as `open_corpus`.
        """
        if not settings.input:
            raise SettingsError("--source derived has no corpus", "name a prepared corpus with --input")
        self._target: TargetKind = target
        self._piece_characters = settings.piece_characters
        self._change_name = settings.change
        self._corpus: Corpus = open_corpus(Path(settings.input[0]))

    def local_files(self) -> list[dict[str, Any]]:
        files: dict[str, dict[str, Any]] = self._corpus.metadata["files"]
        return [{"name": name, **entry} for name, entry in sorted(files.items()) if name.startswith("documents/")]

    def origin(self) -> dict[str, Any]:
        return {
            "source": "derived",
            "change": self._change_name,
            "corpus": self._corpus.name,
            "files": self.local_files(),
            "fingerprint": self.fingerprint(),
            "from": self._corpus.metadata["origin"],
        }

    def read(self, counts: ExampleCounts) -> Iterator[Example]:
        """
        Raises:
            DataError: the documents are missing, damaged, or were changed.
        """
        for _ in check_documents(self._corpus):
            pass  # it raises for a wrong one
        if self._target == "target":
            yield from self._read_pieces(counts)
            return
        change = CHANGES[self._change_name]
        num_kept = 0
        for split in ("train", "valid", "test"):
            if split not in self._corpus.splits:
                continue
            for part in read_parts(self._corpus.directory / "documents", split):
                counts.read += 1
                text, tags, kept = change.change(part.document.text)
                num_kept += kept
                if not any(tag is not None for tag in tags):
                    counts.dropped["no tags" if text else "empty"] += 1
                    continue
                number = f" part {part.part + 1}" if part.part or not part.is_last_part else ""
                yield Example(f"{part.document.id}{number}", text, tags=tags, split=split, title=part.document.title)
        if num_kept:
            counts.notes.append(f"{num_kept:,} characters could not be restored exactly, so they stay as they are")

    def _read_pieces(self, counts: ExampleCounts) -> Iterator[Example]:
        """Yield the pieces of all documents, changed, with themselves as targets."""
        change = CHANGES[self._change_name]
        for split in ("train", "valid", "test"):
            if split not in self._corpus.splits:
                continue
            for part in read_parts(self._corpus.directory / "documents", split):
                document = part.document
                for number, piece in enumerate(cut_into_pieces(document.text, self._piece_characters), 1):
                    counts.read += 1
                    place = f"{document.id} piece {number}" + (f" of part {part.part + 1}" if part.part else "")
                    yield Example(place, change.change(piece)[0], target=piece, split=split, title=document.title)
