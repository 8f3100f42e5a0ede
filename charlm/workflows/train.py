"""What `charlm train` does: start a run or continue one, in one process or in several that torchrun started."""

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from charlm import workspace
from charlm.checkpoint import LoadedModel, load_model
from charlm.device import retain_freed_memory
from charlm.errors import DivergedError, SettingsError, SilentError, StoppedError
from charlm.nn.model import LanguageModel
from charlm.storage import DirectoryLock, check_writable
from charlm.training.distributed import init_distributed
from charlm.training.logs.console import Console
from charlm.training.trainer import Trainer
from charlm.workflows.describe_training import announce
from charlm.workflows.open_run import open_run, refuse_other_folder
from charlm.workflows.plan_training import TrainingPlan
from charlm.workflows.pretrained_parts import part_tensors


def run_training(
    plan: TrainingPlan, *, resume: bool, overwrite: bool, quiet: bool, start_time: float
) -> dict[str, Any] | None:
    """Start a run or continue it, make it the current one, and return its result (None on ranks other than 0)."""
    assert plan.corpus is not None
    corpus = plan.corpus.directory
    if overwrite and plan.initial is not None and plan.initial.resolve().is_relative_to(plan.run.root.resolve()):
        raise SettingsError(
            f"--init-from {plan.initial} is in {plan.run.root}, which --overwrite would remove", "choose another --out"
        )
    lost = next((setting for setting, model in plan.frozen.items() if model.weights is None), None)
    if overwrite and lost is not None and plan.initial is None:
        raise SettingsError(
            f"--overwrite would remove the only copy of the language model that {lost} names",
            "train that model again, or leave --overwrite out",
        )
    ranks = init_distributed(plan.device)
    console = Console(quiet=quiet or not ranks.is_main)
    retain_freed_memory(plan.device)
    with contextlib.ExitStack() as stack:
        stack.enter_context(ranks.connected())

        def open_directory() -> None:
            refuse_other_folder(plan.run)
            check_writable(plan.run.root)
            stack.enter_context(DirectoryLock(plan.run.root))
            open_run(
                plan.run,
                plan.experiment,
                corpus,
                plan.initial_weights,
                frozen=plan.frozen,
                resume=resume,
                overwrite=overwrite,
            )

        ranks.run_on_main(open_directory)
        if plan.reason:
            console.note(plan.reason)
        initial: LanguageModel | None = None
        start: Callable[[LanguageModel], None] | None = None
        if plan.initial is not None and not plan.run.checkpoint_steps():
            loaded = load_model(plan.initial, torch.device("cpu"))
            if plan.initial_parts:
                start = partial(_start_parts, loaded, plan)
            else:
                initial = loaded.model
            what = f"the {' and the '.join(plan.initial_parts)} " if plan.initial_parts else ""
            console.note(f"starting {what}from the weights of {plan.initial}")
        is_new = not plan.run.checkpoint_steps()
        trainer = Trainer(
            plan.experiment.model,
            plan.experiment.training,
            plan.corpus,
            plan.run,
            device=plan.device,
            console=console,
            start_time=start_time,
            ranks=ranks,
            initial=initial,
            start=start,
            frozen=plan.frozen,
        )

        def make_default() -> None:
            workspace.set_current(workspace.RUNS, plan.run.root, console.note)
            if is_new:
                console.note(announce(plan, trainer.model, trainer.batches, ranks.world_size))

        ranks.run_on_main(make_default)
        try:
            outcome = trainer.run()
        except (StoppedError, DivergedError) as error:
            if ranks.is_main:
                raise
            raise SilentError(error.exit_code) from error
    if not ranks.is_main:
        return None
    return {"run": str(plan.run.root), **outcome.to_json()}


def _start_parts(loaded: LoadedModel, plan: TrainingPlan, model: LanguageModel) -> None:
    """Copy the weights of a language model into the parts of a transducer."""
    drawn = model.state_dict()
    model.load_state_dict({**drawn, **part_tensors(loaded, plan.initial_parts, drawn)})
