"""Figures as tables show them."""

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
        (True, "True"),
        (None, "-"),
        ("text", "text"),
    ],
)
def test_figure(value: object, shown: str) -> None:
    assert terminal.figure(value) == shown
