"""`charlm explain`: a text coloured by the surprisal of each character."""

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
        str | None, typer.Argument(metavar="[TEXT]", help="The text, scored as one document; - reads standard input.")
    ] = None,
    file: Annotated[
        str | None, typer.Option("--text", metavar="FILE", help="Read the text from a file; - reads standard input.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write an HTML page that shows the alternatives on hover."),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=1, max=100, help="Number of alternatives shown for each token.")
    ] = 5,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Colour a text by the surprisal of each character, from 0 bits to 10 and more.

    bits: -log2 of the probability that the model gave to the next token, given all text before it. A token of several
    characters spreads its bits evenly over them; a character of several tokens has the sum of their bits. rank: 1 if
    the model found no token more probable. Without a terminal, or with NO_COLOR set, only a summary is printed.
    """
    check_file(out, "--out")
    content = _read_input(run, text, file)
    from charlm.workflows.explain import explain_run
    from charlm.workflows.progress import evaluation_bar

    with evaluation_bar(quiet=as_json) as on_progress:
        found, name = explain_run(run, checkpoint, content, top, device, on_progress)
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
