"""`charlm prepare`: a source becomes a corpus."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlm import terminal
from charlm.commands import completion
from charlm.commands.options import ConfigOption, JsonOption, OverwriteOption, SetOption, flags
from charlm.errors import UsageError

if TYPE_CHECKING:
    from charlm.data.corpus import Corpus


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
    from charlm.experiment import load_experiment, read_layers
    from charlm.workflows.acquire import describe_download
    from charlm.workflows.prepare_corpus import PrepareOptions, find_vocab_source, prepare_corpus
    from charlm.workflows.reencode import reencode_corpus

    if vocab and vocab_from:
        raise UsageError("--vocab and --vocab-from both say how to see the text", "leave one of them out")
    copied = {"type": "copied", "directory": str(find_vocab_source(vocab_from))} if vocab_from else None
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
            "--vocab-from": ("corpus.vocab", copied),
        }
    )
    layer = read_layers(config, layers, settings or ())
    requested = load_experiment(layer).corpus
    if data is not None:
        if split_like or dask or refresh or discard_dump or dry_run:
            raise UsageError("--data goes with --vocab, --out, --workers and --overwrite only", "leave the others out")
        corpus = reencode_corpus(data, layer, requested.vocab, out, workers=workers, overwrite=overwrite)
        _show(corpus, as_json=as_json)
        return
    options = PrepareOptions(
        split_like=split_like,
        workers=workers,
        dask=dask,
        refresh=refresh,
        discard_dump=discard_dump,
        yes=yes,
        overwrite=overwrite,
        dry_run=dry_run,
    )
    result = prepare_corpus(requested, out, options)
    target, plan = result.directory, result.download
    if result.corpus is not None:
        _show(result.corpus, as_json=as_json)
    elif as_json:
        terminal.print_json({"data": str(target), "download_bytes": plan.num_bytes if plan else 0})
    else:
        terminal.note(
            describe_download(plan, target) if plan else f"nothing to download; the corpus would go to {target}"
        )


def _show(corpus: "Corpus", *, as_json: bool) -> None:
    from charlm.workflows.inspect_path import summarize

    if as_json:
        terminal.print_json({"data": str(corpus.directory), **corpus.metadata})
    else:
        print(f"{corpus.directory}: " + "\n".join(summarize(corpus)))
