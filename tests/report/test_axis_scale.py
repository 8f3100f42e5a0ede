"""Axes: round ticks inside the limits, limits that show what is compared, labels that do not touch."""

import itertools
import math
import re
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from charlm import html_page
from charlm.report.axis_scale import Scale, horizontal_scale, vertical_scale
from charlm.report.curve_style import NUM_STYLES, curve_style
from charlm.report.curves import Curve, Point
from charlm.report.end_labels import spread_labels

_STYLE = (Path(html_page.__file__).with_suffix(".css")).read_text(encoding="utf-8")
_LIGHT_GROUND, _DARK_GROUND = re.findall(r"--ground: (#\w{6});", _STYLE)


def curve(*bits: float, training: tuple[float, ...] = (), first: float = 1.0, factor: float = 1.0) -> Curve:
    """Points after 1, 2, 3 ... times `first` steps, or in geometric progression."""

    def points(values: tuple[float, ...]) -> tuple[Point, ...]:
        places = [first * (factor**index if factor != 1 else index + 1) for index in range(len(values))]
        return tuple(Point(value, position, position, position) for position, value in zip(places, values, strict=True))

    return Curve("", points(bits), points(training), None, None)


limits = st.tuples(st.floats(0, 1e9), st.floats(1e-3, 1e9)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(limits=limits, most=st.integers(3, 12))
def test_ticks_are_round_rising_and_inside(limits: tuple[float, float], most: int) -> None:
    low, high = limits
    assume((high - low) / high > 1e-6)
    values = [value for value, _ in Scale(low, high).ticks(most)]
    assert len(values) in range(1 if most < 5 else 2, most + 1)
    assert values == sorted(values)
    steps = [b - a for a, b in itertools.pairwise(values)]
    if steps:
        leading = steps[0] / 10 ** math.floor(math.log10(steps[0] * (1 + 1e-6)))
        assert min(abs(leading - digit) for digit in (1, 2, 5)) < 1e-3
        assert max(steps) - min(steps) <= 1e-6 * high
    slack = 1e-6 * (high - low)
    assert all(low - slack <= value <= high + slack for value in values)


@given(low=st.floats(1e-3, 1e6), factor=st.floats(31.7, 1e9), most=st.integers(3, 12))
def test_logarithmic_ticks_are_round_and_inside(low: float, factor: float, most: int) -> None:
    scale = Scale(low, low * factor, is_log=True)
    ticks = scale.ticks(most)
    assert 1 <= len(ticks) <= most
    assert all(-0.01 <= scale.position(value) <= 1.01 for value, _ in ticks)
    assert all(f"{value:.0e}"[0] in "125" for value, _ in ticks)


@given(low=st.floats(0.5, 5), size=st.floats(1e-4, 5))
def test_labels_of_bits_differ_where_the_bits_do(low: float, size: float) -> None:
    ticks = Scale(low, low + size).decimal_ticks(8)
    assert len({label for _, label in ticks}) == len(ticks) >= 3
    assert all(abs(float(label) - value) < size / 100 for value, label in ticks)


def test_the_axis_is_linear_unless_the_lengths_of_runs_differ_by_a_decade_and_a_half() -> None:
    assert horizontal_scale([curve(3, 2, first=1, factor=1e6)], "steps") == Scale(0.0, 1e6)
    short, near, far = curve(3, first=100), curve(2, first=3100), curve(2, first=3300)
    assert horizontal_scale([short, near], "steps") == Scale(0.0, 3100.0)
    assert horizontal_scale([short, far], "steps") == Scale(10, 3300, is_log=True)


def test_a_run_without_validation_is_shown_to_its_last_point() -> None:
    young, old = curve(training=(5.0, 4.0, 3.0), first=1, factor=20), curve(2.5, 2.0, first=300, factor=2)
    assert horizontal_scale([young, old], "steps") == Scale(0.0, 600.0)
    assert vertical_scale([young, old]).high < 3.2
    assert horizontal_scale([young], "steps") == Scale(0.0, 400.0)
    assert vertical_scale([young]).position(3.0) > 0


def test_training_after_the_last_validation_is_inside() -> None:
    started_again = curve(2.5, training=(3.0, 2.5, 2.2), first=100)
    assert horizontal_scale([started_again], "steps").position(300) <= 1


def learning(steps: int, num_validations: int, log_interval: int = 10) -> Curve:
    """A run whose loss falls from 6 to 2 bits by a power law, in training and a little higher in validation."""

    def bits(step: int) -> float:
        return 1.8 + 4.2 * (1 + step / 40) ** -0.5

    training = [
        Point(bits(step), step, step, step) for step in (1, 2, 3, *range(log_interval, steps + 1, log_interval))
    ]
    ends = [round(steps * (index + 1) / num_validations) for index in range(num_validations)]
    validation = [Point(bits(step) + 0.1, step, step, step) for step in ends]
    return Curve(
        "", tuple(validation), tuple(training), None, max([*validation, *training], key=lambda each: each.steps)
    )


@pytest.mark.parametrize("num_validations", [0, 1, 2, 3, 20, 50])
@pytest.mark.parametrize("steps", [100, 1000, 50_000])
def test_the_axis_holds_the_validations_and_the_training_after_the_steep_start(
    steps: int, num_validations: int
) -> None:
    run = learning(steps, num_validations)
    up, across = vertical_scale([run]), horizontal_scale([run], "steps")
    assert all(0 <= up.position(point.value) <= 1 for point in run.validation)
    above = [point for point in run.training if up.position(point.value) > 1]
    assert all(across.position(point.steps) < 0.02 for point in above), (
        "the curve enters at the left, not in the middle"
    )
    assert all(up.position(point.value) >= 0 for point in run.training)
    assert up.position(run.training[-1].value) < 0.15, "and uses the height of the plot"


def test_the_untrained_start_of_a_long_run_does_not_flatten_it() -> None:
    scale = vertical_scale([learning(2_000_000, 2000, 1000)])
    assert scale.high < 2.5


def test_a_run_that_diverges_leaves_the_plot_near_its_untrained_loss() -> None:
    falling = [6.0 - 0.4 * step for step in range(10)]
    for rising in ([50.0, 5e3, 5e9], [7.0, 9.0, 11.0]):
        scale = vertical_scale([curve(*falling[2:], *rising, training=(*falling, *rising))])
        assert 6.0 < scale.high < 9.0
        assert scale.position(min(falling)) > 0


def test_a_run_that_never_learns_is_inside_where_it_is_alone() -> None:
    absurd = curve(152_000.0, 49_835.0, training=(6.6, 20_000.0, 50_000.0, 50_000.0))
    assert 0 < vertical_scale([absurd]).position(49_835.0) < vertical_scale([absurd]).position(152_000.0) < 1
    assert vertical_scale([absurd, curve(2.5, 2.0, training=(6.6, 2.4))]).high < 9, (
        "beside others it does not flatten them"
    )


@given(st.lists(st.lists(st.floats(0.5, 9), min_size=1, max_size=30), min_size=1, max_size=6))
def test_the_best_point_of_every_run_is_inside_and_none_is_below(runs: list[list[float]]) -> None:
    scale = vertical_scale([curve(*bits) for bits in runs])
    assert scale.high > scale.low
    for bits in runs:
        assert 0 <= scale.position(min(bits)) <= 1
    assert all(scale.position(value) >= 0 for bits in runs for value in bits)


def test_training_lines_below_several_runs_use_at_most_a_quarter_of_the_height() -> None:
    other = curve(2.4, 2.2, 2.0)
    plain = vertical_scale([other, other])
    near = vertical_scale([other, curve(2.4, 2.2, 2.0, training=(1.95,))])
    far = vertical_scale([other, curve(2.4, 2.2, 2.0, training=(0.1,))])
    assert plain.low > near.low
    assert near.position(1.95) > 0
    assert far.position(2.0) < 0.35
    assert vertical_scale([curve(2.4, 2.2, 2.0, training=(0.1,))]).position(0.1) > 0, "alone it is shown whole"


def test_one_point_and_none_have_an_axis_too() -> None:
    assert 0.4 < vertical_scale([curve(2.0)]).position(2.0) < 0.6
    assert horizontal_scale([curve(2.0)], "minutes") == Scale(0.0, 1.0)
    assert vertical_scale([curve()]) == horizontal_scale([curve()], "steps") == Scale(0.0, 1.0)


@given(st.lists(st.floats(0, 100), max_size=30), st.floats(0.5, 12))
def test_labels_are_spread(places: list[float], gap: float) -> None:
    moved = spread_labels(places, gap, 0, 100)
    assert all(-1e-6 <= position <= 100 + 1e-6 for position in moved)
    wanted = min(gap, 100 / max(1, len(places) - 1))
    in_order = sorted(moved)
    assert all(b - a >= wanted - 1e-6 for a, b in itertools.pairwise(in_order))
    assert [position for _, position in sorted(zip(places, moved, strict=True))] == pytest.approx(in_order)
    apart = sorted(places)
    if all(b - a >= wanted for a, b in itertools.pairwise(apart)):
        assert moved == pytest.approx(places), "nothing is moved without need"


# ---- colours

_DICHROMATS = {  # linear RGB, severity 1: Machado, Oliveira & Fernandes (2009), table 1
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.1523, 1.0526, -0.2049), (0.1145, 0.7863, 0.0992), (-0.0039, -0.0481, 1.0520)),
    "deuteranopia": ((0.3673, 0.8606, -0.2280), (0.2801, 0.6725, 0.0474), (-0.0118, 0.0429, 0.9689)),
    "tritanopia": ((1.2555, -0.0767, -0.1788), (-0.0784, 0.9308, 0.1476), (0.0047, 0.6914, 0.3039)),
}
_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))


def times(matrix: tuple[tuple[float, ...], ...], vector: list[float]) -> list[float]:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def linear(colour: str) -> list[float]:
    values = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]


def lab(rgb: list[float]) -> list[float]:
    white = (0.9505, 1.0, 1.089)
    scaled = [max(0.0, value) / full for value, full in zip(times(_XYZ, rgb), white, strict=True)]
    x, y, z = (value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in scaled)
    return [116 * y - 16, 500 * (x - y), 200 * (y - z)]


@pytest.mark.parametrize("eyes", _DICHROMATS)
@pytest.mark.parametrize("ground", [_LIGHT_GROUND, _DARK_GROUND])
def test_colours_can_be_told_apart(ground: str, eyes: str) -> None:
    looks = [curve_style(index) for index in range(NUM_STYLES)]
    colours = sorted({look.on_light if ground == _LIGHT_GROUND else look.on_dark for look in looks})
    assert len(colours) == 6
    seen = [lab([min(1.0, max(0.0, value)) for value in times(_DICHROMATS[eyes], linear(c))]) for c in colours]
    assert min(math.dist(a, b) for index, a in enumerate(seen) for b in seen[:index]) > 20
    for colour in colours:
        light, dark = sorted((times(_XYZ, linear(colour))[1], times(_XYZ, linear(ground))[1]), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3


def test_no_two_runs_look_alike() -> None:
    looks = [curve_style(index) for index in range(2 * NUM_STYLES)]
    assert len({(look.on_light, look.dashes) for look in looks[:NUM_STYLES]}) == NUM_STYLES
    assert len({(look.on_dark, look.dashes) for look in looks[:NUM_STYLES]}) == NUM_STYLES
    assert looks[:NUM_STYLES] == looks[NUM_STYLES:]
    assert len({look.dashes for look in looks[:4]}) == 4, "few runs differ by their lines even without colour"
