"""`charlm prepare`: a source becomes a corpus."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charlm import terminal
from charlm.commands import completion
from charlm.commands.options import ConfigOption, JsonOption, OverwriteOption, SetOption, flags, set_current
from charlm.errors import UsageError

if TYPE_CHECKING:
    from charlm.settings import Layer


def prepare(
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="KIND",
            help="wikipedia, hub, text, enwik8, text8, mix or sample.",
            autocompletion=completion.sources,
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option("--language", metavar="CODE", help="Wikipedia's language, such as ru.")
    ] = None,
    wiki: Annotated[
        str | None, typer.Option("--wiki", metavar="NAME", help="A wiki by its database name, such as ruwikisource.")
    ] = None,
    date: Annotated[
        str | None, typer.Option("--date", metavar="DATE", help="Date of the dump: latest, or YYYYMMDD.")
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="PATH_OR_URL", help="A dump, a text file, a folder, or - (repeatable)."),
    ] = None,
    max_characters: Annotated[
        int | None,
        typer.Option("--max-characters", metavar="N", help="At most so much text of a wiki or the hub."),
    ] = None,
    errors: Annotated[
        str | None,
        typer.Option(
            "--errors",
            metavar="HOW",
            help="Bytes that are no text: strict, or replace (U+FFFD).",
            autocompletion=completion.words("strict", "replace"),
        ),
    ] = None,
    vocab: Annotated[
        str | None,
        typer.Option(
            "--vocab",
            metavar="KIND",
            help="char, byte, word, ngram or sentencepiece.",
            autocompletion=completion.vocabularies,
        ),
    ] = None,
    vocab_from: Annotated[
        str | None,
        typer.Option(
            "--vocab-from",
            metavar="RUN",
            help="The vocabulary of a run or of another corpus, as it is.",
            autocompletion=completion.runs_and_corpora,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Only encode this prepared corpus anew, with another --vocab.",
            autocompletion=completion.corpora,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="data/NAME if left out.")] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
    split_like: Annotated[
        str | None,
        typer.Option(
            "--split-like",
            metavar="DIR",
            help="Split as this prepared corpus is split.",
            autocompletion=completion.corpora,
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", min=1, help="Processes; one a core if left out.")
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option("--dask", metavar="ADDRESS", help="The scheduler of a dask cluster that does the work."),
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask the server for the newest dump again; fetch what has changed.")
    ] = False,
    discard_dump: Annotated[
        bool, typer.Option("--discard-dump", help="Delete what was downloaded once the corpus is there.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a download of more than 1 GB.")] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Read a Wikipedia dump (or plain text), clean, split, build a vocabulary, store tokens."""
    from charlm import workspace
    from charlm.data.corpus import open_corpus
    from charlm.experiment import load_experiment, read_layers
    from charlm.workflows.acquire import describe_download, fetch, open_source
    from charlm.workflows.inspect_path import summarize
    from charlm.workflows.prepare import default_workers, find_prepared
    from charlm.workflows.prepare import prepare as prepare_corpus
    from charlm.workflows.progress import download_bar, preparation_bar

    if vocab and vocab_from:
        raise UsageError("--vocab and --vocab-from both say how to see the text", "leave one of them out")
    layers = flags(
        {
            "--source": ("corpus.source.type", source),
            "--language": ("corpus.source.language", language),
            "--wiki": ("corpus.source.wiki", wiki),
            "--date": ("corpus.source.date", date),
            "--input": ("corpus.source.input", tuple(inputs) if inputs else None),
            "--max-characters": ("corpus.source.max_characters", max_characters),
            "--errors": ("corpus.source.errors", errors),
            "--vocab": ("corpus.vocab.type", vocab),
            "--vocab-from": ("corpus.vocab", _find_vocab_source(vocab_from)),
        }
    )
    layer = read_layers(config, layers, settings or ())
    requested = load_experiment(layer).corpus
    if data is not None:
        if split_like or dask or refresh or discard_dump or dry_run:
            raise UsageError("--data goes with --vocab, --out, --workers and --overwrite only", "leave the others out")
        _reencode(data, layer, out, workers, overwrite, as_json)
        return
    target = out or workspace.DATA / requested.name
    split_reference = open_corpus(workspace.find_data(split_like)) if split_like else None
    text_source = open_source(requested, target, refresh=refresh and not dry_run)
    corpus = None if overwrite else find_prepared(requested, target, text_source, split_reference)
    if corpus is not None:
        newest, used = text_source.resolved_settings().get("date"), corpus.metadata["origin"].get("date")
        newer = f" from the dump of {used}; --overwrite takes that of {newest}" if refresh and newest != used else ""
        terminal.note(f"{target} is prepared already{newer}")
    elif dry_run:
        plan = text_source.download_plan()
        if as_json:
            terminal.print_json({"data": str(target), "download_bytes": plan.num_bytes if plan else 0})
        else:
            terminal.note(
                describe_download(plan, target) if plan else f"nothing to download; the corpus would go to {target}"
            )
        return
    else:
        with contextlib.ExitStack() as stack:
            worker_pool = None
            if dask:
                from charlm.data.dask_cluster import connect

                worker_pool = stack.enter_context(connect(dask))
                text_source.prepare_for_remote_workers()
            confirm = (lambda: True) if yes else terminal.confirm
            fetch(text_source, requested, target, note=terminal.note, confirm=confirm, show=download_bar)
            on_progress = stack.enter_context(preparation_bar())
            corpus = prepare_corpus(
                requested,
                text_source,
                target,
                split_reference=split_reference,
                workers=workers or default_workers(),
                worker_pool=worker_pool,
                overwrite=overwrite,
                on_progress=on_progress,
            )
        if discard_dump:
            text_source.discard()
    if not dry_run:
        set_current(workspace.DATA, target)
    if as_json:
        terminal.print_json({"data": str(target), **corpus.metadata})
    else:
        print(f"{target}: " + "\n".join(summarize(corpus)))


def _find_vocab_source(source: str | None) -> dict[str, str] | None:
    """`--vocab-from`: a corpus, a run or a checkpoint."""
    if source is None:
        return None
    from charlm import workspace
    from charlm.training.run_directory import find_checkpoint

    with contextlib.suppress(UsageError):
        return {"type": "copied", "directory": str(workspace.find_data(source))}
    try:
        run = workspace.find_run(source)
    except UsageError as error:
        what = f"there is neither a run nor a prepared corpus {source!r} to take the vocabulary from"
        raise UsageError(what, f"of runs, {error.cure}") from error
    return {"type": "copied", "directory": str(find_checkpoint(run))}


def _reencode(
    data: str, requested: "Layer", out: Path | None, workers: int | None, overwrite: bool, as_json: bool
) -> None:
    """`prepare --data`."""
    from charlm import workspace
    from charlm.data.corpus import open_corpus
    from charlm.experiment import check_corpus, load_experiment
    from charlm.settings import Layer
    from charlm.workflows.inspect_path import summarize
    from charlm.workflows.prepare import default_workers
    from charlm.workflows.progress import preparation_bar
    from charlm.workflows.reencode import find_reencoded, reencode, reencoded_name

    corpus = open_corpus(workspace.find_data(data))
    vocab = load_experiment(requested).corpus.vocab
    given: dict[str, Any] = dict(requested.tree.get("corpus", {}))
    if given.pop("vocab", None) is None:
        raise UsageError("--data says what to encode anew, and nothing how", "add --vocab KIND or --vocab-from RUN")
    check_corpus(Layer({"corpus": given}), corpus.metadata["settings"], corpus.directory)
    target = out or workspace.DATA / reencoded_name(corpus, vocab)
    reencoded = None if overwrite else find_reencoded(corpus, vocab, target)
    if reencoded is not None:
        terminal.note(f"{target} is prepared already")
    else:
        with preparation_bar() as on_progress:
            reencoded = reencode(
                corpus,
                vocab,
                target,
                workers=workers or default_workers(),
                overwrite=overwrite,
                on_progress=on_progress,
            )
    set_current(workspace.DATA, target)
    if as_json:
        terminal.print_json({"data": str(target), **reencoded.metadata})
    else:
        print(f"{target}: " + "\n".join(summarize(reencoded)))
