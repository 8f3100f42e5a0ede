"""What is slow to import is imported late: the command line answers at once."""

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "datasets",
    "numpy",
    "pyarrow",
    "pydantic",
    "regex",
    "requests",
    "lxml",
    "sentencepiece",
    "safetensors",
    "starlette",
    "tqdm",
    "uvicorn",
)


def imported_by(code: str) -> set[str]:
    """The heavy packages that a fresh process has imported after running `code`."""
    program = f"import sys\nsys.argv = ['charlm', '--help']\ntry:\n    {code}\nexcept SystemExit:\n    pass\n"
    report = f"{program}print('|' + ' '.join(name for name in {HEAVY!r} if name in sys.modules))"
    output = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True).stdout
    return set(output.rpartition("|")[2].split())


def test_the_help_needs_nothing_heavy() -> None:
    assert imported_by("import charlm.cli") == set()
    assert imported_by("import runpy; runpy.run_module('charlm', run_name='__main__')") == set()


@pytest.mark.parametrize(
    "module",
    [
        "charlm.experiment",
        "charlm.training.settings",
        "charlm.nn.settings",
        "charlm.data.settings",
        "charlm.workflows.prepare",
        "charlm.workflows.prepare_corpus",
        "charlm.workflows.reencode",
        "charlm.workflows.inspect_path",
    ],
)
def test_settings_and_prepare_never_import_torch(module: str) -> None:
    assert not imported_by(f"import {module}") & {"torch", "datasets"}


@pytest.mark.parametrize(
    "module",
    ["charlm.text.split", "charlm.text.sources.text_files", "charlm.text.sources.python_docs", "charlm.text.settings"],
)
def test_text_needs_no_numpy(module: str) -> None:
    assert not imported_by(f"import {module}") & {"torch", "datasets", "numpy"}
