"""A prepared corpus, seen with another vocabulary: `charlm prepare --data data/ltg --vocab word`.

    data/ltg/documents/*.parquet ──the same files──> learn, encode ──> data/ltg-word

Nothing is downloaded, cleaned or split again. The new corpus stands alone; its corpus.json says what it was made from.
"""

from pathlib import Path
from typing import Any

from charlm import storage
from charlm.data.corpus import CORPUS_FILE, Corpus, describe_file, open_corpus
from charlm.data.settings import make_portable
from charlm.errors import DataError, SettingsError
from charlm.settings import differences
from charlm.vocab.build import build_learner
from charlm.vocab.settings import AnyVocabSettings
from charlm.workflows.prepare import OnProgress, finish_corpus, ignore_progress, locked_working_directory

_TEXT_KEYS = ("origin", "settings", "documents", "split", "splits")
_CHARACTER_KEYS = ("distinct_characters", "frequent")


def reencoded_name(corpus: Corpus, vocab: AnyVocabSettings) -> str:
    """ltg -> ltg-word; ltg-word -> ltg, for characters."""
    base = corpus.name.removesuffix(f"-{corpus.vocab.type}")
    return base + vocab.suffix


def find_reencoded(corpus: Corpus, vocab: AnyVocabSettings, out: Path) -> Corpus | None:
    """The corpus already in `out`, if it was made of this one so; None where there is none.

    Raises:
        SettingsError: it is something else.
    """
    if not (out / CORPUS_FILE).is_file():
        return None
    found = open_corpus(out)
    changed = [str(each) for each in differences(found.metadata["settings"], _settings_record(corpus, vocab))]
    if vocab.type == "copied" and not found.vocab.is_same(build_learner(vocab).finish()):
        changed.append("the vocabulary that is copied")
    if found.metadata.get("encoded_from", {}).get("fingerprint") != corpus.fingerprint:
        changed.append("what it was made from")
    if changed:
        raise SettingsError(
            f"{out} was prepared with other settings ({'; '.join(changed)})", "choose another --out, or add --overwrite"
        )
    return found


def reencode(
    corpus: Corpus,
    vocab: AnyVocabSettings,
    out: Path,
    *,
    workers: int = 1,
    overwrite: bool = False,
    on_progress: OnProgress = ignore_progress,
) -> Corpus:
    """Write the documents of `corpus` to `out` with a vocabulary of their own, atomically.

    Raises:
        SettingsError: `out` is something else, or the corpus itself.
        DataError: the corpus is damaged.
        StorageError: the disk is full or cannot be written.
        BusyError: another process prepares the same corpus.
    """
    if out.resolve() == corpus.directory.resolve():
        raise SettingsError(f"{out} would be made from itself", "choose another --out")
    with locked_working_directory(out, overwrite) as work:
        _link_documents(corpus, work)
        text_metadata = {name: corpus.metadata[name] for name in _TEXT_KEYS}
        text_metadata["settings"] = _settings_record(corpus, vocab)
        text_metadata["encoded_from"] = {
            "corpus": corpus.name,
            "fingerprint": corpus.fingerprint,
            "vocabulary": corpus.vocab.type,
        }
        characters = {name: corpus.metadata["vocabulary"][name] for name in _CHARACTER_KEYS}
        finish_corpus(work, out, vocab, text_metadata, characters, workers, on_progress)
    return open_corpus(out)


def _settings_record(corpus: Corpus, vocab: AnyVocabSettings) -> dict[str, Any]:
    return make_portable({**corpus.metadata["settings"], "vocab": vocab.model_dump(mode="json", exclude_none=True)})


def _link_documents(corpus: Corpus, work: Path) -> None:
    """The parquet files of the corpus, checked against its corpus.json."""
    for name, entry in corpus.metadata["files"].items():
        if name.startswith("documents/"):
            source = corpus.directory / name
            if not source.is_file() or describe_file(source) != entry:
                raise DataError(f"{source} is missing or was changed", "prepare that corpus again with --overwrite")
            storage.make_directory((work / name).parent)
            storage.link_or_copy(source, work / name)
