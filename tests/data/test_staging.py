"""Staging makes the same shards with any number of processes, and does no task twice."""

import os
import signal
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.data.documents import read_rows
from charlm.data.row_builder import RowOptions
from charlm.data.staging import Shard, make_shard, stage
from charlm.errors import DataError, OutOfMemoryError
from charlm.text.document import Document, PageCounts, Source, SourceTask


@dataclass(frozen=True)
class NumberTask:
    """Ten documents; every third page is dropped. A `fault` happens in the process that reads the task."""

    first: int
    fault: str = ""

    @property
    def key(self) -> str:
        return f"numbers from {self.first}"

    def documents(self, page_counts: PageCounts) -> Iterator[Document]:
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        for number in range(self.first, self.first + 10):
            page_counts.pages += 1
            if self.fault == "damage" and number % 10 == 7:
                raise DataError(f"page {number} is damaged", "fetch it again")
            if number % 3 == 0:
                page_counts.dropped["empty"] += 1
            else:
                yield Document(str(number), f"Title {number}", f"Title {number} has {number} inhabitants. Cafe\u0301")
        page_counts.notes.append(f"note {self.first}")
        page_counts.cut["address lines"] += self.first


class NumberSource(Source):
    def __init__(self, tasks: list[NumberTask]) -> None:
        self._tasks = tasks

    def tasks(self) -> Iterator[SourceTask]:
        return iter(self._tasks)

    def origin(self) -> dict[str, Any]:
        return {"source": "numbers"}


TASKS = [NumberTask(first) for first in range(0, 70, 10)]
PLAIN = RowOptions()


def run(directory: Path, tasks: list[NumberTask], workers: int, options: RowOptions = PLAIN) -> list[Shard]:
    return list(stage(NumberSource(tasks), directory, options, workers))


def bytes_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_gives_the_same_bytes_in_order(tmp_path: Path, workers: int) -> None:
    alone = run(tmp_path / "one", TASKS, 1)
    together = run(tmp_path / "many", TASKS, workers)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "many")
    assert [shard.path.name for shard in alone] == [shard.path.name for shard in together]
    ids = [row["id"] for shard in together for row in read_rows(shard.path)]
    assert ids == [str(number) for number in range(70) if number % 3]


def test_every_page_is_kept_or_dropped(tmp_path: Path) -> None:
    shards = run(tmp_path, TASKS, 1)
    page_counts = PageCounts()
    for shard in shards:
        page_counts.add(shard.page_counts)
    assert page_counts.pages == 70 == sum(shard.num_documents for shard in shards) + sum(page_counts.dropped.values())
    assert page_counts.notes == [f"note {first}" for first in range(0, 70, 10)]
    assert page_counts.cut == {"address lines": sum(range(0, 70, 10))}


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    first = run(tmp_path, TASKS, 1)
    before = bytes_of(tmp_path)
    first[3].path.with_suffix(".json").unlink()  # as if killed before that shard was finished
    first[5].path.write_bytes(first[5].path.read_bytes()[:-1])
    broken = [NumberTask(task.first, "damage") for task in TASKS]  # any task that is read again would say so
    untouched = [task if number in (3, 5) else broken[number] for number, task in enumerate(TASKS)]
    again = run(tmp_path, untouched, 1)
    assert again == first
    assert bytes_of(tmp_path) == before


def test_another_shape_is_another_shard(tmp_path: Path) -> None:
    run(tmp_path, TASKS, 1)
    (row, *_) = read_rows(run(tmp_path, TASKS, 1, RowOptions("nfc"))[0].path)
    assert row["text"].endswith("Café")
    assert row["characters"] == len(row["text"]) == row["bytes"] - 1
    short = run(tmp_path, TASKS[:1], 1, RowOptions(min_characters=10_000))[0]
    assert (short.num_documents, short.page_counts.dropped["short"]) == (0, 6)


def test_texts_that_differ_in_names_and_numbers_have_one_skeleton(tmp_path: Path) -> None:
    rows = list(read_rows(run(tmp_path, TASKS[:1], 1)[0].path))
    assert len({row["skeleton"] for row in rows}) == 1
    assert len({row["digest"] for row in rows}) == len(rows)


@pytest.mark.parametrize("workers", [1, 2])
def test_damage_in_a_worker_is_said_as_it_is(tmp_path: Path, workers: int) -> None:
    tasks = [*TASKS[:2], NumberTask(20, "damage"), *TASKS[3:]]
    with pytest.raises(DataError, match="page 27 is damaged; fetch it again"):
        run(tmp_path, tasks, workers)


def test_a_killed_worker_ends_the_run_with_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(OutOfMemoryError, match="worker process was killed"):
        run(tmp_path, [*TASKS[:2], NumberTask(20, "kill")], 2)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_lone_surrogate_names_the_document(tmp_path: Path, workers: int) -> None:
    with pytest.raises(DataError, match=r"document 1 \(T\): character 2 is the lone surrogate U\+D800"):
        list(stage(_SurrogateSource(), tmp_path, PLAIN, workers))


class _SurrogateSource(NumberSource):
    def __init__(self) -> None:
        super().__init__([])

    def documents(self) -> Iterator[Document]:
        yield Document("1", "T", "ab\ud800")

    def tasks(self) -> Iterator[SourceTask]:
        return iter([_SurrogateTask()])


@dataclass(frozen=True)
class _SurrogateTask:
    key: str = "surrogate"

    def documents(self, page_counts: PageCounts) -> Iterator[Document]:
        page_counts.pages += 1
        yield Document("1", "T", "ab\ud800")


# ---- a text that comes in pieces


@dataclass(frozen=True)
class PiecesTask:
    pieces: tuple[str, ...]
    key: str = "pieces"

    def documents(self, page_counts: PageCounts) -> Iterator[Document]:
        page_counts.pages += 1
        for number, text in enumerate(self.pieces):
            yield Document("1", "Title", text, is_last_piece=number == len(self.pieces) - 1)


def staged_rows(directory: Path, pieces: tuple[str, ...], options: RowOptions) -> tuple[Shard, list[dict[str, Any]]]:
    shard = make_shard(directory, 0, PiecesTask(pieces), options)
    return shard, list(read_rows(shard.path))


@given(text=st.text("ae\u0301\u0327한\u1112\u1161\u11ab\n", max_size=30), cuts=st.sets(st.integers(1, 29), max_size=5))
def test_pieces_are_normalised_as_the_whole_text_is(text: str, cuts: set[int]) -> None:
    places = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = tuple(text[start:end] for start, end in pairwise(places))
    with TemporaryDirectory() as folder:
        shard, rows = staged_rows(Path(folder), pieces, RowOptions("nfc"))
        _, whole = staged_rows(Path(folder), (text,), RowOptions("nfc"))
    assert "".join(row["text"] for row in rows) == unicodedata.normalize("NFC", text) == whole[0]["text"]
    assert [row["ends"] for row in rows] == [False] * (len(rows) - 1) + [True]
    assert rows[-1]["digest"] == whole[0]["digest"]
    assert (shard.num_documents, shard.num_characters) == (1, len(whole[0]["text"]))


def test_a_text_in_pieces_is_as_long_as_all_of_them(tmp_path: Path) -> None:
    shard, rows = staged_rows(tmp_path, ("x" * 8, "y"), RowOptions(min_characters=9))
    assert [row["text"] for row in rows] == ["x" * 8, "y"]
    assert not shard.page_counts.dropped
