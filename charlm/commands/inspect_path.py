"""`charlm inspect`: what is in a file or directory."""

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
    """Say what is in a dump (pages by namespace, redirect and model), a corpus, a run, a checkpoint, or a config.

    Of the last three the network too: parts, parameters, operations per character. --set and --data go with a config.
    """
    from charlm.workflows.inspect_path import inspect as inspect_anything

    found = inspect_anything(path, settings or (), data, readable=not as_json)
    if as_json:
        terminal.print_json(found)
    else:
        terminal.print_table(found)
