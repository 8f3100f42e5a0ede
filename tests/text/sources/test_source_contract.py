"""The contract of all sources, run over every member of the union: the same documents each time, a count of every
page, an origin for corpus.json, and a name for the content that follows it and nothing else."""

import json
from pathlib import Path

import pytest

from charlm.data.settings import CorpusSettings
from charlm.errors import CharlmError
from charlm.settings import settings_classes
from charlm.text.build import build_source
from charlm.text.document import PageCounts, Source
from charlm.text.examples.settings import ExampleSettings
from charlm.text.settings import MixSettings, SingleSource, SourceSettings
from charlm.text.sources.python_docs import PythonDocsSource
from charlm.workflows.prepare import prepare
from tests.source_cases import CASES, GIVEN, AnySource, put

every_source = pytest.mark.parametrize("case", CASES)
every_given_source = pytest.mark.parametrize("case", GIVEN)


def built(case: str, folder: Path, word: str) -> Source:
    """The source; the sample reads a standard library of one module, because the real one takes seconds."""
    if case != "sample":
        return build_source(CASES[case](folder, word))
    put(folder, "module.py", f'"""The {word}."""\ndef f():\n    """The {word}."""\n'.encode())
    put(folder, "without.py", b"x = 1\n")
    return PythonDocsSource(folder)


def named(source: Source) -> tuple[str, str, list[str]]:
    """All names of the content: the fingerprint, the origin in corpus.json, and the keys of the tasks."""
    list(source.documents())
    keys = [task.key for task in source.tasks() if task.key is not None]
    return str(source.fingerprint()), json.dumps(source.origin(), allow_nan=False), keys


def test_every_member_of_the_union_is_here() -> None:
    examples = {*settings_classes(ExampleSettings)}  # tests/text/examples has these
    assert set(CASES) == {
        kind.model_fields["type"].default for kind in settings_classes(SourceSettings) if kind not in examples
    }
    single = {kind.model_fields["type"].default for kind in settings_classes(SingleSource)}
    assert set(CASES) == {*single, "mix"}


@every_source
def test_documents_are_the_same_each_time_and_in_pieces(case: str, tmp_path: Path) -> None:
    first = list(built(case, tmp_path, "river").documents())
    source = built(case, tmp_path, "river")
    assert list(source.documents()) == first
    assert list(source.documents()) == first, "of one object too"
    assert len(first) > 0
    page_counts = PageCounts()
    pieces = [document for task in built(case, tmp_path, "river").tasks() for document in task.documents(page_counts)]
    assert pieces == first
    assert page_counts == source.page_counts


@every_source
def test_every_page_is_kept_or_counted(case: str, tmp_path: Path) -> None:
    source = built(case, tmp_path, "river")
    kept = sum(document.is_last_piece for document in list(source.documents()))
    assert source.page_counts.pages == kept + source.page_counts.dropped.total()
    if case == "wikipedia":
        assert source.page_counts.dropped == {"redirect": 4}
    if case == "sample":
        assert source.page_counts.dropped == {"empty": 1}


@every_source
def test_the_origin_is_json_without_paths_of_this_machine(case: str, tmp_path: Path) -> None:
    source = built(case, tmp_path, "river")
    list(source.documents())
    origin = source.origin()
    assert json.loads(json.dumps(origin, allow_nan=False)) == origin
    assert origin["source"] == case
    assert str(tmp_path) not in json.dumps(origin)


@every_given_source
def test_names_follow_the_content_and_not_the_place(case: str, tmp_path: Path) -> None:
    here, there, other = (
        named(built(case, tmp_path / folder, word)) for folder, word in (("a", "river"), ("b", "river"), ("c", "brook"))
    )
    assert here == there
    assert here[1] != other[1], "corpus.json tells them apart"
    assert not set(here[2]) & set(other[2]) or case == "mix", "no piece of the one is taken for one of the other"
    if case == "mix":
        assert here[2][0] != other[2][0]
        assert here[2][1:] == other[2][1:]
    assert here[0] != other[0]


@every_given_source
def test_a_missing_input_is_an_error_with_a_cure(case: str, tmp_path: Path) -> None:
    settings = CASES[case](tmp_path, "river")
    missing = _without_inputs(settings, tmp_path / "missing")
    with pytest.raises(CharlmError, match="missing"):
        list(build_source(missing).documents())


@every_given_source
def test_a_corpus_of_it_says_where_it_comes_from(case: str, tmp_path: Path) -> None:
    settings = CorpusSettings(source=CASES[case](tmp_path, "river"), split="80/10/10")
    corpus = prepare(settings, build_source(settings.source), tmp_path / "corpus")
    metadata = corpus.metadata["documents"]
    assert metadata["pages"] == metadata["kept"] + sum(metadata["dropped"].values())
    assert corpus.metadata["origin"]["source"] == case


def _without_inputs(settings: AnySource, missing: Path) -> AnySource:
    if isinstance(settings, MixSettings):
        first, *others = settings.sources
        return settings.model_copy(update={"sources": (_without_inputs(first, missing), *others)})
    return settings.model_copy(update={"input": (str(missing),)})
