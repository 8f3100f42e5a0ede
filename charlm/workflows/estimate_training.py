"""Estimate the speed and the time of a training from a few of its steps."""

import time
from dataclasses import dataclass
from itertools import count

from charlm.data.corpus import Corpus
from charlm.device import retain_freed_memory
from charlm.training.distributed import SingleProcess
from charlm.training.model_updater import ModelUpdater
from charlm.training.optim.schedules import ScheduleInput
from charlm.training.settings import TrainingSettings
from charlm.training.tasks.base import Task
from charlm.workflows.plan_training import TrainingPlan

_MIN_SECONDS = 2.0
_MAX_STEPS = 20
_WARMUP_STEPS = 2


@dataclass(frozen=True)
class Estimate:
    """The speed on the first batches, and the time of the whole budget at that speed."""

    characters_per_second: float
    seconds: float


def estimate(plan: TrainingPlan, corpus: Corpus, task: Task) -> Estimate:
    """Train new weights for about two seconds and discard them.

    Args:
        task: of the corpus.

    Raises:
        CharlmError: training would raise it too.
    """
    retain_freed_memory(plan.device)
    settings = plan.experiment.training
    batches = task.open_batches(settings, plan.experiment.model, 1)
    model = task.new_model(plan.experiment.model, plan.frozen)
    updater = ModelUpdater(model.to(plan.device).train(), settings, plan.device, SingleProcess())
    cursor = batches.start
    tokens, start = 0, time.perf_counter()
    for step in count():
        update = updater.update(
            batches.batch(cursor), ScheduleInput(step, 0, 0.0, 0.0), num_scored=batches.num_scored(cursor)
        )
        cursor = batches.next_cursor(cursor)
        if step < _WARMUP_STEPS:
            tokens, start = 0, time.perf_counter()
            continue
        tokens += update.tokens
        elapsed = time.perf_counter() - start
        if step >= _MAX_STEPS or elapsed >= _MIN_SECONDS:
            break
    rate = tokens / max(1e-9, time.perf_counter() - start)
    per_epoch = task.targets_per_character * corpus.open("train").count("characters")
    total = _budget_tokens(settings, per_epoch, per_epoch / batches.steps_per_epoch)
    seconds = min(total / rate, 60 * (settings.max_minutes or float("inf")))
    return Estimate(rate / task.targets_per_character, seconds)


def _budget_tokens(settings: TrainingSettings, tokens_per_epoch: float, tokens_per_step: float) -> float:
    limits = (
        None if settings.max_steps is None else settings.max_steps * tokens_per_step,
        settings.max_tokens,
        None if settings.max_epochs is None else settings.max_epochs * tokens_per_epoch,
    )
    return min((float(limit) for limit in limits if limit is not None), default=float("inf"))
