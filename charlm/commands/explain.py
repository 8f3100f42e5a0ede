"""`charlm explain`: a text in colours that show what a model predicts of it, and why."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlm import terminal
from charlm.commands import completion
from charlm.commands.options import CheckpointOption, DeviceOption, JsonOption, check_file, read_text
from charlm.errors import UsageError

if TYPE_CHECKING:
    from charlm.evaluation.explain.drawing import Drawing

_STDIN = "-"


def explain(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="A run, by name or directory, or a checkpoint.", autocompletion=completion.runs
        ),
    ],
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="The text, read as one document; - reads standard input.")
    ] = None,
    file: Annotated[
        str | None, typer.Option("--text", metavar="FILE", help="Read the text from a file; - reads standard input.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Write an HTML page that shows the details of each character on hover."
        ),
    ] = None,
    top: Annotated[
        int,
        typer.Option(
            "--top",
            metavar="N",
            min=1,
            max=100,
            help="Number of alternatives shown for each token or tag, or of labels.",
        ),
    ] = 5,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="NAME",
            help="The label to explain, of a run that predicts labels; else the predicted one. Of a run of --task"
            " generate: the label that it is given; of several columns, one of each (repeatable).",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="TEXT",
            help="Of a run of --task transduce: the text to explain; else the one that it writes.",
        ),
    ] = None,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Colour a text by the surprisal of each character, by its effect on a label, or by how uncertain its tag is.

    Of a language model, bits: -log2 of the probability that the model gave to the next token, given all text before it.
    A token of several characters spreads its bits evenly over them; a character of several tokens has the sum of their
    bits. rank: 1 if the model found no token more probable.

    Of a model of labels, effect: log2 of the probability of the label, minus the same without the character, in bits.
    Above 0, the character speaks for the label. A character is a letter with its accents. In a text of more than 1,000
    of them, neighbours are left out together.

    Of a model of tags, bits: -log2 of the probability of the predicted tag.

    Of a model that writes a text for the text: for each token that it writes, the text in the colours of its attention.

    Without a terminal, or with NO_COLOR set, only a summary is printed.
    """
    check_file(out, "--out")
    content = _read_input(run, text, file)
    from charlm.workflows.explain import ExplainRequest, explain_run
    from charlm.workflows.progress import evaluation_bar

    request = ExplainRequest(text=content, top=top, labels=tuple(label or ()), target=target, device=device)
    with evaluation_bar(quiet=as_json) as on_progress:
        found, name = explain_run(run, checkpoint, request, on_progress)
    if out is not None:
        from charlm.evaluation.explain.page import write_page

        write_page(found, name, out)
    if as_json:
        terminal.print_json({"run": name, **found.to_json()})
        return
    _print(found)
    if out is not None:
        terminal.note(f"wrote {out}; open it in a browser")


def _print(found: "Drawing") -> None:
    from charlm.evaluation.explain.terminal import (
        ColourDepth,
        choose_colour_scale,
        detect_colour_depth,
        render_lines,
        summary_lines,
    )

    depth = detect_colour_depth(os.environ, is_terminal=sys.stdout.isatty())
    if depth is not ColourDepth.NONE:
        for line in render_lines(found, depth, choose_colour_scale(os.environ, found.scales)):
            print(line)
    for line in summary_lines(found):
        print(line)


def _read_input(run: str, text: str | None, file: str | None) -> str:
    if text is None and file is None:
        from charlm.workspace import find_run

        try:
            find_run(run)
        except UsageError as error:
            cure = f"name a run before the text, `charlm explain RUN {shlex.quote(run)}`: {error.cure}"
            raise UsageError(error.what, cure) from error
        cure = f"write `charlm explain {shlex.quote(run)} TEXT`, or name a file with --text FILE"
        raise UsageError("explain needs a run and a text, and the text is missing", cure)
    if text is not None and file is not None:
        raise UsageError("TEXT and --text FILE both give a text", "give one of them")
    if text not in (None, _STDIN):
        return text
    return read_text(file or _STDIN)
