"""A command line that Typer has refused: its command, its options and their values."""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from charlm.formatting import shorten
from charlm.suggestions.words import MAX_VALUE_LENGTH


@dataclass(frozen=True)
class KnownNames:
    """The names, beside commands and options, that a wrong argument may have meant."""

    settings_class: Any
    is_config: Callable[[str], bool]
    renamed: Mapping[str, str]
    """Options and settings of older versions -> their new names."""


class CommandLine:
    """A command line that Typer has refused."""

    def __init__(self, arguments: Sequence[str], group: Any, names: KnownNames) -> None:
        """
        Args:
            group: Typer's, with all commands.
        """
        self.arguments = arguments
        self.names = names
        self.commands: Mapping[str, Any] = group.commands
        self.word = next((argument for argument in arguments if not argument.startswith("-")), "")
        """The command, or what was typed instead."""
        self.name = self.word if self.word in self.commands else ""
        self.command: Any = self.commands[self.name] if self.name else group
        self.program = f"charlm {self.name}".rstrip()
        self.help = f"`{self.program} --help`"

    def options(self) -> list[str]:
        return list(options_of(self.command))

    def parameter(self, option: str) -> Any:
        return next((each for each in self.command.params if option in each.opts), None)

    def has_argument(self, name: str) -> bool:
        return any(each.name == name and each.param_type_name == "argument" for each in self.command.params)

    def typed_option(self, option: str) -> str:
        """Return the option that was typed: Typer reads `-rnn_size 128` as `-r`, as if letters stood for options."""
        words = (argument.partition("=")[0] for argument in self.arguments)
        return next((word for word in words if re.fullmatch(r"-[a-z][a-z_]{2,}", word) and option[1:] in word), option)

    def value_of(self, option: str) -> str:
        """Return the value that was given to an option, or an empty string."""
        for argument, following in zip(self.arguments, [*self.arguments[1:], "-"], strict=True):
            if argument.startswith(f"{option}="):
                return argument.partition("=")[2]
            if argument == option and not re.match(r"-([^\d.]|$)", following):
                return following
        return ""

    def with_value(self, option: str, value: str) -> str:
        """Write an option, with the value if it takes one."""
        parameter = self.parameter(option)
        takes_one = parameter is not None and not parameter.is_flag
        return f"{option} {shell_word(value)}" if value and takes_one else option


def options_of(command: Any) -> Iterator[str]:
    """Yield all spellings of the options of a Typer command."""
    for parameter in command.params:
        if parameter.param_type_name == "option":
            yield from (*parameter.opts, *parameter.secondary_opts)


def shell_word(argument: str) -> str:
    """Return an argument as a shell needs it, shortened."""
    return shorten(shlex.quote(argument), MAX_VALUE_LENGTH)
