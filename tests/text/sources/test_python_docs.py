"""The sample corpus: it is parsed without being run, and its test split is new text."""

import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from charlm.errors import DataError
from charlm.text.document import Document
from charlm.text.sources.python_docs import PythonDocsSource
from charlm.text.split import SplitRouter, parse_percentages

_WINDOW = 40


@pytest.fixture(scope="module")
def sample() -> tuple[PythonDocsSource, list[Document]]:
    source = PythonDocsSource()
    return source, list(source.documents())


def test_there_is_enough_to_learn_from(sample: tuple[PythonDocsSource, list[Document]]) -> None:
    source, documents = sample
    assert sum(len(document.text) for document in documents) > 1_000_000
    assert len({document.id for document in documents}) == len(documents)
    assert all(document.text.strip() for document in documents)
    assert source.page_counts.pages == len(documents) + sum(source.page_counts.dropped.values())
    assert source.origin()["licence"].startswith("PSF")


def test_no_paragraph_stands_twice(sample: tuple[PythonDocsSource, list[Document]]) -> None:
    paragraphs = Counter(
        " ".join(paragraph.split()) for document in sample[1] for paragraph in document.text.split("\n\n")
    )
    assert paragraphs.most_common(1)[0][1] == 1


def test_little_of_the_test_split_stands_in_the_training_split(sample: tuple[PythonDocsSource, list[Document]]) -> None:
    router = SplitRouter(parse_percentages("90/5/5"), "position", sum(len(document.text) for document in sample[1]))
    splits: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for document in sample[1]:
        for name, part in router.route(document):
            splits[name].append(part.document.text)
    train, test = "\n".join(splits["train"]), "\n".join(splits["test"])
    assert len(test) > 50_000
    seen = {hash(train[start : start + _WINDOW]) for start in range(len(train) - _WINDOW + 1)}
    windows = [hash(test[start : start + _WINDOW]) for start in range(len(test) - _WINDOW + 1)]
    assert sum(window in seen for window in windows) <= 0.05 * len(windows)


_LIST = """
import hashlib, json, sys
from charlm.text.sources.python_docs import PythonDocsSource
before = set(sys.modules)
documents = list(PythonDocsSource().documents())
digest = hashlib.sha256(repr(documents).encode()).hexdigest()
print(json.dumps({"digest": digest, "ids": [d.id for d in documents], "imported": sorted(set(sys.modules) - before)}))
"""


def test_sources_are_parsed_and_never_imported_and_the_order_is_fixed(
    sample: tuple[PythonDocsSource, list[Document]],
) -> None:
    """In another process, where hashes of strings differ."""
    command = [sys.executable, "-c", _LIST]
    result = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    machinery = ("_sysconfigdata", "encodings.")  # where the library lies, and the sources' declared encodings
    assert [name for name in result["imported"] if not name.startswith(machinery)] == []
    assert result["ids"] == [document.id for document in sample[1]]
    assert result["digest"] == hashlib.sha256(repr(sample[1]).encode()).hexdigest()


def test_a_small_library_is_read_docstring_by_docstring(tmp_path: Path) -> None:
    (tmp_path / "pydoc_data").mkdir()
    (tmp_path / "pydoc_data" / "topics.py").write_text('topics = {"if": "The if statement\\n\\nis used."}\n')
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text('"""Package.\n\n   The if  statement\n"""\nraise SystemExit\n')
    (tmp_path / "module.py").write_text(
        '"""Module."""\nclass A:\n    """Class."""\n    def f(self):\n        """Method."""\n        x = "none"\n'
        'if True:\n    async def g():\n        """Inner."""\ndef h(): return "no docstring"\n'
    )
    (tmp_path / "broken.py").write_text("def (:\n")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "skipped.py").write_text('"""Skipped."""\n')
    source = PythonDocsSource(tmp_path)
    documents = {document.id: document.text for document in source.documents()}
    assert documents == {
        "topic:if": "The if statement\n\nis used.",
        "module:module": "Module.\n\nClass.\n\nMethod.\n\nInner.",
        "module:package": "Package.",
    }
    assert (source.page_counts.pages, source.page_counts.dropped) == (4, {"empty": 1})


def test_a_python_without_sources_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\.py files"):
        list(PythonDocsSource(tmp_path).documents())
