"""The sample corpus: the documentation inside every CPython, which needs no download.

    pydoc_data/topics.py   the language reference, topic by topic ────┐
    Lib/**/*.py            docstrings of modules, classes, functions ─┴─> new paragraphs ──> documents, shuffled

The library's files are parsed with `ast`, never imported. Repeated paragraphs are dropped, so that little of the test
split is also in the training split (80 % of the last percent of the reference is in the rest of it). The order of the
documents is that of the hashes of their ids. CPython 3.11 gives 600 documents with 1.9 million characters.
"""

import ast
import hashlib
import inspect
import os
import platform
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from charlm.errors import DataError
from charlm.text.document import Document, PageCounts, Source
from charlm.text.reading.input_files import hash_inputs

_TOPICS = Path("pydoc_data", "topics.py")
LICENCE = "PSF-2.0 (Python documentation and docstrings, Python Software Foundation)"
_SKIPPED_FOLDERS = {
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "site-packages",
    "dist-packages",
    "__pycache__",
    "pydoc_data",
}


class PythonDocsSource(Source):
    """One document per topic of the language reference and per module of the standard library."""

    def __init__(self, library: Path | None = None) -> None:
        self._library = library or Path(sysconfig.get_path("stdlib"))

    def origin(self) -> dict[str, Any]:
        return {
            "source": "sample",
            "name": f"Python {platform.python_version()}: language reference and docstrings",
            "language": "en",
            "licence": LICENCE,
            "fingerprint": self.fingerprint(),
        }

    def local_files(self) -> list[dict[str, Any]]:
        """Return name, size and hash of each file of the standard library that is read."""
        topics = self._library / _TOPICS
        paths = [*([topics] if topics.is_file() else []), *_module_paths(self._library)]
        named = ((path.relative_to(self._library).as_posix(), path) for path in paths)
        return [file.entry() for file in hash_inputs(named)]

    def read(self, page_counts: PageCounts) -> Iterator[Document]:
        """
        Raises:
            DataError: this Python has no standard library in source form.
        """
        seen: set[str] = set()
        documents: list[Document] = []
        for identifier, title, text in self._raw_documents():
            page_counts.pages += 1
            paragraphs = list(_unseen_paragraphs(text, seen))
            if paragraphs:
                documents.append(Document(identifier, title, "\n\n".join(paragraphs)))
            else:
                page_counts.dropped["duplicate" if text.strip() else "empty"] += 1
        if not documents:
            raise DataError(
                f"no Python sources in {self._library}", "use a CPython with its standard library in .py files"
            )
        yield from sorted(documents, key=lambda document: hashlib.sha256(document.id.encode()).digest())

    def _raw_documents(self) -> Iterator[tuple[str, str, str]]:
        for topic, text in sorted(_topics(self._library / _TOPICS).items()):
            yield f"topic:{topic}", topic, text
        for path in _module_paths(self._library):
            name = ".".join(path.relative_to(self._library).with_suffix("").parts).removesuffix(".__init__")
            yield f"module:{name}", name, "\n\n".join(_docstrings(path))


def _module_paths(library: Path) -> list[Path]:
    paths: list[Path] = []
    for folder, subfolders, files in os.walk(library):
        subfolders[:] = [name for name in subfolders if name not in _SKIPPED_FOLDERS]
        paths += [Path(folder, name) for name in files if name.endswith(".py")]
    return sorted(paths)


def _topics(path: Path) -> dict[str, str]:
    """Return the dictionary literal in pydoc_data/topics.py: topic -> text."""
    if not path.is_file():
        return {}
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            literal: dict[str, str] = ast.literal_eval(node.value)
            return literal
    return {}


def _docstrings(path: Path) -> Iterator[str]:
    try:
        module = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # files that are broken on purpose, for tests of the library
        return
    yield from _docstrings_below(module)


def _docstrings_below(node: ast.AST) -> Iterator[str]:
    """Yield the docstrings in a tree, in reading order. Expressions, most of the tree, have none and are skipped."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        docstring = ast.get_docstring(node, clean=False)
        if docstring:
            yield inspect.cleandoc(docstring)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield from _docstrings_below(child)


def _unseen_paragraphs(text: str, seen: set[str]) -> Iterator[str]:
    """Yield the paragraphs whose words, in this order, are not in `seen`, and add them."""
    for paragraph in re.split(r"\n\s*\n", text):
        folded = " ".join(paragraph.split())
        if folded and folded not in seen:
            seen.add(folded)
            yield "\n".join(line.rstrip() for line in paragraph.splitlines()).strip("\n")
