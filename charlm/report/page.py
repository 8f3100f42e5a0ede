"""Summaries, curves and settings of runs as one self-contained HTML page.

The names of runs and settings are always escaped: in elements by `escape`, in the data of the script by `page_end`.
"""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from charlm import storage
from charlm.formatting import UNKNOWN, format_bits, format_count, format_duration
from charlm.html_page import page_end, page_start
from charlm.report.curve_style import curve_style
from charlm.report.curves import AXES, Curve, Curves
from charlm.report.plot import Layout, draw, narrow_layout, wide_layout
from charlm.report.run_summary import RunSummary
from charlm.report.settings_comparison import Row, SettingsComparison

_MOST_POINTS = 2000  # of a run in the data of the script: more than a screen has columns
_HERE = Path(__file__).parent


def render_page(summaries: Sequence[RunSummary], curves: Curves, comparison: SettingsComparison) -> str:
    """Return the page of a report.

    Args:
        summaries, curves.runs: of the same runs, in the same order.
    """
    names = [run.name for run in curves.runs]
    title = names[0] if len(names) == 1 else f"{len(names)} runs"
    style = (_HERE / "page.css").read_text(encoding="utf-8") + _run_styles(len(names)) + _axis_styles()
    warnings = [f'<p class="warning">{escape(each.warning)}</p>' for each in summaries if each.warning]
    content = [*warnings, *_chart(curves), "<h2>Runs</h2>", *_runs(summaries, curves), *_settings(comparison, names)]
    end = page_end("points", [_points_json(curves.runs)], _HERE / "page.js")
    return page_start(title, "report", style) + "\n".join(content) + "\n" + "".join(end)


def _run_styles(num_runs: int) -> str:
    styles = [(index, curve_style(index)) for index in range(num_runs)]
    light = "".join(f".r{index}{{--c:{style.on_light}}}" for index, style in styles)
    dark = "".join(f".r{index}{{--c:{style.on_dark}}}" for index, style in styles)
    return f"{light}\n@media (prefers-color-scheme: dark){{{dark}}}\n"


def _axis_styles() -> str:
    """Return rules that show the plot of the chosen axis in the layout that fits, without a script."""
    shown = "".join(f"main:has(#axis-{axis}:checked) .{{layout}}.{axis}{{{{display:block}}}}" for axis in AXES)
    wide, narrow = shown.format(layout="wide"), shown.format(layout="narrow")
    return f"@media (min-width: 700px){{{wide}}}\n@media (max-width: 699px){{{narrow}}}\n"


def _chart(curves: Curves) -> Iterable[str]:
    yield "<h2>Validation bits per character</h2>"
    if not any(run.primary for run in curves.runs):
        yield '<p class="soft">Nothing has been logged yet.</p>'
        return
    yield (
        '<p class="soft">Lower is better. Thick lines are validations, and a ring marks the best one;'
        " thin pale lines are training, smoothed. The first points of a run may be above the plot.</p>"
    )
    yield "<fieldset><legend>Over</legend>"
    for axis in AXES:
        checked = " checked" if axis == AXES[0] else ""
        yield (f'<label><input type="radio" name="axis" id="axis-{axis}"{checked}> {curves.axis_title(axis)}</label>')
    yield "</fieldset>"
    yield '<div class="chart" tabindex="0" role="group" aria-label="Plot; left and right arrow keys show the points">'
    layouts: tuple[Layout, ...] = (wide_layout(len(curves.runs)), narrow_layout())
    yield from (draw(curves, axis, layout) for layout in layouts for axis in AXES)
    yield '<div id="tip" role="status" hidden></div></div>'
    yield '<ul class="legend">'
    yield from (f"<li>{_swatch(index)}{escape(run.name)}</li>" for index, run in enumerate(curves.runs))
    yield "</ul>"


def _swatch(index: int) -> str:
    return (
        '<svg class="swatch" viewBox="0 0 30 10" aria-hidden="true">'
        f'<line class="run r{index}" x1="0" x2="30" y1="5" y2="5"{curve_style(index).dash_attribute}/></svg>'
    )


def _runs(summaries: Sequence[RunSummary], curves: Curves) -> Iterable[str]:
    found = [run.best.bits for run in curves.runs if run.best]
    lowest = min(found) if len(found) > 1 else None
    headers = (
        "parameters",
        "best bits per character",
        "at step",
        f"{curves.unit} seen",
        "time",
        "characters per second",
    )
    yield '<div class="scroll sticky" tabindex="0" role="region" aria-label="Runs"><table><thead><tr>'
    yield '<th scope="col">run</th><th scope="col">state</th><th scope="col">corpus</th>'
    yield "".join(f'<th scope="col" class="number">{head}</th>' for head in headers) + "</tr></thead><tbody>"
    for index, (summary, run) in enumerate(zip(summaries, curves.runs, strict=True)):
        state = summary.state + (f": {summary.why}" if summary.why else "")
        best, last = run.best, run.last
        seconds = None if last is None or last.minutes is None else 60 * last.minutes
        cells = (
            format_count(summary.parameters),
            format_bits(best.bits if best else None),
            f"{best.steps:,.0f}" if best else UNKNOWN,
            format_count(last.characters if last else None),
            format_duration(seconds),
            format_count(run.characters_per_second),
        )
        yield f'<tr><th scope="row">{_swatch(index)}{escape(run.name)}</th><td class="state">{escape(state)}</td>'
        yield f"<td>{escape(summary.corpus or UNKNOWN)}</td>"
        for column, cell in enumerate(cells):
            is_lowest = column == 1 and best is not None and best.bits == lowest
            yield f'<td class="number{" lowest" if is_lowest else ""}">{escape(cell)}</td>'
        yield "</tr>"
    yield "</tbody></table></div>"


def _settings(comparison: SettingsComparison, names: Sequence[str]) -> Iterable[str]:
    if len(names) == 1:
        yield "<h2>Settings</h2>"
        yield from _settings_table(comparison.equal, names, "Settings")
        return
    yield "<h2>Settings that differ</h2>"
    if comparison.differing:
        yield from _settings_table(comparison.differing, names, "Settings that differ")
    else:
        yield '<p class="soft">These runs have equal settings.</p>'
    if comparison.equal:
        equal_rows = tuple(
            Row(row.key, (next((v for v in row.values if v != UNKNOWN), UNKNOWN),)) for row in comparison.equal
        )
        yield f"<details><summary>{len(equal_rows)} settings that are equal</summary>"
        yield from _settings_table(equal_rows, ["every run"], "Settings that are equal")
        yield "</details>"


def _settings_table(rows: Sequence[Row], headers: Sequence[str], caption: str) -> Iterable[str]:
    yield f'<div class="scroll sticky values" tabindex="0" role="region" aria-label="{caption}"><table><thead><tr>'
    yield '<th scope="col">setting</th>' + "".join(f'<th scope="col">{escape(head)}</th>' for head in headers)
    yield "</tr></thead><tbody>"
    for row in rows:
        cells = "".join(f"<td>{escape(value)}</td>" for value in row.values)
        yield f'<tr><th scope="row">{escape(row.key)}</th>{cells}</tr>'
    yield "</tbody></table></div>"


def _points_json(runs: Sequence[Curve]) -> str:
    """Return names and points, [characters, minutes, steps, bits], as JSON."""
    content = {
        "runs": [{"name": run.short_name, "trained": not run.validation, "points": _points(run)} for run in runs]
    }
    return storage.to_json(content, indent=None).removeprefix('{"runs": ').removesuffix("}")


def _points(run: Curve) -> list[list[float | None]]:
    stride = -(-len(run.primary) // _MOST_POINTS)
    return [[*(point.coordinate(axis) for axis in AXES), point.bits] for point in run.primary[:: max(1, stride)]]
