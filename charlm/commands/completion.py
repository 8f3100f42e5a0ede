"""What a shell offers for a value: the names of what there is, and the words that an option knows. No torch here.

    charlm train --data l<TAB> ──_CHARLM_COMPLETE──> Typer ──> a function of this module ──> those that begin with `l`

Where a shell is offered nothing, as for `runs/l`, it completes the names of files.
"""

import contextlib
from collections.abc import Callable

import typer

from charlm import workspace
from charlm.errors import CharlmError

DEVICES = ("auto", "cpu", "cuda", "mps")
SPLITS = ("train", "valid", "test")


def words(*known: str) -> Callable[[], list[str]]:
    """Of an option that knows these words only."""
    return lambda: list(known)


def corpora() -> list[str]:
    return workspace.directory_names(workspace.DATA)


def runs() -> list[str]:
    return workspace.directory_names(workspace.RUNS)


def runs_and_corpora() -> list[str]:
    return sorted({*runs(), *corpora()})


def config_names() -> list[str]:
    return workspace.config_names()


def all_names() -> list[str]:
    """Of corpora, runs and configs: what `charlm inspect` looks into by name."""
    return sorted({*runs(), *corpora(), *config_names()})


def sources() -> list[str]:
    from charlm.settings import type_names
    from charlm.text.settings import SourceSettings

    return type_names(SourceSettings)


def vocabularies() -> list[str]:
    from charlm.settings import type_names
    from charlm.vocab.settings import VocabSettings

    return type_names(VocabSettings)


def checkpoints(context: typer.Context) -> list[str]:
    """best, last, and the steps of the run that the command line names so far, or else of the current one."""
    from charlm.training.run_directory import RunDirectory

    with contextlib.suppress(CharlmError):  # no such run: the command itself will say so
        named = context.args[0] if context.args else None
        return ["best", "last", *map(str, RunDirectory(workspace.find_run(named)).checkpoint_steps())]
    return ["best", "last"]
