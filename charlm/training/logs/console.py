"""What a person sees of a run, on stderr: a progress bar in a terminal, or a line every ten seconds in a log file."""

import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from charlm.formatting import format_count
from charlm.printable import printable

_LINE_INTERVAL = 10.0  # seconds between lines without a terminal
_MARGIN = 3  # columns left free for the ^C that a terminal echoes
_FRAME_WIDTH = 6  # columns of "100%||"
_MIN_BAR_WIDTH = 8  # columns; figures are dropped for a narrower bar


@dataclass(frozen=True, slots=True)
class ProgressMetrics:
    """The figures that the bar shows; `progress` is the used fraction of the budget."""

    step: int
    progress: float
    nats_per_token: float
    bits: float
    characters_per_second: float
    seconds_left: float | None
    unit: str = "character"
    """What the bits are counted for."""


class Console:
    """Prints notes and progress to a terminal or a log file."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._is_terminal = sys.stderr.isatty()
        self._bar: tqdm[Any] | None = None
        self._last_line = -_LINE_INTERVAL

    def __enter__(self) -> Self:
        if self._is_terminal and not self._quiet:
            self._bar = tqdm(
                total=1.0,
                file=sys.stderr,
                dynamic_ncols=True,
                leave=False,
                bar_format=_bar_format(10),
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def note(self, text: str) -> None:
        """Print lines that stay; control characters are escaped, since a model may have written the text."""
        if not self._quiet:
            tqdm.write(printable(text), file=sys.stderr)
            sys.stderr.flush()

    def show_progress(self, metrics: ProgressMetrics) -> None:
        """Update the bar, or print a line if the last one is ten seconds old."""
        time_left = _format_seconds(metrics.seconds_left)
        unit = "char" if metrics.unit == "character" else metrics.unit
        text = (
            f" step {metrics.step:,} · loss {metrics.nats_per_token:.3f} · {metrics.bits:.3f} bits/{unit}"
            f" · {format_count(metrics.characters_per_second)} chars/s · {time_left} left"
        )
        if self._bar is not None:
            self._bar.n = min(1.0, metrics.progress)
            width = (self._bar.ncols or 80) - _MARGIN
            description = _fit_to_width(text, width - _FRAME_WIDTH)
            self._bar.bar_format = _bar_format(width - _FRAME_WIDTH - len(description))
            self._bar.set_description_str(description)
        elif time.monotonic() - self._last_line >= _LINE_INTERVAL:
            self._last_line = time.monotonic()
            self.note(f"{metrics.progress:4.0%}{text}")


def _bar_format(size: int) -> str:
    return f"{{percentage:3.0f}}%|{{bar:{max(1, size)}}}|{{desc}}"


def _fit_to_width(text: str, width: int) -> str:
    """Drop figures from the middle of the text if the terminal is too narrow for the text and a bar."""
    parts = text.split(" · ")
    while len(parts) > 2 and len(" · ".join(parts)) > width - _MIN_BAR_WIDTH:
        parts.pop(-2 if len(parts) > 3 else -1)
    return " · ".join(parts)[: max(0, width - 1)]


def _format_seconds(seconds: float | None) -> str:
    return "?" if seconds is None else tqdm.format_interval(seconds)
