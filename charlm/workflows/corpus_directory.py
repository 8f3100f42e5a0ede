"""The hidden folder in which a corpus is built, and its move to the final place.

locked_working_directory ──> .NAME.partial/: documents ──finish_corpus──> vocabulary, tokens, corpus.json
                                                       ──one rename──> NAME/
"""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from charlm import formats, storage
from charlm.data.corpus import CORPUS_FILE, Corpus, compute_fingerprint, describe_file, open_corpus
from charlm.data.encoding import encode_splits, learn_vocab
from charlm.errors import SettingsError
from charlm.version import __version__
from charlm.vocab.settings import AnyVocabSettings

OnProgress = Callable[[str, int], None]
"""Called with the name of a stage and the number of characters that it has processed."""

RESOLVED_FILE = ".resolved.json"
"""Settings of the source that were resolved when this corpus was begun, such as the date of `latest`."""

STAGED = "staged"
"""The folder of cleaned documents that are not yet split."""

_RESUMABLE_FILES = (".lock", RESOLVED_FILE, STAGED)


def ignore_progress(stage: str, characters: int) -> None:
    """Show no progress."""


def open_prepared(out: Path, find_changes: Callable[[Corpus], Iterable[str]]) -> Corpus | None:
    """Return the corpus in `out`, or None if there is none.

    Raises:
        SettingsError: `find_changes` names differences from what was asked for.
    """
    if not (out / CORPUS_FILE).is_file():
        return None
    corpus = open_corpus(out)
    if changes := "; ".join(find_changes(corpus)):
        raise SettingsError(
            f"{out} was prepared with other settings ({changes})", "choose another --out, or add --overwrite"
        )
    return corpus


@contextmanager
def locked_working_directory(out: Path, overwrite: bool, *, resumes: bool = False) -> Generator[Path, None, None]:
    """Yield the folder in which a corpus is built, locked and without remains of a killed attempt.

    Args:
        resumes: whether to keep the files with which `prepare` can resume.

    Raises:
        SettingsError: `out` exists and may not be replaced.
        BusyError: another process prepares the same corpus.
    """
    replaceable = overwrite and (out / CORPUS_FILE).is_file()
    if out.exists() and not replaceable and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(f"{out} exists and is not empty", "choose another --out")
    work = working_directory(out)
    with storage.DirectoryLock(work):
        for leftover in work.iterdir():
            if leftover.name not in (_RESUMABLE_FILES if resumes else (".lock",)):
                storage.remove_tree(leftover)
        yield work


def finish_corpus(
    work: Path,
    out: Path,
    settings: AnyVocabSettings,
    text_metadata: dict[str, Any],
    characters: dict[str, Any],
    workers: int,
    on_progress: OnProgress,
) -> None:
    """Turn the documents in `work` into a corpus (vocabulary, tokens, corpus.json), and move it to `out`.

    Args:
        text_metadata: the entries of corpus.json about text and splits.
        characters: the entries of its vocabulary about characters.
    """
    vocab = learn_vocab(settings, work / "documents", workers, partial(on_progress, "vocabulary"))
    vocab.save(work)
    splits: dict[str, dict[str, int]] = text_metadata["splits"]
    counts = encode_splits(work, splits, vocab, workers, partial(on_progress, "tokens"))
    files = {path.relative_to(work).as_posix(): describe_file(path) for path in _files(work)}
    metadata = {
        "format": formats.CORPUS,
        "charlm": __version__,
        **text_metadata,
        "splits": {name: {**split, **counts[name]} for name, split in splits.items()},
        "vocabulary": {"type": vocab.type, "size": vocab.size, **characters},
        "files": files,
        "fingerprint": compute_fingerprint(files),
    }
    storage.write_json(work / CORPUS_FILE, metadata)
    for temporary in _RESUMABLE_FILES:
        storage.remove_tree(work / temporary)
    _move_into_place(work, out)


def working_directory(out: Path) -> Path:
    """Return the folder in which a corpus is built: beside `out`, on the same file system."""
    return out.parent / f".{out.name}.partial"


def _files(work: Path) -> list[Path]:
    """Return the files of the finished corpus, without temporary ones."""
    paths = (path for path in work.rglob("*") if path.relative_to(work).parts[0] not in _RESUMABLE_FILES)
    return sorted(path for path in paths if path.is_file())


def _move_into_place(work: Path, out: Path) -> None:
    """Rename the finished folder to `out`; an older corpus is moved aside first and removed last."""
    old = out.parent / f".{out.name}.old"
    storage.remove_tree(old)
    if out.exists():
        storage.rename(out, old)
    storage.rename(work, out)
    storage.remove_tree(old)
