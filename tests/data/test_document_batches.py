"""Batches of whole documents: every piece once an epoch, in an order that depends on seed and cursor only."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charlm.data import document_batches as module
from charlm.data.document_batches import DocumentBatches, make_document_batches
from charlm.data.document_cursor import DocumentCursor
from charlm.data.examples import Examples
from charlm.data.source_texts import DocumentSources
from charlm.data.store import DOCUMENT_DTYPE, TokenStream
from charlm.errors import DataError
from charlm.vocab.base import IGNORE_INDEX

EOD = 0
Documents = list[list[int]]
"""For each document, the target after each of its tokens; -100 where nothing is asked, -1 for an unknown label."""

DOCUMENTS = st.lists(
    st.lists(st.sampled_from([IGNORE_INDEX, IGNORE_INDEX, -1, 0, 1, 2]), min_size=1, max_size=12),
    min_size=1,
    max_size=30,
).filter(lambda documents: any(target >= 0 for targets in documents for target in targets))
SIZES = st.tuples(st.integers(1, 5), st.integers(1, 8), st.integers(2, 9), st.integers(0, 2**40))
"""batch_size, seq_len, max_document_tokens, seed."""


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOW", 7)


def examples(documents: Documents) -> Examples:
    """Tokens are numbered from 1, so that a batch tells which ones it holds."""
    lengths = [len(targets) for targets in documents]
    tokens = np.arange(1 + sum(lengths), dtype=np.uint16)
    table = np.zeros(len(documents), dtype=DOCUMENT_DTYPE)
    table["start"] = 1 + np.cumsum([0, *lengths[:-1]])
    return Examples(TokenStream(tokens, table), np.array([IGNORE_INDEX, *itertools.chain(*documents)], dtype=np.int32))


def make(documents: Documents, sizes: tuple[int, int, int, int], num_ranks: int = 1) -> DocumentBatches:
    return make_document_batches(examples(documents), *sizes, num_ranks=num_ranks)


def rows(batches: DocumentBatches, cursor: DocumentCursor, part: range | None = None) -> list[tuple[int, ...]]:
    """Return the tokens of each row, and check what surrounds them."""
    batch = batches.batch(cursor, part)
    assert batch.lengths_B is not None
    found: list[tuple[int, ...]] = []
    for inputs, targets, length in zip(batch.inputs_BT, batch.targets_BT, batch.lengths_B.tolist(), strict=True):
        own = inputs[:length].tolist()
        known = [IGNORE_INDEX if target == -1 else target for target in batches.examples.targets[own].tolist()]
        assert targets[:length].tolist() == known
        assert (targets[length:] == IGNORE_INDEX).all()
        assert (inputs[length:] == EOD).all()
        found.append(tuple(own))
    return found


def epoch(batches: DocumentBatches, cursor: DocumentCursor | None = None) -> list[list[tuple[int, ...]]]:
    """Return the batches from a cursor to the end of its epoch."""
    cursor = cursor or batches.start
    number, found = cursor.epoch, list[list[tuple[int, ...]]]()
    while cursor.epoch == number:
        found.append(rows(batches, cursor))
        cursor = batches.next_cursor(cursor)
    return found


def flat(found: list[list[tuple[int, ...]]]) -> Counter[tuple[int, ...]]:
    return Counter(row for batch in found for row in batch)


def expected_pieces(documents: Documents, limit: int) -> Counter[tuple[int, ...]]:
    """Cut documents from their ends; keep what asks for something known."""
    pieces: Counter[tuple[int, ...]] = Counter()
    start = 1
    for targets in documents:
        end = start + len(targets)
        while end > start:
            first = max(start, end - limit)
            if any(target >= 0 for target in targets[first - start : end - start]):
                pieces[tuple(range(first, end))] += 1
            end = first
        start += len(targets)
    return pieces


@given(documents=DOCUMENTS, sizes=SIZES)
def test_every_piece_is_read_once_an_epoch(documents: Documents, sizes: tuple[int, int, int, int]) -> None:
    batch_size, seq_len, limit, _ = sizes
    batches = make(documents, sizes)
    for number in (0, 1, 5):
        found = epoch(batches, DocumentCursor(number))
        assert flat(found) == expected_pieces(documents, limit)
        for batch in found:
            longest = max(map(len, batch))
            assert len(batch) == 1 or (len(batch) <= batch_size and len(batch) * longest <= batch_size * seq_len)
    assert batches.num_pieces == expected_pieces(documents, limit).total()
    assert batches.num_cut == sum(len(targets) > limit for targets in documents)
    assert batches.steps_per_epoch == len(epoch(batches))
    assert bool(batches.notes) == (batches.num_cut > 0)
    assert batches.seq_len == max(map(len, expected_pieces(documents, limit)))


@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=9), limit=st.integers(2, 9), backward=st.booleans())
def test_the_beginning_of_a_long_source_is_read(lengths: list[int], limit: int, backward: bool) -> None:
    """And nothing is said or cut where all are short enough."""
    tokens = np.arange(1 + sum(lengths) + len(lengths), dtype=np.uint16)
    table = np.zeros(len(lengths), dtype=DOCUMENT_DTYPE)
    table["start"] = 1 + np.cumsum([0, *(length + 1 for length in lengths[:-1])])
    whole = DocumentSources(TokenStream(tokens, table)).in_direction("backward" if backward else "forward")
    targets = [[0, number % 3] for number in range(len(lengths))]
    batches = make_document_batches(examples(targets), 2, 4, limit, 1, conditions=whole)
    expected = [ids[:limit].tolist() for ids in whole.split_ids()]
    cursor, found = batches.start, list[list[int]]()
    while cursor.epoch == 0:
        batch = batches.batch(cursor)
        assert batch.condition is not None
        source_BS, lengths_B = batch.condition
        assert source_BS.shape[1] <= limit
        found += [row[:length].tolist() for row, length in zip(source_BS, lengths_B.tolist(), strict=True)]
        cursor = batches.next_cursor(cursor)
    assert sorted(found) == sorted(expected)
    num_longer = sum(length > limit for length in lengths)
    assert batches.num_cut_sources == num_longer
    note = f"{num_longer} of {len(lengths)} sources are longer than {limit} tokens (training.max_document_tokens)"
    assert batches.notes == [f"{note}: only their beginning is read in training"] * bool(num_longer)


@given(documents=DOCUMENTS, sizes=SIZES, others=SIZES)
def test_what_is_in_a_window_does_not_depend_on_the_batch(
    documents: Documents, sizes: tuple[int, int, int, int], others: tuple[int, int, int, int]
) -> None:
    one = make(documents, sizes)
    other = make(documents, (*others[:2], *sizes[2:]))
    windows: list[list[Counter[tuple[int, ...]]]] = []
    for batches in (one, other):
        cursor, found = batches.start, list[Counter[tuple[int, ...]]]()
        while cursor.epoch == 0:
            if cursor.batch == 0:
                found.append(Counter())
            found[-1] += Counter(rows(batches, cursor))
            cursor = batches.next_cursor(cursor)
        windows.append(found)
    assert windows[0] == windows[1]
    assert all(window.total() == 7 for window in windows[0][:-1])


@given(documents=DOCUMENTS, sizes=SIZES, num_ranks=st.integers(1, 4))
def test_ranks_partition_a_batch(documents: Documents, sizes: tuple[int, int, int, int], num_ranks: int) -> None:
    """They read what one process with the rows of all of them reads, in rows of one width."""
    pair = make(documents, sizes, num_ranks)
    alone = make(documents, (sizes[0] * num_ranks, *sizes[1:]))
    cursor = pair.start
    while cursor.epoch == 0:
        parts = [range(rank * sizes[0], (rank + 1) * sizes[0]) for rank in range(num_ranks)]
        own = [rows(pair, cursor, part) for part in parts]
        whole = rows(alone, cursor)
        assert Counter(row for part in own for row in part) == Counter(whole)
        assert max(map(len, own)) - min(map(len, own)) <= 1
        assert {pair.batch(cursor, part).inputs_BT.shape[1] for part in parts} == {max(map(len, whole))}
        scored = sum(int((pair.batch(cursor, part).targets_BT != IGNORE_INDEX).sum()) for part in parts)
        assert scored == pair.num_scored(cursor) == alone.num_scored(cursor) > 0
        assert pair.next_cursor(cursor) == alone.next_cursor(cursor)
        cursor = pair.next_cursor(cursor)


@given(documents=DOCUMENTS, sizes=SIZES, changes=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 6)), max_size=4))
def test_other_numbers_of_rows_lose_and_repeat_nothing(
    documents: Documents, sizes: tuple[int, int, int, int], changes: list[tuple[int, int]]
) -> None:
    """The number of rows changes again and again, each time after some batches."""
    batches = make(documents, sizes)
    cursor, read = batches.start, list[list[tuple[int, ...]]]()
    for num_batches, batch_size in changes:
        for _ in range(num_batches):
            if cursor.epoch == 0:
                read.append(rows(batches, cursor))
                cursor = batches.next_cursor(cursor)
        if cursor.epoch == 0:
            fraction = batches.epochs_read(cursor)
            previous, batches = batches, batches.with_batch_size(batch_size)
            assert batches.max_tokens == batch_size * sizes[1]
            assert batches.with_batch_size(previous.batch_size).batch_size == previous.batch_size
            cursor = batches.redistribute(cursor, previous)
            assert batches.epochs_read(cursor) == pytest.approx(fraction)
    rest = epoch(batches, cursor) if cursor.epoch == 0 else []
    assert flat(read + rest) == expected_pieces(documents, sizes[2])
    assert flat(epoch(batches, DocumentCursor(1))) == expected_pieces(documents, sizes[2])


@given(documents=DOCUMENTS, sizes=SIZES, steps=st.integers(0, 60))
def test_a_cursor_resumes_where_it_was(documents: Documents, sizes: tuple[int, int, int, int], steps: int) -> None:
    """In new batches, from JSON, in any order: a batch depends on seed and cursor only."""
    batches = make(documents, sizes)
    cursors = [batches.start]
    for _ in range(steps):
        cursors.append(batches.next_cursor(cursors[-1]))
    whole = [rows(batches, cursor) for cursor in cursors]
    for cursor, expected in [*zip(cursors, whole, strict=True)][::-3]:
        again = DocumentCursor.from_json(cursor.to_json())
        assert again == cursor
        assert rows(make(documents, sizes), again) == expected
    fractions = [batches.epochs_read(cursor) for cursor in cursors]
    assert fractions == sorted(set(fractions))
    assert fractions[0] == 0
    assert all(
        fraction == cursor.epoch
        for fraction, cursor in zip(fractions, cursors, strict=True)
        if cursor.batch == cursor.window == 0
    )


def test_epochs_and_seeds_have_other_orders() -> None:
    documents: Documents = [[IGNORE_INDEX] * (index % 5) + [1] for index in range(40)]
    orders = [
        epoch(make(documents, (4, 8, 9, seed)), DocumentCursor(number)) for seed, number in ((1, 0), (1, 1), (2, 0))
    ]
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]


def test_similar_lengths_come_together() -> None:
    """There is less padding than in batches of the order of the text."""
    lengths = np.random.default_rng(0).integers(1, 60, 200)
    documents: Documents = [[IGNORE_INDEX] * int(length) + [1] for length in lengths]
    padded = sum(len(batch) * max(map(len, batch)) for batch in epoch(make(documents, (4, 60, 99, 1))))
    in_order = sum(4 * int(lengths[start : start + 4].max() + 1) for start in range(0, 200, 4))
    assert padded - (lengths.sum() + 200) < 0.7 * (in_order - (lengths.sum() + 200))


def test_a_rank_may_have_no_rows() -> None:
    pair = make([[IGNORE_INDEX, 1]], (3, 8, 9, 0), num_ranks=2)
    empty = pair.batch(pair.start, range(3, 6))
    assert empty.inputs_BT.shape == empty.targets_BT.shape == (0, 2)
    assert empty.lengths_B is not None
    assert empty.lengths_B.dtype == torch.int64
    assert len(empty.lengths_B) == len(empty.reset_B) == 0


@pytest.mark.parametrize("documents", [[[IGNORE_INDEX]], [[-1, IGNORE_INDEX], [-1]]])
def test_examples_that_ask_for_nothing_are_refused(documents: Documents) -> None:
    with pytest.raises(DataError, match="no training example has a label"):
        make(documents, (2, 4, 4, 0))
