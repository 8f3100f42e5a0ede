"""Write report.html and report.png for `charlm report`.

RUN ... ──summarize_run, read_all_curves, compare_settings──> render_page ──> report.html
                                 └──────────────────────> write_figure ──> report.png
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from charlm import storage
from charlm.errors import UsageError
from charlm.report.curves import read_all_curves
from charlm.report.figure import check_matplotlib, write_figure
from charlm.report.page import render_page
from charlm.report.run_summary import summarize_run
from charlm.report.settings_comparison import compare_settings
from charlm.training.run_directory import RunDirectory


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """The written files. `figure` is None where no PNG was requested."""

    page: Path
    figure: Path | None


def write_report(runs: Sequence[Path], out: Path, *, png: bool = True) -> ReportFiles:
    """Write report.html, and with `png` report.png, into the folder `out`.

    Args:
        runs: run directories, in the order in which they are shown; at least one.

    Raises:
        UsageError: one is not a run; or some predict labels or tags and others are language models; or a PNG is
            requested and matplotlib is not installed.
        StorageError: a log cannot be read, or `out` cannot be written.
    """
    for run in runs:
        files = RunDirectory(run)
        if not files.experiment_path.is_file() and not files.metrics_path.is_file():
            raise UsageError(f"{run} is not a run", "give run directories, which `charlm train` writes")
    if png:
        check_matplotlib()
    summaries = [summarize_run(run) for run in runs]
    charts = read_all_curves(runs, [each.best_step for each in summaries], {each.selected_by for each in summaries})
    page = render_page(summaries, charts, compare_settings(runs))
    storage.make_directory(out)
    storage.write_text(out / "report.html", page)
    if png:
        write_figure(charts, out / "report.png")
    return ReportFiles(out / "report.html", out / "report.png" if png else None)
