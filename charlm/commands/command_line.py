"""How Typer reads a command line: Ctrl-C and a closed pipe become errors, and empty values are refused."""

import signal
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from charlm.errors import StoppedError, UsageError

_TEXT_ARGUMENTS = ("text",)
_TEXT_OPTIONS = ("prompt", "never", "novelty", "stop", "regex", "must_contain", "only")
"""Parameters whose value may be empty, or that say themselves why not."""


class ClosedPipeError(Exception):
    """The reader of stdout has closed the pipe."""


class CommandGroup(TyperGroup):
    """Typer's group, without its own handling of Ctrl-C and a closed pipe: both reach `charlm.cli` as errors."""

    def make_context(self, *arguments: Any, **keywords: Any) -> Any:
        """Read the arguments; `--help` and `--version` print already here."""
        try:
            return super().make_context(*arguments, **keywords)
        except BrokenPipeError as error:
            raise ClosedPipeError from error

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise StoppedError(signal.SIGINT, "interrupted", "run the same command again") from error
        except BrokenPipeError as error:
            raise ClosedPipeError from error


class Command(TyperCommand):
    """Typer's command, which also refuses empty values: they are most often shell variables that are not set."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        given = list(args)
        rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            values, _, _ = self.make_parser(ctx).parse_args(given)
            for parameter in self.params:
                value = values.get(parameter.name or "")
                if value == "" or (isinstance(value, list | tuple) and "" in value):
                    _check_empty(parameter)
        return rest


def _check_empty(parameter: Any) -> None:
    """
    Raises:
        UsageError: an empty value of this parameter would name nothing, or be taken for one that is left out.
    """
    is_argument = parameter.param_type_name == "argument"
    name = parameter.metavar if is_argument else max(parameter.opts, key=len)
    if parameter.name not in (_TEXT_ARGUMENTS if is_argument else _TEXT_OPTIONS):
        raise UsageError(f"{name} is empty", "give a value, or leave it out; perhaps a shell variable is not set")
