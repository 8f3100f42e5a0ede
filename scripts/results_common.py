"""What the scripts of charlm/docs/results.md share: running charlm, finding the data, and the tables of the page."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).parents[1]
RESULTS = Path("runs") / "results"
PAGE = ROOT / "charlm" / "docs" / "results.md"

Content = dict[str, Any]


def find_shared() -> Path:
    """Return the folder of real data. It need not be there."""
    return Path(os.environ.get("CHARLM_SHARED", ROOT.parent / "shared" / "data")).resolve()


def check_shared(shared: Path) -> None:
    """Exit if the folder of real data is missing."""
    if not shared.is_dir():
        sys.exit(f"scripts/results: there are no data at {shared}; set CHARLM_SHARED to their folder")


def run_charlm(*arguments: str, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> None:
    """Run a command of charlm.

    Args:
        arguments: such as train --config lstm.
        prefix: what stands before the interpreter, such as taskset.
        environment: variables besides those of this process.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    subprocess.run(_command(arguments, prefix), check=True, env={**os.environ, **(environment or {})})


def read_charlm(*arguments: str, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> Content:
    """Run a command of charlm with --json, as `run_charlm` does, and return what it prints."""
    command = [*_command(arguments, prefix), "--json"]
    variables = {**os.environ, **(environment or {})}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=variables)
    return cast("Content", json.loads(done.stdout))


def _command(arguments: Sequence[str], prefix: Sequence[str]) -> list[str]:
    return [*prefix, sys.executable, "-m", "charlm", *arguments]


def as_options(settings: Sequence[str]) -> list[str]:
    """Return --set before each setting."""
    return [part for setting in settings for part in ("--set", setting)]


def read_metrics(run: Path) -> list[Content]:
    """Return the lines of metrics.jsonl of a run."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def save_result(path: Path, found: object) -> None:
    """Write what was found as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2), encoding="utf-8")


def load_result(path: Path) -> Any:
    """Return what was saved; None if nothing was."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


# ---- the page


def marks(name: str) -> tuple[str, str]:
    """Return the marks around a table of the page."""
    return f"<!-- {name}: written by scripts/results -->", f"<!-- end of {name}: written by scripts/results -->"


def read_table(page: Path, name: str) -> list[str]:
    """Return the lines of a table of the page; none if it is not there."""
    begin, end = marks(name)
    text = page.read_text(encoding="utf-8")
    return text.split(begin, 1)[1].split(end, 1)[0].strip().splitlines() if begin in text else []


def write_table(page: Path, name: str, lines: Sequence[str]) -> None:
    """Replace a table of the page, if the page has it and there are lines."""
    begin, end = marks(name)
    text = page.read_text(encoding="utf-8")
    if begin in text and lines:
        before, rest = text.split(begin, 1)
        page.write_text("\n".join([before + begin, *lines, end]) + rest.split(end, 1)[1], encoding="utf-8")


def table_header(columns: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
