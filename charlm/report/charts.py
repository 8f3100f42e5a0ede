"""The plots of a page, and their points for its script."""

from collections.abc import Iterable, Sequence
from html import escape

from charlm import storage
from charlm.report.curve_style import curve_style
from charlm.report.curves import AXES, Curve, Curves
from charlm.report.plot import Layout, draw, narrow_layout, wide_layout

_MOST_POINTS = 2000  # of a run in the data of the script: more than a screen has columns


def draw_charts(charts: Sequence[Curves]) -> Iterable[str]:
    first = charts[0]
    yield f"<h2>Validation {first.measure.title}</h2>"
    if not any(run.primary for run in first.runs):
        yield '<p class="soft">Nothing has been logged yet.</p>'
        return
    chosen = "one" if len(charts) == 1 else "checkpoint"
    yield (
        f'<p class="soft">Lower is better. Thick lines are validations, and a ring marks the best {chosen};'
        " thin pale lines are training, smoothed. The first points of a run may be above the plot.</p>"
    )
    yield "<fieldset><legend>Over</legend>"
    for axis in AXES:
        checked = " checked" if axis == AXES[0] else ""
        yield (f'<label><input type="radio" name="axis" id="axis-{axis}"{checked}> {first.axis_title(axis)}</label>')
    yield "</fieldset>"
    yield from _chart(first, 0)
    for index, curves in enumerate(charts[1:], start=1):
        yield f"<h2>Validation {curves.measure.title}</h2>"
        yield '<p class="soft">Higher is better. A ring marks the best checkpoint.</p>'
        yield from _chart(curves, index)


def _chart(curves: Curves, index: int) -> Iterable[str]:
    """Yield the plot of a figure; the script finds its values by the index of the chart."""
    measure = curves.measure
    yield (
        f'<div class="chart" data-index="{index}" data-unit="{measure.axis}" data-decimals="{measure.decimals}"'
        f' data-sign="{-1 if measure.is_higher_better else 1}"'
        ' tabindex="0" role="group" aria-label="Plot; left and right arrow keys show the points">'
    )
    layouts: tuple[Layout, ...] = (wide_layout(len(curves.runs)), narrow_layout())
    yield from (draw(curves, axis, layout) for layout in layouts for axis in AXES)
    yield '<div class="tip" role="status" hidden></div></div>'
    yield '<ul class="legend">'
    yield from (f"<li>{swatch(index)}{escape(run.name)}</li>" for index, run in enumerate(curves.runs))
    yield "</ul>"


def swatch(index: int) -> str:
    return (
        '<svg class="swatch" viewBox="0 0 30 10" aria-hidden="true">'
        f'<line class="run r{index}" x1="0" x2="30" y1="5" y2="5"{curve_style(index).dash_attribute}/></svg>'
    )


def points_json(charts: Sequence[Curves]) -> str:
    """Return the runs as JSON: names, and for each chart points, [characters, minutes, steps, value]."""
    runs = [
        {
            "name": run.short_name,
            "trained": not run.validation,
            "charts": [_points(curves.runs[index]) for curves in charts],
        }
        for index, run in enumerate(charts[0].runs)
    ]
    return storage.to_json({"runs": runs}, indent=None).removeprefix('{"runs": ').removesuffix("}")


def _points(run: Curve) -> list[list[float | None]]:
    stride = -(-len(run.primary) // _MOST_POINTS)
    return [[*(point.coordinate(axis) for axis in AXES), point.value] for point in run.primary[:: max(1, stride)]]
