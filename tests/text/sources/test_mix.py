"""Several sources in one corpus: ids begin with the name of the source, and the weights are kept."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from charlm.data.corpus import Corpus
from charlm.data.documents import read_parts
from charlm.data.settings import CorpusSettings
from charlm.settings import Layer, read_toml, validate
from charlm.text.build import build_source
from charlm.text.settings import MixSettings, SampleSettings, TextSettings
from charlm.workflows.prepare import prepare
from tests.corpora import write_files


def texts(folder: Path, name: str, number: int, length: int) -> TextSettings:
    files = {f"{i:03d}.txt": f"{name} {i} ".ljust(length, "abcdefghij"[i % 10]) for i in range(number)}
    return TextSettings(input=(str(write_files(folder / name, files)),))


def documents(corpus: Corpus) -> dict[str, str]:
    found: dict[str, str] = {}
    for split in corpus.splits:
        for part in read_parts(corpus.directory / "documents", split):
            found[part.document.id] = found.get(part.document.id, "") + part.document.text
    return found


def prepared(folder: Path, source: MixSettings) -> Corpus:
    settings = CorpusSettings(source=source, split="80/10/10")
    return prepare(settings, build_source(settings.source), folder)


def share(corpus: Corpus, name: str) -> int:
    return sum(len(text) for identifier, text in documents(corpus).items() if identifier.startswith(f"{name}/"))


def test_all_documents_of_all_sources(tmp_path: Path) -> None:
    sources = (texts(tmp_path, "novels", 3, 500), texts(tmp_path, "letters", 7, 90))
    corpus = prepared(tmp_path / "corpus", MixSettings(sources=sources))
    assert list(documents(corpus)) == [
        *(f"novels/{i:03d}.txt" for i in range(3)),
        *(f"letters/{i:03d}.txt" for i in range(7)),
    ]
    assert corpus.metadata["documents"]["pages"] == corpus.metadata["documents"]["kept"] == 10
    assert list(corpus.metadata["origin"]["sources"]) == ["novels", "letters"]


def test_a_numbered_name_may_be_taken(tmp_path: Path) -> None:
    """The second `novel` is not `novel-2`, if another source has that name."""
    sources = tuple(
        TextSettings(input=(str(write_files(tmp_path / folder, {name: f"{folder} " * 9}) / name),))
        for folder, name in (("a", "novel.txt"), ("b", "novel.txt"), ("c", "novel-2.txt"))
    )
    mix = MixSettings(sources=sources)
    found = documents(prepared(tmp_path / "corpus", mix))
    assert sorted(text[0] for text in found.values()) == ["a", "b", "c"]
    assert len(mix.name.split("+")) == len(set(mix.name.split("+"))) == 3


@pytest.mark.parametrize("weights", [(3.0, 1.0), (1.0, 3.0), (0.5, 0.5), (1.0, 1000.0)])
def test_weights(tmp_path: Path, weights: tuple[float, float]) -> None:
    """One source is kept whole, the other in the proportion of the weights, to the document."""
    sources = (texts(tmp_path, "novels", 40, 500), texts(tmp_path, "letters", 300, 90))
    corpus = prepared(tmp_path / "corpus", MixSettings(sources=sources, weights=weights))
    novels, letters = share(corpus, "novels"), share(corpus, "letters")
    assert novels == 40 * 500 or letters == 300 * 90
    scale = min(40 * 500 / weights[0], 300 * 90 / weights[1])
    assert weights[0] * scale - 500 < novels <= weights[0] * scale * (1 + 1e-9)
    assert weights[1] * scale - 90 < letters <= weights[1] * scale * (1 + 1e-9)
    counts = corpus.metadata["documents"]
    assert counts["pages"] == 340 == counts["kept"] + counts["dropped"].get("weight", 0)


def test_what_is_left_out_is_not_the_end_of_a_source(tmp_path: Path) -> None:
    sources = (texts(tmp_path, "novels", 40, 500), texts(tmp_path, "letters", 300, 90))
    corpus = prepared(tmp_path / "corpus", MixSettings(sources=sources, weights=(1.0, 1.0)))
    numbers = [int(name[8:11]) for name in documents(corpus) if name.startswith("letters/")]
    assert 100 < sum(numbers) / len(numbers) < 200


def test_a_copy_in_two_sources_counts_once(tmp_path: Path) -> None:
    one, two = texts(tmp_path / "1", "same", 20, 90), texts(tmp_path / "2", "same", 30, 90)
    corpus = prepared(tmp_path / "corpus", MixSettings(sources=(one, two), weights=(2.0, 1.0)))
    assert share(corpus, "same") == 20 * 90
    assert share(corpus, "same-2") == 10 * 90
    assert corpus.metadata["documents"]["dropped"] == {"duplicate": 20}


def test_names() -> None:
    mix = MixSettings(sources=(SampleSettings(), TextSettings(input=("a/novels",)), SampleSettings()))
    assert mix.names == ("sample", "novels", "sample-2")
    assert mix.name == "sample+novels+sample-2"


def test_as_many_weights_as_sources() -> None:
    with pytest.raises(ValidationError, match="2 weights for 1 sources"):
        MixSettings(sources=(SampleSettings(),), weights=(1.0, 2.0))


def test_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "mix.toml"
    path.write_text(
        '[source]\ntype = "mix"\nweights = [3, 1.5]\n[[source.sources]]\ntype = "wikipedia"\nlanguage = "uk"\n'
        '[[source.sources]]\ntype = "text"\ninput = ["novels"]\n',
        encoding="utf-8",
    )
    layer: Layer = read_toml(path)
    settings = validate(CorpusSettings, layer)
    assert settings.name == "ukwiki+novels"
    assert isinstance(settings.source, MixSettings)
    assert settings.source.weights == (3, 1.5)
    record = settings.to_record()["source"]["sources"]
    assert record[1]["input"] == ["novels"]
    assert "mirrors" not in record[0]
