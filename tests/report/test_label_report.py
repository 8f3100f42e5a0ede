"""Reports of runs of labels: bits, accuracy and F1 of each run, at the checkpoint that was chosen as the best."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

from charlm.errors import UsageError
from charlm.report.axis_scale import vertical_scale
from charlm.report.curves import read_all_curves
from charlm.report.write_report import write_report
from tests.report.runs_on_disk import falling, train_line, valid_line, write_run
from tests.report.test_page import Page, check_pictures, page_of, pictures


def label_lines(*accuracies: float, segments: bool = False) -> list[dict[str, Any]]:
    """A log with a validation every 50 steps, whose bits fall and then rise."""
    lines: list[dict[str, Any]] = []
    for index, accuracy in enumerate(accuracies):
        step = 50 * (index + 1)
        bits = 1.0 + abs(1 - index) / 10
        figures: dict[str, Any] = {"bits_per_label": bits, "accuracy": accuracy, "macro_f1": accuracy / 2}
        figures |= {"segments": {"f1": accuracy / 4}} if segments else {}
        for line, more in ((train_line(step), {"bits_per_label": bits}), (valid_line(step), figures)):
            del line["bits_per_character"]
            lines.append(line | more)
    return lines


def test_curves_are_those_of_labels(tmp_path: Path) -> None:
    run = write_run(tmp_path / "labels", label_lines(0.5, 0.7, 0.8))
    bits, accuracy = read_all_curves([run])
    assert (bits.measure.title, accuracy.measure.title) == ("bits per label", "accuracy")
    assert [point.value for point in bits.runs[0].validation] == [1.1, 1.0, 1.1]
    assert [point.value for point in accuracy.runs[0].validation] == pytest.approx([50, 70, 80])
    assert (len(bits.runs[0].training), accuracy.runs[0].training) == (3, ())
    assert bits.runs[0].best is not None
    assert accuracy.runs[0].best is not None
    assert (bits.runs[0].best.steps, accuracy.runs[0].best.steps) == (100, 150)


def test_all_figures_are_those_of_the_chosen_checkpoint(tmp_path: Path) -> None:
    run = write_run(tmp_path / "labels", label_lines(0.5, 0.7, 0.8, segments=True))
    charts = read_all_curves([run], [150], {"f1"})
    assert [curves.measure.key for curves in charts] == ["bits", "accuracy", "f1"]
    bests = [curves.runs[0].best for curves in charts]
    assert [best and (best.steps, round(best.value, 6)) for best in bests] == [(150, 1.1), (150, 80), (150, 20)]


def test_the_axis_of_percent_holds_the_validations(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, label_lines(*values)) for name, values in {"a": (0.2, 1.0), "b": (0.6,)}.items()]
    scale = vertical_scale(read_all_curves(runs)[1].runs)
    assert (scale.low >= 0, scale.low < 20, scale.high) == (True, True, 100)


def test_a_page_has_a_plot_for_each_figure(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, label_lines(0.5, 0.7, last)) for name, last in (("a", 0.8), ("b", 0.6))]
    text = page_of(tmp_path, *runs)
    page = Page(text)
    check_pictures(text)
    assert len(pictures(text)) == 12
    assert "bits per character" not in text
    for heading in ("Validation bits per label", "Validation accuracy", "accuracy, %", "best by"):
        assert heading in "".join(page.text)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    ids += re.findall(r'<clipPath id="([^"]*)"', text)
    assert len(ids) == len(set(ids)) + 12, "the ids of clip paths are found twice"
    points = re.search(r'id="points">(.*?)</script>', text, re.DOTALL)
    assert points
    (bits, accuracy), _ = (run["charts"] for run in json.loads(points[1]))
    assert [point[3] for point in accuracy] == pytest.approx([50, 70, 80])
    assert [point[3] for point in bits] == [1.1, 1.0, 1.1]


def test_language_models_and_labels_are_not_drawn_together(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "labels", label_lines(0.5)), write_run(tmp_path / "language", falling())]
    with pytest.raises(UsageError, match=r"labels predicts labels or tags, and .*language is a language model"):
        write_report(runs, tmp_path / "out", png=False)
    assert not (tmp_path / "out").exists()
    write_report([runs[0], write_run(tmp_path / "young")], tmp_path / "out", png=False)


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")
@pytest.mark.filterwarnings("error")
def test_the_figure_has_a_row_for_each_figure(tmp_path: Path) -> None:
    from tests.report.test_figure import size

    runs = [write_run(tmp_path / "a", label_lines(0.5, 0.7)), write_run(tmp_path / "b")]
    figure = write_report(runs, tmp_path / "out").figure
    assert figure
    assert size(figure.read_bytes()) == (1950, 1560)
