"""The values that a shell offers for Tab: names of corpora, runs and configs, and the words that an option takes.

    charlm train --data l<TAB> ──_CHARLM_COMPLETE──> Typer ──> a function of this module ──> names that begin with `l`

Where the list is empty, as for `runs/l`, the shell completes file names. Nothing here imports torch.
"""

import contextlib
from collections.abc import Callable

import typer

from charlm import workspace
from charlm.errors import CharlmError
from charlm.hub.address import is_hub_address

DEVICES = ("auto", "cpu", "cuda", "mps")
SPLITS = ("train", "valid", "test")


def words(*known: str) -> Callable[[], list[str]]:
    """The completion of an option that takes only these words."""
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
    """The names that `charlm inspect` takes: of corpora, runs and configs."""
    return sorted({*runs(), *corpora(), *config_names()})


def sources() -> list[str]:
    from charlm.settings import type_names
    from charlm.text.settings import SourceSettings

    return type_names(SourceSettings)


def tasks() -> list[str]:
    from charlm.data.task_settings import TaskSettings
    from charlm.settings import type_names

    return type_names(TaskSettings)


def vocabularies() -> list[str]:
    from charlm.settings import type_names
    from charlm.vocab.settings import VocabSettings

    return type_names(VocabSettings)


def export_formats() -> list[str]:
    from charlm.export.formats import FORMATS

    return [each.name for each in FORMATS]


def checkpoints(context: typer.Context) -> list[str]:
    """best, last, and the steps of the run that the command line names, or else of the current run."""
    from charlm.training.run_directory import RunDirectory

    with contextlib.suppress(CharlmError):  # no such run: the command itself reports that
        named = context.args[0] if context.args else None
        if named is not None and is_hub_address(named):
            return []  # a single checkpoint, and not to be downloaded here
        return ["best", "last", *map(str, RunDirectory(workspace.find_run(named)).checkpoint_steps())]
    return ["best", "last"]
