"""What many tests share: real data in place, a small prepared corpus, and charlm as a process."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from charlm.data.corpus import Corpus

Charlm = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that need it are skipped, with a reason, where it is missing."""
    path = Path(os.environ.get("CHARLM_SHARED", Path(__file__).parents[1].parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip("no real data: set CHARLM_SHARED")
    return path


@pytest.fixture
def charlm(tmp_path: Path) -> Charlm:
    """Run the command line as a process in an empty folder."""

    def run(*arguments: str, cwd: Path = tmp_path, env: dict[str, str] | None = None, timeout: float = 120):
        return subprocess.run(
            [sys.executable, "-m", "charlm", *arguments],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> "Corpus":
    """Five documents in several scripts, with emoji, and a character that only the test split has."""
    from tests.corpora import TINY, build_corpus

    return build_corpus(tmp_path_factory.mktemp("tiny"), TINY)
