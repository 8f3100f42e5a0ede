"""The command line: parse, call one function, print. Heavy imports stay inside the commands.

Results go to stdout (with --json one object and nothing else), notes, bars and errors to stderr. This is the only
module that prints errors and chooses exit codes.
"""

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from charlm import __version__, terminal
from charlm.errors import EXIT_BUG, EXIT_CLOSED_PIPE, CharlmError, StoppedError, UsageError

if TYPE_CHECKING:
    from charlm.settings import Layer

_STARTED = time.monotonic()


class _ClosedPipeError(Exception):
    """Nobody reads stdout any more."""


class _Commands(TyperGroup):
    """Typer would end the program itself on Ctrl-C and a closed pipe; here both reach `_exit_codes` like all errors."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise StoppedError(signal.SIGINT, "interrupted", "run the same command again") from error
        except BrokenPipeError as error:
            raise _ClosedPipeError from error


app = typer.Typer(
    name="charlm",
    cls=_Commands,
    help="Character-level language models: from any Wikipedia to honestly measured text.",
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigOption = Annotated[str | None, typer.Option("--config", metavar="FILE_OR_NAME", help="An experiment, TOML.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting, such as training.max_minutes=3.")
]
DataOption = Annotated[
    str | None, typer.Option("--data", metavar="DIR", help="A prepared corpus; the last one if left out.")
]
DeviceOption = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda or mps.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")]
RunArgument = Annotated[
    str | None,
    typer.Argument(metavar="RUN", help="A run, by name or directory, or a checkpoint; the last if left out."),
]
CheckpointOption = Annotated[str, typer.Option("--checkpoint", metavar="WHICH", help="best, last, or a step.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback with an error; anywhere in a command.")
    ] = False,
) -> None:
    """Character-level language models: from any Wikipedia to honestly measured text."""
    del debug  # taken out of the arguments by `main`, wherever it stands
    if version:
        print(f"charlm {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def prepare(
    source: Annotated[
        str | None, typer.Option("--source", metavar="KIND", help="wikipedia, hub, text, enwik8, text8, mix or sample.")
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
        str | None, typer.Option("--errors", metavar="HOW", help="Bytes that are no text: strict, or replace (U+FFFD).")
    ] = None,
    vocab: Annotated[
        str | None, typer.Option("--vocab", metavar="KIND", help="char, byte, word, ngram or sentencepiece.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="DIR", help="Only encode this prepared corpus anew, with another --vocab."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="data/NAME if left out.")] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
    split_like: Annotated[
        str | None, typer.Option("--split-like", metavar="DIR", help="Split as this prepared corpus is split.")
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
    from charlm.acquire import announce, fetch, open_source
    from charlm.data.corpus import open_corpus
    from charlm.experiment import load_experiment, read_layers
    from charlm.inspection import summarize
    from charlm.prepare import default_workers, find_prepared
    from charlm.prepare import prepare as prepare_corpus
    from charlm.progress import downloading, preparing

    flags = _flags(
        {
            "--source": ("corpus.source.type", source),
            "--language": ("corpus.source.language", language),
            "--wiki": ("corpus.source.wiki", wiki),
            "--date": ("corpus.source.date", date),
            "--input": ("corpus.source.input", tuple(inputs) if inputs else None),
            "--max-characters": ("corpus.source.max_characters", max_characters),
            "--errors": ("corpus.source.errors", errors),
            "--vocab": ("corpus.vocab.type", vocab),
        }
    )
    layer = read_layers(config, flags, settings or ())
    asked = load_experiment(layer).corpus
    if data is not None:
        if split_like or dask or refresh or discard_dump or dry_run:
            raise UsageError("--data goes with --vocab, --out, --workers and --overwrite only", "leave the others out")
        _reencode(data, layer, out, workers, overwrite, as_json)
        return
    target = out or workspace.DATA / asked.name
    like = open_corpus(workspace.find_data(split_like)) if split_like else None
    text_source = open_source(asked, target, refresh=refresh and not dry_run)
    corpus = None if overwrite else find_prepared(asked, target, text_source, like)
    if corpus is not None:
        newest, used = text_source.resolved().get("date"), corpus.card["origin"].get("date")
        newer = f" from the dump of {used}; --overwrite takes that of {newest}" if refresh and newest != used else ""
        terminal.note(f"{target} is prepared already{newer}")
    elif dry_run:
        plan = text_source.download_plan()
        if as_json:
            terminal.print_json({"data": str(target), "download_bytes": plan.bytes if plan else 0})
        else:
            terminal.note(announce(plan, target) if plan else f"nothing to download; the corpus would go to {target}")
        return
    else:
        with contextlib.ExitStack() as stack:
            crew = None
            if dask:
                from charlm.data.cluster import connect

                crew = stack.enter_context(connect(dask))
                text_source.distribute()
            confirm = (lambda: True) if yes else terminal.confirm
            fetch(text_source, asked, target, note=terminal.note, confirm=confirm, show=downloading)
            on_progress = stack.enter_context(preparing())
            corpus = prepare_corpus(
                asked,
                text_source,
                target,
                like=like,
                workers=workers or default_workers(),
                crew=crew,
                overwrite=overwrite,
                on_progress=on_progress,
            )
        if discard_dump:
            text_source.discard()
    if not dry_run:
        _remember(workspace.DATA, target)
    if as_json:
        terminal.print_json({"data": str(target), **corpus.card})
    else:
        print(f"{target}: " + "\n".join(summarize(corpus)))


def _reencode(data: str, asked: "Layer", out: Path | None, workers: int | None, overwrite: bool, as_json: bool) -> None:
    """`prepare --data`."""
    from charlm import workspace
    from charlm.data.corpus import open_corpus
    from charlm.experiment import check_corpus, load_experiment
    from charlm.inspection import summarize
    from charlm.prepare import default_workers
    from charlm.progress import preparing
    from charlm.reencode import default_name, find_reencoded, reencode
    from charlm.settings import Layer

    corpus = open_corpus(workspace.find_data(data))
    vocab = load_experiment(asked).corpus.vocab
    given: dict[str, Any] = dict(asked.tree.get("corpus", {}))
    if given.pop("vocab", None) is None:
        raise UsageError("--data says what to encode anew, and nothing how", "add --vocab KIND")
    check_corpus(Layer({"corpus": given}), corpus.card["settings"], corpus.directory)
    target = out or workspace.DATA / default_name(corpus, vocab)
    made = None if overwrite else find_reencoded(corpus, vocab, target)
    if made is not None:
        terminal.note(f"{target} is prepared already")
    else:
        with preparing() as on_progress:
            made = reencode(
                corpus,
                vocab,
                target,
                workers=workers or default_workers(),
                overwrite=overwrite,
                on_progress=on_progress,
            )
    _remember(workspace.DATA, target)
    if as_json:
        terminal.print_json({"data": str(target), **made.card})
    else:
        print(f"{target}: " + "\n".join(summarize(made)))


@app.command()
def train(
    config: ConfigOption = None,
    data: DataOption = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="runs/CONFIG-CORPUS if left out.")] = None,
    settings: SetOption = None,
    resume: Annotated[
        str, typer.Option("--resume", metavar="HOW", help="auto goes on with an unfinished run; never refuses to.")
    ] = "auto",
    device: DeviceOption = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be trained, and stop.")] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model on a prepared corpus. The same command again goes on where a run stopped."""
    from charlm.experiment import DEFAULT_CONFIG, read_layers
    from charlm.launch import describe, plan_training, run_training

    if resume not in ("auto", "never"):
        raise UsageError(f"--resume {resume} is not known", "give auto or never")
    name = config or DEFAULT_CONFIG
    plan = plan_training(name, read_layers(name, (), settings or ()), data, out, device, need_corpus=not dry_run)
    if dry_run:
        description = describe(plan)
        if as_json:
            terminal.print_json(description)
        else:
            terminal.print_table(description)
        return
    result = run_training(plan, resume=resume == "auto", overwrite=overwrite, quiet=as_json, started=_STARTED)
    if as_json:
        terminal.print_json(result)
    elif result["already_finished"]:
        print(f"{result['run']} is finished: a longer budget (--set training.max_epochs=...) would go on")
    else:
        print(
            f"{result['run']}: {result['steps']:,} steps, {result['epochs']:.2f} epochs, {result['seconds']:.0f} s;"
            f" best validation {terminal.figure(result['best_bits_per_character'])} bits per character"
        )


@app.command(name="eval")
def evaluate(
    run: RunArgument = None,
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="train, valid or test.")] = "test",
    data: DataOption = None,
    streams: Annotated[
        int | None, typer.Option("--streams", metavar="N", min=1, help="Parallel lanes; 1 is the definition.")
    ] = None,
    precision: Annotated[str, typer.Option("--precision", metavar="KIND", help="fp32 or bf16.")] = "fp32",
    checkpoint: CheckpointOption = "best",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Score a run: every token of the split predicted once, in every unit.

    perplexity: exp(nats / tokens). bits per character: nats / ln 2 / characters, where the nats include every end of
    document and the characters are the text's alone. bits per byte: the same over UTF-8 bytes. word: a run of
    non-whitespace.
    """
    from charlm.launch import evaluate_run
    from charlm.progress import evaluating

    if precision not in ("fp32", "bf16"):
        raise UsageError(f"--precision {precision} is not known", "give fp32 or bf16")
    with evaluating(quiet=as_json) as on_progress:
        result = evaluate_run(run, checkpoint, data, split, streams, precision, device, on_progress)
    if as_json:
        terminal.print_json(result)
    else:
        terminal.print_table(result)


@app.command()
def sample(
    run: RunArgument = None,
    prompt: Annotated[
        str, typer.Option("--prompt", metavar="TEXT", help="The text to go on from; of a backward model, its end.")
    ] = "",
    temperature: Annotated[
        float,
        typer.Option(
            "--temperature", metavar="T", help="softmax(logits / T): 0 is greedy, 1 the model's own distribution."
        ),
    ] = 0.7,
    length: Annotated[int, typer.Option("--length", metavar="N", min=0, help="Characters to write.")] = 500,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, max=2**63 - 1, help="Another seed, another text.")
    ] = 0,
    checkpoint: CheckpointOption = "best",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Write text, streaming, character by character. A backward model writes what precedes the prompt: all at once."""
    from charlm.sampling.filters import Temperature

    chosen = Temperature(temperature)
    from charlm.launch import sample_run

    sampled = sample_run(run, checkpoint, prompt, length, chosen, seed, device)
    if as_json:
        arguments = {"prompt": prompt, "temperature": temperature, "seed": seed}
        terminal.print_json({**arguments, "text": "".join(sampled.pieces)})
        return
    for piece in sampled.whole():
        terminal.write(piece)
    sys.stdout.write("\n")


@app.command()
def inspect(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A dump, corpus, run, checkpoint or config.")],
    settings: SetOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is in a dump (pages by namespace, redirect and model), a corpus, a run, a checkpoint, or a config.

    Of the last three the network too: parts, parameters, operations per character. --set and --data go with a config.
    """
    from charlm.inspection import find, inspect_path

    place = find(path)
    if place is None:
        from charlm.launch import inspect_config

        found = inspect_config(path, settings or (), data, readable=not as_json)
    elif settings or data:
        raise UsageError(f"{place} is no config, and --set and --data go with one only", "leave them out")
    else:
        found = inspect_path(place, readable=not as_json)
    if as_json:
        terminal.print_json(found)
    else:
        terminal.print_table(found)


@app.command()
def demo(settings: SetOption = None, as_json: JsonOption = False) -> None:
    """Prepare, train, evaluate and sample on the built-in sample corpus: about two minutes."""
    from charlm.demo import run_demo

    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        result = run_demo(settings or (), _STARTED, print)
    if as_json:
        terminal.print_json(result)


def main() -> None:
    """The `charlm` program."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name, None) is None:  # closed by the caller: the next file opened must not take its place
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open to the end
        with contextlib.suppress(AttributeError):  # not a text file of our own, as under a test runner
            getattr(sys, name).reconfigure(errors="backslashreplace")
    debug = "--debug" in sys.argv[1:]
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    with _exit_codes(debug):
        _check_unicode(arguments)
        if app(arguments, prog_name="charlm", standalone_mode=False) == 130:
            raise KeyboardInterrupt  # it came while Typer read the arguments, which makes an exit code of it
        sys.stdout.flush()


@contextlib.contextmanager
def _exit_codes(debug: bool) -> Generator[None, None, None]:
    """One line on stderr and the exit code, as the README lists them, for everything that can go wrong."""
    try:
        yield
    except (BrokenPipeError, _ClosedPipeError):
        _drop_output()
        sys.exit(EXIT_CLOSED_PIPE)
    except KeyboardInterrupt:
        _fail("interrupted", "run the same command again", 130, debug)
    except CharlmError as error:
        _fail(error.what, error.cure, error.exit_code, debug)
    except MemoryError:
        _fail("the memory of this machine is full", "give a smaller input, or close other programs", 5, debug)
    except OSError as error:  # of stdout, most likely: files are written by `storage`, which raises StorageError
        _drop_output()
        reason = error.strerror or str(error)
        what = f"{error.filename}: {reason}" if error.filename else f"cannot write the output: {reason}"
        _fail(what, "check the disk, or where the output goes", 5, debug)
    except Exception as error:  # noqa: BLE001 - the one place where a bug becomes an exit code
        format_message = getattr(error, "format_message", None)
        if format_message is not None:  # Typer's own usage errors
            _fail(format_message().rstrip("."), "see `charlm --help`", 2, debug)
        kind = type(error).__name__
        _fail(f"a bug in charlm ({kind}: {error})", "please report it, with what --debug shows", EXIT_BUG, debug)


def _check_unicode(arguments: list[str]) -> None:
    for argument in arguments:
        try:
            argument.encode("utf-8")
        except UnicodeEncodeError as error:
            raise UsageError(
                f"the argument {argument!r} is not Unicode text", "give it in the terminal's encoding, best UTF-8"
            ) from error


def _fail(what: str, cure: str, code: int, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    with contextlib.suppress(OSError):
        print(terminal.printable("charlm: error: " + " ".join(f"{what}; {cure}".split())), file=sys.stderr)
    sys.exit(code)


def _drop_output() -> None:
    """Point stdout at nothing, since the interpreter's last flush would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _flags(given: dict[str, tuple[str, Any]]) -> "list[Layer]":
    from charlm.settings import place

    return [place(key, value, flag) for flag, (key, value) in given.items() if value is not None]


def _remember(root_directory: Path, directory: Path) -> None:
    from charlm.workspace import remember

    try:
        remember(root_directory, directory)
    except CharlmError as error:
        terminal.note(f"{directory} is not the default of later commands: {error.what}")
