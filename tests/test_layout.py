"""How the source tree is laid out: which modules may import which, and what they may be called."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "charlm"
STANDARD_LIBRARY = {*sys.stdlib_module_names, "compression"}
VAGUE = {"utils", "util", "common", "helpers", "misc"}


def packages() -> Iterator[Path]:
    """Folders of modules."""
    return (path.parent for path in PACKAGE.rglob("__init__.py"))


def test_no_two_modules_import_each_other() -> None:
    """Neither directly nor in a circle; imports inside functions and for types count too."""
    graph = grimp.build_graph("charlm", include_external_packages=False, exclude_type_checking_imports=False)
    imports: dict[str, Iterable[str]] = {
        module: graph.find_modules_directly_imported_by(module) for module in graph.modules
    }
    imports["charlm"] = ()  # `charlm.load` is the package's own face: it imports charlm.api when it is called
    circular = sorted(module for module in imports if module in reachable(module, imports))
    assert not circular, circular


def reachable(start: str, imports: Mapping[str, Iterable[str]]) -> set[str]:
    """All modules that `start` imports, and those that they import."""
    found: set[str] = set()
    waiting = [*imports[start]]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += imports[module]
    return found


def test_a_package_has_three_modules_or_more() -> None:
    for folder in packages():
        modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
        subpackages = {path.parent.name for path in folder.glob("*/__init__.py")}
        assert len(modules | subpackages) >= 3, folder.relative_to(ROOT)


def test_modules_have_names_of_their_own() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert path.stem not in VAGUE, path
        name = path.parent.name if path.stem == "__init__" else path.stem
        assert name not in STANDARD_LIBRARY, path.relative_to(ROOT)


def test_every_module_and_package_says_what_it_is_for() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path.relative_to(ROOT)


def test_nothing_tells_to_install_a_package_called_charlm() -> None:
    """The one on PyPI is a stranger's."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, files.split("\0")):
        content = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b""
        assert not re.search(rb"pip3? install [^\n`]*['\" ]charlm\b|charlm\[[a-z]", content), name
