"""`charlm prepare`: turn a source of text into a corpus."""

from typing import TYPE_CHECKING

import typer

from charlm import terminal
from charlm.commands import prepare_options as options
from charlm.commands.options import (
    ConfigOption,
    JsonOption,
    OverwriteOption,
    SetOption,
    check_folder,
    flags,
    given_parameters,
)
from charlm.errors import UsageError

if TYPE_CHECKING:
    from charlm.data.corpus import Corpus


def prepare(
    context: typer.Context,
    task: options.TaskOption = None,
    source: options.SourceOption = None,
    language: options.LanguageOption = None,
    wiki: options.WikiOption = None,
    date: options.DateOption = None,
    inputs: options.InputOption = None,
    train: options.TrainOption = None,
    valid: options.ValidOption = None,
    test: options.TestOption = None,
    text_column: options.TextColumnOption = None,
    label_column: options.LabelColumnOption = None,
    tags_column: options.TagsColumnOption = None,
    target_column: options.TargetColumnOption = None,
    weight_column: options.WeightColumnOption = None,
    source_normalize: options.SourceNormalizeOption = None,
    annotation: options.AnnotationOption = None,
    change: options.ChangeOption = None,
    max_characters: options.MaxCharactersOption = None,
    errors: options.ErrorsOption = None,
    vocab: options.VocabOption = None,
    vocab_from: options.VocabFromOption = None,
    data: options.ReencodedDataOption = None,
    out: options.OutOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    dry_run: options.DryRunOption = False,
    split_like: options.SplitLikeOption = None,
    workers: options.WorkersOption = None,
    dask: options.DaskOption = None,
    refresh: options.RefreshOption = False,
    discard_dump: options.DiscardDumpOption = False,
    yes: options.YesOption = False,
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
    preparation = PrepareOptions(
        split_like=split_like,
        workers=workers,
        dask=dask,
        refresh=refresh,
        discard_dump=discard_dump,
        yes=yes,
        overwrite=overwrite,
        dry_run=dry_run,
    )
    result = prepare_corpus(requested, out, preparation)
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
