"""Other programs, each in an environment of its own that `scripts/peers` makes."""

import os
import subprocess
from pathlib import Path

import pytest

_FOLDER = Path(os.environ.get("CHARLM_PEERS", Path(__file__).parents[2] / ".venv-peers"))


def run_peer(name: str, script: str, *arguments: str | Path, folder: Path) -> str:
    """Run a Python script with the packages of a peer; return what it prints. Skip the test where there are none."""
    python = _FOLDER / name / "bin" / "python"
    if not python.is_file():
        pytest.skip(f"needs scripts/test --peers, which installs {name}")
    home = folder / "home"
    environment = os.environ | {"HOME": str(home), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    ended = subprocess.run(
        [python, "-c", script, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout
