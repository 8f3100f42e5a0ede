"""Train, or go on training: alone, or as one of the processes that torchrun started."""

import contextlib
from dataclasses import asdict
from typing import Any

import torch

from charlm import terminal, workspace
from charlm.checkpoint import load_model
from charlm.device import keep_memory
from charlm.errors import DivergedError, SilentError, StoppedError, StorageError
from charlm.experiment import changes
from charlm.settings import to_toml
from charlm.storage import DirectoryLock, check_writable
from charlm.training.distributed import find_ranks
from charlm.training.logs.console import Console
from charlm.training.open_run import open_run
from charlm.training.trainer import Trainer
from charlm.workflows.describe_training import describe
from charlm.workflows.plan_training import TrainingPlan

_TOLD = ("parameters", "vocabulary", "coverage_of_valid", "backend", "precision", "device", "memory")


def run_training(
    plan: TrainingPlan, *, resume: bool, overwrite: bool, quiet: bool, started: float
) -> dict[str, Any] | None:
    """Train, or go on training, and make the run the current one. None on all ranks but the first, which tells."""
    assert plan.corpus is not None
    ranks = find_ranks(plan.device)
    console = Console(quiet=quiet or not ranks.is_first)
    keep_memory(plan.device)
    with contextlib.ExitStack() as stack:
        stack.enter_context(ranks.join())

        def open_directory() -> None:
            check_writable(plan.run.root)
            stack.enter_context(DirectoryLock(plan.run.root))
            open_run(plan.run, to_toml(plan.experiment), changes, resume=resume, overwrite=overwrite)

        ranks.first_only(open_directory)
        initial = None
        if plan.initial is not None and not plan.run.steps():
            initial = load_model(plan.initial, torch.device("cpu")).model
            console.note(f"starting from the weights of {plan.initial}")
        is_new = not plan.run.steps()
        trainer = Trainer(
            plan.experiment.model,
            plan.experiment.training,
            plan.corpus,
            plan.run,
            device=plan.device,
            console=console,
            started=started,
            ranks=ranks,
            initial=initial,
        )

        def announce() -> None:
            _remember(plan, console)
            if is_new:
                _introduce(plan, console, ranks.size)

        ranks.first_only(announce)
        try:
            outcome = trainer.run()
        except (StoppedError, DivergedError) as error:
            if ranks.is_first:
                raise
            raise SilentError(error.exit_code) from error
    if not ranks.is_first:
        return None
    return {"run": str(plan.run.root), **asdict(outcome)}


def _remember(plan: TrainingPlan, console: Console) -> None:
    """Make the run the default of later commands."""
    try:
        workspace.remember(workspace.RUNS, plan.run.root)
    except StorageError as error:
        console.note(f"{plan.run.root} is not the default of later commands: {error.what}")


def _introduce(plan: TrainingPlan, console: Console, num_ranks: int) -> None:
    """A line on what begins."""
    description = describe(plan, num_ranks=num_ranks)
    facts = [f"{name.replace('_', ' ')} {terminal.figure(description[name])}" for name in _TOLD if name in description]
    processes = f" · {num_ranks} processes" if num_ranks > 1 else ""
    console.note(f"{plan.run.root}: {' · '.join(facts)}{processes}")
