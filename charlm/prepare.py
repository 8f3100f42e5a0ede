"""From a source to a corpus that can be trained on.

    source ──documents──> all-*.parquet ──split──> documents/SPLIT-*.parquet ──learn──> vocab.json
                                                                             ──encode──> SPLIT.npy, SPLIT.documents.npy
                                                                             ──describe──> corpus.json (last)

All of it happens in a hidden folder beside the final one, which appears by one rename: a corpus exists whole or not at
all, and equal inputs give equal bytes (no times, no paths of this machine). Memory is bounded by a shard of documents.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from charlm import __version__, storage
from charlm.data.corpus import CORPUS_FILE, FORMAT_VERSION, Corpus, describe_file, fingerprint, open_corpus
from charlm.data.documents import DocumentWriter, read_parts
from charlm.data.settings import CorpusSettings
from charlm.data.store import count_words, write_stream
from charlm.errors import DataError, SettingsError
from charlm.settings import differences
from charlm.text.document import Document, Source
from charlm.text.split import CANDIDATES, Part, Router, Tally, default_spec
from charlm.vocab.base import Vocab, code_points

OnProgress = Callable[[str, int], None]
"""Called with the stage's name and how many characters it has done."""

RESOLVED_FILE = ".resolved.json"
"""Beside the growing corpus: what the source's settings stood for when this corpus was begun."""

_STAGED = "all"
_NUM_FREQUENT = 20


def silent(stage: str, characters: int) -> None:
    """An OnProgress that shows nothing."""


def find_prepared(settings: CorpusSettings, out: Path) -> Corpus | None:
    """The corpus already in `out`, if these settings made it; None where there is none.

    Raises:
        SettingsError: it was made with other settings.
    """
    if not (out / CORPUS_FILE).is_file():
        return None
    corpus = open_corpus(out)
    changed = differences(corpus.card["settings"], settings.recorded())
    if changed:
        raise SettingsError(
            f"{out} was prepared with other settings ({'; '.join(changed)})", "choose another --out, or add --overwrite"
        )
    return corpus


def prepare(
    settings: CorpusSettings, source: Source, out: Path, *, overwrite: bool = False, on_progress: OnProgress = silent
) -> Corpus:
    """Write the corpus of `source` to `out`, atomically.

    Raises:
        DataError: the source is damaged, or holds too little text.
        StorageError: the disk is full or cannot be written.
        BusyError: another process prepares the same corpus.
    """
    if out.exists() and not out.is_dir():
        raise SettingsError(f"{out} is a file", "choose another --out")
    if out.exists() and not (overwrite and (out / CORPUS_FILE).is_file()) and any(out.iterdir()):
        raise SettingsError(f"{out} exists and is not empty", "choose another --out")
    work = working_directory(out)
    with storage.DirectoryLock(work):
        for leftover in work.iterdir():
            if leftover.name not in (".lock", RESOLVED_FILE):
                storage.remove_tree(leftover)
        staged = _stage(source, settings.split, work, on_progress)
        shares, method = _choose_split(settings, staged)
        splits = _split(work, shares, method, staged.characters, on_progress)
        vocab = settings.vocab.learn(_texts(work, "train", "vocabulary", on_progress))
        vocab.save(work)
        for name in shares:
            write_stream(work, name, _progress(read_parts(work / "documents", name), "tokens", on_progress), vocab)
        files = {path.relative_to(work).as_posix(): describe_file(path) for path in _files(work)}
        card = {
            "format": FORMAT_VERSION,
            "charlm": __version__,
            "origin": source.origin(),
            "settings": settings.recorded(),
            "documents": {
                "pages": source.census.pages,
                "kept": staged.documents,
                "dropped": dict(sorted(source.census.dropped.items())),
            },
            "split": {"shares": "/".join(map(str, shares.values())), "method": method},
            "splits": splits,
            "vocabulary": _describe_vocabulary(vocab, staged.frequencies),
            "files": files,
            "fingerprint": fingerprint(files),
        }
        storage.write_json(work / CORPUS_FILE, card)
        for temporary in (".lock", RESOLVED_FILE):
            storage.remove_tree(work / temporary)
        _replace(work, out)
    return open_corpus(out)


def working_directory(out: Path) -> Path:
    """Where the corpus grows until it is whole: beside `out`, on the same file system."""
    return out.parent / f".{out.name}.partial"


class _Staged:
    """What one pass over the source has shown."""

    def __init__(self, split: str) -> None:
        """Args: split: the setting; for "auto" every default is tallied, since the choice needs the corpus's size."""
        self.documents = 0
        self.characters = 0
        self.bytes = 0
        self.frequencies: Counter[str] = Counter()
        self.tallies: dict[str, Tally] = {
            spec: Tally.of(spec) for spec in (CANDIDATES if split == "auto" else (split,))
        }

    def add(self, document: Document) -> None:
        self.documents += 1
        self.characters += len(document.text)
        self.bytes += len(document.text.encode("utf-8"))
        self.frequencies.update(document.text)
        for tally in self.tallies.values():
            tally.add(document.id, len(document.text))


def _stage(source: Source, split: str, work: Path, on_progress: OnProgress) -> _Staged:
    """All documents to disk once, in the source's order, counting what the choice of the split needs."""
    staged = _Staged(split)
    with DocumentWriter(work / "staged", _STAGED) as writer:
        for document in source.documents():
            try:
                code_points(document.text)
            except DataError as error:
                raise DataError(f"document {document.id} ({document.title}): {error.what}", error.cure) from error
            staged.add(document)
            writer.add(Part(document))
            on_progress("documents", staged.characters)
    if not staged.characters:
        raise DataError(
            f"no text in {source.census.pages:,} pages", "check the input; `charlm prepare` needs some text"
        )
    return staged


def _choose_split(settings: CorpusSettings, staged: _Staged) -> tuple[dict[str, int], str]:
    spec = default_spec(staged.bytes) if settings.split == "auto" else settings.split
    tally = staged.tallies[spec]
    return tally.shares, tally.method


def _split(
    work: Path, shares: dict[str, int], method: str, characters: int, on_progress: OnProgress
) -> dict[str, dict[str, int]]:
    """The staged documents to their splits; what each holds."""
    router = Router(shares, method, characters)
    counts: dict[str, dict[str, int]] = {
        name: dict.fromkeys(("documents", "characters", "words", "bytes"), 0) for name in shares
    }
    with ExitStack() as stack:
        writers = {name: stack.enter_context(DocumentWriter(work / "documents", name)) for name in shares}
        staged = read_parts(work / "staged", _STAGED)
        for part in _progress(staged, "split", on_progress):
            for name, piece in router.route(part.document):
                text = piece.document.text
                writers[name].add(piece)
                found = {"documents": int(piece.last), "characters": len(text), "words": count_words(text)}
                for unit, count in (found | {"bytes": len(text.encode("utf-8"))}).items():
                    counts[name][unit] += count
    storage.remove_tree(work / "staged")
    for name, count in counts.items():
        if not count["characters"]:
            raise DataError(f"the split {name!r} is empty: {characters:,} characters are too few", "give more text")
    return counts


def _progress(parts: Iterator[Part], stage: str, on_progress: OnProgress) -> Iterator[Part]:
    done = 0
    for part in parts:
        yield part
        done += len(part.document.text)
        on_progress(stage, done)


def _texts(work: Path, split: str, stage: str, on_progress: OnProgress) -> Iterator[str]:
    for part in _progress(read_parts(work / "documents", split), stage, on_progress):
        yield part.document.text


def _describe_vocabulary(vocab: Vocab, frequencies: Counter[str]) -> dict[str, Any]:
    frequent = sorted(frequencies.items(), key=lambda item: (-item[1], item[0]))[:_NUM_FREQUENT]
    return {"type": vocab.type, "size": vocab.size, "distinct_characters": len(frequencies), "frequent": dict(frequent)}


def _files(work: Path) -> list[Path]:
    return sorted(path for path in work.rglob("*") if path.is_file() and not path.name.startswith("."))


def _replace(work: Path, out: Path) -> None:
    """Put the finished folder in its place; an older corpus there is moved aside first and removed last."""
    old = out.parent / f".{out.name}.old"
    storage.remove_tree(old)
    if out.exists():
        storage.rename(out, old)
    storage.rename(work, out)
    storage.remove_tree(old)
