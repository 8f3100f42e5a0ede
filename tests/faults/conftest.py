"""Fixtures of the fault tests. Their commands find all cores, so that `prepare` has workers, which fail too."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.interrupted import Interruptions, interrupting
from tests.processes import Commands


@pytest.fixture
def commands(commands: Commands) -> Commands:
    return replace(commands, has_one_core=False)


@pytest.fixture
def workspace(workspace: Commands) -> Commands:
    return replace(workspace, has_one_core=False)


@pytest.fixture(scope="session")
def interruptions() -> Iterator[Interruptions]:
    with interrupting() as server:
        yield server
