"""Typer's usage errors in charlm's words: what was typed, and what was probably meant.

no such command  ─┐                          ┌─ another word for one of ours (words), a config, a path
no such option   ─┼─ WHAT, and as the CURE ──┼─ a setting, an option of another command
surplus argument ─┤                          ├─ the nearest spelling
missing, invalid ─┘                          └─ or the help of the command
"""

import contextlib
import re
import shlex
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
import typer.main

from charlm.commands import synonyms
from charlm.errors import SettingsError, UsageError

_MIN_SIMILARITY = 0.7  # difflib's ratio, of options
_MAX_SHOWN = 60  # characters of an argument that is repeated
_SETTINGS_OF = {
    "prepare": ("corpus.",),
    "train": ("model.", "training."),
    "demo": ("model.", "training."),
    "inspect": ("model.",),
}
"""Which settings of an experiment matter to a command that takes --set."""

Hint = tuple[str, str]


class CommandLine:
    """A command line that Typer has refused."""

    def __init__(self, arguments: Sequence[str], group: Any) -> None:
        """
        Args:
            group: Typer's, with all commands.
        """
        self.arguments = arguments
        self.commands: Mapping[str, Any] = group.commands
        self.word = next((argument for argument in arguments if not argument.startswith("-")), "")
        """Where the command stands, or should."""
        self.name = self.word if self.word in self.commands else ""
        self.command: Any = self.commands[self.name] if self.name else group
        self.program = f"charlm {self.name}".rstrip()
        self.help = f"`{self.program} --help`"

    def options(self) -> list[str]:
        return list(_options(self.command))

    def parameter(self, option: str) -> Any:
        return next((each for each in self.command.params if option in each.opts), None)

    def value_of(self, option: str) -> str:
        """What was given to an option, right or wrong; empty where nothing was."""
        for place, argument in enumerate(self.arguments):
            if argument.startswith(f"{option}="):
                return argument.partition("=")[2]
            following = self.arguments[place + 1 : place + 2]
            if argument == option and following and not re.match(r"-[^\d.]", following[0]):
                return following[0]
        return ""


@contextlib.contextmanager
def translate_usage_errors(arguments: Sequence[str], app: typer.Typer) -> Generator[None, None, None]:
    """What Typer has to say about a command line leaves as a UsageError."""
    try:
        yield
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        raise UsageError(*explain(error, arguments, typer.main.get_command(app))) from error


def explain(error: Exception, arguments: Sequence[str], group: Any) -> Hint:
    """WHAT and CURE of a usage error of Typer."""
    command_line = CommandLine(arguments, group)
    kind = type(error).__name__
    message: str = getattr(error, "format_message")().strip().rstrip(".")  # noqa: B009 - of Typer's own classes
    if message.startswith("No such command"):
        return _no_such_command(command_line.word, command_line)
    if found := re.fullmatch(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", message, re.DOTALL):
        return _extra_argument(found[1], command_line)
    explainers: dict[str, Callable[[Any, CommandLine], Hint]] = {
        "NoSuchOption": lambda wrong, command_line: _no_such_option(wrong.option_name, command_line),
        "BadOptionUsage": lambda wrong, command_line: _bad_option_usage(wrong.option_name, message, command_line),
        "MissingParameter": lambda wrong, command_line: _missing(wrong.param, command_line),
        "BadParameter": lambda wrong, command_line: _bad_value(wrong.param, message, command_line),
    }
    if kind in explainers:
        return explainers[kind](error, command_line)
    return f"{message[:1].lower()}{message[1:]}", f"see {command_line.help}"


def _no_such_command(name: str, command_line: CommandLine) -> Hint:
    from charlm.settings import nearest
    from charlm.workspace import path_exists

    what = f"there is no command {_shown(name)}"
    if meant := synonyms.find_synonyms(name, synonyms.COMMANDS):
        more = "" if meant[0].startswith("--") else f" ({command_line.help} lists all)"
        return what, f"did you mean `charlm {meant[0]}`?{more}"
    if close := nearest(name, command_line.commands):
        return what, f"did you mean `charlm {close}`? ({command_line.help} lists all)"
    if _is_config(name):
        return what, f"did you mean `charlm train --config {name}`? ({command_line.help} lists all)"
    if path_exists(Path(name)):
        return what, f"did you mean `charlm inspect {_shown(name)}`? ({command_line.help} lists all)"
    return what, f"see {command_line.help}"


def _no_such_option(option: str, command_line: CommandLine) -> Hint:
    if option in command_line.options():
        return f"{_shown(option)} stands before the command", f"write `{command_line.program} {_shown(option)}`"
    what = f"`{command_line.program}` has no option {_shown(option)}"
    instead = next(_suggestions(option, command_line), None)
    if instead is not None:
        return what, f"did you mean {instead}? ({command_line.help} lists all)"
    owners = [name for name, command in command_line.commands.items() if option in _options(command)]
    if owners:
        place = "it is an option of" if command_line.name else "write it behind"
        return (
            what,
            f"{place} {_join_words((f'`charlm {name}`' for name in owners), 'and' if command_line.name else 'or')}",
        )
    return what, f"see {command_line.help}"


def _suggestions(option: str, command_line: CommandLine) -> Iterator[str]:
    """What may have been meant by an option that is not there, likeliest first."""
    from charlm.settings import nearest

    name, value = synonyms.normalize(option), command_line.value_of(option)
    options = {synonyms.normalize(other): other for other in command_line.options()}
    if name in options:
        yield _with_value(options[name], value, command_line)
    yield from _setting_suggestions(option.strip("-").replace("-", "_"), value, command_line)
    for meaning in synonyms.find_synonyms(option, synonyms.OPTIONS):
        wanted, _, own_value = meaning.partition(" ")
        if other := options.get(synonyms.normalize(wanted)):
            yield _with_value(other, own_value or value, command_line)
        if any(each.name == wanted and each.param_type_name == "argument" for each in command_line.command.params):
            yield f"`{command_line.program} {_shown(value) if value else 'RUN'}`"
        yield from _setting_suggestions(wanted, value, command_line)
    if close := nearest(name, options, _MIN_SIMILARITY):
        yield _with_value(options[close], value, command_line)


def _setting_suggestions(name: str, value: str, command_line: CommandLine) -> Iterator[str]:
    """`lr` -> `--set training.optimizer.lr=0.1`."""
    from charlm.experiment import Experiment
    from charlm.settings.suggestions import find_keys, nearest, type_names_at

    def assigned(key: str) -> str:
        types = type_names_at(key, Experiment)
        known = nearest(value, types)
        if types and known is None:
            return f"--set {key}.type=TYPE, of {_join_words(iter(types))},"
        return f"--set {key}.type={known}" if types else f"--set {key}={_shown(value) if value else 'VALUE'}"

    prefixes = _SETTINGS_OF.get(command_line.name, ())
    keys = [key for key in find_keys(name, Experiment) if key.startswith(prefixes)] if prefixes else []
    if keys:
        yield _join_words(map(assigned, keys), "or")


def _extra_argument(extra: str, command_line: CommandLine) -> Hint:
    """An argument that nothing takes: the value of an option that was not written before it, most likely."""
    if extra[0] in "\N{EM DASH}\N{EN DASH}":
        return f"{_shown(extra)} begins with a dash that is no hyphen", f"write --{extra[1:]}"
    is_several = extra not in command_line.arguments
    what = f"`{command_line.program}` takes no {'arguments' if is_several else 'argument'} {_shown(extra)}"
    place = max((place for place, argument in enumerate(command_line.arguments) if argument == extra), default=0)
    before = command_line.arguments[:place][-2:]
    options = command_line.options()
    key = command_line.value_of("--set")
    likely = {
        f"--set {key}={_shown(extra.removeprefix('= '))}, without spaces": bool(key) and extra.startswith("= "),
        f"--set {before[-1]}={_shown(extra)}" if before else "": before[:1] == ["--set"] and "=" not in before[-1],
        f"--set {_shown(extra)}": "--set" in options and re.match(r"[\w-]+\.[\w.-]+=", extra) is not None,
        f"--config {_shown(extra)}": "--config" in options and _is_config(extra),
        "--input before each" if is_several else f"--input {_shown(extra)}": "--input" in options,
        f"--prompt {_shown(extra)}": "--prompt" in options,
        "the text in quotes, as one argument": any(each.name == "text" for each in command_line.command.params),
    }
    cure = next((meant for meant, is_likely in likely.items() if is_likely), None)
    return what, f"write {cure}, or see {command_line.help}" if cure else f"see {command_line.help}"


def _bad_option_usage(option: str, message: str, command_line: CommandLine) -> Hint:
    parameter = command_line.parameter(option)
    if "does not take a value" in message:
        return f"{option} takes no value", f"write {option} alone"
    metavar = getattr(parameter, "metavar", None) or "VALUE"
    return f"{option} has no value", f"write {option} {metavar}: {_lower_first(getattr(parameter, 'help', ''))}"


def _missing(parameter: Any, command_line: CommandLine) -> Hint:
    metavar = parameter.metavar or parameter.name.upper()
    more = " (`charlm runs` lists them)" if metavar.startswith("RUN") else ""
    return (
        f"`{command_line.program}` needs {metavar}",
        f"write `{command_line.program} {metavar}`: {_lower_first(parameter.help)}{more}",
    )


def _bad_value(parameter: Any, message: str, command_line: CommandLine) -> Hint:
    """A number that is none, or out of its range. A whole one is called N in the help."""
    from charlm.settings.messages import guess_number

    option = next((option for option in parameter.opts if command_line.value_of(option)), parameter.opts[0])
    value, is_integer = command_line.value_of(option), parameter.metavar == "N"
    if re.search("number|integer|float|than|range", message) is None:
        return f"{option} {_shown(value)}: {_lower_first(message.partition(': ')[2])}", f"see {command_line.help}"
    low, high = (
        getattr(parameter, end, getattr(getattr(parameter, "type", None), end, None)) for end in ("min", "max")
    )
    kind = "a whole number" if is_integer else "a number"
    if low is not None:
        kind += f" of {low:,} or more" if high is None else f" from {low:,} to {high:,}"
    meant = guess_number(value, is_integer=is_integer)
    example = parameter.default or low or (10 if is_integer else 0.5)
    cure = f"give one such as {example}" if meant in (None, value) else f"write {option} {meant}"
    return f"{option} {_shown(value)} is not {kind}", cure


def _options(command: Any) -> Iterator[str]:
    for parameter in command.params:
        if parameter.param_type_name == "option":
            yield from (*parameter.opts, *parameter.secondary_opts)


def _with_value(option: str, value: str, command_line: CommandLine) -> str:
    parameter = command_line.parameter(option)
    takes_one = parameter is not None and not parameter.is_flag
    return f"{option} {_shown(value)}" if value and takes_one else option


def _is_config(name: str) -> bool:
    from charlm.experiment import find_config

    try:
        return find_config(name).suffix == ".toml"
    except SettingsError:
        return False


def _shown(argument: str) -> str:
    """As it is written in a shell, if it is not too long."""
    quoted = shlex.quote(argument)
    return quoted if len(quoted) <= _MAX_SHOWN else f"{quoted[: _MAX_SHOWN - 3]}..."


def _lower_first(sentence: str) -> str:
    first = sentence[:1].lower() if sentence[1:2].islower() or sentence[1:2] == " " else sentence[:1]
    return f"{first}{sentence[1:]}".rstrip(".")


def _join_words(parts: Iterator[str], conjunction: str = "and") -> str:
    *others, last = parts
    return f"{', '.join(others)} {conjunction} {last}" if others else last
