"""Explain a usage error of Typer: WHAT was typed, and as the CURE what was probably meant.

no such command  ─┐                          ┌─ a synonym of a command or option, a config, a path
no such option   ─┼─ WHAT, and as the CURE ──┼─ a setting, an option of another command
surplus argument ─┤                          ├─ the nearest spelling
missing, invalid ─┘                          └─ or the help of the command
"""

import contextlib
import os
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import typer
import typer.main

from charlm.errors import UsageError
from charlm.suggestions import synonyms
from charlm.suggestions.command_line import CommandLine, KnownNames, options_of, shell_word
from charlm.suggestions.other_programs import find_cure
from charlm.suggestions.words import join_words, lower_first, nearest

_MIN_SIMILARITY = 0.7  # difflib's ratio, of options
_SETTINGS_OF = {
    "prepare": ("corpus.",),
    "train": ("model.", "training."),
    "demo": ("model.", "training."),
    "inspect": ("model.",),
}
"""Command that takes --set -> the settings of an experiment that it uses."""

Hint = tuple[str, str]
"""WHAT and CURE."""


@contextlib.contextmanager
def translate_usage_errors(
    arguments: Sequence[str], app: typer.Typer, load_names: Callable[[], KnownNames]
) -> Generator[None, None, None]:
    """Turn a usage error of Typer into a UsageError."""
    try:
        yield
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        raise UsageError(*explain(error, CommandLine(arguments, typer.main.get_command(app), load_names()))) from error


def explain(error: Any, line: CommandLine) -> Hint:
    """Return WHAT and CURE of a usage error of Typer."""
    message: str = error.format_message().strip().rstrip(".")
    if message.startswith("No such command"):
        return _no_such_command(line.word, line)
    if extra := re.fullmatch(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", message, re.DOTALL):
        return _extra_argument(extra[1], line)
    match type(error).__name__:
        case "NoSuchOption":
            return _no_such_option(line.typed_option(error.option_name), line)
        case "BadOptionUsage" if "does not take a value" in message:
            return f"{error.option_name} takes no value", f"write {error.option_name} alone"
        case "BadOptionUsage":
            parameter = line.parameter(error.option_name)
            cure = f"write {error.option_name} {parameter.metavar}: {lower_first(parameter.help)}"
            return f"{error.option_name} has no value", cure
        case "MissingParameter":
            return _missing(error.param, line)
        case "BadParameter":
            return _bad_value(error.param, message, line)
        case _:
            return f"{message[:1].lower()}{message[1:]}", f"see {line.help}"


def _no_such_command(name: str, line: CommandLine) -> Hint:
    what, more = f"there is no command {shell_word(name)}", f" ({line.help} lists all)"
    meant = next(iter(synonyms.find_synonyms(name, synonyms.COMMANDS)), None) or nearest(name, line.commands)
    if meant is None and line.names.is_config(name):
        meant = f"train --config {name}"
    if meant is None and os.path.exists(name):  # noqa: PTH110 - Path raises where a name is too long
        meant = f"inspect {shell_word(name)}"
    if meant is None:
        return what, f"see {line.help}"
    return what, f"did you mean `charlm {meant}`?{'' if meant.startswith('--') else more}"


def _no_such_option(option: str, line: CommandLine) -> Hint:
    if option in line.options():
        return f"{shell_word(option)} is an option of the command", f"write `{line.program} {shell_word(option)}`"
    what = f"`{line.program}` has no option {shell_word(option)}"
    if line.names.renamed.get(option) in line.options():
        return what, f"it is called {line.names.renamed[option]} now"
    value = line.value_of(option)
    cure = find_cure(line.name, option, value, shell_word(value) if value else "VALUE")
    if cure is not None and not cure.startswith("--"):
        return what, cure
    instead = cure or next(_suggestions(option, line), None)
    if instead is not None:
        return what, f"did you mean {instead}? ({line.help} lists all)"
    owners = [f"`charlm {name}`" for name, command in line.commands.items() if option in options_of(command)]
    if not owners:
        return what, f"see {line.help}"
    return what, (
        f"it is an option of {join_words(owners)}" if line.name else f"write it behind {join_words(owners, 'or')}"
    )


def _suggestions(option: str, line: CommandLine) -> Iterator[str]:
    """Yield what an unknown option may mean, the likeliest first."""
    name, value = synonyms.normalize(option), line.value_of(option)
    options = {synonyms.normalize(other): other for other in line.options()}
    if name in options:
        yield line.with_value(options[name], value)
    yield from _setting_suggestions(option.strip("-").replace("-", "_"), value, line)
    for meaning in synonyms.find_synonyms(option, synonyms.OPTIONS):
        wanted, _, own_value = meaning.partition(" ")
        if other := options.get(synonyms.normalize(wanted)):
            yield line.with_value(other, own_value or value)
        if line.has_argument(wanted):
            yield f"`{line.program} {shell_word(value) if value else 'RUN'}`"
        yield from _setting_suggestions(wanted, value, line)
    if close := nearest(name, options, _MIN_SIMILARITY):
        yield line.with_value(options[close], value)


def _setting_suggestions(name: str, value: str, line: CommandLine) -> Iterator[str]:
    """Yield the setting that an unknown option may mean: `lr` -> `--set training.optimizer.lr=0.1`."""
    from charlm.suggestions.setting_keys import find_keys, type_names_at

    def assigned(key: str) -> str:
        types = type_names_at(key, line.names.settings_class)
        known = nearest(value, types)
        if types and known is None:
            return f"--set {key}.type=TYPE, of {join_words(types)},"
        return f"--set {key}.type={known}" if types else f"--set {key}={shell_word(value) if value else 'VALUE'}"

    prefixes = _SETTINGS_OF.get(line.name, ())
    current = next((new for old, new in line.names.renamed.items() if old.rpartition(".")[2] == name), name)
    found = find_keys(current.rpartition(".")[2], line.names.settings_class) if prefixes else []
    if keys := [key for key in found if key.startswith(prefixes)]:
        yield join_words(map(assigned, keys), "or")


def _extra_argument(extra: str, line: CommandLine) -> Hint:
    """Explain a surplus argument: most often it is the value of an option that is missing before it."""
    if not extra:
        return "an argument is empty", "give a value, or leave it out; perhaps a shell variable is not set"
    if extra[0] in "\N{EM DASH}\N{EN DASH}":
        return f"{shell_word(extra)} begins with a dash instead of hyphens", f"write --{extra[1:]}"
    is_several = extra not in line.arguments
    what = f"`{line.program}` takes no {'arguments' if is_several else 'argument'} {shell_word(extra)}"
    last = max((index for index, argument in enumerate(line.arguments) if argument == extra), default=0)
    before = line.arguments[:last][-2:]
    options = line.options()
    key = line.value_of("--set")
    likely = {
        f"--set {key}={shell_word(extra.removeprefix('= '))}, without spaces": bool(key) and extra.startswith("= "),
        f"--set {before[-1]}={shell_word(extra)}" if before else "": before[:1] == ["--set"] and "=" not in before[-1],
        f"--set {shell_word(extra)}": "--set" in options and re.match(r"[\w-]+\.[\w.-]+=", extra) is not None,
        f"--config {shell_word(extra)}": "--config" in options and line.names.is_config(extra),
        "--input before each" if is_several else f"--input {shell_word(extra)}": "--input" in options,
        f"--prompt {shell_word(extra)}": "--prompt" in options,
        "the text in quotes, as one argument": line.has_argument("text"),
    }
    cure = next((meant for meant, is_likely in likely.items() if is_likely), None)
    return what, f"write {cure}, or see {line.help}" if cure else f"see {line.help}"


def _missing(parameter: Any, line: CommandLine) -> Hint:
    more = " (`charlm runs` lists them)" if parameter.metavar.startswith("RUN") else ""
    cure = f"write `{line.program} {parameter.metavar}`: {lower_first(parameter.help)}{more}"
    return f"`{line.program}` needs {parameter.metavar}", cure


def _bad_value(parameter: Any, message: str, line: CommandLine) -> Hint:
    """Explain a value that is not a number, or out of range. An option whose metavar is N takes an integer."""
    from charlm.suggestions.values import guess_number

    option = next((option for option in parameter.opts if line.value_of(option)), parameter.opts[0])
    value, is_integer = line.value_of(option), parameter.metavar == "N"
    if re.search("number|integer|float|than|range", message) is None:
        return f"{option} {shell_word(value)}: {lower_first(message.partition(': ')[2])}", f"see {line.help}"
    low, high = (
        getattr(parameter, end, getattr(getattr(parameter, "type", None), end, None)) for end in ("min", "max")
    )
    kind = "a whole number" if is_integer else "a number"
    if low is not None:
        kind += f" of {low:,} or more" if high is None else f" from {low:,} to {high:,}"
    meant = guess_number(value, is_integer=is_integer)
    example = parameter.default or low or (10 if is_integer else 0.5)
    cure = f"give one such as {example}" if meant in (None, value) else f"write {option} {meant}"
    return f"{option} {shell_word(value)} is not {kind}", cure
