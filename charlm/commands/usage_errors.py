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

_SIMILAR = 0.7  # difflib's ratio, of options
_LONGEST = 60  # characters of an argument that is repeated
_SETTINGS_OF = {
    "prepare": ("corpus.",),
    "train": ("model.", "training."),
    "demo": ("model.", "training."),
    "inspect": ("model.",),
}
"""Which settings of an experiment matter to a command that takes --set."""

Hint = tuple[str, str]


class Typed:
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
def in_our_words(arguments: Sequence[str], app: typer.Typer) -> Generator[None, None, None]:
    """What Typer has to say about a command line leaves as a UsageError."""
    try:
        yield
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        raise UsageError(*explain(error, arguments, typer.main.get_command(app))) from error


def explain(error: Exception, arguments: Sequence[str], group: Any) -> Hint:
    """WHAT and CURE of a usage error of Typer."""
    typed = Typed(arguments, group)
    kind = type(error).__name__
    message: str = getattr(error, "format_message")().strip().rstrip(".")  # noqa: B009 - of Typer's own classes
    if message.startswith("No such command"):
        return _no_such_command(typed.word, typed)
    if found := re.fullmatch(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", message, re.DOTALL):
        return _surplus(found[1], typed)
    explainers: dict[str, Callable[[Any, Typed], Hint]] = {
        "NoSuchOption": lambda wrong, typed: _no_such_option(wrong.option_name, typed),
        "BadOptionUsage": lambda wrong, typed: _bad_use(wrong.option_name, message, typed),
        "MissingParameter": lambda wrong, typed: _missing(wrong.param, typed),
        "BadParameter": lambda wrong, typed: _bad_value(wrong.param, message, typed),
    }
    if kind in explainers:
        return explainers[kind](error, typed)
    return f"{message[:1].lower()}{message[1:]}", f"see {typed.help}"


def _no_such_command(name: str, typed: Typed) -> Hint:
    from charlm.settings import nearest
    from charlm.workspace import is_there

    what = f"there is no command {_shown(name)}"
    if meant := synonyms.meanings(name, synonyms.COMMANDS):
        more = "" if meant[0].startswith("--") else f" ({typed.help} lists all)"
        return what, f"did you mean `charlm {meant[0]}`?{more}"
    if close := nearest(name, typed.commands):
        return what, f"did you mean `charlm {close}`? ({typed.help} lists all)"
    if _is_config(name):
        return what, f"did you mean `charlm train --config {name}`? ({typed.help} lists all)"
    if is_there(Path(name)):
        return what, f"did you mean `charlm inspect {_shown(name)}`? ({typed.help} lists all)"
    return what, f"see {typed.help}"


def _no_such_option(option: str, typed: Typed) -> Hint:
    if option in typed.options():
        return f"{_shown(option)} stands before the command", f"write `{typed.program} {_shown(option)}`"
    what = f"`{typed.program}` has no option {_shown(option)}"
    instead = next(_instead(option, typed), None)
    if instead is not None:
        return what, f"did you mean {instead}? ({typed.help} lists all)"
    owners = [name for name, command in typed.commands.items() if option in _options(command)]
    if owners:
        place = "it is an option of" if typed.name else "write it behind"
        return what, f"{place} {_listed((f'`charlm {name}`' for name in owners), 'and' if typed.name else 'or')}"
    return what, f"see {typed.help}"


def _instead(option: str, typed: Typed) -> Iterator[str]:
    """What may have been meant by an option that is not there, likeliest first."""
    from charlm.settings import nearest

    name, value = synonyms.fold(option), typed.value_of(option)
    options = {synonyms.fold(other): other for other in typed.options()}
    if name in options:
        yield _with_value(options[name], value, typed)
    yield from _as_setting(option.strip("-").replace("-", "_"), value, typed)
    for meaning in synonyms.meanings(option, synonyms.OPTIONS):
        wanted, _, own_value = meaning.partition(" ")
        if other := options.get(synonyms.fold(wanted)):
            yield _with_value(other, own_value or value, typed)
        if any(each.name == wanted and each.param_type_name == "argument" for each in typed.command.params):
            yield f"`{typed.program} {_shown(value) if value else 'RUN'}`"
        yield from _as_setting(wanted, value, typed)
    if close := nearest(name, options, _SIMILAR):
        yield _with_value(options[close], value, typed)


def _as_setting(name: str, value: str, typed: Typed) -> Iterator[str]:
    """`lr` -> `--set training.optimizer.lr=0.1`."""
    from charlm.experiment import Experiment
    from charlm.settings.suggestions import keys_named, nearest, types_at

    def assigned(key: str) -> str:
        types = types_at(key, Experiment)
        known = nearest(value, types)
        if types and known is None:
            return f"--set {key}.type=TYPE, of {_listed(iter(types))},"
        return f"--set {key}.type={known}" if types else f"--set {key}={_shown(value) if value else 'VALUE'}"

    prefixes = _SETTINGS_OF.get(typed.name, ())
    keys = [key for key in keys_named(name, Experiment) if key.startswith(prefixes)] if prefixes else []
    if keys:
        yield _listed(map(assigned, keys), "or")


def _surplus(stray: str, typed: Typed) -> Hint:
    """An argument that nothing takes: the value of an option that was not written before it, most likely."""
    if stray[0] in "\N{EM DASH}\N{EN DASH}":
        return f"{_shown(stray)} begins with a dash that is no hyphen", f"write --{stray[1:]}"
    several = stray not in typed.arguments
    what = f"`{typed.program}` takes no {'arguments' if several else 'argument'} {_shown(stray)}"
    place = max((place for place, argument in enumerate(typed.arguments) if argument == stray), default=0)
    before = typed.arguments[:place][-2:]
    options = typed.options()
    key = typed.value_of("--set")
    likely = {
        f"--set {key}={_shown(stray.removeprefix('= '))}, without spaces": bool(key) and stray.startswith("= "),
        f"--set {before[-1]}={_shown(stray)}" if before else "": before[:1] == ["--set"] and "=" not in before[-1],
        f"--set {_shown(stray)}": "--set" in options and re.match(r"[\w-]+\.[\w.-]+=", stray) is not None,
        f"--config {_shown(stray)}": "--config" in options and _is_config(stray),
        "--input before each" if several else f"--input {_shown(stray)}": "--input" in options,
        f"--prompt {_shown(stray)}": "--prompt" in options,
        "the text in quotes, as one argument": any(each.name == "text" for each in typed.command.params),
    }
    cure = next((meant for meant, is_likely in likely.items() if is_likely), None)
    return what, f"write {cure}, or see {typed.help}" if cure else f"see {typed.help}"


def _bad_use(option: str, message: str, typed: Typed) -> Hint:
    parameter = typed.parameter(option)
    if "does not take a value" in message:
        return f"{option} takes no value", f"write {option} alone"
    metavar = getattr(parameter, "metavar", None) or "VALUE"
    return f"{option} has no value", f"write {option} {metavar}: {_lowered(getattr(parameter, 'help', ''))}"


def _missing(parameter: Any, typed: Typed) -> Hint:
    metavar = parameter.metavar or parameter.name.upper()
    more = " (`charlm runs` lists them)" if metavar.startswith("RUN") else ""
    return f"`{typed.program}` needs {metavar}", f"write `{typed.program} {metavar}`: {_lowered(parameter.help)}{more}"


def _bad_value(parameter: Any, message: str, typed: Typed) -> Hint:
    """A number that is none, or out of its range. A whole one is called N in the help."""
    from charlm.settings.messages import meant_number

    option = next((option for option in parameter.opts if typed.value_of(option)), parameter.opts[0])
    value, whole = typed.value_of(option), parameter.metavar == "N"
    if re.search("number|integer|float|than|range", message) is None:
        return f"{option} {_shown(value)}: {_lowered(message.partition(': ')[2])}", f"see {typed.help}"
    low, high = (
        getattr(parameter, end, getattr(getattr(parameter, "type", None), end, None)) for end in ("min", "max")
    )
    kind = "a whole number" if whole else "a number"
    if low is not None:
        kind += f" of {low:,} or more" if high is None else f" from {low:,} to {high:,}"
    meant = meant_number(value, whole=whole)
    example = parameter.default or low or (10 if whole else 0.5)
    cure = f"give one such as {example}" if meant in (None, value) else f"write {option} {meant}"
    return f"{option} {_shown(value)} is not {kind}", cure


def _options(command: Any) -> Iterator[str]:
    for parameter in command.params:
        if parameter.param_type_name == "option":
            yield from (*parameter.opts, *parameter.secondary_opts)


def _with_value(option: str, value: str, typed: Typed) -> str:
    parameter = typed.parameter(option)
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
    return quoted if len(quoted) <= _LONGEST else f"{quoted[: _LONGEST - 3]}..."


def _lowered(sentence: str) -> str:
    first = sentence[:1].lower() if sentence[1:2].islower() or sentence[1:2] == " " else sentence[:1]
    return f"{first}{sentence[1:]}".rstrip(".")


def _listed(parts: Iterator[str], conjunction: str = "and") -> str:
    *others, last = parts
    return f"{', '.join(others)} {conjunction} {last}" if others else last
