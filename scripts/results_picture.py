"""The README's picture: held-out bits per character against minutes of training, with the baselines drawn in.

tables of charlm/docs/results.md ──chosen by [picture] in results.toml──> charlm/docs/images/minutes.svg

It is drawn from the tables, so the picture and the tables cannot disagree. Needs matplotlib.
"""

import math
import re
from pathlib import Path
from typing import Any

_WIDTH, _HEIGHT = 8.0, 4.6  # inches; 800 x 460 pixels where a page shows 100 per inch
_COLOURS = ("#0B5FA5", "#C2410C", "#15803D", "#7C3AED", "#B91C7C")
_GREY, _PALE = "#4B5563", "#D8DDE4"
_BITS_PER_NAT = 1 / math.log(2)


def draw_picture(page: str, wanted: dict[str, Any], path: Path) -> None:
    """Draw the rows of the tables of `page` that `wanted` names."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "charlm", "font.size": 10.5})
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, _HEIGHT))
    axes = figure.add_axes((0.085, 0.13, 0.66, 0.78))
    axes.set_title(wanted["title"], loc="left", fontsize=11)
    low, high = wanted["minutes"]
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(*wanted["bits"])
    ticks = [tick for tick in (0.2, 0.3, 0.5, 1, 2, 5, 10) if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("minutes of training on two CPU cores (log scale)")
    axes.set_ylabel("held-out bits per character")
    axes.grid(visible=True, axis="y", color=_PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    baselines = table(page, "baselines")
    for name, label in wanted["baselines"]:
        bits = float(baselines[name][-1])
        axes.axhline(bits, color=_GREY, linewidth=1.2, linestyle="--")
        axes.annotate(
            f"{label}  {bits:.2f}", (1.02, bits), xycoords=("axes fraction", "data"), va="center", color=_GREY
        )
    ideas = table(page, "ideas")
    for (name, label, shift), colour in zip(wanted["ideas"], _COLOURS, strict=True):
        row = ideas[name]
        points = [(float(row[2]) / 60, _bold(row[1])), (wanted["idea_minutes"], _bold(row[4]))]
        axes.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=4.5, linewidth=1.6)
        axes.annotate(label, points[-1], (7, shift), textcoords="offset points", va="center", color=colour)
    recipes = table(page, "recipes")
    for name, label in wanted["recipes"]:
        row = recipes[name]
        minutes = float(row[2].split(" s")[0]) / 60
        bits, (lower, upper) = _bold(row[4]) * _BITS_PER_NAT, _interval(row[5])
        axes.errorbar(
            minutes,
            bits,
            [[bits - lower], [upper - bits]],
            color="black",
            marker="s",
            markersize=6,
            capsize=4,
            linewidth=1.4,
        )
        axes.annotate(
            f"{label}  {bits:.2f}", (minutes, upper), (0, 6), textcoords="offset points", ha="center", va="bottom"
        )
    for label, minutes, bits in wanted["others"]:
        axes.plot([minutes], [bits], color=_GREY, marker="D", markersize=6)
        axes.annotate(label, (minutes, bits), (8, 0), textcoords="offset points", va="center", color=_GREY)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", facecolor="white", metadata={"Date": None})


def table(page: str, name: str) -> dict[str, list[str]]:
    """A table of the page between its marks: name of a row -> its other cells. The name is the one in backticks."""
    body = re.split(rf"<!-- (?:end of )?{name}: written by scripts/results -->", page)[1]
    rows: dict[str, list[str]] = {}
    for line in body.strip().splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        place = next(index for index, cell in enumerate(cells) if cell.startswith("`"))
        rows[cells[place].replace("`", "")] = cells[place + 1 :]
    return rows


def _bold(cell: str) -> float:
    return float(re.findall(r"\*\*([\d.]+)\*\*", cell)[0])


def _interval(cell: str) -> tuple[float, float]:
    low, high = (float(bound) * _BITS_PER_NAT for bound in cell.split(" to "))
    return low, high
