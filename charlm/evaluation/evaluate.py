"""The exact score of a model on a token stream: every token predicted once, in the context of all before it.

One stream is the definition. For speed the stream is cut into lanes that run as one batch; each lane first reads
WARM_UP tokens that it does not score, so that its state is what the text before would have left.

    lane 0   |scored ..........|
    lane 1            warm-up ..|scored ..........|
    lane 2                              warm-up ..|scored ......|     the ragged tail is scored too
                                ^ is lane 1 where lane 0 ends?

Whether it is, is checked: where the state of a lane after its warm-up is not the one that the lane before it ends with
(a network that remembers for longer, or has two ways to be), that lane is scored again from there, up to where it had
been in the same state before.

B lanes, T time, N scored predictions, P all predictions.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from charlm.data.batches import Batch
from charlm.data.store import TokenStream
from charlm.device import Precision, autocast
from charlm.evaluation.score import Score
from charlm.nn.heads.softmax import IGNORED
from charlm.nn.model import LanguageModel
from charlm.nn.state import State, reset_rows

WARM_UP = 1024
CHUNK = 256
_MAX_LANES = 64
_WARM_UP_SHARE = 4  # a lane scores at least this many times its warm-up
_SAME_STATE = 1e-3  # relative to 1 + the element
_ALL_KEPT = 8  # chunks


def default_streams(num_predictions: int) -> int:
    """As many lanes as keep the warm-up below a quarter of the work."""
    return max(1, min(_MAX_LANES, num_predictions // (_WARM_UP_SHARE * WARM_UP)))


def evaluate(
    model: LanguageModel,
    stream: TokenStream,
    *,
    streams: int | None = None,
    device: torch.device,
    precision: Precision = "fp32",
    on_progress: Callable[[int], None] | None = None,
    part: tuple[int, int] = (0, 1),
) -> Score:
    """Score `stream`. `on_progress` gets the number of tokens scored by each chunk; it may raise to stop.

    Args:
        part: (k, n) scores the k-th of n shares of the lanes only: nats and tokens are those of the share, and those of
            all shares sum to the score. The other sums are of the whole stream. The lanes before its own belong to
            other shares, so that their ends are not compared.
    """
    nats_P = token_nats(
        model, stream, streams=streams, device=device, precision=precision, on_progress=on_progress, part=part
    )
    scored_N = nats_P[~np.isnan(nats_P)] if part[1] > 1 else nats_P
    return Score.of(float(scored_N.sum(dtype=np.float64)), len(scored_N), stream)


def token_nats(
    model: LanguageModel,
    stream: TokenStream,
    *,
    streams: int | None = None,
    device: torch.device,
    precision: Precision = "fp32",
    on_progress: Callable[[int], None] | None = None,
    part: tuple[int, int] = (0, 1),
) -> npt.NDArray[np.float32]:
    """The nats of every prediction of `stream`, in its order: element i is that of token i + 1.

    Args:
        part: as of `evaluate`; NaN for the predictions of other shares.
    """
    was_training = model.training
    model.eval()
    unit = math.lcm(CHUNK, model.body.period)
    lanes = cut(stream.num_predictions, streams or default_streams(stream.num_predictions), WARM_UP, unit)
    scorer = _Scorer(model, stream, device, precision)
    try:
        ended = scorer.run(lanes.share(*part), None, on_progress or (lambda _: None))
        while part[1] == 1 and len(wrong := _astray(ended)):
            assert ended.left is not None
            before = _rows(ended.left, wrong - 1)
            passed = {time: _rows(state, wrong) for time, state in ended.passed.items()}
            again = scorer.run(lanes.warm(wrong), before, lambda _: None, passed)
            ended = ended.corrected(wrong, again)
    finally:
        model.train(was_training)
    return scorer.nats_P


@dataclass(frozen=True)
class Lanes:
    """Where each lane begins to score, how many tokens it reads before, and how far it goes."""

    starts: npt.NDArray[np.int64]
    warm_ups: npt.NDArray[np.int64]
    length: int

    def share(self, number: int, of: int) -> "Lanes":
        return Lanes(self.starts[number::of], self.warm_ups[number::of], self.length)

    def warm(self, rows: npt.NDArray[np.intp]) -> "Lanes":
        """Some of them, which need no warm-up."""
        return Lanes(self.starts[rows], np.zeros_like(self.warm_ups[rows]), self.length)


def cut(num_predictions: int, streams: int, warm_up: int, unit: int) -> Lanes:
    """At most `streams` lanes.

    Lanes and warm-ups start at multiples of `unit`: so layers with strides, if it is one of their period, step alike in
    any lane.
    """
    length = -(-num_predictions // (streams * unit)) * unit
    starts = np.arange(0, num_predictions, max(1, length))
    return Lanes(starts, np.minimum(starts, -(-warm_up // unit) * unit), length)


@dataclass(frozen=True)
class _Ended:
    """The states of all lanes when they began to score, after that, and after some numbers of scored tokens between.

    `left` is None where all came to be as they had been before.
    """

    entered: State
    left: State | None
    passed: dict[int, State]

    def corrected(self, rows: npt.NDArray[np.intp], again: "_Ended") -> "_Ended":
        """With what was found of some rows."""
        passed = self.passed | {time: _with(self.passed[time], rows, state) for time, state in again.passed.items()}
        left = self.left if again.left is None or self.left is None else _with(self.left, rows, again.left)
        return _Ended(_with(self.entered, rows, again.entered), left, passed)


def _is_kept(chunk: int) -> bool:
    """Whether states after so many chunks are: all of the first ones, later ones ever more seldom."""
    return chunk <= _ALL_KEPT or chunk & (chunk - 1) == 0


def _astray(ended: _Ended) -> npt.NDArray[np.intp]:
    """The lanes that did not begin where the one before them ended, but those behind another such one."""
    left = ended.left or ()
    off = np.zeros(len(left[0]) if left else 0, dtype=np.bool_)
    if len(off) > 1:
        off[1:] = _differ(tuple(tensor[:-1] for tensor in left), tuple(tensor[1:] for tensor in ended.entered))
    off[1:] &= ~off[:-1]
    return np.flatnonzero(off)


def _differ(expected: State, found: State) -> npt.NDArray[np.bool_]:
    """The rows in which two states are not the same."""
    off = np.zeros(len(expected[0]) if expected else 0, dtype=np.bool_)
    for one, other in zip(expected, found, strict=True):
        if one.is_floating_point():
            one_BN, other_BN = one.reshape(len(off), -1), other.reshape(len(off), -1)
            off |= ((one_BN - other_BN).abs() > _SAME_STATE * (1 + one_BN.abs())).any(1).cpu().numpy()
    return off


def _rows(state: State, rows: npt.NDArray[np.intp]) -> State:
    return tuple(tensor[rows] for tensor in state)


@torch.inference_mode()
def _with(state: State, rows: npt.NDArray[np.intp], new: State) -> State:
    """A state with other values in some rows."""
    places = torch.from_numpy(rows)
    return tuple(old.index_copy(0, places.to(old.device), own) for old, own in zip(state, new, strict=True))


class _Scorer:
    """Scores lanes into nats_P."""

    def __init__(self, model: LanguageModel, stream: TokenStream, device: torch.device, precision: Precision) -> None:
        self._model = model
        self._stream = stream
        self._device = device
        self._precision: Precision = precision
        self.nats_P = np.full(stream.num_predictions, np.nan, dtype=np.float32)

    @torch.inference_mode()
    def run(
        self,
        lanes: Lanes,
        state: State | None,
        on_progress: Callable[[int], None],
        known: Mapping[int, State] | None = None,
    ) -> _Ended:
        """
        Args:
            state: of the lanes at their starts; None where they start afresh.
            known: where they have been before after some numbers of tokens; once all are there again, it ends.
        """
        fresh = self._model.initial_state(len(lanes.starts))
        is_given = state is not None
        after: State = fresh if state is None else state
        entered = after
        passed: dict[int, State] = {}
        for first_B, batch in placed_batches(self._stream, lanes):
            inputs_BT, targets_BT, reset_B = (tensor.to(self._device) for tensor in batch)
            if not is_given:
                after = reset_rows(after, fresh, reset_B)
            if np.array_equal(first_B, lanes.starts):
                entered = after
            with autocast(self._precision, self._device):
                features_BTH, after = self._model(inputs_BT, after)
                nll_BT = self._model.head.nll(features_BTH, targets_BT).cpu().numpy()
            is_scored_BT = batch.targets_BT.numpy() != IGNORED
            places_BT = first_B[:, None] + np.arange(is_scored_BT.shape[1])
            self.nats_P[places_BT[is_scored_BT]] = nll_BT[is_scored_BT]
            on_progress(int(is_scored_BT.sum()))
            time = int((first_B - lanes.starts).max(initial=-CHUNK)) + CHUNK  # a share may have no lanes
            if time > 0 and _is_kept(time // CHUNK):
                if known is not None and not _differ(known[time], after).any():
                    return _Ended(entered, None, passed)
                passed[time] = after
        return _Ended(entered, after, passed)


def lane_batches(
    stream: TokenStream, streams: int, *, chunk: int = CHUNK, warm_up: int = WARM_UP, unit: int | None = None
) -> Iterator[Batch]:
    """Batches that score every prediction of the stream exactly once, over at most `streams` lanes.

    Args:
        unit: a multiple of `chunk` (which it is if left out), of which lanes and warm-ups start at multiples, so that a
            row is reset only where a chunk begins.
    """
    lanes = cut(stream.num_predictions, streams, warm_up, unit or chunk)
    for _, batch in placed_batches(stream, lanes, chunk):
        yield batch


def placed_batches(
    stream: TokenStream, lanes: Lanes, chunk: int | None = None
) -> Iterator[tuple[npt.NDArray[np.int64], Batch]]:
    """The number of the prediction in the first column of each row, and the batch."""
    chunk = CHUNK if chunk is None else chunk
    starts, warm_ups, tokens = lanes.starts, lanes.warm_ups, stream.tokens
    for time in range(-int(warm_ups.max(initial=0)), lanes.length, chunk):
        inputs = np.full((len(starts), chunk), tokens[0], dtype=np.int64)
        targets = np.full((len(starts), chunk), IGNORED, dtype=np.int64)
        for row, start in enumerate(starts):
            if time < -warm_ups[row]:
                continue
            ids = tokens[start + time : start + time + chunk + 1].astype(np.int64)
            length = max(0, len(ids) - 1)
            inputs[row, :length] = ids[:length]
            if time >= 0:
                targets[row, :length] = ids[1:]
        reset = torch.from_numpy(-warm_ups == time)
        yield starts + time, Batch(torch.from_numpy(inputs), torch.from_numpy(targets), reset)
