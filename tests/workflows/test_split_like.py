"""`--split-like`: the documents of another corpus decide the split, and so they belong to what the corpus is."""

import json
from pathlib import Path

import pytest

from charlm.data.settings import CorpusSettings
from charlm.errors import SettingsError
from charlm.vocab.settings import ByteSettings
from charlm.workflows.corpus_identity import find_prepared
from tests.corpora import TINY, build_corpus, text_settings, write_files
from tests.processes import Commands
from tests.source_cases import CASES
from tests.workflows.prepared import make, refused, tree


def test_the_documents_of_the_other_corpus_decide_the_split(tmp_path: Path) -> None:
    """Equal arrays do not suffice: the cuts are found by the ids of the documents."""
    reference = build_corpus(tmp_path / "one", TINY)
    settings = text_settings(tmp_path / "one/files")
    corpus = make(settings, tmp_path / "corpus", split_reference=reference)
    assert find_prepared(settings, corpus.directory, reference) is not None
    renamed = build_corpus(tmp_path / "two", {f"{name}.x": text for name, text in TINY.items()})
    assert renamed.fingerprint == reference.fingerprint
    assert "it was split like another corpus than" in refused(settings, corpus, split_reference=renamed)
    assert "it was split like another corpus, with --split-like" in refused(settings, corpus)
    plain = make(settings, tmp_path / "plain")
    assert f"it was not split like {reference.directory}" in refused(settings, plain, split_reference=reference)


def test_another_vocabulary_of_the_other_corpus_is_no_change(tmp_path: Path) -> None:
    reference = build_corpus(tmp_path / "one", TINY)
    settings = text_settings(tmp_path / "one/files")
    corpus = make(settings, tmp_path / "corpus", split_reference=reference)
    in_bytes = build_corpus(tmp_path / "two", TINY, vocab=ByteSettings())
    assert in_bytes.fingerprint != reference.fingerprint
    assert find_prepared(settings, corpus.directory, in_bytes) is not None


def test_a_record_of_0_1_0_knows_the_fingerprint_of_the_other_corpus(tmp_path: Path) -> None:
    reference = build_corpus(tmp_path / "one", TINY)
    settings = text_settings(tmp_path / "one/files", split="80/10/10")
    corpus = make(settings, tmp_path / "corpus", split_reference=reference)
    record = corpus.metadata
    del record["split"]["like_documents"]
    record["settings"]["split"] = "50/50"  # it was ignored, and recorded
    (corpus.directory / "corpus.json").write_text(json.dumps(record), encoding="utf-8")
    assert find_prepared(settings, corpus.directory, reference) is not None
    other = build_corpus(tmp_path / "two", {**TINY, "f.txt": "another document. " * 20})
    assert "like another corpus than" in refused(settings, corpus, split_reference=other)


def test_percentages_that_contradict_the_other_corpus_are_refused(tmp_path: Path) -> None:
    reference = build_corpus(tmp_path / "one", TINY)
    settings = text_settings(tmp_path / "one/files", split="50/50")
    with pytest.raises(SettingsError, match=r"corpus\.split=50/50 contradicts --split-like .*, which has 80/10/10"):
        make(settings, tmp_path / "corpus", split_reference=reference)
    by_default = settings.model_copy(update={"split": "auto"})
    corpus = make(by_default, tmp_path / "corpus", split_reference=reference)
    assert corpus.metadata["settings"]["split"] == "80/10/10", "what is recorded is what was done"
    assert find_prepared(by_default, corpus.directory, reference) is not None


@pytest.mark.parametrize("case", ["enwik8", "text8"])
def test_a_corpus_that_was_cut_by_bytes_is_cut_as_itself(case: str, tmp_path: Path) -> None:
    settings = CorpusSettings(source=CASES[case](tmp_path / "files", "ријека" if case == "enwik8" else "river"))
    reference = make(settings, tmp_path / "one")
    assert reference.metadata["split"]["method"] == "bytes"
    again = make(settings, tmp_path / "two", split_reference=reference)
    assert again.metadata["split"].keys() == {"shares", "method", "like", "like_documents"}
    left, right = (tree(corpus.directory) for corpus in (reference, again))
    assert {name for name in left if left[name] != right[name]} == {"corpus.json"}


def test_a_corpus_with_none_of_the_documents_is_refused(tmp_path: Path) -> None:
    reference = build_corpus(tmp_path / "one", TINY)
    settings = text_settings(write_files(tmp_path / "two", {f"{name}.x": text for name, text in TINY.items()}))
    with pytest.raises(SettingsError, match="has none of these documents") as caught:
        make(settings, tmp_path / "corpus", split_reference=reference)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "corpus").exists()


def test_documents_that_the_other_corpus_does_not_have_are_counted(tmp_path: Path) -> None:
    reference = build_corpus(tmp_path / "one", TINY)
    new = {f"new {number}.txt": f"an unknown document, number {number} " * 9 for number in range(3)}
    settings = text_settings(write_files(tmp_path / "two", {**TINY, **new}))
    corpus = make(settings, tmp_path / "corpus", split_reference=reference)
    assert corpus.metadata["split"]["by_hash"] == 3


def test_the_command_says_how_many_documents_the_other_corpus_does_not_have(commands: Commands, tmp_path: Path) -> None:
    write_files(tmp_path / "old", TINY)
    write_files(tmp_path / "new", {**TINY, "new.txt": "an unknown document " * 30})
    commands.succeed("prepare", "--workers", "1", "--source", "text", "--input", "old")
    like = ("prepare", "--workers", "1", "--source", "text", "--input", "new", "--split-like", "old")
    note = "1 of 6 documents are not in data/old; they were split by the hash of their ids"
    assert note in commands.succeed(*like).stderr
    assert "contradicts --split-like" in commands.fail(2, *like, "--set", "corpus.split=50/50")
