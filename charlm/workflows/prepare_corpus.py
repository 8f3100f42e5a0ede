"""What `charlm prepare` does: find the requested corpus, or download its source and make it.

settings ──> source ──> the corpus in data/NAME, if it was made with these settings of this input
               └── else: announce, ask, download ──> prepare ──> data/NAME, now the current corpus
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlm import terminal, workspace
from charlm.cores import count_cores
from charlm.data.corpus import Corpus, open_corpus
from charlm.data.settings import CorpusSettings
from charlm.data.source_texts import SOURCE_FOLDER
from charlm.errors import SettingsError, UsageError
from charlm.text.document import DownloadPlan, Source
from charlm.text.examples.example import ExampleSource
from charlm.text.settings import MixSettings, SingleSource, WikipediaSettings
from charlm.training.run_directory import find_checkpoint
from charlm.version import __version__
from charlm.workflows import prepare_examples
from charlm.workflows.acquire import fetch, open_source
from charlm.workflows.corpus_directory import check_output
from charlm.workflows.corpus_identity import find_prepared, find_prepared_examples, use_split_of
from charlm.workflows.input_changes import find_missing_inputs
from charlm.workflows.prepare import prepare
from charlm.workflows.progress import download_bar, preparation_bar


@dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """Options of `charlm prepare` that are not settings of the corpus."""

    split_like: str | None = None
    """A corpus, by name or directory, whose split of documents is used again."""
    workers: int | None = None
    """Number of processes; one for each core if None."""
    dask: str | None = None
    """The address of a dask scheduler whose cluster reads and cleans instead."""
    refresh: bool = False
    """Ask the server for the newest dump, even if an older one is in the cache."""
    discard_dump: bool = False
    """Delete the downloaded dump when the corpus is complete."""
    yes: bool = False
    """Download any size without asking."""
    overwrite: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class PrepareResult:
    """The corpus; or for a dry run without one, the download that it needs."""

    directory: Path
    corpus: Corpus | None
    download: DownloadPlan | None = None


def prepare_corpus(settings: CorpusSettings, out: Path | None, options: PrepareOptions) -> PrepareResult:
    """Find or make the corpus of these settings, and make it the current one. A dry run makes and downloads nothing.

    Args:
        out: the folder of the corpus; data/NAME if None.

    Raises:
        CharlmError: the settings, the source, the server or the disk make it impossible.
    """
    directory = out or workspace.DATA / settings.name
    workspace.check_output_name(directory, "--out")
    check_output(directory, may_hold_corpus=True)
    if settings.task.needs_examples:
        return _prepare_examples(settings, directory, options)
    split_reference = open_corpus(workspace.find_data(options.split_like)) if options.split_like else None
    settings = use_split_of(split_reference, settings)
    corpus = None if options.overwrite else _find(settings, directory, split_reference)
    if corpus is not None:
        terminal.note(f"{directory} is already prepared{_newer_dump(settings, corpus, directory, options)}")
        _note_differences(settings, corpus)
        if options.discard_dump:
            open_source(_with_dates_of(corpus, settings), directory).discard()
    else:
        source = open_source(settings, directory, refresh=options.refresh)
        if options.dry_run:
            return PrepareResult(directory, None, source.download_plan())
        corpus = _make(settings, source, directory, split_reference, options)
        _note_split(corpus, split_reference)
    if not options.dry_run:
        workspace.set_current(workspace.DATA, directory, terminal.note)
    return PrepareResult(directory, corpus)


def _prepare_examples(settings: CorpusSettings, directory: Path, options: PrepareOptions) -> PrepareResult:
    """Find or make a corpus of labels or tags."""
    text_options = {
        "--split-like": options.split_like,
        "--dask": options.dask,
        "--refresh": options.refresh,
        "--discard-dump": options.discard_dump,
    }
    ignored = next((name for name, given in text_options.items() if given), None)
    if ignored is not None:
        raise UsageError(f"{ignored} is for corpora of plain text, not for labels and tags", "leave it out")
    source, corpus = _open_examples(settings, directory, overwrite=options.overwrite)
    if corpus is not None:
        terminal.note(f"{directory} is already prepared")
    elif options.dry_run:
        return PrepareResult(directory, None)
    else:
        assert source is not None, "without a source there is a corpus, or an error"
        with preparation_bar() as on_progress:
            corpus = prepare_examples.prepare_examples(
                settings,
                source,
                directory,
                workers=options.workers or count_cores(),
                overwrite=options.overwrite,
                on_progress=on_progress,
            )
    if not options.dry_run:
        workspace.set_current(workspace.DATA, directory, terminal.note)
    return PrepareResult(directory, corpus)


def _open_examples(
    settings: CorpusSettings, directory: Path, *, overwrite: bool
) -> tuple[ExampleSource | None, Corpus | None]:
    """Return the source of examples, and the corpus if it is prepared already; then an input may be missing."""
    try:
        source = prepare_examples.open_source(settings)
    except UsageError:
        corpus = None if overwrite else find_prepared_examples(settings, directory, None)
        if corpus is None:
            raise
        terminal.note("an input is no longer there, so it is not compared with the corpus")
        return None, corpus
    return source, None if overwrite else find_prepared_examples(settings, directory, source)


def find_vocab_source(name: str) -> Path:
    """Return the directory of the corpus or checkpoint whose vocabulary `--vocab-from` copies.

    CORPUS/source is the vocabulary of the texts that a transducer is given.

    Raises:
        UsageError: it does not exist.
    """
    path = Path(name)
    if path.name == SOURCE_FOLDER:
        with contextlib.suppress(UsageError):
            directory = workspace.find_data(str(path.parent)) / SOURCE_FOLDER
            if (directory / "vocab.json").is_file():
                return directory
    with contextlib.suppress(UsageError):
        return workspace.find_data(name)
    try:
        return find_checkpoint(workspace.find_run(name))
    except UsageError as error:
        what = f"--vocab-from {name} is neither a run nor a prepared corpus"
        raise UsageError(what, f"of the runs, {error.cure}") from error


def _find(settings: CorpusSettings, directory: Path, split_reference: Corpus | None) -> Corpus | None:
    """Return the corpus in the directory if it is the requested one, or None if there is none.

    Raises:
        SettingsError: it is another one.
        UsageError: it is another one, and an input is missing, which explains the difference.
    """
    try:
        return find_prepared(settings, directory, split_reference)
    except SettingsError:
        if find_missing_inputs(settings.source):
            open_source(settings, directory).download_plan()
        raise


def _note_differences(settings: CorpusSettings, corpus: Corpus) -> None:
    """Say what is different about a corpus without making it another one."""
    if missing := find_missing_inputs(settings.source):
        terminal.note(f"{', '.join(missing)}: no longer there, so not compared with the corpus")
    if corpus.metadata.get("charlm") != __version__:
        terminal.note(
            f"it was made by charlm {corpus.metadata.get('charlm')}; with charlm {__version__} the text may differ"
            " (--overwrite makes it again)"
        )


def _note_split(corpus: Corpus, split_reference: Corpus | None) -> None:
    """Say how many documents the corpus of --split-like does not have."""
    num_unknown = corpus.metadata["split"].get("by_hash", 0)
    if split_reference is not None and num_unknown:
        terminal.note(
            f"{num_unknown:,} of {corpus.metadata['documents']['kept']:,} documents are not in"
            f" {split_reference.directory}; they were split by the hash of their ids"
        )


def _with_dates_of(corpus: Corpus, settings: CorpusSettings) -> CorpusSettings:
    """Return settings that name the dumps of a corpus, where they ask for the latest ones."""
    source, origin = settings.source, corpus.metadata["origin"]
    if isinstance(source, MixSettings):
        parts = zip(source.sources, origin["sources"].values(), strict=True)
        source = source.model_copy(update={"sources": tuple(_with_date(*part) for part in parts)})
    elif isinstance(source, WikipediaSettings):
        source = _with_date(source, origin)
    return settings.model_copy(update={"source": source})


def _with_date(source: SingleSource, origin: dict[str, Any]) -> SingleSource:
    if not isinstance(source, WikipediaSettings) or source.input or not origin.get("date"):
        return source
    return source.model_copy(update={"date": origin["date"]})


def _newer_dump(settings: CorpusSettings, corpus: Corpus, directory: Path, options: PrepareOptions) -> str:
    """Return what --refresh finds: a newer dump, or nothing."""
    if not options.refresh or find_missing_inputs(settings.source):
        return ""
    source = open_source(settings, directory, refresh=not options.dry_run)
    newest, used = source.resolved_settings().get("date"), corpus.metadata["origin"].get("date")
    return f" from the dump of {used}; add --overwrite to take the one of {newest}" if newest and newest != used else ""


def _make(
    settings: CorpusSettings,
    source: Source,
    directory: Path,
    split_reference: Corpus | None,
    options: PrepareOptions,
) -> Corpus:
    with contextlib.ExitStack() as stack:
        worker_pool = None
        if options.dask:
            from charlm.data.dask_cluster import connect

            worker_pool = stack.enter_context(connect(options.dask))
            source.prepare_for_remote_workers()
        confirm = (lambda: True) if options.yes else terminal.confirm
        fetch(source, settings, directory, note=terminal.note, confirm=confirm, show=download_bar)
        corpus = prepare(
            settings,
            source,
            directory,
            split_reference=split_reference,
            workers=options.workers or count_cores(),
            worker_pool=worker_pool,
            overwrite=options.overwrite,
            on_progress=stack.enter_context(preparation_bar()),
        )
    if options.discard_dump:
        source.discard()
    return corpus
