"""What of the code a kept piece of a dump depends on: all that decides about its documents, and nothing else."""

import ast
import importlib.util
import shutil
from pathlib import Path

import pytest

from charlm.text import versions
from charlm.text.versions import READING

TEXT = Path(versions.__file__).parent
EXEMPT = {
    "compression": "gives the bytes that checksums accept, or an error",
    "prolog": "lets everything through, or is an error",
    "plan": "cuts; each key names its range",
    "sparse": "fetches bytes",
    "document": "types alone",
    "dump_counts": "one note",
    "versions": "is about the others",
    "wikitext": "is hashed whole",
}


def versions_of(text: Path) -> tuple[str, str]:
    """(reading, all code) of a copy of the package."""
    spec = importlib.util.spec_from_file_location("copied_versions", text / "versions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.reading_version(), module.code_version()


@pytest.mark.parametrize(
    ("changed", "is_reading"),
    [
        ("articles.py", True),
        ("dump.py", True),
        ("wikitext/layout.py", True),
        ("wikitext/units.toml", True),
        ("wikitext/languages/ru.toml", True),
        ("hub.py", False),
        ("settings.py", False),
        ("compression.py", False),
    ],
)
def test_a_piece_is_made_again_where_its_documents_may_change(changed: str, is_reading: bool, tmp_path: Path) -> None:
    copy = shutil.copytree(TEXT, tmp_path / "text", ignore=shutil.ignore_patterns("__pycache__"))
    reading, code = versions_of(copy)
    with (copy / changed).open("ab") as file:
        file.write(b"\n")
    reading_after, code_after = versions_of(copy)
    assert (reading_after != reading) == is_reading
    assert code_after != code, "workers of a cluster have to agree on it all the same"


def imported(path: Path) -> set[str]:
    """The modules of charlm.text that a file imports, by their names in it."""
    modules = [node.module or "" for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.ImportFrom)]
    return {module.split(".")[2] for module in modules if module.startswith("charlm.text.")}


def test_no_module_that_decides_about_documents_is_forgotten() -> None:
    used = set[str]().union(*(imported(TEXT / f"{name}.py") for name in READING))
    assert used <= {*READING, *EXEMPT}
    assert {name for path in (TEXT / "wikitext").rglob("*.py") for name in imported(path)} == {"wikitext"}
    assert all((TEXT / f"{name}.py").is_file() for name in READING)
