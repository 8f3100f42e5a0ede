"""`charlm explain`: a text in the colours of what each character cost a run."""

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
    from charlm.evaluation.explain.explanation import Explanation

_STDIN = "-"


def explain(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="A run, by name or directory, or a checkpoint.", autocompletion=completion.runs
        ),
    ],
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="The text, as one document; - reads standard input.")
    ] = None,
    file: Annotated[
        str | None, typer.Option("--text", metavar="FILE", help="A text file instead, or - for standard input.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write one HTML page, with the alternatives on hover.")
    ] = None,
    top: Annotated[int, typer.Option("--top", metavar="N", min=1, max=100, help="Alternatives of each token.")] = 5,
    checkpoint: CheckpointOption = "best",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Colour a text by its surprisal: the bits that each character cost, from 0 to 10 and more.

    bits: minus the logarithm to base 2 of the probability that the model gave the token that came, in the context of
    all before it. Where a token covers several characters, each is coloured by its share; where a character is spelled
    in several tokens, by their sum. rank: 1 where the model thought no token likelier. Without a terminal, or with
    NO_COLOR set, a summary alone.
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
        terminal.note(f"{out}: the page, for a browser")


def _print(found: "Explanation") -> None:
    from charlm.evaluation.explain.terminal import (
        ColourDepth,
        choose_colour_scale,
        detect_colour_depth,
        render_lines,
        summary_lines,
    )

    depth = detect_colour_depth(os.environ, is_terminal=sys.stdout.isatty())
    if depth is not ColourDepth.NONE:
        for line in render_lines(found, depth, choose_colour_scale(os.environ)):
            print(line)
    for line in summary_lines(found):
        print(line)


def _read_input(run: str, text: str | None, file: str | None) -> str:
    if text is None and file is None:
        from charlm.workspace import find_run

        try:
            find_run(run)
        except UsageError as error:
            cure = f"write a run before the text, `charlm explain RUN {shlex.quote(run)}`: {error.cure}"
            raise UsageError(error.what, cure) from error
        cure = f"write `charlm explain {shlex.quote(run)} TEXT`, or name a file with --text FILE"
        raise UsageError("explain takes a run and a text, and there is no text", cure)
    if text is not None and file is not None:
        raise UsageError("explain takes one text", "give TEXT or --text FILE, not both")
    if text not in (None, _STDIN):
        return text
    return read_text(file or _STDIN)
