"""Every source of examples: its examples are in order, its counts add up, and it knows its input."""

import json
from pathlib import Path

import pytest

from charlm.data.example_sources import open_example_source
from charlm.settings import settings_classes
from charlm.text.examples.example import ExampleCounts
from charlm.text.examples.settings import ExampleSettings
from tests.text.examples.example_cases import ALL_CASES


def test_every_kind_is_tested() -> None:
    assert set(ALL_CASES) >= {kind.model_fields["type"].default for kind in settings_classes(ExampleSettings)} | {"hub"}


@pytest.mark.parametrize("case", ALL_CASES)
def test_examples_are_the_same_every_time_and_are_counted(case: str, tmp_path: Path) -> None:
    settings = ALL_CASES[case](tmp_path, "river")
    source, counts, again = open_example_source(settings), ExampleCounts(), ExampleCounts()
    found = list(source.read(counts))
    assert found == list(open_example_source(settings).read(again))
    assert counts == again
    assert counts.read == len(found) + counts.dropped.total()
    assert len({example.id for example in found}) == len(found)
    for example in found:
        assert [example.label, example.tags, example.target].count(None) == 2
        assert example.tags is None or len(example.tags) == len(example.text)


@pytest.mark.parametrize("case", ALL_CASES)
def test_the_origin_identifies_the_content_and_not_the_folder(case: str, tmp_path: Path) -> None:
    one = open_example_source(ALL_CASES[case](tmp_path / "one", "river"))
    same = open_example_source(ALL_CASES[case](tmp_path / "two", "river"))
    other = open_example_source(ALL_CASES[case](tmp_path / "three", "brook"))
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    assert one.fingerprint() is not None
    assert one.origin() == same.origin() != other.origin()
    assert str(tmp_path) not in json.dumps(one.origin())


@pytest.mark.parametrize("case", ["table", "classes", "conllu", "table of targets"])
def test_a_file_that_changes_while_it_is_read(case: str, tmp_path: Path) -> None:
    settings = ALL_CASES[case](tmp_path, "river")
    source = open_example_source(settings)
    path = next(path for path in sorted(tmp_path.rglob("*")) if path.is_file())
    with path.open("a", encoding="utf-8") as file:
        file.write("\n")
    with pytest.raises(Exception, match="changed while it was read"):
        list(source.read(ExampleCounts()))
