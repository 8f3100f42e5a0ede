"""The code version in the keys of a dump: it covers all code that decides about documents, and nothing else."""

import ast
import importlib.util
import shutil
from pathlib import Path

import pytest

from charlm.text import code_version
from charlm.text.code_version import READING

TEXT = Path(code_version.__file__).parent
EXEMPT = {
    "reading/unpacking": "gives the bytes that checksums accept, or an error",
    "dump/plan": "cuts; each key names its range",
    "download/range_cache": "fetches bytes",
    "document": "types alone",
    "dump/counts": "one note",
    "code_version": "is about the others",
    "wikitext": "is hashed whole",
}


def versions_of(text: Path) -> tuple[str, str]:
    """(reading, all code) of a copy of the package."""
    spec = importlib.util.spec_from_file_location("copied_versions", text / "code_version.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.reading_version(), module.code_version()


@pytest.mark.parametrize(
    ("changed", "is_reading"),
    [
        ("dump/articles.py", True),
        ("dump/pages.py", True),
        ("wikitext/layout.py", True),
        ("wikitext/units.toml", True),
        ("wikitext/languages/ru.toml", True),
        ("sources/hub/source.py", False),
        ("settings.py", False),
        ("reading/unpacking.py", False),
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
    inside = [module.removeprefix("charlm.text.") for module in modules if module.startswith("charlm.text.")]
    return {"wikitext" if module.startswith("wikitext") else module.replace(".", "/") for module in inside}


def test_no_module_that_decides_about_documents_is_forgotten() -> None:
    used = set[str]().union(*(imported(TEXT / f"{name}.py") for name in READING))
    assert used <= {*READING, *EXEMPT}
    assert {name for path in (TEXT / "wikitext").rglob("*.py") for name in imported(path)} == {"wikitext"}
    assert all((TEXT / f"{name}.py").is_file() for name in READING)
