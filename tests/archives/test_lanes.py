"""Lanes: the order of the steps, and how many lanes there are."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from charlm.archives.lanes import MAX_LANES, block_lanes, choose_lanes, step_order, step_sizes


@given(num_lanes=st.integers(1, 12), num_symbols=st.integers(0, 100))
def test_each_lane_reads_a_part_of_the_text_in_order(num_lanes: int, num_symbols: int) -> None:
    order_N = step_order(num_lanes, num_symbols).tolist()
    assert sorted(order_N) == [*range(num_symbols)]
    lanes: list[list[int]] = [[] for _ in range(num_lanes)]
    for active in step_sizes(num_lanes, num_symbols):
        for lane in range(active):
            lanes[lane].append(order_N.pop(0))
    assert not order_N
    assert [position for lane in lanes for position in lane] == [*range(num_symbols)], "parts side by side"
    assert max(map(len, lanes)) - min(map(len, lanes)) <= 1


def test_the_example_of_the_module() -> None:
    steps = np.array([*"abcdefgh"])[step_order(3, 8)].tolist()
    assert [len(lanes) for lanes in ("adg", "beh", "cf")] == [*step_sizes(3, 8)]
    assert "".join(steps) == "adgbehcf"


@given(num_symbols=st.integers(0, 1 << 22))
def test_short_files_have_few_lanes(num_symbols: int) -> None:
    lanes = choose_lanes(num_symbols)
    assert 1 <= lanes <= MAX_LANES
    assert lanes == 1 or num_symbols // lanes >= 16_384
    assert 1 <= block_lanes(lanes, num_symbols) <= lanes
