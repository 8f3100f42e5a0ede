"""`charlm predict`: labels or tags of texts, or texts for texts."""

import contextlib
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlm import terminal
from charlm.commands import completion
from charlm.commands.options import (
    BeamsOption,
    CheckpointOption,
    DeviceOption,
    LengthPenaltyOption,
    check_file,
    given_parameters,
)
from charlm.errors import UsageError

if TYPE_CHECKING:
    from charlm.data.task_settings import TaskSettings
    from charlm.workflows.prediction import Query

_STDIN = "-"


def predict(
    context: typer.Context,
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            help="A run that predicts labels, tags or texts, by name or directory; the last run if left out.",
            autocompletion=completion.runs,
        ),
    ] = None,
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TEXT]...", help="Texts. Without texts and --input, lines of standard input are read."),
    ] = None,
    input: Annotated[  # noqa: A002 - the name of the option
        str | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help="Read texts from a file: .conllu, .csv, .tsv, .json, .jsonl, .parquet, .arrow, or a text in each line;"
            " - reads standard input.",
        ),
    ] = None,
    text_column: Annotated[
        str, typer.Option("--text-column", metavar="NAME", help="The column of a table that holds the text.")
    ] = "text",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write to a file.")] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="KIND",
            help="jsonl, tsv, conllu, or text for people. If left out: text on a terminal, else jsonl.",
            autocompletion=completion.words("jsonl", "tsv", "conllu", "text"),
        ),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=1, help="Number of labels, or of written texts, for each text.")
    ] = 1,
    ensemble: Annotated[
        list[str] | None,
        typer.Option(
            "--ensemble",
            metavar="RUN",
            help="Another run whose probabilities are averaged with those of RUN (repeatable).",
            autocompletion=completion.runs,
        ),
    ] = None,
    beams: BeamsOption = 5,
    length_penalty: LengthPenaltyOption = 0.0,
    threshold: Annotated[
        float,
        typer.Option("--threshold", metavar="P", min=0, max=1, help="Reject a label with a lower probability."),
    ] = 0.0,
    labels: Annotated[
        str | None, typer.Option("--labels", metavar="A,B", help="The labels that may be chosen, with commas between.")
    ] = None,
    temperature: Annotated[
        float,
        typer.Option(
            "--temperature", metavar="T", help="Calibrate the probabilities; `charlm eval` says with which temperature."
        ),
    ] = 1.0,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Predict the labels of texts, the tags of their characters, or other texts for them, in the order of the input."""
    from charlm.workflows.ensembles import load_members
    from charlm.workflows.predict import Predictor, as_queries
    from charlm.workflows.predict_files import FORMATS, formatter
    from charlm.workflows.predict_options import PredictOptions

    check_file(out, "--out")
    run, texts = _find_run_and_texts(run, texts or [], has_input=input is not None)
    if texts and input is not None:
        raise UsageError("TEXT and --input both give texts", "give one of them")
    kind = format_ or ("text" if out is None and sys.stdout.isatty() else "jsonl")
    if kind not in FORMATS:
        raise UsageError(f"--format {kind} is unknown", f"give {', '.join(FORMATS)}")
    options = PredictOptions(
        top=top,
        threshold=threshold,
        labels=tuple(label.strip() for label in labels.split(",")) if labels else (),
        temperature=temperature,
        beams=beams,
        length_penalty=length_penalty,
        given=given_parameters(context),
    )
    members, name = load_members([run, *(ensemble or ())], checkpoint, device)
    loaded = members[0]
    predictor = Predictor(loaded, name, device, options, members[1:])
    write = formatter(kind, loaded.task)
    queries = as_queries(texts) if texts else _read(input, text_column, loaded.task)
    num_texts = 0
    with _output(out) as write_out:
        for found in predictor.predict(queries):
            write_out(write(found))
            num_texts += 1
    if not num_texts:
        terminal.note("the input has no text, so there is nothing to predict")


def _find_run_and_texts(run: str | None, texts: list[str], *, has_input: bool) -> tuple[str | None, list[str]]:
    """Take a single argument that is no run for a text of the last run, and say so."""
    from charlm.workspace import find_run

    if run is None or texts or has_input:
        return run, texts
    try:
        find_run(run)
    except UsageError:
        terminal.note(f"there is no run {run}, so this is a text for the last run")
        return None, [run]
    return run, texts


def _read(name: str | None, text_column: str, task: "TaskSettings") -> "Iterator[Query]":
    from charlm.workflows.predict_files import read_queries, read_stream

    if name not in (None, _STDIN):
        return read_queries(Path(name), text_column, task)
    if name is None and sys.stdin.isatty():
        raise UsageError("predict needs texts", "give them after the run, with --input FILE, or through a pipe")
    return read_stream(terminal.read_stdin_lines())


@contextlib.contextmanager
def _output(path: Path | None) -> Generator[Callable[[str], object], None, None]:
    """Yield what writes text: to standard output, or to a file that appears at once when everything is written."""
    from charlm import storage

    if path is None:
        yield terminal.write
        return
    with storage.atomic_file(path) as file:
        yield lambda text: file.write(text.encode("utf-8"))
