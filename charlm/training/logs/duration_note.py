"""The note that a long run prints as soon as its speed is known: how long it will take, and how to stop earlier.

The speed is measured after the first step, which also compiles kernels and allocates memory.
"""

import time

from charlm.formatting import format_count, format_duration

_MIN_SECONDS = 2.0  # of training are measured
_LONG = 600.0  # seconds; a shorter run needs no note


class DurationNote:
    """Measures how fast a run uses its budget."""

    def __init__(self) -> None:
        self._start: tuple[float, float] | None = None
        self._characters = 0.0
        self._is_known = False

    def update(self, characters: float, fraction: float) -> str | None:
        """Return the note, once, when the speed is known and more than ten minutes are left; otherwise None.

        Args:
            characters: characters of training text of one more step.
            fraction: the fraction of the budget that is used after it.
        """
        if self._is_known:
            return None
        now = time.monotonic()
        if self._start is None:
            self._start = now, fraction
            return None
        self._characters += characters
        seconds, used = now - self._start[0], fraction - self._start[1]
        if seconds < _MIN_SECONDS or used <= 0:
            return None
        self._is_known = True
        left = (1 - fraction) * seconds / used
        if left < _LONG:
            return None
        return (
            f"about {format_duration(left)} left on this machine, at {format_count(self._characters / seconds)}"
            " characters per second; --set training.max_minutes=10 or --set training.max_steps=1000 ends it earlier"
        )
