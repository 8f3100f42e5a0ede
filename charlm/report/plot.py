"""Curves as one SVG: validation lines in front, pale training lines behind, the best points marked, names at the ends.

Elements have classes (`run r0`, `grid`, ...); the page's style sheet gives them colours for light and dark backgrounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from charlm.report.axis_scale import Scale, horizontal_scale, vertical_scale
from charlm.report.curve_style import curve_style
from charlm.report.curves import Axis, Curve, Curves, Point, coordinates
from charlm.report.end_labels import place_end_labels

_LABEL_SPACING = 18  # pixels between neighbouring labels
_MIN_SPACING = 0.75  # pixels between two points of a line; closer points look like one
_MIN_TRAINING_SPACING = 2.5  # pixels for training lines, which are smooth


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes in pixels. `labels` is the width for names at the right, 0 for no names."""

    name: str
    width: int
    height: int
    labels: int
    max_ticks: int
    left: int = 56
    top: int = 26
    bottom: int = 50

    @property
    def right(self) -> int:
        """The right edge of the plot."""
        return self.width - max(16, self.labels)

    @property
    def bottom_edge(self) -> int:
        return self.height - self.bottom


def wide_layout(num_runs: int) -> Layout:
    return Layout("wide", 980, max(430, _LABEL_SPACING * num_runs + 80), 290, 8)


def narrow_layout() -> Layout:
    """Return the layout for telephones: the names are in the legend below, not beside the lines."""
    return Layout("narrow", 400, 330, 0, 4, left=46)


def draw(curves: Curves, axis: Axis, layout: Layout) -> str:
    """Return an `<svg>` element. Its `data-` attributes give the script of the page the scales."""
    x_scale, y_scale = horizontal_scale(curves.runs, axis), vertical_scale(curves.runs)
    frame = _Frame(axis, x_scale, y_scale, layout)
    name = f"{curves.measure.key}-{layout.name}-{axis}"
    title = curves.axis_title(axis)
    description = (
        f"Validation {curves.measure.title} of {len(curves.runs)} run(s) over {title}; the table below has the numbers."
    )
    parts = [
        (
            f'<svg class="plot {layout.name} {axis}" viewBox="0 0 {layout.width} {layout.height}" role="img"'
            f' aria-label="{escape(description)}" data-axis="{axis}" data-title="{title}" data-box="{layout.left}'
            f' {layout.right} {layout.top} {layout.bottom_edge}" data-across="{x_scale.low!r} {x_scale.high!r}'
            f' {int(x_scale.is_log)}" data-up="{y_scale.low!r} {y_scale.high!r}">'
        ),
        (
            f'<clipPath id="clip-{name}"><rect x="{layout.left}" y="{layout.top}" width="{layout.right - layout.left}"'
            f' height="{layout.bottom_edge - layout.top}"/></clipPath>'
        ),
        *_grid(frame, curves.measure.axis),
        (
            f'<text class="title" x="{(layout.left + layout.right) / 2:.0f}" y="{layout.height - 8}"'
            f' text-anchor="middle">{title}{" (log scale)" if x_scale.is_log else ""}</text>'
        ),
        f'<g clip-path="url(#clip-{name})">',
        *(
            _path(frame, run.training, index, "training", _MIN_TRAINING_SPACING)
            for index, run in enumerate(curves.runs)
        ),
        *(_path(frame, run.validation, index, "validation", _MIN_SPACING) for index, run in enumerate(curves.runs)),
        "</g>",
        *(_mark(frame, run, index) for index, run in enumerate(curves.runs)),
        *(_labels(frame, curves.runs) if layout.labels else []),
        "</svg>",
    ]
    return "\n".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class _Frame:
    """The transformation from points to pixels."""

    axis: Axis
    x_scale: Scale
    y_scale: Scale
    layout: Layout

    def x(self, value: float) -> float:
        return self.layout.left + self.x_scale.position(value) * (self.layout.right - self.layout.left)

    def y(self, value: float) -> float:
        """Return pixels, at most one height of the plot outside, since coordinates in SVG are limited."""
        position = max(-1.0, min(self.y_scale.position(value), 2.0))
        return self.layout.bottom_edge - position * (self.layout.bottom_edge - self.layout.top)

    def pixels(self, points: Sequence[Point]) -> list[tuple[float, float]]:
        """Return (x, y) of the points that have a position on this axis."""
        known = coordinates(points, self.axis)
        return [(self.x(x), self.y(y)) for x, y in known if x > 0 or not self.x_scale.is_log]


def _grid(frame: _Frame, axis_title: str) -> list[str]:
    layout = frame.layout
    lines = [f'<text class="title" x="2" y="9" dominant-baseline="central">{axis_title}</text>']
    for value, label in frame.y_scale.decimal_ticks(layout.max_ticks + 2):
        y = f"{frame.y(value):.1f}"
        lines.append(f'<line class="grid" x1="{layout.left}" x2="{layout.right}" y1="{y}" y2="{y}"/>')
        lines.append(
            f'<text x="{layout.left - 8}" y="{y}" text-anchor="end" dominant-baseline="central">{label}</text>'
        )
    for value, label in frame.x_scale.ticks(layout.max_ticks):
        x = f"{frame.x(value):.1f}"
        lines.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{layout.bottom_edge}" y2="{layout.bottom_edge + 5}"/>')
        lines.append(f'<text x="{x}" y="{layout.bottom_edge + 19}" text-anchor="middle">{label}</text>')
    bottom = layout.bottom_edge
    axis = f'<line class="axis" x1="{layout.left}" x2="{layout.right}" y1="{bottom}" y2="{bottom}"/>'
    return [*lines, axis]


def _path(frame: _Frame, points: Sequence[Point], index: int, kind: str, min_spacing: float) -> str:
    pixels = frame.pixels(points)
    if len(pixels) < 2:
        return ""
    kept = [pixels[0]]
    for pixel in pixels[1:-1]:
        if pixel[0] - kept[-1][0] >= min_spacing:
            kept.append(pixel)
    kept.append(pixels[-1])
    vertices = " ".join(f"{x:.1f},{y:.1f}" for x, y in kept)
    style = curve_style(index).dash_attribute if kind == "validation" else ""
    return f'<polyline class="run r{index} {kind}" points="{vertices}"{style}/>'


def _mark(frame: _Frame, run: Curve, index: int) -> str:
    """Return a ring at the best validation."""
    if run.best is None or not (pixels := frame.pixels([run.best])):
        return ""
    ((x, y),) = pixels
    return f'<circle class="run r{index} best" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'


def _labels(frame: _Frame, runs: Sequence[Curve]) -> list[str]:
    """Return names and best results at the right, each with a line to the end of its curve."""
    layout = frame.layout
    lines = [frame.pixels(run.primary) for run in runs]
    start = layout.right + 40
    labels: list[str] = []
    for index, (x, end), y in place_end_labels(lines, _LABEL_SPACING, layout.top, layout.bottom_edge):
        leader = f"{x:.1f},{end:.1f} {layout.right + 4},{end:.1f} {start - 5},{y:.1f}"
        labels.append(f'<polyline class="run r{index} leader" points="{leader}"/>')
        labels.append(
            f'<text class="label" x="{start}" y="{y:.1f}" dominant-baseline="central">'
            f'{escape(runs[index].short_name)} <tspan class="figure">{runs[index].best_text}</tspan></text>'
        )
    return labels
