"""Summaries, curves and settings of runs as one self-contained HTML page.

The names of runs and settings are always escaped: in elements by `escape`, in the data of the script by `page_end`.
"""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from charlm.formatting import UNKNOWN
from charlm.html_page import page_end, page_start
from charlm.report.charts import draw_charts, points_json
from charlm.report.curve_style import curve_style
from charlm.report.curves import AXES, Curves
from charlm.report.run_summary import RunSummary
from charlm.report.runs_table import runs_table
from charlm.report.settings_comparison import Row, SettingsComparison

_HERE = Path(__file__).parent


def render_page(summaries: Sequence[RunSummary], charts: Sequence[Curves], comparison: SettingsComparison) -> str:
    """Return the page of a report.

    Args:
        summaries, charts: of the same runs, in the same order; the first chart is that of bits.
    """
    names = [run.name for run in charts[0].runs]
    title = names[0] if len(names) == 1 else f"{len(names)} runs"
    style = (_HERE / "page.css").read_text(encoding="utf-8") + _run_styles(len(names)) + _axis_styles()
    warnings = [f'<p class="warning">{escape(each.warning)}</p>' for each in summaries if each.warning]
    content = [
        *warnings,
        *draw_charts(charts),
        "<h2>Runs</h2>",
        *runs_table(summaries, charts),
        *_settings(comparison, names),
    ]
    end = page_end("points", [points_json(charts)], _HERE / "page.js")
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
