"""The exact score of a model on a token stream: every token is predicted once, in the context of all tokens before it.

By definition the stream is read in one lane. For speed it is cut into lanes that run as one batch. Each lane first
reads WARM_UP tokens without scoring them, so that its state becomes the one that the earlier text would have left.

    lane 0   |scored ..........|
    lane 1            warm-up ..|scored ..........|
    lane 2                              warm-up ..|scored ......|     the last lane may be shorter
                                ^ is this state equal to the one at the end of lane 0?

The states are compared. A lane whose state after the warm-up differs from the state at the end of the lane before (the
network remembers for longer than the warm-up) is scored again from that state, until it reaches a state that it had
before.

B lanes, T time, N scored predictions, P all predictions.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Required, TypedDict, Unpack

import numpy as np
import numpy.typing as npt
import torch

from charlm.data.batches import Batch
from charlm.data.store import TokenStream
from charlm.device import Precision, autocast
from charlm.evaluation.lane import CHUNK
from charlm.evaluation.lane_states import LaneStates, find_mismatched_lanes, rows_differ, select_rows, should_keep
from charlm.evaluation.score import NOT_SCORED, Score
from charlm.nn.model import LanguageModel
from charlm.nn.state import State, reset_rows
from charlm.vocab.base import IGNORE_INDEX

WARM_UP = 1024
_MAX_LANES = 64
_MIN_SCORED_PER_WARM_UP = 4  # a lane scores at least this many times its warm-up


def default_num_lanes(num_predictions: int) -> int:
    """The largest number of lanes, up to 64, that keeps the warm-up below a quarter of the work."""
    return max(1, min(_MAX_LANES, num_predictions // (_MIN_SCORED_PER_WARM_UP * WARM_UP)))


class ScoringOptions(TypedDict, total=False):
    """The keyword arguments of `evaluate` and `score_tokens`.

    Attributes:
        num_lanes: lanes that run as one batch; None chooses the number by the length of the stream.
        precision: fp32 unless given.
        on_progress: gets the number of tokens scored by each chunk; it may raise to stop.
        shard: (k, n) scores the k-th of n shards of the lanes only. States of lanes are not compared then, since
            neighbouring lanes belong to different shards.
    """

    num_lanes: int | None
    device: Required[torch.device]
    precision: Precision
    on_progress: Callable[[int], None]
    shard: tuple[int, int]


def evaluate(model: LanguageModel, stream: TokenStream, **options: Unpack[ScoringOptions]) -> Score:
    """Return the score of `stream`, or of a shard of it.

    Nats and tokens are those of the shard; over all shards they add up to those of the stream. Characters, words and
    bytes are always those of the whole stream.
    """
    nats_P = score_tokens(model, stream, **options)
    is_sharded = options.get("shard", (0, 1))[1] > 1
    return Score.from_nats(nats_P[nats_P != NOT_SCORED] if is_sharded else nats_P, stream)


def score_tokens(
    model: LanguageModel, stream: TokenStream, **options: Unpack[ScoringOptions]
) -> npt.NDArray[np.float32]:
    """Return (P,) the nats of every prediction, in the order of the stream: element i is the negative log-likelihood of
    token i + 1. Predictions of other shards are NOT_SCORED."""
    return _score(model, stream, options).nats_P


def score_with_parts(
    model: LanguageModel, stream: TokenStream, **options: Unpack[ScoringOptions]
) -> tuple[npt.NDArray[np.float32], dict[str, Score]]:
    """Return what `score_tokens` returns, and the score of each part of a mixture, by its name; no parts for others."""
    scorer = _score(model, stream, options, reads_parts=True)
    return scorer.nats_P, {name: Score.from_nats(nats_P, stream) for name, nats_P in scorer.part_nats.items()}


def _score(
    model: LanguageModel, stream: TokenStream, options: ScoringOptions, *, reads_parts: bool = False
) -> "_Scorer":
    num_lanes = options.get("num_lanes") or default_num_lanes(stream.num_predictions)
    index, num_shards = options.get("shard", (0, 1))
    multiple = math.lcm(CHUNK, model.stride_period)
    lanes = cut_lanes(stream.num_predictions, num_lanes, WARM_UP, multiple)
    precision = options.get("precision", "fp32")
    scorer = _Scorer(model, stream, options["device"], precision, reads_parts=reads_parts)
    was_training = model.training
    model.eval()
    try:
        lane_states = scorer.run(lanes.shard(index, num_shards), None, options.get("on_progress", lambda _: None))
        while num_shards == 1 and len(mismatched := find_mismatched_lanes(lane_states, precision)):
            assert lane_states.end_state is not None
            predecessor_states = select_rows(lane_states.end_state, mismatched - 1)
            states_at = {time: select_rows(state, mismatched) for time, state in lane_states.states_at.items()}
            rescored = scorer.run(lanes.without_warm_up(mismatched), predecessor_states, lambda _: None, states_at)
            lane_states = lane_states.with_rescored(mismatched, rescored)
    finally:
        model.train(was_training)
    return scorer


@dataclass(frozen=True)
class Lanes:
    """For each lane: where it begins to score, the length of its warm-up, and the number of tokens to score."""

    starts: npt.NDArray[np.int64]
    warm_ups: npt.NDArray[np.int64]
    longest_warm_up: int
    """Of the lanes of all shards, so that every shard is read in the same number of batches."""
    length: int

    def shard(self, index: int, num_shards: int) -> "Lanes":
        starts, warm_ups = self.starts[index::num_shards], self.warm_ups[index::num_shards]
        return Lanes(starts, warm_ups, self.longest_warm_up, self.length)

    def without_warm_up(self, rows: npt.NDArray[np.intp]) -> "Lanes":
        """The given lanes, without a warm-up."""
        return Lanes(self.starts[rows], np.zeros_like(self.warm_ups[rows]), 0, self.length)


def cut_lanes(num_predictions: int, num_lanes: int, warm_up: int, multiple: int) -> Lanes:
    """Cut a stream into at most `num_lanes` lanes.

    Lanes and warm-ups start at multiples of `multiple`. With a multiple of the layers' stride period, layers with
    strides update at the same tokens as in one lane.
    """
    length = -(-num_predictions // (num_lanes * multiple)) * multiple
    starts = np.arange(0, num_predictions, max(1, length))
    warm_ups = np.minimum(starts, -(-warm_up // multiple) * multiple)
    return Lanes(starts, warm_ups, int(warm_ups.max(initial=0)), length)


class _Scorer:
    """Scores lanes and writes their nats to nats_P."""

    def __init__(
        self,
        model: LanguageModel,
        stream: TokenStream,
        device: torch.device,
        precision: Precision,
        *,
        reads_parts: bool = False,
    ) -> None:
        self._model = model
        self._stream = stream
        self._device = device
        self._precision: Precision = precision
        self._reads_parts = reads_parts
        self.nats_P = np.full(stream.num_predictions, NOT_SCORED, dtype=np.float32)
        self.part_nats: dict[str, npt.NDArray[np.float32]] = {}

    @torch.inference_mode()
    def run(
        self,
        lanes: Lanes,
        state: State | None,
        on_progress: Callable[[int], None],
        previous_states: Mapping[int, State] | None = None,
    ) -> LaneStates:
        """Score all lanes.

        Args:
            state: the states of the lanes at their starts; None for the initial state.
            previous_states: states of an earlier run by the number of scored tokens. Scoring stops once all lanes reach
                them again, since the rest would not change.
        """
        fresh = self._model.initial_state(len(lanes.starts))
        is_given = state is not None
        current: State = fresh if state is None else state
        start_state = current
        states_at: dict[int, State] = {}
        for position_B, batch in lane_batches(self._stream, lanes):
            inputs_BT, targets_BT, reset_B = (tensor.to(self._device) for tensor in batch[:3])
            if not is_given:
                current = reset_rows(current, fresh, reset_B)
            if np.array_equal(position_B, lanes.starts):
                start_state = current
            with autocast(self._precision, self._device):
                features_BTH, current = self._model(inputs_BT, current)
                parts: dict[str, torch.Tensor] = {}
                if self._reads_parts:
                    nll_BT, parts = self._model.head.nll_of_parts(features_BTH, targets_BT)
                else:
                    nll_BT = self._model.head.nll(features_BTH, targets_BT)
                nll_BT = nll_BT.cpu().numpy()
            is_scored_BT = batch.targets_BT.numpy() != IGNORE_INDEX
            positions_BT = position_B[:, None] + np.arange(is_scored_BT.shape[1])
            self.nats_P[positions_BT[is_scored_BT]] = nll_BT[is_scored_BT]
            for name, part_BT in parts.items():
                nats_P = self.part_nats.setdefault(name, np.zeros_like(self.nats_P))
                nats_P[positions_BT[is_scored_BT]] = part_BT.cpu().numpy()[is_scored_BT]
            on_progress(int(is_scored_BT.sum()))
            time = int((position_B - lanes.starts).max(initial=-CHUNK)) + CHUNK  # a shard may have no lanes
            if time > 0 and should_keep(time // CHUNK):
                previous = None if previous_states is None else previous_states[time]
                if previous is not None and not rows_differ(previous, current, self._precision).any():
                    return LaneStates(start_state, None, states_at)
                states_at[time] = current
        return LaneStates(start_state, current, states_at)


def lane_batches(
    stream: TokenStream, lanes: Lanes, chunk: int | None = None
) -> Iterator[tuple[npt.NDArray[np.int64], Batch]]:
    """Yield the index of the prediction in the first column of each row, and the batch."""
    chunk = CHUNK if chunk is None else chunk
    starts, warm_ups, stream_inputs, stream_targets = lanes.starts, lanes.warm_ups, stream.inputs, stream.targets
    for time in range(-lanes.longest_warm_up, lanes.length, chunk):
        inputs = np.full((len(starts), chunk), stream.tokens[0], dtype=np.int64)
        targets = np.full((len(starts), chunk), IGNORE_INDEX, dtype=np.int64)
        for row, start in enumerate(starts):
            if time < -warm_ups[row]:
                continue
            read = stream_inputs[start + time : start + time + chunk]
            inputs[row, : len(read)] = read
            if time >= 0:
                targets[row, : len(read)] = stream_targets[start + time : start + time + chunk]
        reset = torch.from_numpy(-warm_ups == time)
        yield starts + time, Batch(torch.from_numpy(inputs), torch.from_numpy(targets), reset)
