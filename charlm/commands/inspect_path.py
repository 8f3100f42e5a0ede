"""`charlm inspect`: describe a file or directory."""

from typing import Annotated

import typer

from charlm import terminal
from charlm.commands import completion
from charlm.commands.options import DataOption, JsonOption, SetOption


def inspect(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="A dump, corpus, run, checkpoint or config.", autocompletion=completion.all_names
        ),
    ],
    settings: SetOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Describe a dump (pages by namespace, redirect and model), a corpus, a run, a checkpoint, or a config.

    For a run, a checkpoint or a config this includes the network: parts, parameters, operations per character. --set
    and --data go with a config only.
    """
    from charlm.workflows.inspect_path import inspect as inspect_anything
    from charlm.workflows.inspection_text import format_inspection

    found = inspect_anything(path, settings or (), data, readable=not as_json)
    if as_json:
        terminal.print_json(found)
    else:
        lines = format_inspection(found, has_blocks=terminal.has_blocks())
        print("\n".join(lines))
