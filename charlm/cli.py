"""The command line: parse, call one function, print. Heavy imports stay inside the commands.

Results go to stdout (with --json one object and nothing else), notes, bars and errors to stderr. This is the only
module that prints errors and chooses exit codes.
"""

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Generator
from typing import Annotated

import typer

from charlm import child_processes, storage, terminal
from charlm.commands.baseline import baseline
from charlm.commands.command_line import ClosedPipeError, Command, CommandGroup
from charlm.commands.compare import compare
from charlm.commands.compress import compress, decompress
from charlm.commands.demo import demo
from charlm.commands.evaluate import evaluate
from charlm.commands.explain import explain
from charlm.commands.export import export
from charlm.commands.inspect_path import inspect
from charlm.commands.predict import predict
from charlm.commands.prepare import prepare
from charlm.commands.report import report
from charlm.commands.runs import runs
from charlm.commands.sample import sample
from charlm.commands.serve import serve
from charlm.commands.train import train
from charlm.commands.tune import tune
from charlm.commands.version import describe_installation
from charlm.errors import (
    EXIT_BUG,
    EXIT_CLOSED_PIPE,
    CharlmError,
    OutOfMemoryError,
    SilentError,
    UsageError,
)
from charlm.suggestions.command_line import KnownNames
from charlm.suggestions.usage_errors import translate_usage_errors

_OUT_OF_MEMORY_CURE = (
    "give a smaller input, fewer --streams (eval), a lower --count (sample) or a smaller batch, use --device cpu, or"
    " close other programs"
)

app = typer.Typer(
    name="charlm",
    cls=CommandGroup,
    help="Character-level language models: from any Wikipedia to honestly measured text.",
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the versions of charlm, Python and torch, the device and the formats, and exit."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback with an error. It may stand anywhere in a command.")
    ] = False,
) -> None:
    """Character-level language models: from any Wikipedia to honestly measured text."""
    del debug  # `main` has taken it out of the arguments
    if version:
        for line in describe_installation():
            print(line)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


for name, command in (
    ("prepare", prepare),
    ("train", train),
    ("eval", evaluate),
    ("sample", sample),
    ("serve", serve),
    ("predict", predict),
    ("explain", explain),
    ("export", export),
    ("compress", compress),
    ("decompress", decompress),
    ("inspect", inspect),
    ("runs", runs),
    ("report", report),
    ("compare", compare),
    ("baseline", baseline),
    ("tune", tune),
    ("demo", demo),
):
    app.command(name, cls=Command)(command)


def main() -> None:
    """Run the `charlm` program on `sys.argv`."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name, None) is None:  # closed by the caller: the next file opened must not get its number
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open to the end
        with contextlib.suppress(AttributeError, io.UnsupportedOperation):  # no text file of our own, or read already
            getattr(sys, name).reconfigure(errors="surrogateescape" if name == "stdin" else "backslashreplace")
    debug = "--debug" in sys.argv[1:]
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    with _handle_errors(debug):
        storage.name_missing_home()
        _check_unicode(arguments)
        with translate_usage_errors(arguments, app, _load_known_names):
            code: object = app(arguments, prog_name="charlm", standalone_mode=False)
        if code == 130:
            raise KeyboardInterrupt  # Typer turns a Ctrl-C that comes while it reads the arguments into 130
        if code == 1:  # only --install-completion and --show-completion return it
            raise UsageError("there is no completion for this shell", "run it in bash, zsh, fish or PowerShell")
        sys.stdout.flush()


def _load_known_names() -> KnownNames:
    from charlm.experiment import Experiment, is_config
    from charlm.settings import renamed

    return KnownNames(Experiment, is_config, {**renamed.OPTIONS, **renamed.SETTINGS})


@contextlib.contextmanager
def _handle_errors(debug: bool) -> Generator[None, None, None]:
    """Turn every exception into one line on stderr and an exit code of the reference's list."""
    try:
        yield
    except (BrokenPipeError, ClosedPipeError):
        _silence_stdout()
        sys.exit(EXIT_CLOSED_PIPE)
    except KeyboardInterrupt:
        _exit_with_error("interrupted", "run the same command again", 130, debug)
    except SilentError as error:
        sys.exit(error.exit_code)
    except CharlmError as error:
        rank = os.environ.get("RANK", "")
        if error.exit_code == UsageError.exit_code and rank.isdecimal() and int(rank):
            sys.exit(error.exit_code)  # every process of a job finds the same error; the first one prints it
        _exit_with_error(*error.for_command_line(), error.exit_code, debug)
    except OSError as error:  # most likely of stdout: `storage` writes files and raises StorageError
        if error.filename:
            found = storage.path_error(error)
            _exit_with_error(*found.for_command_line(), found.exit_code, debug)
        _silence_stdout()
        what = f"cannot write the output: {error.strerror or error}"
        _exit_with_error(what, "check the disk, or send the output elsewhere", 5, debug)
    except Exception as error:  # noqa: BLE001 - the one place where a bug becomes an exit code
        if _was_interrupted(error):
            _exit_with_error("interrupted", "run the same command again", 130, debug)
        if _is_out_of_memory(error):
            _exit_with_error(
                "the memory of this machine or of its device is full",
                _OUT_OF_MEMORY_CURE,
                OutOfMemoryError.exit_code,
                debug,
            )
        kind = type(error).__name__
        _exit_with_error(
            f"a bug in charlm ({kind}: {error})",
            "please report it with the output of --debug and of `charlm --version`",
            EXIT_BUG,
            debug,
        )


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether an error was raised while a Ctrl-C was handled: cleaning up may fail where something was half begun."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _is_out_of_memory(error: Exception) -> bool:
    if "torch" not in sys.modules:  # no import for an error that cannot be torch's
        return isinstance(error, MemoryError)
    from charlm.device import is_out_of_memory

    return is_out_of_memory(error)


def _check_unicode(arguments: list[str]) -> None:
    for argument in arguments:
        try:
            argument.encode("utf-8")
        except UnicodeEncodeError as error:
            raise UsageError(
                f"the argument {argument!r} is not Unicode text", "give it in the terminal's encoding, preferably UTF-8"
            ) from error


def _exit_with_error(what: str, cure: str, code: int, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    with contextlib.suppress(OSError):
        print(terminal.printable("charlm: error: " + " ".join(f"{what}; {cure}".split())), file=sys.stderr)
    child_processes.kill_workers()  # the interpreter would wait for what they are doing
    sys.exit(code)


def _silence_stdout() -> None:
    """Point stdout at the null device: the interpreter's last flush would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
