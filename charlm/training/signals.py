"""SIGINT and SIGTERM as a question the loop asks between steps, so that a step is finished and saved, not torn."""

import os
import signal
from types import FrameType, TracebackType
from typing import Any, Self


class StopSignal:
    """Inside the block the first signal is remembered in `received`; a second one ends the process at once."""

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in self._SIGNALS:
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            os._exit(128 + number)  # what is on disk is whole: files appear by renaming
        self.received = number
