"""From logs to curves: only incomplete lines and invalid numbers are skipped, and positions are right."""

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.report.curves import AXES, read_curves
from charlm.training.logs.metrics_file import read_log, read_tail
from tests.report.runs_on_disk import falling, train_line, valid_line, write_run

TORN = '{"kind": "valid", "step": 70, "seco'
FOREIGN = ["", "[]", "3", '{"kind": "note", "step": 1}', '{"kind": "valid"}', '{"kind": "valid", "step": "3"}',
           '{"kind": "valid", "step": -1}', '{"kind": "valid", "step": NaN}', '{"kind": "valid", "step": 1e400}',
           '{"kind": "train", "step": true}', "[" * 100_000, "\ud83d"]  # fmt: skip


def test_points_are_where_the_lines_say(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [train_line(10, 3.0), valid_line(20, 2.5), train_line(20, 2.8)])
    (curve,) = read_curves([run]).runs
    (point,) = curve.validation
    assert (point.value, point.steps, point.minutes, point.characters) == (2.5, 20, 2 / 60, 1800)
    assert [(point.steps, point.value) for point in curve.training] == [(10, 3.0), (20, 2.8)]
    assert curve.last == point, "at one step the validation comes after the training"
    assert curve.characters_per_second == 900.0


def test_incomplete_and_unknown_lines_are_skipped(tmp_path: Path) -> None:
    lines = falling()
    whole = read_curves([write_run(tmp_path / "whole" / "run", lines)])
    mixed = tmp_path / "mixed" / "run"
    write_run(mixed, lines)
    text = "\n".join([*FOREIGN, *map(json.dumps, lines), TORN])
    (mixed / "metrics.jsonl").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert read_curves([mixed]) == whole
    assert whole.runs[0].best is not None


def test_invalid_numbers_are_gaps(tmp_path: Path) -> None:
    lines = [valid_line(10, 3.0), valid_line(20, None), valid_line(30, 2.9), valid_line(40, 2.8, seconds=None)]
    (tmp_path / "a").mkdir()
    infinite = '{"kind": "valid", "step": 50, "bits_per_character": Infinity, "characters_seen": 1}\n'
    huge = '{"kind": "valid", "step": 60, "bits_per_character": %s, "characters_seen": 1}\n' % ("9" * 400)
    (curve,) = read_curves([write_run(tmp_path / "a" / "run", lines, torn=infinite + huge)]).runs
    assert [point.steps for point in curve.validation] == [10, 30, 40]
    assert curve.validation[-1].minutes is None


def test_without_characters_the_axis_counts_tokens(tmp_path: Path) -> None:
    def strip(line: dict[str, object]) -> dict[str, object]:
        return {key: value for key, value in line.items() if key != "characters_seen"}

    old = write_run(tmp_path / "old", map(strip, [train_line(10), train_line(20), valid_line(15), valid_line(25)]))
    new = write_run(tmp_path / "new", [train_line(10), valid_line(15)])
    assert read_curves([new]).unit == "characters"
    curves = read_curves([old, new])
    assert curves.unit == "tokens"
    assert [[point.characters for point in run.validation] for run in curves.runs] == [[1500, 2500], [1500]]
    bare = write_run(tmp_path / "bare", [strip(valid_line(15))])
    assert [point.characters for point in read_curves([bare]).runs[0].validation] == [None]


@pytest.mark.parametrize("lines", [[], falling(40)], ids=["no log", "no validation"])
def test_a_young_run_has_no_best(tmp_path: Path, lines: list[dict[str, object]]) -> None:
    run = write_run(tmp_path / "run", lines)
    if not lines:
        (run / "metrics.jsonl").unlink()
    (curve,) = read_curves([run]).runs
    assert (curve.best, curve.validation, len(curve.primary)) == (None, (), len(lines))


def test_of_a_step_logged_twice_the_last_counts(tmp_path: Path) -> None:
    (curve,) = read_curves(
        [write_run(tmp_path / "run", [valid_line(10, 3.0), valid_line(5, 4.0), valid_line(10, 2.0)])]
    ).runs
    assert [(point.steps, point.value) for point in curve.validation] == [(5, 4.0), (10, 2.0)]


@given(bits=st.lists(st.floats(0.1, 8), min_size=1, max_size=80))
def test_smoothing_keeps_constants_and_stays_inside(
    tmp_path_factory: pytest.TempPathFactory, bits: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("smooth")
    lines = [train_line(step + 1, value) for step, value in enumerate(bits)]
    flat = [train_line(step + 1, 2.5) for step in range(len(bits))]
    curve, constant = read_curves([write_run(folder / "a", lines), write_run(folder / "b", flat)]).runs
    assert len(curve.training) == len(bits)
    assert all(min(bits) - 1e-9 <= point.value <= max(bits) + 1e-9 for point in curve.training)
    assert all(abs(point.value - 2.5) < 1e-9 for point in constant.training)
    rough = sum(abs(a - b) for a, b in itertools.pairwise(bits))
    smooth = [point.value for point in curve.training]
    assert sum(abs(a - b) for a, b in itertools.pairwise(smooth)) <= rough + 1e-9


def test_smoothing_takes_noise_away(tmp_path: Path) -> None:
    lines = [train_line(step, 2.0 + (0.5 if step % 2 else -0.5)) for step in range(1, 401)]
    (curve,) = read_curves([write_run(tmp_path / "run", lines)]).runs
    assert max(abs(point.value - 2.0) for point in curve.training[200:]) < 0.03
    assert curve.training[0].value == 2.5, "the steep start is not smoothed"


def test_the_tail_of_a_long_log_is_its_end(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", falling(20_000))
    whole, tail = read_log(run / "metrics.jsonl"), read_tail(run / "metrics.jsonl")
    assert 50 < len(tail) < len(whole) / 10
    assert tail == whole[-len(tail) :]


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / folder / "run", falling(50)) for folder in ("a", "b")] + [write_run(tmp_path / "c")]
    assert [run.name for run in read_curves(runs).runs] == [str(runs[0]), str(runs[1]), "c"]
    assert {axis: run.validation[0].coordinate(axis) for run in read_curves(runs[:1]).runs for axis in AXES} == {
        "characters": 4500, "minutes": 5 / 60, "steps": 50,
    }  # fmt: skip
