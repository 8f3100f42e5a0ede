"""The command line: parse, call one function, print. Heavy imports stay inside the commands.

Results go to stdout (with --json one object and nothing else), notes, bars and errors to stderr. This is the only
module that prints errors and chooses exit codes.
"""

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charlm import __version__
from charlm.errors import EXIT_BUG, EXIT_CLOSED_PIPE, CharlmError, UsageError

if TYPE_CHECKING:
    from charlm.settings import Layer

_STARTED = time.monotonic()
_BIG_DOWNLOAD = 1_000_000_000  # bytes, above which a terminal is asked

app = typer.Typer(
    name="charlm",
    help="Character-level language models: from any Wikipedia to honestly measured text.",
    no_args_is_help=True,
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
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")]
RunArgument = Annotated[
    str | None,
    typer.Argument(metavar="[RUN]", help="A run, by name or directory, or a checkpoint; the last if left out."),
]
CheckpointOption = Annotated[str, typer.Option("--checkpoint", help="best, last, or a step.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]


@app.callback(invoke_without_command=True)
def root(
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


@app.command()
def prepare(
    source: Annotated[str | None, typer.Option("--source", help="wikipedia, text or sample.")] = None,
    language: Annotated[str | None, typer.Option("--language", help="Wikipedia's language code, such as ru.")] = None,
    wiki: Annotated[
        str | None, typer.Option("--wiki", help="A wiki by its database name, such as ruwikisource.")
    ] = None,
    date: Annotated[str | None, typer.Option("--date", help="Date of the dump: latest, or YYYYMMDD.")] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="PATH", help="A local dump, text file or folder (repeatable)."),
    ] = None,
    vocab: Annotated[str | None, typer.Option("--vocab", help="char or byte.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="data/NAME if left out.")] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a download of more than 1 GB.")] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Read a Wikipedia dump (or plain text), clean, split, build a vocabulary, store tokens."""
    from charlm import workspace
    from charlm.experiment import load_experiment, read_layers
    from charlm.prepare import find_prepared
    from charlm.prepare import prepare as prepare_corpus

    flags = _flags(
        {
            "corpus.source.type": source,
            "corpus.source.language": language,
            "corpus.source.wiki": wiki,
            "corpus.source.date": date,
            "corpus.source.input": tuple(inputs) if inputs else None,
            "corpus.vocab.type": vocab,
        }
    )
    asked = load_experiment(read_layers(config, flags, settings or ())).corpus
    target = out or workspace.DATA / asked.name
    corpus = None if overwrite else find_prepared(asked, target)
    if corpus is not None:
        _note(f"{target} is prepared already")
    elif dry_run:
        _note(f"would write {target} from {asked.source.type} ({asked.source.name})")
        return
    else:
        from charlm.progress import preparing

        with preparing() as on_progress:
            corpus = prepare_corpus(asked, asked.source.build(), target, overwrite=overwrite, on_progress=on_progress)
    _remember(workspace.DATA, target)
    if as_json:
        _print_json({"data": str(target), **corpus.card})
        return
    print(f"{target}: {corpus.card['documents']['kept']:,} documents, vocabulary of {corpus.vocab.size:,} ids")
    for name, counts in corpus.card["splits"].items():
        print(f"  {name:<6} {counts['documents']:>9,} documents {counts['characters']:>14,} characters")
    for reason, count in corpus.card["documents"]["dropped"].items():
        print(f"  dropped {count:>8,} pages: {reason}")


@app.command()
def train(
    config: ConfigOption = None,
    data: DataOption = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="runs/CONFIG-CORPUS if left out.")] = None,
    settings: SetOption = None,
    resume: Annotated[
        str, typer.Option("--resume", help="auto goes on with an unfinished run; never refuses to.")
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
            _print_json(description)
        else:
            _print_table(description)
        return
    result = run_training(plan, resume=resume == "auto", overwrite=overwrite, quiet=as_json, started=_STARTED)
    if as_json:
        _print_json(result)
    elif result["already_finished"]:
        print(f"{result['run']} is finished: a longer budget (--set training.max_epochs=...) would go on")
    else:
        print(
            f"{result['run']}: {result['steps']:,} steps, {result['epochs']:.2f} epochs, {result['seconds']:.0f} s;"
            f" best validation {_figure(result['best_bits_per_character'])} bits per character"
        )


@app.command(name="eval")
def evaluate(
    run: RunArgument = None,
    split: Annotated[str, typer.Option("--split", help="train, valid or test.")] = "test",
    data: DataOption = None,
    streams: Annotated[
        int | None, typer.Option("--streams", min=1, help="Parallel lanes; 1 is the definition.")
    ] = None,
    precision: Annotated[str, typer.Option("--precision", help="fp32 or bf16.")] = "fp32",
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
        _print_json(result)
    else:
        _print_table(result)


@app.command()
def sample(
    run: RunArgument = None,
    prompt: Annotated[str, typer.Option("--prompt", help="The text to go on from.")] = "",
    temperature: Annotated[
        float, typer.Option("--temperature", help="softmax(logits / T): 0 is greedy, 1 the model's own distribution.")
    ] = 0.7,
    length: Annotated[int, typer.Option("--length", min=0, help="Characters to write.")] = 500,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed, another text.")] = 0,
    checkpoint: CheckpointOption = "best",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Write text, streaming, character by character."""
    from charlm.sampling.filters import Temperature

    chosen = Temperature(temperature)
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError("the prompt is not Unicode text", "give it in the terminal's encoding, best UTF-8") from error
    from charlm.launch import sample_run

    pieces = sample_run(run, checkpoint, prompt, length, chosen, seed, device)
    if as_json:
        arguments = {"prompt": prompt, "temperature": temperature, "seed": seed}
        _print_json({**arguments, "text": "".join(pieces)})
        return
    _write(prompt)
    for piece in pieces:
        _write(piece)
    sys.stdout.write("\n")


@app.command()
def demo(as_json: JsonOption = False) -> None:
    """Prepare, train, evaluate and sample on the built-in sample corpus: about two minutes."""
    from charlm.demo import run_demo

    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        result = run_demo(_STARTED, print)
    if as_json:
        _print_json(result)


def main() -> None:
    """The `charlm` program."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # not a text file of our own, as under a test runner
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    debug = "--debug" in sys.argv[1:]
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    with _exit_codes(debug):
        app(arguments, prog_name="charlm", standalone_mode=False)
        sys.stdout.flush()


@contextlib.contextmanager
def _exit_codes(debug: bool) -> Generator[None, None, None]:
    """One line on stderr and the exit code of DESIGN.md for everything that can go wrong."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter's last flush would fail again
        sys.exit(EXIT_CLOSED_PIPE)
    except KeyboardInterrupt:
        _fail("interrupted", "run the same command again", 130, debug)
    except CharlmError as error:
        _fail(error.what, error.cure, error.exit_code, debug)
    except MemoryError:
        _fail("the memory of this machine is full", "give a smaller input, or close other programs", 5, debug)
    except Exception as error:  # noqa: BLE001 - the one place where a bug becomes an exit code
        format_message = getattr(error, "format_message", None)
        if format_message is not None:  # Typer's own usage errors
            _fail(format_message().rstrip("."), "see `charlm --help`", 2, debug)
        kind = type(error).__name__
        _fail(f"a bug in charlm ({kind}: {error})", "please report it, with what --debug shows", EXIT_BUG, debug)


def _fail(what: str, cure: str, code: int, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    with contextlib.suppress(BrokenPipeError):
        print("charlm: error: " + " ".join(f"{what}; {cure}".split()), file=sys.stderr)
    sys.exit(code)


def _flags(values: dict[str, Any]) -> "list[Layer]":
    from charlm.settings import place

    return [place(key, value, f"--{key.rsplit('.', 1)[-1]}") for key, value in values.items() if value is not None]


def _remember(root_directory: Path, directory: Path) -> None:
    from charlm.workspace import remember

    try:
        remember(root_directory, directory)
    except CharlmError as error:
        _note(f"{directory} is not the default of later commands: {error.what}")


def _note(text: str) -> None:
    print(text, file=sys.stderr)


def _write(text: str) -> None:
    """Text as it is into a pipe; on a terminal, control characters (which could command it) are escaped."""
    if sys.stdout.isatty():
        text = "".join(c if c in "\n\t" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    sys.stdout.write(text)
    sys.stdout.flush()


def _print_json(content: dict[str, Any]) -> None:
    from charlm.storage import to_json

    print(to_json(content, indent=None))


def _print_table(content: dict[str, Any]) -> None:
    width = max(map(len, content))
    for name, value in content.items():
        print(f"{name.replace('_', ' '):<{width}}  {_figure(value)}")


def _figure(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:g}" if value.is_integer() else f"{value:,.4f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
