"""Figures as tables show them."""

import math

import pytest

from charlm import terminal


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1e-5, "1e-05"),
        (-0.00012346, "-0.0001235"),
        (0.0, "0"),
        (2.0, "2"),
        (123456.0, "123,456"),
        (1234.56789, "1,234.5679"),
        (1234567, "1,234,567"),
        (10**20, "100,000,000,000,000,000,000"),
        (5.8e246, "5.8e+246"),
        (math.inf, "inf"),
        (math.nan, "nan"),
        (True, "True"),
        (None, "-"),
        ("text", "text"),
    ],
)
def test_figure(value: object, shown: str) -> None:
    assert terminal.format_value(value) == shown
