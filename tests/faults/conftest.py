"""Fixtures of the fault tests."""

from collections.abc import Iterator

import pytest

from tests.interrupted import Interruptions, interrupting


@pytest.fixture(scope="session")
def interruptions() -> Iterator[Interruptions]:
    with interrupting() as server:
        yield server
