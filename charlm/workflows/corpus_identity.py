"""What decides a prepared corpus: whether the one in a folder is the one that was asked for.

settings ─────────────────────────────┐
content of the local inputs ──────────┼── compared with corpus.json ──> that corpus, or an error that names
a copied vocabulary, by its content ──┤                                 what is different
documents of --split-like ────────────┘

The version of charlm, the folders of the inputs and the settings of downloads do not decide it.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from charlm.data.corpus import Corpus, documents_digest
from charlm.data.settings import CorpusSettings
from charlm.errors import SettingsError
from charlm.settings import differences
from charlm.text.examples.example import ExampleSource
from charlm.vocab.build import load_vocab
from charlm.vocab.settings import AnyVocabSettings, CopiedSettings
from charlm.workflows.corpus_directory import open_prepared
from charlm.workflows.input_changes import find_file_changes, find_input_changes

_MOST_NAMED = 3
"""Changes of inputs that an error names."""


def find_prepared(settings: CorpusSettings, out: Path, split_reference: Corpus | None = None) -> Corpus | None:
    """Return the corpus in `out` if it was made with these settings from these inputs, or None if there is none.

    Raises:
        SettingsError: it was made with other settings, another vocabulary or another split, or an input has changed
            since. A missing input has not changed.
    """
    settings = use_split_of(split_reference, settings)

    def find_changes(corpus: Corpus) -> Iterator[str]:
        split = corpus.metadata["split"]
        before, now = corpus.metadata["settings"], settings.to_record()
        if "like" in split:  # then another corpus decides the shares
            before, now = ({key: value for key, value in record.items() if key != "split"} for record in (before, now))
        yield from find_setting_changes(before, now)
        yield from find_vocab_changes(corpus, settings.vocab)
        yield from _find_split_changes(split, split_reference)

    corpus = open_prepared(out, find_changes)
    if corpus is None:
        return None
    _refuse_changes(out, [*find_input_changes(settings.source, corpus.metadata["origin"])])
    return corpus


def find_prepared_examples(settings: CorpusSettings, out: Path, source: ExampleSource | None) -> Corpus | None:
    """Return the corpus of labels or tags in `out` if it is the one that was asked for, or None if there is none.

    Args:
        source: the examples; None if an input is missing, which is no change.

    Raises:
        SettingsError: it was made with other settings or another vocabulary, or an input has changed since.
    """

    def find_changes(corpus: Corpus) -> Iterator[str]:
        yield from find_setting_changes(corpus.metadata["settings"], settings.to_record())
        yield from find_vocab_changes(corpus, settings.vocab)

    corpus = open_prepared(out, find_changes)
    if corpus is None or source is None:
        return corpus
    origin = corpus.metadata["origin"]
    if "files" in origin:
        _refuse_changes(out, [*find_file_changes(origin["files"], source.local_files())])
    elif origin.get("fingerprint") != source.fingerprint():
        _refuse_changes(out, ["a file has changed"])
    return corpus


def _refuse_changes(out: Path, changes: Sequence[str]) -> None:
    """
    Raises:
        SettingsError: there are changes.
    """
    if not changes:
        return
    more = [f"{len(changes) - _MOST_NAMED:,} more changes"] if len(changes) > _MOST_NAMED else []
    raise SettingsError(
        f"the input has changed since {out} was prepared ({', '.join([*changes[:_MOST_NAMED], *more])})",
        "add --overwrite, or choose another --out",
    )


def use_split_of(split_reference: Corpus | None, settings: CorpusSettings) -> CorpusSettings:
    """Return the settings with the percentages of another corpus, whose split is used.

    Raises:
        SettingsError: the settings ask for other percentages.
    """
    if split_reference is None:
        return settings
    shares: str = split_reference.metadata["split"]["shares"]
    if settings.split not in ("auto", shares):
        raise SettingsError(
            f"corpus.split={settings.split} contradicts --split-like {split_reference.directory}, which has {shares}",
            "leave one of them out",
        )
    return settings.model_copy(update={"split": shares})


def find_setting_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield the differences between the settings in corpus.json and others: `source.math: drop -> tex`."""
    yield from map(str, differences(_comparable(before), _comparable(now)))


def find_vocab_changes(corpus: Corpus, vocab: AnyVocabSettings) -> Iterator[str]:
    """Yield the difference between the vocabulary of a corpus and the one that is to be copied, if it still exists."""
    if isinstance(vocab, CopiedSettings) and (Path(vocab.directory) / "vocab.json").is_file():
        wanted = load_vocab(Path(vocab.directory))
        if not corpus.vocab.is_same(wanted):
            yield f"the vocabulary in {vocab.directory} is another one"


def _find_split_changes(split: Mapping[str, Any], reference: Corpus | None) -> Iterator[str]:
    """Yield the difference between the corpus whose split was used and the one whose split is asked for."""
    if reference is None:
        if "like" in split:
            yield "it was split like another corpus, with --split-like"
    elif "like" not in split:
        yield f"it was not split like {reference.directory}"
    else:
        # charlm 0.1.0 recorded only the fingerprint, which depends on the vocabulary and not on the ids
        recorded = split.get("like_documents", split["like"])
        if recorded not in (documents_digest(reference.metadata["files"]), reference.fingerprint):
            yield f"it was split like another corpus than {reference.directory} is now"


def _comparable(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the sources of a mixture by number, and without the folder of a copied vocabulary."""
    compared = dict(record)
    vocab, source = compared.get("vocab"), compared.get("source")
    if isinstance(vocab, dict):
        compared["vocab"] = {key: value for key, value in cast("dict[str, Any]", vocab).items() if key != "directory"}
    if isinstance(source, dict):
        members: Any = cast("dict[str, Any]", source).get("sources")
        if isinstance(members, list | tuple):
            numbered = {str(number): member for number, member in enumerate(cast("list[Any]", members))}
            compared["source"] = {**source, "sources": numbered}
    return compared
