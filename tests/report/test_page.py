"""The page is one self-contained file, its plots are within their frames, and every name in it is escaped."""

import itertools
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from charlm.errors import StorageError, UsageError
from charlm.report.write_report import write_report
from tests.processes import Commands
from tests.report.runs_on_disk import add_checkpoint, falling, train_line, valid_line, write_run

HOSTILE = ["<script>alert(1)<", "x' onload='y", '"><img src=x onerror=y>', "</title></script><b>", "$x^2$ & _a", "&lt;"]
_VOID = {"meta", "input", "br", "img"}


class Page(HTMLParser):
    """Elements with their attributes, and the text between them; an element left open is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text.append(data)


def page_of(tmp_path: Path, *runs: Path) -> str:
    return write_report(runs, tmp_path / "out", png=False).page.read_text(encoding="utf-8")


def pictures(page: str) -> list[ET.Element]:
    return [ET.fromstring(svg) for svg in re.findall(r'<svg class="plot .*?</svg>', page, re.DOTALL)]


def check_pictures(page: str) -> None:
    """Check that every position is a number, and inside the plot except for clipped lines."""
    for svg in pictures(page):
        _, _, width, height = map(float, svg.attrib["viewBox"].split())
        clipped = {id(line) for line in svg.iterfind("g/polyline")}
        for element in svg.iter():
            pairs = [pair.split(",") for pair in element.get("points", "").split()]
            pairs += [
                [x, y]
                for x, y in (("x", "y"), ("cx", "cy"), ("x1", "y1"))
                for x, y in [(element.get(x), element.get(y))]
                if x and y
            ]
            for x, y in pairs:
                assert abs(float(x)) < 1e5
                assert id(element) in clipped or (0 <= float(x) <= width and 0 <= float(y) <= height)
        labels = sorted(float(label.attrib["y"]) for label in svg.iterfind("text[@class='label']"))
        assert all(b - a > 14 for a, b in itertools.pairwise(labels)), "names would overlap"


def test_hostile_names_and_settings_are_text(tmp_path: Path) -> None:
    def toml(number: int) -> str:
        return f"[a.'<img src=y>']\nb = '<script>'\nc = {number}\n"

    runs = [
        write_run(tmp_path / str(number) / name.replace("/", "\u2215"), falling(100 + number), toml(number))
        for number, name in enumerate(HOSTILE)
    ]
    add_checkpoint(runs[0], 3, corpus="<i>wi")
    text = page_of(tmp_path, *runs)
    page = Page(text)
    assert [tag for tag, _ in page.elements].count("script") == 2
    assert not {"img", "b", "i", "base", "link", "iframe", "object", "form"} & {tag for tag, _ in page.elements}
    assert not [key for _, attributes in page.elements for key in attributes if key.startswith("on")]
    shown = "".join(page.text)
    for name in (run.name for run in runs):
        assert shown.count(name) >= 3
    assert "a.<img src=y>.c" in shown
    assert "<i>wi" in shown
    check_pictures(text)
    points = re.search(r'id="points">(.*?)</script>', text, re.DOTALL)
    assert points
    assert "<" not in points[1], "which could open a comment or end the script"
    assert [run["name"] for run in json.loads(points[1])] == [run.name for run in runs]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_title_is_text(tmp_path: Path, name: str) -> None:
    run = write_run(tmp_path / name.replace("/", "\u2215"), falling())
    page = Page(page_of(tmp_path, run))
    assert [tag for tag, _ in page.elements].count("script") == 2
    assert page.text.count(f"{run.name} · charlm report") == 1


def test_nothing_is_fetched_and_nothing_is_named_twice(tmp_path: Path) -> None:
    page = page_of(tmp_path, write_run(tmp_path / "a", falling()), write_run(tmp_path / "b", falling(300)))
    assert not re.search(r"src=|href=|@import|fetch\(|XMLHttp|innerHTML|eval\(", page)
    assert set(re.findall(r"https?://\S+", page)) == {'http://www.w3.org/2000/svg";'}, "the name of SVG, no address"
    assert re.findall(r"url\((.)", page) == ["#"] * 6
    ids = [attributes["id"] for _, attributes in Page(page).elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_each_axis_is_drawn_for_wide_and_narrow_windows(tmp_path: Path) -> None:
    page = page_of(tmp_path, write_run(tmp_path / "a", falling()))
    kinds = {svg.attrib["class"] for svg in pictures(page)}
    assert kinds == {
        f"plot {layout} {axis}" for layout in ("wide", "narrow") for axis in ("characters", "minutes", "steps")
    }
    assert all(
        f"main:has(#axis-{axis}:checked) .narrow.{axis}{{display:block}}" in page for axis in ("minutes", "steps")
    )


def test_lines_are_where_the_figures_are(tmp_path: Path) -> None:
    lines = [valid_line(100, 3.0), valid_line(200, 2.0), valid_line(300, 2.5)]
    (svg,) = [
        svg
        for svg in pictures(page_of(tmp_path, write_run(tmp_path / "a", lines)))
        if "wide steps" in svg.attrib["class"]
    ]
    left, right, top, floor = map(float, svg.attrib["data-box"].split())
    low, high = map(float, svg.attrib["data-up"].split())
    (line,) = svg.iterfind("g/polyline")
    places = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    for (x, y), (step, bits) in zip(places, ((100, 3.0), (200, 2.0), (300, 2.5)), strict=True):
        assert x == pytest.approx(left + step / 300 * (right - left), abs=0.06)
        assert y == pytest.approx(floor - (bits - low) / (high - low) * (floor - top), abs=0.06)
    (ring,) = svg.iterfind("circle")
    assert (float(ring.attrib["cx"]), float(ring.attrib["cy"])) == places[1], "the best"


def test_twenty_runs_at_once(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"run-{number:02d}", falling(300 + number, 2 + number / 1000)) for number in range(20)]
    page = page_of(tmp_path, *runs)
    check_pictures(page)
    wide = next(svg for svg in pictures(page) if "wide" in svg.attrib["class"])
    assert len(list(wide.iterfind("text[@class='label']"))) == len(list(wide.iterfind("circle"))) == 20
    styles = {(line.attrib["class"], line.get("stroke-dasharray")) for line in wide.iterfind("g/polyline")}
    assert len(styles) == 40
    assert page.count('class="number lowest">2.2') == 1


YOUNG = {
    "no log": [],
    "one training line": [train_line(1, 6.0)],
    "no validation": falling(40),
    "one validation": [train_line(1, 6.0), valid_line(1, 5.9)],
    "nothing finite": [train_line(1, None), valid_line(1, None), valid_line(2, None)],
    "no places": [valid_line(1, 2.0, seconds=None), valid_line(2, 2.0, seconds=None)],
    "from the start": [valid_line(0, 8.0), *falling(5000)],
}


@pytest.mark.parametrize("kind", YOUNG)
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside another"])
def test_young_and_broken_runs(tmp_path: Path, kind: str, beside: bool) -> None:
    runs = [
        write_run(tmp_path / "young", YOUNG[kind]),
        *([write_run(tmp_path / "old", falling(900))] if beside else []),
    ]
    page = page_of(tmp_path, *runs)
    Page(page)
    check_pictures(page)
    assert ("Nothing has been logged yet" in page) == (kind in ("no log", "nothing finite") and not beside)
    assert not re.search(
        r"\b(nan|inf|infinity|none|null)\b", page.partition("</style>")[2].partition("<script")[0], re.IGNORECASE
    )


def test_a_resumed_run_is_one_line(tmp_path: Path) -> None:
    first, second = (
        falling(200),
        [line | {"seconds": line["seconds"] + 100} for line in falling(400) if line["step"] > 200],
    )
    page = page_of(tmp_path, write_run(tmp_path / "a", [*first, *second], torn='{"kind": "train"'))
    (svg,) = [svg for svg in pictures(page) if "wide minutes" in svg.attrib["class"]]
    (line,) = [line for line in svg.iterfind("g/polyline") if "validation" in line.attrib["class"]]
    places = [float(pair.split(",")[0]) for pair in line.attrib["points"].split()]
    assert places == sorted(places)
    assert len(places) == 8
    assert "2 min 20 s" in page


def test_settings_of_one_run_and_of_several(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / name, falling(), f"seed = 0\n[training]\nlr = {lr}\n")
        for name, lr in (("a", 1.0), ("b", 2.0))
    ]
    one, two, same = page_of(tmp_path, runs[0]), page_of(tmp_path, *runs), page_of(tmp_path, runs[0], runs[0])
    assert "<h2>Settings</h2>" in one
    assert "<details>" not in one
    differing, _, equal = two.partition("<details>")
    assert '<th scope="row">training.lr</th><td>1.0</td><td>2.0</td>' in differing
    assert '<th scope="row">seed</th><td>0</td>' in equal
    assert "These runs have equal settings" in same


def test_a_directory_that_is_not_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a run"):
        write_report([tmp_path], tmp_path / "out", png=False)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        write_report([write_run(tmp_path / "a", falling())], tmp_path / "file", png=False)


def test_without_a_run_the_last_one_is_drawn(workspace: Commands) -> None:
    named = Path(workspace.json("report", "tiny-texts", "--no-png", "--out", "named")["page"])
    last = Path(workspace.json("report", "--no-png", "--out", "last")["page"])
    assert (workspace.folder / last).read_bytes() == (workspace.folder / named).read_bytes()
