"""Counting and encoding give the same bytes with any number of processes and any vocabulary."""

import contextlib
import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from charlm.data import documents, encoding
from charlm.data.corpus import Corpus
from charlm.data.documents import list_row_groups, read_parts
from charlm.data.encoding import encode_splits, learn_vocab
from charlm.data.store import read_stream
from charlm.data.worker_processes import ProcessPool, spawn_pool
from charlm.errors import DataError, OutOfMemoryError
from charlm.settings import Settings
from charlm.vocab.settings import CharSettings, VocabSettings, WordSettings
from tests.corpora import build_corpus
from tests.vocab.learning import learn

MEMBERS: tuple[type[Settings], ...] = get_args(get_args(VocabSettings)[0])
WORDS = "все счастливые семьи похожи друг на друга the quick brown fox 中文 é e\u0301 ☃".split()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Make dozens of row groups per split."""
    chance = random.Random(0)
    texts = {f"{n:03d}.txt": " ".join(chance.choices(WORDS, k=60)) + f" only{n} here\n" for n in range(200)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "_ROW_GROUP_CHARACTERS", 1_000)
        patch.setattr(documents, "_SHARD_CHARACTERS", 20_000)
        return build_corpus(tmp_path_factory.mktemp("groups"), texts)


def silent(characters: int) -> None:
    """Show no progress."""


@pytest.fixture(scope="module")
def pools() -> Iterator[dict[int, ProcessPool]]:
    """Pools of two and of three processes: to start new ones for every split takes longer than the work."""
    with spawn_pool(2) as two, spawn_pool(3) as three:
        yield {2: two, 3: three}


def made(corpus: Corpus, folder: Path, settings: Any, workers: int) -> dict[str, bytes]:
    folder.mkdir()
    (folder / "documents").symlink_to(corpus.directory / "documents")
    vocab = learn_vocab(settings, folder / "documents", workers, silent)
    vocab.save(folder)
    encode_splits(folder, corpus.splits, vocab, workers, silent)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_stretches_are_all_of_a_split_in_order(corpus: Corpus) -> None:
    folder = corpus.directory / "documents"
    found = list_row_groups(folder, "train")
    assert len(found) > 20
    assert len({row_group.path for row_group in found}) > 1
    assert [part for row_group in found for part in row_group.parts()] == list(read_parts(folder, "train"))


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.model_fields["type"].default)
def test_any_number_of_workers_gives_the_same_bytes(
    corpus: Corpus,
    pools: dict[int, ProcessPool],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    member: Callable[[], Any],
) -> None:
    monkeypatch.setattr(encoding, "spawn_pool", lambda size: contextlib.nullcontext(pools[size]))
    alone = made(corpus, tmp_path / "one", member(), 1)
    assert made(corpus, tmp_path / "two", member(), 2) == alone
    assert made(corpus, tmp_path / "three", member(), 3) == alone
    vocab = learn_vocab(member(), corpus.directory / "documents", 1, silent)
    for split in corpus.splits:
        texts = [part.document.text for part in read_parts(corpus.directory / "documents", split)]
        stream = read_stream(tmp_path / "two", split, vocab)
        assert vocab.decode(stream.tokens) == "".join(texts)
        assert stream.tokens.dtype == vocab.id_dtype
        starts = stream.documents["start"].tolist()
        assert stream.documents["characters"].tolist() == [len(text) for text in texts]
        for start, text in list(zip(starts, texts, strict=True))[::20]:
            ids = vocab.encode(text)
            assert np.array_equal(stream.tokens[start : start + len(ids)], ids)


@pytest.mark.parametrize("settings", [CharSettings(min_count=40), WordSettings(min_count=30, max_size=12)])
def test_counts_are_those_of_the_whole_training_text(corpus: Corpus, settings: Any) -> None:
    folder = corpus.directory / "documents"
    whole = learn(settings, (part.document.text for part in read_parts(folder, "train")))
    assert learn_vocab(settings, folder, 2, silent).to_json() == whole.to_json()


def test_progress_is_told_in_characters(corpus: Corpus, tmp_path: Path) -> None:
    told: list[int] = []
    vocab = learn_vocab(CharSettings(), corpus.directory / "documents", 1, told.append)
    assert told == sorted(told)
    assert told[-1] == corpus.metadata["splits"]["train"]["characters"]
    vocab.save(tmp_path)
    (tmp_path / "documents").symlink_to(corpus.directory / "documents")
    told.clear()
    encode_splits(tmp_path, corpus.splits, vocab, 1, told.append)
    assert told == sorted(told)
    assert told[-1] == sum(counts["characters"] for counts in corpus.metadata["splits"].values())


def test_what_a_worker_cannot_spell_is_an_error_here(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "documents").symlink_to(corpus.directory / "documents")
    vocab = learn(CharSettings(byte_fallback=False), ["a few letters"])
    vocab.save(tmp_path)
    for workers in (1, 2):
        with pytest.raises(DataError, match="not in the vocabulary"):
            encode_splits(tmp_path, ["train"], vocab, workers, silent)
    assert not (tmp_path / "train.npy").exists()


def test_a_damaged_shard_is_named(corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    for path in (corpus.directory / "documents").iterdir():
        content = path.read_bytes()
        (folder / path.name).write_bytes(content if "train" not in path.name else content[:200] + content[300:])
    with pytest.raises(DataError, match=r"train-.*damaged"):
        learn_vocab(CharSettings(), folder, 1, silent)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_an_error() -> None:
    with pytest.raises(OutOfMemoryError, match="killed"), spawn_pool(2) as processes:
        list(processes.map_ordered(_die, [()] * 3))


def _after(number: int) -> int:
    return number + 1


def test_results_come_in_order_and_few_are_ever_waiting() -> None:
    asked: list[int] = []

    def calls():
        for number in range(50):
            asked.append(number)
            yield (number,)

    with spawn_pool(2) as processes:
        for number, result in enumerate(processes.map_ordered(_after, calls())):
            assert result == number + 1
            assert len(asked) <= number + 5


def test_small_work_starts_no_process(tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(size: int) -> None:
        raise AssertionError(f"{size} processes")

    monkeypatch.setattr(encoding, "spawn_pool", refuse)
    assert (
        learn_vocab(CharSettings(), tiny_corpus.directory / "documents", 8, silent).to_json()
        == tiny_corpus.vocab.to_json()
    )
