"""`charlm inspect`: what is in a file or directory."""

from typing import Annotated

import typer

from charlm import terminal
from charlm.commands import completion
from charlm.commands.options import DataOption, JsonOption, SetOption
from charlm.errors import UsageError


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
    from charlm.workflows.inspect_path import find_path, inspect_path

    place = find_path(path)
    if place is None:
        from charlm.workflows.describe_training import inspect_config

        found = inspect_config(path, settings or (), data, readable=not as_json)
    elif settings or data:
        raise UsageError(f"{place} is no config, and --set and --data go with one only", "leave them out")
    else:
        found = inspect_path(place, readable=not as_json)
    if as_json:
        terminal.print_json(found)
    else:
        terminal.print_table(found)
