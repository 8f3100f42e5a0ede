"""`charlm prepare`: turn a source of text into a corpus."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlm import terminal
from charlm.commands import completion
from charlm.commands.options import (
    ConfigOption,
    JsonOption,
    OverwriteOption,
    SetOption,
    check_folder,
    flags,
    given_parameters,
    parse_folder,
)
from charlm.errors import UsageError

if TYPE_CHECKING:
    from charlm.data.corpus import Corpus


def prepare(
    context: typer.Context,
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            metavar="KIND",
            help="What a model predicts: language (the next token), classify (a label for each document), tag (a tag"
            " for each character that has one), generate (the next token of a document with a given label) or transduce"
            " (the next token of a text made from a given one).",
            autocompletion=completion.tasks,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="KIND",
            help="The kind of source: wikipedia, hub, text, enwik8, text8, mix, sample, table, classes, conllu, aligned"
            " or derived.",
            autocompletion=completion.sources,
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option("--language", metavar="CODE", help="The language code of a Wikipedia, such as ru.")
    ] = None,
    wiki: Annotated[
        str | None, typer.Option("--wiki", metavar="NAME", help="The database name of a wiki, such as ruwikisource.")
    ] = None,
    date: Annotated[
        str | None, typer.Option("--date", metavar="DATE", help="The date of the dump: latest, or YYYYMMDD.")
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="PATH_OR_URL",
            help="A dump, a text file, a table, a folder, a corpus, or - for standard input (repeatable).",
        ),
    ] = None,
    train: Annotated[
        list[str] | None,
        typer.Option("--train", metavar="PATH", help="Examples: a file of the training split (repeatable)."),
    ] = None,
    valid: Annotated[
        list[str] | None,
        typer.Option("--valid", metavar="PATH", help="Examples: a file of the validation split (repeatable)."),
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option("--test", metavar="PATH", help="Examples: a file of the test split (repeatable)."),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option("--text-column", metavar="NAME", help="The column with the text; or its number.")
    ] = None,
    label_column: Annotated[
        list[str] | None,
        typer.Option(
            "--label-column",
            metavar="NAME",
            help="The column with the label; or its number. Of --task generate repeatable.",
        ),
    ] = None,
    tags_column: Annotated[
        str | None, typer.Option("--tags-column", metavar="NAME", help="The column with the tags; or its number.")
    ] = None,
    target_column: Annotated[
        str | None,
        typer.Option("--target-column", metavar="NAME", help="The column with the text to be written; or its number."),
    ] = None,
    weight_column: Annotated[
        str | None,
        typer.Option("--weight-column", metavar="NAME", help="The column with a weight of each target; or its number."),
    ] = None,
    source_normalize: Annotated[
        str | None,
        typer.Option(
            "--source-normalize",
            metavar="FORM",
            help="Of --task transduce: the Unicode normalisation of the texts that are read: none, nfc or nfd.",
            autocompletion=completion.words("none", "nfc", "nfd"),
        ),
    ] = None,
    annotation: Annotated[
        str | None,
        typer.Option(
            "--annotation",
            metavar="KIND",
            help="The tags of CoNLL-U: upos, xpos, feats or words.",
            autocompletion=completion.words("upos", "xpos", "feats", "words"),
        ),
    ] = None,
    change: Annotated[
        str | None,
        typer.Option(
            "--change",
            metavar="KIND",
            help="What is to be restored in a derived corpus: marks, case or blanks.",
            autocompletion=completion.words("marks", "case", "blanks"),
        ),
    ] = None,
    max_characters: Annotated[
        int | None,
        typer.Option("--max-characters", metavar="N", help="Take at most N characters from a wiki or the hub."),
    ] = None,
    errors: Annotated[
        str | None,
        typer.Option(
            "--errors",
            metavar="HOW",
            help="Invalid bytes: strict stops with an error, replace writes U+FFFD.",
            autocompletion=completion.words("strict", "replace"),
        ),
    ] = None,
    vocab: Annotated[
        str | None,
        typer.Option(
            "--vocab",
            metavar="KIND",
            help="The vocabulary: char, byte, word, ngram, sentencepiece or symbols.",
            autocompletion=completion.vocabularies,
        ),
    ] = None,
    vocab_from: Annotated[
        str | None,
        typer.Option(
            "--vocab-from",
            metavar="RUN",
            help="Use the vocabulary of a run or of another corpus.",
            autocompletion=completion.runs_and_corpora,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Re-encode this prepared corpus with another vocabulary, and do nothing else.",
            autocompletion=completion.corpora,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", parser=parse_folder, help="The folder of the corpus; data/NAME if left out."
        ),
    ] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be downloaded, and stop.")] = False,
    split_like: Annotated[
        str | None,
        typer.Option(
            "--split-like",
            metavar="DIR",
            help="Split the documents as this prepared corpus does.",
            autocompletion=completion.corpora,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", metavar="N", min=1, max=4096, help="Number of processes; one for each core if left out."
        ),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option("--dask", metavar="ADDRESS", help="Let a dask cluster do the work; ADDRESS is its scheduler's."),
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask the server for the newest dump again, and download what has changed.")
    ] = False,
    discard_dump: Annotated[
        bool, typer.Option("--discard-dump", help="Delete the downloaded dump when the corpus is complete.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a download of more than 1 GB.")] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Read a Wikipedia dump, plain text or examples, clean and split it, build a vocabulary and store the tokens."""
    from charlm.experiment import load_experiment, read_layers
    from charlm.settings import merge_layers
    from charlm.suggestions.words import join_words
    from charlm.workflows.acquire import describe_download
    from charlm.workflows.guess_source import guess_source, text_column_key
    from charlm.workflows.prepare_corpus import PrepareOptions, find_vocab_source, prepare_corpus
    from charlm.workflows.prepare_requests import check_download_options, check_source_options
    from charlm.workflows.reencode import reencode_corpus

    check_folder(out, "--out")
    if vocab and vocab_from:
        raise UsageError("--vocab and --vocab-from both choose a vocabulary", "leave one of them out")
    copied = {"type": "copied", "directory": str(find_vocab_source(vocab_from))} if vocab_from else None
    base = read_layers(config, flags({"--task": ("corpus.task.type", task)}), settings or ())
    guessed = guess_source(base, source, [*(inputs or ()), *(train or ())])
    known = merge_layers([base, *flags({"--source": ("corpus.source.type", guessed)})])
    layers = flags(
        {
            "--task": ("corpus.task.type", task),
            "--source": ("corpus.source.type", guessed),
            "--train": ("corpus.source.train", tuple(train) if train else None),
            "--valid": ("corpus.source.valid", tuple(valid) if valid else None),
            "--test": ("corpus.source.test", tuple(test) if test else None),
            "--text-column": (text_column_key(known), text_column),
            "--label-column": (
                ("corpus.source.label_column", label_column[0] if label_column else None)
                if len(label_column or ()) < 2
                else ("corpus.source.label_columns", tuple(label_column or ()))
            ),
            "--tags-column": ("corpus.source.tags_column", tags_column),
            "--target-column": ("corpus.source.target_column", target_column),
            "--weight-column": ("corpus.source.weight_column", weight_column),
            "--source-normalize": ("corpus.task.source_normalize", source_normalize),
            "--annotation": ("corpus.source.annotation", annotation),
            "--change": ("corpus.source.change", change),
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
        unused = given_parameters(context) & {"split_like", "dask", "refresh", "discard_dump", "dry_run", "yes"}
        if unused:
            names = join_words(f"--{name.replace('_', '-')}" for name in sorted(unused))
            cure = f"leave {names} out; --data goes with --vocab, --out, --workers and --overwrite only"
            raise UsageError(f"{names} {'has' if len(unused) == 1 else 'have'} no effect with --data", cure)
        corpus = reencode_corpus(data, layer, requested.vocab, out, workers=workers, overwrite=overwrite)
        _show(corpus, as_json=as_json)
        return
    check_source_options(requested.source, given_parameters(context))
    check_download_options(requested.source, refresh=refresh, discard_dump=discard_dump, dry_run=dry_run)
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
            describe_download(plan, target)
            if plan
            else f"there is nothing to download; the corpus would go to {target}"
        )


def _show(corpus: "Corpus", *, as_json: bool) -> None:
    from charlm.workflows.inspect_path import summarize

    if as_json:
        terminal.print_json({"data": str(corpus.directory), **corpus.metadata})
    else:
        print(f"{corpus.directory}: " + "\n".join(summarize(corpus)))
