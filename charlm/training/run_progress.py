"""The progress of a run: the used fraction of each budget, whether the run is finished, and what ended it."""

from charlm.training.optim.schedules import ScheduleInput
from charlm.training.settings import TrainingSettings
from charlm.training.tasks.base import TrainingBatches
from charlm.training.trainer_state import TrainerState
from charlm.training.validation_history import should_stop_early


def used_fractions(
    settings: TrainingSettings, *, steps: int, tokens: int, epochs: float, minutes: float
) -> dict[str, float]:
    """Return the used fraction of each budget that is set, by name; 1 or more means that it is used up."""
    budgets = {
        "max_steps": (float(steps), settings.max_steps),
        "max_tokens": (float(tokens), settings.max_tokens),
        "max_epochs": (epochs, settings.max_epochs),
        "max_minutes": (minutes, settings.max_minutes),
    }
    return {name: used / limit if limit else 1.0 for name, (used, limit) in budgets.items() if limit is not None}


class RunProgress:
    """The progress of a run whose `state` changes with every step."""

    def __init__(self, settings: TrainingSettings, batches: TrainingBatches, state: TrainerState) -> None:
        self._settings = settings
        self._batches = batches
        self._state = state

    @property
    def epochs(self) -> float:
        return self._batches.epochs_read(self._state.cursor)

    @property
    def fraction(self) -> float:
        """The used fraction of the budget that is nearest its end; 1 or more ends the run."""
        return max(self._used_fractions().values())

    @property
    def has_time_limit(self) -> bool:
        return self._settings.max_minutes is not None

    @property
    def is_finished(self) -> bool:
        """Whether a budget is used up, or validations have stopped improving."""
        patience = self._settings.patience
        history = self._state.validations.history
        return self.fraction >= 1 or (patience is not None and should_stop_early(history, patience))

    @property
    def ended_by(self) -> str:
        """The setting that ends a finished run."""
        fractions = self._used_fractions()
        name = max(fractions, key=fractions.__getitem__)
        return name if fractions[name] >= 1 else "patience"

    def schedule_input(self) -> ScheduleInput:
        state = self._state
        return ScheduleInput(state.step, state.tokens, state.seconds / 60, self.fraction, state.validations.history)

    def _used_fractions(self) -> dict[str, float]:
        state = self._state
        return used_fractions(
            self._settings, steps=state.step, tokens=state.tokens, epochs=self.epochs, minutes=state.seconds / 60
        )
