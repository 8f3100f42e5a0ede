"""Batches contain every prediction once per epoch, are contiguous in every row, and depend on seed and cursor only."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from charlm.data.batches import Batch, Batches, Cursor, make_batches
from charlm.data.store import DOCUMENT_DTYPE, TokenStream
from charlm.errors import DataError
from charlm.vocab.base import IGNORE_INDEX

SIZES = {
    "num_predictions": st.integers(2, 70),
    "batch_size": st.integers(1, 9),
    "seq_len": st.integers(1, 12),
    "epoch": st.integers(0, 4),
    "seed": st.integers(0, 2**63 - 1),
}


def distinct_stream(num_predictions: int, *, closed: bool = True) -> TokenStream:
    """<eod>, then a different id for every prediction, then <eod> (unless a split cuts the last document)."""
    ids = np.arange(num_predictions + 1)
    if closed:
        ids[-1] = 0
    return TokenStream(ids, np.zeros(0, DOCUMENT_DTYPE))


def at(batches: Batches, step: int) -> Cursor:
    """The cursor of batch number `step` of an uninterrupted run."""
    cursor = Cursor(step // batches.steps_per_epoch)
    for _ in range(step % batches.steps_per_epoch):
        cursor = batches.next_cursor(cursor)
    return cursor


def batch(batches: Batches, step: int) -> Batch:
    return batches.batch(at(batches, step))


def pairs_of_epoch(batches: Batches, epoch: int) -> Counter[tuple[int, int]]:
    pairs: Counter[tuple[int, int]] = Counter()
    for step in range(epoch * batches.steps_per_epoch, (epoch + 1) * batches.steps_per_epoch):
        inputs_BT, targets_BT, *_ = batch(batches, step)
        assert inputs_BT.shape == targets_BT.shape == (batches.batch_size, batches.seq_len)
        for given_id, target in zip(inputs_BT.flatten().tolist(), targets_BT.flatten().tolist(), strict=True):
            if target != IGNORE_INDEX:
                pairs[given_id, target] += 1
    return pairs


@given(**SIZES, closed=st.booleans())
@example(num_predictions=2, batch_size=9, seq_len=12, epoch=1, seed=0, closed=True)
@example(num_predictions=10, batch_size=3, seq_len=2, epoch=3, seed=5, closed=False)
def test_every_prediction_stands_once_in_an_epoch_with_the_id_before_it(
    num_predictions: int, batch_size: int, seq_len: int, epoch: int, seed: int, closed: bool
) -> None:
    stream = distinct_stream(num_predictions, closed=closed)
    ids = stream.tokens.tolist()
    expected = Counter(itertools.pairwise(ids))
    assert pairs_of_epoch(Batches(stream, batch_size, seq_len, seed), epoch) == expected


@given(**SIZES)
def test_rows_go_on_where_the_batch_before_ended(
    num_predictions: int, batch_size: int, seq_len: int, epoch: int, seed: int
) -> None:
    batches = Batches(distinct_stream(num_predictions), batch_size, seq_len, seed)
    first = epoch * batches.steps_per_epoch
    steps = [batch(batches, first + chunk) for chunk in range(batches.steps_per_epoch)]
    for row in range(batch_size):
        inputs = torch.cat([batch.inputs_BT[row] for batch in steps]).tolist()
        targets = torch.cat([batch.targets_BT[row] for batch in steps]).tolist()
        scored = targets.index(IGNORE_INDEX) if IGNORE_INDEX in targets else len(targets)
        assert targets[scored:] == [IGNORE_INDEX] * (len(targets) - scored), "what is not scored stands at the end"
        assert targets[: max(0, scored - 1)] == inputs[1:scored], "a target is the next input"
    assert all(batch.reset_B.tolist() == [chunk == 0] * batch_size for chunk, batch in enumerate(steps))


def test_what_is_not_scored_is_text_all_the_same() -> None:
    """Otherwise batch statistics would include padding. The stream of 21 predictions is continued at its beginning."""
    batches = Batches(distinct_stream(21), 2, 8, 0)
    last = batch(batches, batches.steps_per_epoch - 1)
    tokens = [int(token) for token in batches.stream.tokens[:21]]
    for row in range(2):
        first = row * 11 + 8
        assert last.inputs_BT[row].tolist() == [tokens[place % 21] for place in range(first, first + 8)]
        assert (last.targets_BT[row] == IGNORE_INDEX).sum() == 8 - min(3, 21 - first)


@pytest.mark.parametrize(("reset_tokens", "every"), [(8, 1), (24, 3), (80, 10)])
def test_rows_start_afresh_as_often_as_asked_and_at_each_epoch(reset_tokens: int, every: int) -> None:
    batches = Batches(distinct_stream(150), 2, 8, 0, reset_tokens)
    chunks = [step % batches.steps_per_epoch for step in range(3 * batches.steps_per_epoch)]
    for step, chunk in enumerate(chunks):
        assert batch(batches, step).reset_B.tolist() == [chunk % every == 0] * 2


@given(**SIZES)
def test_a_batch_is_a_pure_function_of_seed_and_step(
    num_predictions: int, batch_size: int, seq_len: int, epoch: int, seed: int
) -> None:
    stream = distinct_stream(num_predictions)
    batches = Batches(stream, batch_size, seq_len, seed)
    step = epoch * batches.steps_per_epoch
    for _ in range(3):
        batch(batches, step + 1)
    again = batch(Batches(stream, batch_size, seq_len, seed), step)
    for mine, other in zip(batch(batches, step)[:3], again[:3], strict=True):
        assert torch.equal(mine, other)


def test_epochs_and_seeds_begin_elsewhere() -> None:
    stream = distinct_stream(10_000)

    def start(seed: int, epoch: int) -> int:
        batches = Batches(stream, 4, 10, seed)
        return int(batch(batches, epoch * batches.steps_per_epoch).inputs_BT[0, 0])

    assert start(1, 0) == 0, "the first epoch begins at the beginning"
    assert len({start(seed, epoch) for seed in range(5) for epoch in range(1, 5)}) == 20


SWITCHES = st.lists(st.tuples(st.integers(1, 7), st.integers(1, 6)), min_size=1, max_size=4)


@given(**SIZES, seq_len_varies=st.booleans(), switches=SWITCHES)
@example(num_predictions=2, batch_size=9, seq_len=1, epoch=1, seed=0, seq_len_varies=False, switches=[(1, 1)])
def test_other_rows_in_the_middle_lose_and_repeat_nothing(
    num_predictions: int,
    batch_size: int,
    seq_len: int,
    epoch: int,
    seed: int,
    seq_len_varies: bool,
    switches: list[tuple[int, int]],
) -> None:
    """After some steps, the rest of the epoch is redistributed over another number of rows, several times."""
    stream = distinct_stream(num_predictions)
    batches = Batches(stream, batch_size, seq_len, seed, seq_len_varies=seq_len_varies)
    cursor = Cursor(epoch)
    pairs: Counter[tuple[int, int]] = Counter()
    plan = [*switches, (10**6, 0)]
    for steps, rows in plan:
        for _ in range(steps):
            if cursor.epoch != epoch:
                break
            found = batches.batch(cursor)
            scored = found.targets_BT != IGNORE_INDEX
            assert int(scored.sum()) == batches.num_scored(cursor)
            pairs.update(zip(found.inputs_BT[scored].tolist(), found.targets_BT[scored].tolist(), strict=True))
            before, cursor = batches.epochs_read(cursor), batches.next_cursor(cursor)
            assert before < batches.epochs_read(cursor) <= epoch + 1 + 1e-9
        if cursor.epoch != epoch:
            break
        other = Batches(stream, rows, seq_len, seed, seq_len_varies=seq_len_varies)
        assert sum(length for _, length in batches.unread_spans(cursor)) == num_predictions - pairs.total()
        cursor, batches = other.redistribute(cursor, batches), other
        assert Cursor.from_json(cursor.to_json()) == cursor
    assert cursor == Cursor(epoch + 1)
    assert pairs == Counter(itertools.pairwise(stream.tokens.tolist()))


@given(**SIZES)
def test_ranks_read_rows_of_the_same_batch(
    num_predictions: int, batch_size: int, seq_len: int, epoch: int, seed: int
) -> None:
    batches = Batches(distinct_stream(num_predictions), 2 * batch_size, seq_len, seed)
    halves = [batches.batch(Cursor(epoch), rows) for rows in (range(batch_size), range(batch_size, 2 * batch_size))]
    whole = batches.batch(Cursor(epoch))[:3]
    for joined, tensor in zip(map(torch.cat, zip(*(half[:3] for half in halves), strict=True)), whole, strict=True):
        assert torch.equal(joined, tensor)


def test_varied_lengths_are_those_of_awd_lstm() -> None:
    """Lengths are 70 or, for one in twenty, 35, with a standard deviation of 5."""
    batches = Batches(distinct_stream(200_000), 2, 70, 0, seq_len_varies=True)
    lengths = [round(70 * batches.relative_length(Cursor(0, chunk))) for chunk in range(batches.steps_per_epoch - 1)]
    short = [length for length in lengths if length < 52]
    assert 0.02 < len(short) / len(lengths) < 0.09
    assert np.mean([length for length in lengths if length >= 52]) == pytest.approx(69.5, abs=0.5)
    assert 4 < np.std([length for length in lengths if length >= 52]) < 6
    assert batches.batch(Cursor(0, 3)).inputs_BT.shape == (2, lengths[3])
    other = Batches(batches.stream, 2, 70, 1, seq_len_varies=True)
    assert other.relative_length(Cursor(0, 3)) != batches.relative_length(Cursor(0, 3)) or other.steps_per_epoch != (
        batches.steps_per_epoch
    )


@given(num_predictions=st.integers(2, 300), batch_size=st.integers(1, 50), seq_len=st.integers(1, 50))
def test_rows_that_a_short_text_cannot_fill_are_left_out(num_predictions: int, batch_size: int, seq_len: int) -> None:
    batches = make_batches(distinct_stream(num_predictions), batch_size, seq_len, 0)
    assert 1 <= batches.batch_size <= batch_size
    assert batches.batch_size == batch_size or (batches.batch_size + 1) * seq_len > num_predictions
    assert batches.batch_size == 1 or batches.batch_size * seq_len <= num_predictions


@pytest.mark.parametrize("num_predictions", [0, 1])
def test_nothing_to_predict_is_a_data_error(num_predictions: int) -> None:
    with pytest.raises(DataError, match=f"{num_predictions + 1} tokens"):
        make_batches(distinct_stream(num_predictions), 2, 2, 0)
