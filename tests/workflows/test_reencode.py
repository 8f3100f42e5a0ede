"""Another vocabulary for a prepared corpus: the same documents and splits, and a corpus that stands alone."""

import shutil
from pathlib import Path
from typing import Any, get_args

import pytest

from charlm.data.corpus import Corpus, open_corpus
from charlm.data.documents import read_parts
from charlm.errors import DataError, SettingsError
from charlm.settings import Settings
from charlm.text.build import build_source
from charlm.vocab.settings import ByteSettings, CharSettings, CopiedSettings, NgramSettings, VocabSettings, WordSettings
from charlm.workflows.corpus_directory import working_directory
from charlm.workflows.prepare import prepare
from charlm.workflows.reencode import find_reencoded, reencode, reencoded_name
from tests.corpora import TINY, build_corpus, text_settings
from tests.processes import Commands

MEMBERS: tuple[type[Settings], ...] = get_args(get_args(VocabSettings)[0])


def files_of(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.model_fields["type"].default)
def test_it_is_the_corpus_that_preparing_would_have_made(tiny_corpus: Corpus, tmp_path: Path, member: Any) -> None:
    made = reencode(tiny_corpus, member(), tmp_path / "made")
    prepared = build_corpus(tmp_path, TINY, vocab=member())
    told = made.metadata.pop("encoded_from")
    assert told == {"corpus": "corpus", "fingerprint": tiny_corpus.fingerprint, "vocabulary": "char"}
    assert made.metadata == prepared.metadata
    both = [files_of(corpus.directory) for corpus in (made, prepared)]
    assert both[0].keys() == both[1].keys()
    assert all(both[0][name] == both[1][name] for name in both[0] if name != "corpus.json")
    for split in made.splits:
        texts = [part.document.text for part in read_parts(tiny_corpus.directory / "documents", split)]
        assert made.vocab.decode(made.open(split).tokens) == "".join(texts)


def test_it_stands_alone(tmp_path: Path) -> None:
    corpus = build_corpus(tmp_path, TINY)
    before = files_of(corpus.directory)
    made = reencode(corpus, WordSettings(), tmp_path / "made")
    assert files_of(corpus.directory) == before
    shutil.rmtree(corpus.directory)
    again = reencode(open_corpus(made.directory), CharSettings(), tmp_path / "back")
    assert {name: again.metadata["files"][name] for name in before if name != "corpus.json"} == {
        name: corpus.metadata["files"][name] for name in before if name != "corpus.json"
    }
    assert again.fingerprint == corpus.fingerprint


def test_an_attempt_that_was_killed_leaves_nothing_behind(tiny_corpus: Corpus, tmp_path: Path) -> None:
    whole = reencode(tiny_corpus, WordSettings(), tmp_path / "one")
    work = working_directory(tmp_path / "two")
    (work / "documents").mkdir(parents=True)
    (work / "documents" / "train-00007.parquet").write_bytes(b"half")
    (work / "vocab.json").write_bytes(b"{")
    assert files_of(reencode(tiny_corpus, WordSettings(), tmp_path / "two").directory) == files_of(whole.directory)
    assert not work.exists()


def test_what_is_there_is_found_again_or_refused(tiny_corpus: Corpus, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert find_reencoded(tiny_corpus, WordSettings(), out) is None
    made = reencode(tiny_corpus, WordSettings(), out)
    found = find_reencoded(tiny_corpus, WordSettings(), out)
    assert found is not None
    assert found.fingerprint == made.fingerprint
    with pytest.raises(SettingsError, match=r"vocab\.min_count: 2 -> 3"):
        find_reencoded(tiny_corpus, WordSettings(min_count=3), out)
    other = build_corpus(tmp_path, {**TINY, "f.txt": "another document. " * 20})
    with pytest.raises(SettingsError, match="the corpus that it was made from"):
        find_reencoded(other, WordSettings(), out)
    with pytest.raises(SettingsError, match="exists and is not empty"):
        reencode(other, ByteSettings(), out)
    assert reencode(other, ByteSettings(), out, overwrite=True).vocab.type == "byte"
    with pytest.raises(SettingsError, match="is the corpus that is re-encoded"):
        reencode(other, ByteSettings(), other.directory, overwrite=True)


def test_documents_of_other_names_are_another_corpus(tiny_corpus: Corpus, tmp_path: Path) -> None:
    """The documents are copied with their ids; the arrays of both corpora are equal."""
    reencode(tiny_corpus, WordSettings(), tmp_path / "out")
    renamed = build_corpus(tmp_path, {f"{name}.x": text for name, text in TINY.items()})
    assert renamed.fingerprint == tiny_corpus.fingerprint
    with pytest.raises(SettingsError, match="the corpus that it was made from"):
        find_reencoded(renamed, WordSettings(), tmp_path / "out")


def test_a_copied_vocabulary_in_another_folder_is_the_same(tiny_corpus: Corpus, tmp_path: Path) -> None:
    words = reencode(tiny_corpus, WordSettings(), tmp_path / "words")
    shutil.copytree(words.directory, tmp_path / "moved")
    reencode(tiny_corpus, CopiedSettings(directory=str(words.directory)), tmp_path / "out")
    assert find_reencoded(tiny_corpus, CopiedSettings(directory=str(tmp_path / "moved")), tmp_path / "out") is not None
    other = CopiedSettings(directory=str(tiny_corpus.directory))
    with pytest.raises(SettingsError, match="is another one"):
        find_reencoded(tiny_corpus, other, tmp_path / "out")


def test_documents_that_were_changed_are_refused(tmp_path: Path) -> None:
    corpus = build_corpus(tmp_path, TINY)
    path = corpus.directory / "documents" / "valid-00000.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"valid-00000.*changed"):
        reencode(corpus, WordSettings(), tmp_path / "made")
    path.unlink()
    with pytest.raises(DataError, match=r"valid-00000.*missing"):
        reencode(corpus, WordSettings(), tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_names(tiny_corpus: Corpus, tmp_path: Path) -> None:
    assert reencoded_name(tiny_corpus, WordSettings()) == "corpus-word"
    words = reencode(tiny_corpus, WordSettings(), tmp_path / "ltg-word")
    assert reencoded_name(words, CharSettings()) == "ltg"
    assert reencoded_name(words, ByteSettings()) == "ltg-byte"


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.model_fields["type"].default)
def test_140_000_characters_make_a_corpus_of_any_vocabulary(tmp_path: Path, member: Any) -> None:
    text = "".join(chr(point) for point in range(0x20000, 0x20000 + 140_000)) + " and some words" * 100
    (tmp_path / "many.txt").write_text(text, encoding="utf-8")
    rare: dict[str, Any] = {"min_ngram_count": 1} if member is NgramSettings else {}  # hardly an n-gram occurs twice
    settings = text_settings(tmp_path / "many.txt", vocab=member(**rare))
    corpus = prepare(settings, build_source(settings.source), tmp_path / "corpus")
    assert "".join(corpus.vocab.decode(corpus.open(split).tokens) for split in corpus.splits) == text


@pytest.mark.parametrize("member", [m for m in MEMBERS if m is not ByteSettings])
def test_one_character_is_refused_by_what_learns_from_text(tmp_path: Path, member: Any) -> None:
    (tmp_path / "one.txt").write_text("a" * 1_000, encoding="utf-8")
    settings = text_settings(tmp_path / "one.txt", vocab=member())
    with pytest.raises(DataError, match="1 different characters"):
        prepare(settings, build_source(settings.source), tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()


def test_the_command(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "novel.txt").write_text("Все счастливые семьи похожи друг на друга. " * 200, encoding="utf-8")
    commands.succeed("prepare", "--source", "text", "--input", "novel.txt")
    metadata = commands.json("prepare", "--data", "novel", "--vocab", "ngram")
    assert (metadata["data"], metadata["encoded_from"]["corpus"]) == ("data/novel-ngram", "novel")
    assert "already prepared" in commands("prepare", "--data", "novel", "--vocab", "ngram").stderr
    assert "data/novel is already prepared" in commands("prepare", "--data", "novel", "--vocab", "char").stderr
    inspected = commands.json("inspect", "novel-ngram")["vocabulary"]
    assert inspected["ngrams"]["distinct_words"] == 7
    assert inspected["splits"]["test"]["coverage"] == 1
    for arguments, code, message in (
        (["--data", "novel"], 2, "add --vocab"),
        (["--data", "nowhere", "--vocab", "word"], 2, "no prepared corpus 'nowhere'"),
        (["--data", "novel", "--vocab", "runes"], 2, "runes"),
        (["--data", "novel", "--vocab", "word", "--refresh"], 2, "--data goes with"),
        (["--data", "novel", "--vocab", "word", "--set", "corpus.split=80/10/10"], 2, "split: auto -> 80/10/10"),
        (["--data", "novel", "--vocab", "char", "--overwrite"], 2, "another --out"),
    ):
        assert message in commands.fail(code, "prepare", *arguments)
