"""The options of all commands, as their functions declare them."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from typer.models import OptionInfo

from charlm.cli import app


@dataclass(frozen=True)
class CommandOption:
    command: str
    option: str
    metavar: str | None
    types: tuple[Any, ...]
    """`(Path, NoneType)` for `Path | None`."""


def command_options() -> Iterator[CommandOption]:
    for registered in app.registered_commands:
        assert registered.name is not None
        assert registered.callback is not None
        for parameter in inspect.signature(registered.callback).parameters.values():
            if not (arguments := get_args(parameter.annotation)):
                continue  # the context of the command
            annotated, *about = arguments
            for info in about:
                if isinstance(info, OptionInfo):
                    types = get_args(annotated) or (annotated,)
                    option = info.default  # the first argument, which in an annotation is the option's name
                    yield CommandOption(registered.name, str(option), info.metavar, types)
