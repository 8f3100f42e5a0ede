"""The table of runs on a page: what each is, its best figures and its cost."""

from collections.abc import Iterable, Sequence
from html import escape

from charlm.formatting import UNKNOWN, format_count, format_duration
from charlm.report.charts import swatch
from charlm.report.curves import Curve, Curves
from charlm.report.run_summary import RunSummary


def runs_table(summaries: Sequence[RunSummary], charts: Sequence[Curves]) -> Iterable[str]:
    """Yield a table with a row for each run, and a column for the figure of each chart at the best checkpoint."""
    first = charts[0]
    best_values = [_best_value(curves) for curves in charts]
    has_choice = len(charts) > 1
    figures = [f"best {first.measure.title}"]
    if has_choice:
        figures = [first.measure.title, *(f"{each.measure.title}, {each.measure.axis}" for each in charts[1:])]
        yield '<p class="soft">Figures are those of the validation of the best checkpoint.</p>'
    headers = ("parameters", *figures, "at step", f"{first.unit} seen", "time", "characters per second")
    yield '<div class="scroll sticky" tabindex="0" role="region" aria-label="Runs"><table><thead><tr>'
    yield '<th scope="col">run</th><th scope="col">state</th><th scope="col">corpus</th>'
    yield '<th scope="col">best by</th>' if has_choice else ""
    yield "".join(f'<th scope="col" class="number">{head}</th>' for head in headers) + "</tr></thead><tbody>"
    for index, (summary, run) in enumerate(zip(summaries, first.runs, strict=True)):
        state = summary.state + (f": {summary.why}" if summary.why else "")
        yield f'<tr><th scope="row">{swatch(index)}{escape(run.name)}</th><td class="state">{escape(state)}</td>'
        yield f"<td>{escape(summary.corpus or UNKNOWN)}</td>"
        yield f"<td>{escape(_SELECTED_BY.get(summary.selected_by, summary.selected_by))}</td>" if has_choice else ""
        yield _cell(format_count(summary.parameters))
        for curves, best_value in zip(charts, best_values, strict=True):
            best = curves.runs[index].best
            text = UNKNOWN if best is None else curves.measure.format(best.value)
            yield _cell(text, is_best=best is not None and best.value == best_value)
        yield from map(_cell, _cost(run))
        yield "</tr>"
    yield "</tbody></table></div>"


_SELECTED_BY = {"f1": "F1"}


def _best_value(curves: Curves) -> float | None:
    """Return the best value of several runs; None for a single one, which needs no mark."""
    found = [run.best.value for run in curves.runs if run.best]
    if len(found) < 2:
        return None
    return max(found) if curves.measure.is_higher_better else min(found)


def _cost(run: Curve) -> tuple[str, ...]:
    best, last = run.best, run.last
    seconds = None if last is None or last.minutes is None else 60 * last.minutes
    return (
        f"{best.steps:,.0f}" if best else UNKNOWN,
        format_count(last.characters if last else None),
        format_duration(seconds),
        format_count(run.characters_per_second),
    )


def _cell(text: str, *, is_best: bool = False) -> str:
    return f'<td class="number{" lowest" if is_best else ""}">{escape(text)}</td>'
