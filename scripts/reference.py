"""Write charlm/docs/reference.md: every command, setting, exit code and environment variable, from the code.

Typer's commands ──┐
settings classes ──┼──> paragraphs and lists of Markdown, wrapped ──> charlm/docs/reference.md
exceptions       ──┘

The page depends on charlm alone, not on the versions of Typer and pydantic or on the terminal.
"""

import argparse
import inspect
import re
import signal
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from reference_markdown import anchor, escaped, items, prose
from reference_settings import bounds, settings
from typer.models import ArgumentInfo, OptionInfo

from charlm.cli import app, root
from charlm.errors import EXIT_BUG, EXIT_CLOSED_PIPE, CharlmError, StoppedError

PATH = Path(__file__).parents[1] / "charlm" / "docs" / "reference.md"

INTRODUCTION = """
Every command with its options, every setting, the exit codes and the environment variables. `scripts/docs` generates
this page from the code. The other [pages](index.md) explain what each part is for.
"""

COMMANDS_INTRODUCTION = """
`charlm COMMAND --help` shows the same in the terminal. Options and arguments can be in any order. An option that takes
a value shows a name for it, such as the N of `--length N`.
"""

TYPER_OPTIONS = {
    "--install-completion": "Install shell completion for commands, options, and names of corpora, runs and configs.",
    "--show-completion": "Print the completion script, to copy or change it.",
    "-h, --help": "Show what a command does and its options, and exit; after any command.",
}

ENVIRONMENT = {
    "CHARLM_API_KEY": "For `charlm serve`: the key that clients must send, instead of `--api-key`.",
    "CHARLM_CACHE": "The folder of downloads and compiled kernels. Default: `charlm` in `XDG_CACHE_HOME`, or in"
    " `~/.cache`; on macOS `~/Library/Caches/charlm`.",
    "CHARLM_CHROMIUM": "For tests and the picture of the page of `charlm serve`. Default: `/usr/bin/chromium`.",
    "CHARLM_COMPILE": "`0` turns off the functions in C, for recurrent steps and for compression, which a C compiler"
    " otherwise builds once.",
    "CHARLM_INTEGER_PATH": "How `charlm compress` multiplies: `plain`, `avx2` or `vnni`. The bits are the same. If it"
    " is not set: the fastest one that the processor has.",
    "CHARLM_CONTACT": "A contact address for the User-Agent, as Wikimedia asks of programs; `corpus.source.contact` has"
    " priority.",
    "CHARLM_MIRROR": "Addresses with the layout of dumps.wikimedia.org, separated by spaces, tried before"
    " `corpus.source.mirrors`.",
    "CHARLM_SHARED": "For tests and measurements: the folder of real data. Default: `../shared/data`.",
    "CHARLM_TEST_WORKERS": "For `scripts/test`: the number of parallel test processes. Default: 2.",
    "CHARLM_TORCH_INDEX": "For `scripts/setup`: the package index to install torch from.",
}
ENVIRONMENT_NOTE = """
The variables of other programs apply as usual, among them `NO_COLOR`, `HF_HOME`, `HF_ENDPOINT`,
`OMP_NUM_THREADS`, `CUDA_VISIBLE_DEVICES`, proxies (`HTTPS_PROXY`), and what `torchrun` sets.
"""

SIGNAL_EXIT_CODES = {
    EXIT_BUG: "A bug in charlm.",
    128 + signal.SIGINT: "Ctrl-C (SIGINT), after the work so far was saved.",
    EXIT_CLOSED_PIPE: "Closed pipe: the reader of the output ended first.",
    128 + signal.SIGTERM: "SIGTERM, after the work so far was saved.",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if the page is out of date")
    parser.add_argument("path", nargs="?", type=Path, default=PATH)
    options = parser.parse_args()
    page = reference()
    if not options.check:
        options.path.write_text(page, encoding="utf-8")
    elif not options.path.is_file() or options.path.read_text(encoding="utf-8") != page:
        sys.exit(f"{options.path.name} is out of date; run scripts/docs and commit what it changes")


def reference() -> str:
    """Return the whole page."""
    parts = [*commands(), *settings(), *exit_codes(), *environment()]
    headings = [part for part in parts if part.startswith(("## ", "### "))]
    anchors = [anchor(heading) for heading in headings]
    assert len(set(anchors)) == len(anchors), "two headings with one anchor"
    contents = "\n".join(map(_entry, headings))
    return "\n\n".join(["# charlm: the reference", prose(INTRODUCTION), contents, *parts]) + "\n"


def _entry(heading: str) -> str:
    marks, _, title = heading.partition(" ")
    return f"{'  ' * (len(marks) - 2)}- [{title}](#{anchor(heading)})"


# ---- commands


def commands() -> Iterator[str]:
    yield "## charlm"
    yield usage("COMMAND [OPTIONS]")
    yield prose(f"{inspect.getdoc(root)}\n\n{COMMANDS_INTRODUCTION}")
    yield "Options:"
    yield items([*map(_parameter, parameters(root)), *((f"`{name}`", text) for name, text in TYPER_OPTIONS.items())])
    for command in app.registered_commands:
        assert command.name is not None
        assert command.callback is not None
        yield f"## charlm {command.name}"
        yield from _command(command.name, command.callback)


def _command(name: str, function: Callable[..., Any]) -> Iterator[str]:
    found = list(parameters(function))
    arguments = [parameter for parameter in found if isinstance(parameter[1], ArgumentInfo)]
    options = [parameter for parameter in found if isinstance(parameter[1], OptionInfo)]
    shown = [_in_usage(info, default) for _, info, default in arguments]
    yield usage(" ".join([name, *shown, "[OPTIONS]"]))
    yield prose(inspect.getdoc(function) or "")
    for title, group in (("Arguments", arguments), ("Options", options)):
        if group:
            yield f"{title}:"
            yield items(map(_parameter, group))


def usage(call: str) -> str:
    return f"```text\ncharlm {call}\n```"


def parameters(function: Callable[..., Any]) -> Iterator[tuple[Any, ArgumentInfo | OptionInfo, Any]]:
    """Yield the type, Typer's description and the default of each parameter."""
    hints = typing.get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        if get_origin(hints[name]) is Annotated:
            kind, info = get_args(hints[name])[:2]
            yield kind, info, parameter.default


def _in_usage(info: ArgumentInfo | OptionInfo, default: Any) -> str:
    metavar = info.metavar or ""
    return metavar if default is inspect.Parameter.empty or metavar.startswith("[") else f"[{metavar}]"


def _parameter(parameter: tuple[Any, ArgumentInfo | OptionInfo, Any]) -> tuple[str, str]:
    kind, info, default = parameter
    text = escaped(info.help or "")
    if isinstance(info, ArgumentInfo):
        return f"`{(info.metavar or '').removeprefix('[').removesuffix(']')}`", text
    names = [str(info.default), *(info.param_decls or ())]  # Typer keeps the first name of an annotation there
    facts: list[str] = []
    if isinstance(default, bool):
        facts += [f"default `{name.split('/')[not default]}`" for name in names if "/" in name]
    elif default not in (None, ""):
        facts.append(f"default `{default}`")
    if limit := bounds(info.min, info.max, None, None):
        facts.append(limit)
    if "list" in str(kind) and not re.search("repeatable|several times", text, re.IGNORECASE):
        facts.append("may be given several times")
    term = " ".join([", ".join(names).replace("/", " / "), *([info.metavar] if info.metavar else [])])
    return f"`{term}`", f"{text.removesuffix('.')} ({'; '.join(facts)})." if facts else text


# ---- exit codes and environment


def exit_codes() -> Iterator[str]:
    descriptions: dict[int, list[str]] = {0: ["Success."]}
    for code, text in SIGNAL_EXIT_CODES.items():
        descriptions[code] = [text]
    for kind in _errors(CharlmError):
        if kind is not StoppedError and kind.__module__ == CharlmError.__module__:
            descriptions.setdefault(kind.exit_code, []).append(inspect.getdoc(kind) or "")
    yield "## Exit codes"
    yield prose(
        "An error is one line on stderr, `charlm: error: WHAT; WHAT TO DO`; `--debug` adds a traceback. With `--json`,"
        " stdout then stays empty."
    )
    yield items((f"`{code}`", " ".join(descriptions[code])) for code in sorted(descriptions))


def _errors(base: type[CharlmError]) -> Iterator[type[CharlmError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _errors(kind)


def environment() -> Iterator[str]:
    yield "## Environment variables"
    yield items((f"`{name}`", text) for name, text in sorted(ENVIRONMENT.items()))
    yield prose(ENVIRONMENT_NOTE)


if __name__ == "__main__":
    main()
