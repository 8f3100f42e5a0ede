"""Re-encode a prepared corpus with another vocabulary: `charlm prepare --data data/ltg --vocab word`.

    data/ltg/documents/*.parquet ──the same files──> learn, encode ──> data/ltg-word

Nothing is downloaded, cleaned or split again. The new corpus does not need the old one; its corpus.json names it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from charlm import storage, terminal, workspace
from charlm.cores import count_cores
from charlm.data.corpus import Corpus, check_documents, documents_digest, open_corpus
from charlm.data.settings import make_portable
from charlm.data.source_texts import SourceConditions
from charlm.data.tag_vocab import check_tag_vocab
from charlm.data.task_settings import TransduceTaskSettings
from charlm.errors import SettingsError, UsageError
from charlm.experiment import check_corpus
from charlm.settings import Layer
from charlm.vocab.settings import AnyVocabSettings
from charlm.workflows.corpus_directory import (
    OnProgress,
    check_output,
    finish_corpus,
    ignore_progress,
    locked_working_directory,
    open_prepared,
)
from charlm.workflows.corpus_identity import find_setting_changes, find_vocab_changes
from charlm.workflows.progress import preparation_bar

_TEXT_KEYS = ("origin", "settings", "documents", "split", "splits", "task", "examples")
_CHARACTER_KEYS = ("distinct_characters", "frequent")


def reencode_corpus(
    data: str, layer: Layer, vocab: AnyVocabSettings, out: Path | None, *, workers: int | None, overwrite: bool
) -> Corpus:
    """What `charlm prepare --data` does: find the re-encoded corpus, or make it.

    Args:
        data: the corpus to re-encode, by name or directory.
        layer: the raw settings that were given, from which `vocab` was read.
        out: the folder of the new corpus; below data/ if None.

    Raises:
        CharlmError: as `reencode`; or the settings ask for more than another vocabulary.
    """
    corpus = open_corpus(workspace.find_data(data))
    given: dict[str, Any] = dict(layer.tree.get("corpus", {}))
    if given.pop("vocab", None) is None:
        raise UsageError("--data needs a vocabulary", "add --vocab KIND or --vocab-from RUN")
    check_corpus(Layer({"corpus": given}), corpus.metadata["settings"], corpus.directory)
    target = out or workspace.DATA / reencoded_name(corpus, vocab)
    workspace.check_output_name(target, "--out")
    check_output(target, may_hold_corpus=True)
    reencoded = None if overwrite else find_reencoded(corpus, vocab, target)
    if reencoded is not None:
        terminal.note(f"{target} is already prepared")
    else:
        with preparation_bar() as on_progress:
            reencoded = reencode(
                corpus,
                vocab,
                target,
                workers=workers or count_cores(),
                overwrite=overwrite,
                on_progress=on_progress,
            )
    workspace.set_current(workspace.DATA, target, terminal.note)
    return reencoded


def reencoded_name(corpus: Corpus, vocab: AnyVocabSettings) -> str:
    """Return the name of the new corpus: ltg -> ltg-word; with a vocabulary of characters ltg-word -> ltg."""
    base = corpus.name.removesuffix(f"-{corpus.vocab.type}")
    return base + vocab.suffix


def find_reencoded(corpus: Corpus, vocab: AnyVocabSettings, out: Path) -> Corpus | None:
    """Return the corpus in `out` if it was made from `corpus` with `vocab`, or None if there is none.

    Raises:
        SettingsError: it was made from another corpus or with another vocabulary.
    """

    def find_changes(found: Corpus) -> Iterator[str]:
        yield from find_setting_changes(found.metadata["settings"], _settings_record(corpus, vocab))
        yield from find_vocab_changes(found, vocab)
        if documents_digest(found.metadata["files"]) != documents_digest(corpus.metadata["files"]):
            yield "the corpus that it was made from"

    return open_prepared(out, find_changes)


def reencode(
    corpus: Corpus,
    vocab: AnyVocabSettings,
    out: Path,
    *,
    workers: int = 1,
    overwrite: bool = False,
    on_progress: OnProgress = ignore_progress,
) -> Corpus:
    """Write the documents of `corpus` with another vocabulary to `out`, atomically.

    Raises:
        SettingsError: `out` is the corpus itself, or something else that may not be replaced.
        DataError: the corpus is damaged.
        StorageError: the disk is full or cannot be written.
        BusyError: another process prepares the same corpus.
    """
    if out.resolve() == corpus.directory.resolve():
        raise SettingsError(f"--out {out} is the corpus that is re-encoded", "choose another --out")
    check_tag_vocab(corpus.task, vocab)
    with locked_working_directory(out, overwrite) as work:
        _link_documents(corpus, work)
        text_metadata = {name: corpus.metadata[name] for name in _TEXT_KEYS if name in corpus.metadata}
        text_metadata["settings"] = _settings_record(corpus, vocab)
        text_metadata["encoded_from"] = {
            "corpus": corpus.name,
            "fingerprint": corpus.fingerprint,
            "vocabulary": corpus.vocab.type,
        }
        characters = {name: corpus.metadata["vocabulary"][name] for name in _CHARACTER_KEYS}
        conditions = corpus.task if isinstance(corpus.task, TransduceTaskSettings) else corpus.conditions
        names = corpus.labels or conditions
        assert not isinstance(names, SourceConditions), "these belong to the task"
        finish_corpus(work, out, vocab, text_metadata, characters, workers, on_progress, names)
    return open_corpus(out)


def _settings_record(corpus: Corpus, vocab: AnyVocabSettings) -> dict[str, Any]:
    return make_portable({**corpus.metadata["settings"], "vocab": vocab.model_dump(mode="json", exclude_none=True)})


def _link_documents(corpus: Corpus, work: Path) -> None:
    """Link the parquet files of the corpus, after a check against its corpus.json."""
    for name, path in check_documents(corpus):
        storage.make_directory((work / name).parent)
        storage.link_or_copy(path, work / name)
