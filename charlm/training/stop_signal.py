"""SIGINT and SIGTERM as a flag that the loop reads between steps, so that a step is finished and saved."""

import os
import signal
import time
from types import FrameType, TracebackType
from typing import Any, Self

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LAUNCHER_ECHO_SECONDS = 5.0


class StopSignal:
    """A context in which the first signal is stored in `received`, and a second one ends the process at once.

    A launcher of several processes forwards the signals that it gets, and ends its processes when one has ended: with
    `has_launcher`, a signal within five seconds of another one is taken for the launcher's and ignored.
    """

    def __init__(self, *, has_launcher: bool = False) -> None:
        self.received: int | None = None
        self._is_launched = has_launcher
        self._last_time = 0.0
        self._old_handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in STOP_SIGNALS:
            self._old_handlers[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now, before = time.monotonic(), self._last_time
        self._last_time = now
        if self.received is not None and not (self._is_launched and now - before < _LAUNCHER_ECHO_SECONDS):
            os._exit(128 + number)  # safe at any time: files appear by renaming
        self.received = self.received or number


class InterruptedBySignalError(Exception):
    """A signal came while a validation ran."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number
