"""Curves as one PNG: validation figures over characters seen, and over minutes. Needs matplotlib."""

import importlib.util
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlm import storage
from charlm.errors import UsageError
from charlm.formatting import shorten
from charlm.printable import one_line
from charlm.report.axis_scale import Scale, horizontal_scale, vertical_scale
from charlm.report.curve_style import curve_style
from charlm.report.curves import MAX_NAME_LENGTH, Axis, Curve, Curves, Point, coordinates
from charlm.report.end_labels import place_end_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg

_WIDTH, _HEIGHT, _LABELS = 13.0, 5.2, 2.9  # inches; labels are at the right
_BELOW, _ABOVE = 0.62, 0.05  # inches, and fraction of the height of a row
_UNITS = {"%": ", %"}  # of axes that need one
_LABEL_SPACING = 0.19  # inches between neighbouring names
DPI = 150
_THICK = 1.7  # points, in which matplotlib counts the lengths of dashes too
_GREY, _PALE = "#5A6472", "#D8DDE4"


def check_matplotlib() -> None:
    """Check that matplotlib is installed.

    Raises:
        UsageError: it is not.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("a plot as PNG needs the package matplotlib", "install it: pip install matplotlib")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns of a home directory that is read-only


def escape_label(name: str, suffix: str = "") -> str:
    """Return a name and a suffix for matplotlib: on one line, shortened, with `$` escaped since it begins a formula."""
    return f"{shorten(one_line(name), MAX_NAME_LENGTH)}{suffix}".replace("$", r"\$")


def save_png(canvas: "FigureCanvasAgg", path: Path) -> None:
    """Write a PNG. Characters that the font lacks are shown as boxes."""
    with warnings.catch_warnings(), storage.atomic_file(path) as file:
        warnings.filterwarnings("ignore", message="Glyph")
        canvas.print_png(file)


def write_figure(charts: Sequence[Curves], path: Path) -> None:
    """Write the curves as a PNG, a row for each figure.

    Raises:
        UsageError: matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    num_rows = len(charts)
    row_height = max(_HEIGHT, _LABEL_SPACING * len(charts[0].runs) + 1.2)
    height = row_height * num_rows
    figure = Figure(figsize=(_WIDTH, height), dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    inside = (_WIDTH - _LABELS - 0.9) / _WIDTH
    panels: Any = figure.subplots(num_rows, 2, sharey="row", squeeze=False)
    bottom, top = _BELOW / height, 1 - _ABOVE * row_height / height
    panel_height = (1 - _ABOVE) * row_height - _BELOW
    figure.subplots_adjust(left=0.7 / _WIDTH, right=0.7 / _WIDTH + inside, wspace=0.05, bottom=bottom, top=top)
    figure.subplots_adjust(hspace=(row_height - panel_height) / panel_height)
    axes: tuple[Axis, ...] = ("characters", "minutes")
    for row, curves in zip(panels, charts, strict=True):
        y_scale = vertical_scale(curves.runs)
        for panel, axis in zip(row, axes, strict=True):
            _draw(panel, curves, axis, y_scale)
        row[0].set_ylabel(f"validation {curves.measure.title}{_UNITS.get(curves.measure.axis, '')}")
        _label(row[1], curves.runs, "minutes", y_scale, panel_height)
    save_png(canvas, path)


def _draw(panel: "Axes", curves: Curves, axis: Axis, y_scale: Scale) -> None:
    x_scale = horizontal_scale(curves.runs, axis)
    panel.set_xscale("log" if x_scale.is_log else "linear")
    panel.set_xlim(x_scale.low, x_scale.high * (1.08 if x_scale.is_log else 1.02))  # room for half a ring
    panel.set_ylim(y_scale.low, y_scale.high)
    ticks = x_scale.ticks(6)
    panel.set_xticks([value for value, _ in ticks], [label for _, label in ticks])
    panel.set_xticks([], minor=True)
    heights = y_scale.decimal_ticks(8)
    panel.set_yticks([value for value, _ in heights], [label for _, label in heights])
    panel.set_xlabel(curves.axis_title(axis) + (" (log scale)" if x_scale.is_log else ""))
    panel.grid(visible=True, axis="y", color=_PALE, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.tick_params(colors=_GREY)
    panel.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)
    for index, run in enumerate(curves.runs):
        run_style = curve_style(index)
        style: Any = (0, [length / _THICK for length in run_style.dashes]) if run_style.dashes else "-"
        panel.plot(*_line(run.training, axis), color=run_style.on_light, linewidth=0.8, alpha=0.4)
        panel.plot(*_line(run.validation, axis), color=run_style.on_light, linewidth=_THICK, linestyle=style)
        if run.best:
            panel.plot(
                *_line([run.best], axis),
                marker="o",
                markersize=6,
                markerfacecolor="white",
                color=run_style.on_light,
                markeredgewidth=1.6,
                clip_on=False,
            )


def _line(points: Sequence[Point], axis: Axis) -> tuple[list[float], list[float]]:
    known = coordinates(points, axis)
    return [position for position, _ in known], [value for _, value in known]


def _label(panel: "Axes", runs: Sequence[Curve], axis: Axis, y_scale: Scale, panel_height: float) -> None:
    """Draw names and best results at the right of the panel, each with a line to the end of its curve."""
    low, high = panel.get_xlim()
    lines = [[(x, y_scale.position(value)) for x, value in coordinates(run.primary, axis)] for run in runs]
    for index, (x, end), y in place_end_labels(lines, _LABEL_SPACING / panel_height, 0.0, 1.0):
        dotted: Any = {"color": curve_style(index).on_light, "linewidth": 0.8, "linestyle": ":"}
        value = y_scale.low + end * (y_scale.high - y_scale.low)
        panel.plot([x, high], [value] * 2, **dotted)
        panel.plot([1.0, 1.07], [end, y], transform=panel.transAxes, clip_on=False, **dotted)
        text = escape_label(runs[index].name, f"  {runs[index].best_text}")
        panel.text(1.08, y, text, transform=panel.transAxes, va="center", fontsize=9)
    panel.set_xlim(low, high)
