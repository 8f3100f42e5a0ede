"""Corpora of small inputs, and what `charlm prepare` says if another one is asked for in the same folder."""

from pathlib import Path

import pytest

from charlm.data.corpus import Corpus
from charlm.data.settings import CorpusSettings
from charlm.errors import SettingsError
from charlm.text.build import build_source
from charlm.workflows.corpus_identity import find_prepared
from charlm.workflows.prepare import prepare
from tests.source_cases import AnySource


def tree(directory: Path) -> dict[str, bytes]:
    """Return the content of every file below a directory."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def make(settings: CorpusSettings, out: Path, split_reference: Corpus | None = None) -> Corpus:
    """Prepare the corpus of these settings."""
    return prepare(settings, build_source(settings.source), out, split_reference=split_reference)


def of_source(source: AnySource) -> CorpusSettings:
    """Return the settings of a small corpus of a source."""
    return CorpusSettings(source=source, split="80/10/10")


def refused(settings: CorpusSettings, corpus: Corpus, split_reference: Corpus | None = None) -> str:
    """Ask for a corpus that is another one; return the error, which names the difference."""
    with pytest.raises(SettingsError) as caught:
        find_prepared(settings, corpus.directory, split_reference)
    assert caught.value.exit_code == 2
    assert "--overwrite" in caught.value.cure
    return caught.value.what
