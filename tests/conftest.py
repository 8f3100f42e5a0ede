"""What many tests share: real data in place, a small prepared corpus, and charlm as a process."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings as hypothesis_settings

from tests.processes import Commands, leave_syncing_to_the_kernel, serving

if TYPE_CHECKING:
    from charlm.data.corpus import Corpus

if not Path("/proc/driver/nvidia").exists():
    os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported: its kernels then run on tensors of the CPU

leave_syncing_to_the_kernel()

hypothesis_settings.register_profile("charlm", deadline=None)  # the machine may be busy
hypothesis_settings.load_profile("charlm")

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


@pytest.fixture(scope="session")
def charlm_server() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture
def commands(charlm_server: str, tmp_path: Path) -> Commands:
    """The command line in an empty folder."""
    return Commands(charlm_server, tmp_path)


@pytest.fixture(scope="session")
def toured(charlm_server: str, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """The command line in a folder with texts, a corpus and a run, for tests that change nothing there."""
    from tests.workspaces import tour

    commands = Commands(charlm_server, tmp_path_factory.mktemp("toured"))
    tour(commands)
    return commands


@pytest.fixture(scope="session")
def labelled(charlm_server: str, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """The command line in a folder with the runs `labels` and `tags`, for tests that change nothing there."""
    from tests.label_runs import make_label_runs

    return make_label_runs(Commands(charlm_server, tmp_path_factory.mktemp("labelled")))


@pytest.fixture
def workspace(toured: Commands, tmp_path: Path) -> Commands:
    """The same in a folder of the test's own."""
    return toured.within(shutil.copytree(toured.folder, tmp_path / "workspace"))
