"""The lines that `charlm runs` prints, and the objects of its `--json`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from charlm.formatting import UNKNOWN, format_bits, format_count, format_duration
from charlm.printable import one_line
from charlm.report.run_summary import RunSummary

_HEADERS = ("run", "state", "bits/char", "step", "characters", "parameters", "corpus", "saved")
_RIGHT_ALIGNED = ("bits/char", "step", "characters", "parameters")


def format_runs(summaries: Sequence[RunSummary], now: float) -> list[str]:
    """Return a table with a header; below a damaged run is the reason, below one that learned nothing a warning.

    Args:
        now: seconds since 1970.
    """
    rows = [_HEADERS, *(_cells(summary, now) for summary in summaries)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(_aligned(*cell) for cell in zip(row, widths, _HEADERS, strict=True)).rstrip() for row in rows]
    reasons = ["", *(summary.why or summary.warning for summary in summaries)]
    return [line for row, why in zip(lines, reasons, strict=True) for line in ([row, f"  {why}"] if why else [row])]


def runs_as_json(summaries: Sequence[RunSummary], now: float) -> list[dict[str, Any]]:
    """Return one object for each run; `age` is in seconds."""
    return [
        asdict(summary)
        | {"path": one_line(str(summary.path)), "age": None if summary.saved is None else now - summary.saved}
        for summary in summaries
    ]


def _cells(summary: RunSummary, now: float) -> tuple[str, ...]:
    return (
        summary.name,
        summary.state,
        _format_best(summary),
        UNKNOWN if summary.step is None else f"{summary.step:,}",
        format_count(summary.characters),
        format_count(summary.parameters),
        summary.corpus or UNKNOWN,
        UNKNOWN if summary.saved is None else f"{format_duration(now - summary.saved, 1)} ago",
    )


def _format_best(summary: RunSummary) -> str:
    if summary.predicts_labels:
        return f"{format_bits(summary.best_bits_per_label)} (label)"
    return format_bits(summary.best_bits_per_character)


def _aligned(cell: str, width: int, head: str) -> str:
    return cell.rjust(width) if head in _RIGHT_ALIGNED else cell.ljust(width)
