"""The hidden folder in which a corpus is built, and its move to the final place.

locked_working_directory ──> .NAME.partial/: documents ──finish_corpus──> vocabulary, tokens, corpus.json
                                                       ──one rename──> NAME/

A link keeps pointing to its folder, and the corpus goes there. A folder that cannot be replaced (`.`, a mounted disk, a
corpus with other things beside it) is filled instead: from NAME/.partial/, corpus.json last.
"""

import os
import re
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from charlm import formats, storage
from charlm.data.corpus import CORPUS_FILE, Corpus, compute_fingerprint, describe_file, open_corpus
from charlm.data.encoding import Names, encode_splits, learn_vocab
from charlm.data.source_texts import SOURCE_FOLDER, SourceConditions
from charlm.data.task_settings import TransduceTaskSettings
from charlm.errors import SettingsError
from charlm.version import __version__
from charlm.vocab.settings import AnyVocabSettings, ByteSettings, CharSettings

OnProgress = Callable[[str, int], None]
"""Called with the name of a stage and the number of characters that it has processed."""

RESOLVED_FILE = ".resolved.json"
"""Settings of the source that were resolved when this corpus was begun, such as the date of `latest`."""

STAGED = "staged"
"""The folder of cleaned documents that are not yet split."""

_INNER = ".partial"
"""The working directory in a folder that is filled instead of replaced."""

_LOCK = ".lock"
"""Moves with the finished folder, and is removed last."""

_CORPUS_NAME = re.compile(
    r"\.lock|(corpus|vocab|labels|conditions)\.json|vocab\.model|documents|source"
    r"|(train|valid|test)(\.(documents|targets|conditions))?\.npy"
)
"""The names of what a corpus consists of, and of the lock that a killed process leaves in it."""

_SOURCE_FILE = re.compile(r"vocab\.(json|model)|(train|valid|test)(\.(documents|weights))?\.npy")
"""The names of what the folder of sources of a corpus consists of."""

_RESUMABLE_FILES = (_LOCK, RESOLVED_FILE, STAGED)


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


def check_output(out: Path, *, may_hold_corpus: bool) -> None:
    """Check that a corpus can be put into `out`: it is missing, empty, or holds a corpus, whole or half moved.

    Args:
        may_hold_corpus: whether `out` may hold a whole corpus.

    Raises:
        SettingsError: it holds something else.
    """
    if not out.exists() or (may_hold_corpus and (out / CORPUS_FILE).is_file()):
        return
    with storage.storage_errors(out, "read"):
        names = [path.name for path in out.iterdir()] if out.is_dir() else [out.name]
    is_half_moved = _INNER in names and CORPUS_FILE not in names
    if names and not (is_half_moved and all(name == _INNER or _is_own(out / name) for name in names)):
        raise SettingsError(f"{out} exists and is not empty", "choose another --out")


@contextmanager
def locked_working_directory(out: Path, overwrite: bool, *, resumes: bool = False) -> Generator[Path, None, None]:
    """Yield the folder in which a corpus is built, locked and without remains of a killed attempt.

    Args:
        resumes: whether to keep the files with which `prepare` can resume.

    Raises:
        SettingsError: `out` exists and may not be replaced.
        BusyError: another process prepares the same corpus.
    """
    check_output(out, may_hold_corpus=overwrite)
    work = working_directory(out)
    with storage.DirectoryLock(work):
        for leftover in work.iterdir():
            if leftover.name not in (_RESUMABLE_FILES if resumes else (_LOCK,)):
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
    names: Names | TransduceTaskSettings | None = None,
) -> None:
    """Turn the documents in `work` into a corpus (vocabulary, tokens, corpus.json), and move it to `out`.

    Args:
        text_metadata: the entries of corpus.json about text and splits.
        characters: the entries of its vocabulary about characters.
        names: the labels or tags of examples, or the labels that a model of the texts is given; or the task whose
            sources it is given.
    """
    learn = partial(learn_vocab, workers=workers, on_progress=partial(on_progress, "vocabulary"))
    if isinstance(names, TransduceTaskSettings):
        shares = names.source_vocab == "shared"
        vocab = learn(settings, work / "documents", columns=("text", "target") if shares else ("target",))
        kind = CharSettings() if names.source_vocab == "char" else ByteSettings()
        source_vocab = vocab if shares else learn(kind, work / "documents")
        names = SourceConditions(source_vocab, names.source_normalize)
    else:
        vocab = learn(settings, work / "documents")
    vocab.save(work)
    if names is not None:
        names.save(work)
    splits: dict[str, dict[str, int]] = text_metadata["splits"]
    counts = encode_splits(work, splits, vocab, workers, partial(on_progress, "tokens"), names)
    files = {path.relative_to(work).as_posix(): describe_file(path) for path in _files(work)}
    metadata = {
        "format": formats.CORPUS if names is None else formats.EXAMPLES,
        "charlm": __version__,
        **text_metadata,
        "splits": {name: {**split, **counts[name]} for name, split in splits.items()},
        "vocabulary": {"type": vocab.type, "size": vocab.size, **characters},
        "files": files,
        "fingerprint": compute_fingerprint(files),
    }
    storage.write_json(work / CORPUS_FILE, metadata)
    for temporary in (RESOLVED_FILE, STAGED):
        storage.remove_tree(work / temporary)
    _move_into_place(work, out)


def working_directory(out: Path) -> Path:
    """Return the folder in which a corpus is built, on the file system of the folder that `out` names or links to:
    beside that folder, or in it if it is filled instead of replaced."""
    target = _resolve(out)
    return target / _INNER if _is_filled(target) else target.parent / f".{target.name}.partial"


def _resolve(out: Path) -> Path:
    """Return the folder that `out` names or links to, which may be missing; it has a name, which `.` has not."""
    return Path(os.path.realpath(out)) if out.is_symlink() or out.name in ("", "..") else out


def _is_filled(target: Path) -> bool:
    """Whether a folder is filled instead of replaced, because somebody works in it, another disk is mounted there, its
    parent cannot be written to, or it holds other things beside its corpus."""
    if not target.is_dir():
        return False
    if Path.cwd().is_relative_to(target.resolve()) or os.path.ismount(target) or not os.access(target.parent, os.W_OK):
        return True
    with storage.storage_errors(target, "read"):
        names = [path.name for path in target.iterdir()]
    return CORPUS_FILE in names and not all(_is_own(target / name) for name in names)


def _is_own(path: Path) -> bool:
    """Return whether a file or folder has the name of a part of a corpus, and a folder of sources holds only these."""
    if not _CORPUS_NAME.fullmatch(path.name):
        return False
    if path.name != SOURCE_FOLDER:
        return True
    return path.is_dir() and all(_SOURCE_FILE.fullmatch(inner.name) for inner in path.iterdir())


def _files(work: Path) -> list[Path]:
    """Return the files of the finished corpus, without temporary ones."""
    paths = (path for path in work.rglob("*") if path.relative_to(work).parts[0] not in _RESUMABLE_FILES)
    return sorted(path for path in paths if path.is_file())


def _move_into_place(work: Path, out: Path) -> None:
    """Rename the finished folder to `out`; an older corpus is moved aside first and removed last."""
    target = _resolve(out)
    if work.parent == target:
        _fill(target, work)
        return
    old = target.parent / f".{target.name}.old"
    storage.remove_tree(old)
    if target.exists():
        storage.rename(target, old)
    try:
        storage.rename(work, target)
    finally:
        storage.remove_tree(target / _LOCK)
    storage.remove_tree(old)


def _fill(target: Path, work: Path) -> None:
    """Move the files of the finished folder into `target`. A corpus exists while its corpus.json does, which is removed
    first and moved last."""
    with storage.storage_errors(target, "read"):
        older = [path for path in target.iterdir() if _is_own(path)]
        made = [path for path in work.iterdir() if path.name != _LOCK]
        others = [path.name for path in made if (target / path.name).exists() and not _is_own(target / path.name)]
    if others:
        raise SettingsError(
            f"{target / others[0]} holds files of your own, and the corpus needs that folder", "choose another --out"
        )
    for path in sorted(older, key=lambda path: path.name != CORPUS_FILE):
        storage.remove_tree(path)
    for path in sorted(made, key=lambda path: path.name == CORPUS_FILE):
        storage.rename(path, target / path.name)
    storage.remove_tree(work)
