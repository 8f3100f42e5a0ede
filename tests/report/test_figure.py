"""The PNG: drawn with matplotlib; without it, an error says what to install."""

import importlib.util
import struct
import zlib
from pathlib import Path

import pytest

from charlm.errors import UsageError
from charlm.report.comparison import write_bars
from charlm.report.write_report import write_report
from tests.report.runs_on_disk import falling, train_line, valid_line, write_run

BLUE = (0.0, 0x72 / 255, 0xB2 / 255)
"""The colour of the bars of runs."""
needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed"
)


def size(png: bytes) -> tuple[int, int]:
    """Return width and height of a complete PNG."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert png.endswith(b"IEND" + struct.pack(">I", zlib.crc32(b"IEND")))
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@needs_matplotlib
def test_a_figure_is_drawn_and_equal_runs_give_equal_figures(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "a", falling()), write_run(tmp_path / "b", falling(4000, 1.9))]
    first, second, other = (
        write_report(chosen, tmp_path / name).figure for chosen, name in ((runs, "1"), (runs, "2"), (runs[:1], "3"))
    )
    assert first is not None
    assert second is not None
    assert other is not None
    assert size(first.read_bytes()) == (1950, 780)
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()


@needs_matplotlib
def test_many_runs_get_room_for_their_names(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"{number}", falling(50 + number)) for number in range(40)]
    figure = write_report(runs, tmp_path / "out").figure
    assert figure
    assert size(figure.read_bytes())[1] > 1200


@needs_matplotlib
@pytest.mark.filterwarnings("error")
def test_odd_names_and_young_runs_are_drawn_without_a_warning(tmp_path: Path) -> None:
    logs = {
        "_private": [],
        "$x^{$": [train_line(1)],
        "東京 🙂": [valid_line(1), valid_line(2, None)],
        "\\n": [valid_line(0), *falling(9000)],
    }
    runs = [write_run(tmp_path / name, lines) for name, lines in logs.items()]
    for chosen in (runs, runs[:1], runs[1:2]):
        assert write_report(chosen, tmp_path / "out").figure
    bars = [{"model": name, "bits_per_character": 2.0} for name in (*logs, "$\\frac$", "two\nlines", "x" * 500)]
    write_bars(tmp_path / "bars.png", bars)
    assert size((tmp_path / "bars.png").read_bytes())[0] == 1200


@needs_matplotlib
def test_two_runs_of_one_name_have_two_bars(tmp_path: Path) -> None:
    from matplotlib.image import imread

    path, areas = tmp_path / "bars.png", list[int]()
    for names in ("ab", "aa"):
        write_bars(path, [{"model": name, "parameters": 1, "bits_per_character": 2.0} for name in names])
        areas.append(int((abs(imread(path)[..., :3] - BLUE) < 0.01).all(axis=-1).sum()))
    assert areas[0] == pytest.approx(areas[1], rel=0.01)


def test_without_matplotlib_the_page_is_written_and_the_figure_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name))
    run = write_run(tmp_path / "a", falling())
    with pytest.raises(UsageError, match="pip install matplotlib"):
        write_report([run], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    files = write_report([run], tmp_path / "out", png=False)
    assert files.figure is None
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]
