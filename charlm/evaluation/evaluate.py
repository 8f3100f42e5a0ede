"""The exact score of a model on a token stream: every token predicted once, in the context of all before it.

One stream is the definition. For speed the stream is cut into lanes that run as one batch; each lane first reads
WARM_UP tokens that it does not score, so that its state is what the text before would have left.

    lane 0   |scored ..........|
    lane 1            warm-up ..|scored ..........|
    lane 2                              warm-up ..|scored ......|     the ragged tail is scored too

B lanes, T time, N scored predictions.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from charlm.data.batches import Batch
from charlm.data.store import TokenStream
from charlm.device import Precision, autocast
from charlm.evaluation.score import Score
from charlm.nn.head import IGNORED
from charlm.nn.model import LanguageModel
from charlm.nn.state import State, reset_rows

WARM_UP = 1024
CHUNK = 256
_MAX_LANES = 64
_WARM_UP_SHARE = 4  # a lane scores at least this many times its warm-up


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
            all shares sum to the score. The other sums are of the whole stream.
    """
    nats, tokens = 0.0, 0
    for scored in score_chunks(model, stream, streams=streams, device=device, precision=precision, part=part):
        nats += scored.nats_N.sum().item()
        tokens += len(scored.nats_N)
        if on_progress is not None:
            on_progress(len(scored.nats_N))
    return Score.of(nats, tokens, stream)


def token_nats(
    model: LanguageModel,
    stream: TokenStream,
    *,
    streams: int | None = None,
    device: torch.device,
    precision: Precision = "fp32",
    on_progress: Callable[[int], None] | None = None,
) -> npt.NDArray[np.float32]:
    """The nats of every prediction of `stream`, in its order: element i is that of token i + 1."""
    nats = np.full(stream.num_predictions, np.nan, dtype=np.float32)
    for scored in score_chunks(model, stream, streams=streams, device=device, precision=precision):
        nats[scored.places_N] = scored.nats_N
        if on_progress is not None:
            on_progress(len(scored.nats_N))
    return nats


class Scored(NamedTuple):
    """Predictions, by their number in the stream, and what each cost; float64."""

    places_N: npt.NDArray[np.int64]
    nats_N: npt.NDArray[np.float64]


def score_chunks(
    model: LanguageModel,
    stream: TokenStream,
    *,
    streams: int | None = None,
    device: torch.device,
    precision: Precision = "fp32",
    part: tuple[int, int] = (0, 1),
) -> Iterator[Scored]:
    """Every prediction of the stream once, in the order in which the lanes come to it."""
    was_training = model.training
    model.eval()
    lanes = streams or default_streams(stream.num_predictions)
    state = None
    try:
        for first_B, whole in placed_batches(stream, lanes, unit=math.lcm(CHUNK, model.body.period)):
            batch = Batch(*(tensor[part[0] :: part[1]] for tensor in whole))
            nll_BT, state = _score_batch(model, batch, state, device, precision)
            is_scored = batch.targets_BT.numpy() != IGNORED
            places_BT = first_B[part[0] :: part[1], None] + np.arange(is_scored.shape[1])
            yield Scored(places_BT[is_scored], nll_BT[is_scored])
    finally:
        model.train(was_training)


@torch.inference_mode()
def _score_batch(
    model: LanguageModel, batch: Batch, state: State | None, device: torch.device, precision: Precision
) -> tuple[npt.NDArray[np.float64], State]:
    inputs_BT, targets_BT, reset_B = (tensor.to(device) for tensor in batch)
    fresh = model.initial_state(len(inputs_BT))
    state = fresh if state is None else reset_rows(state, fresh, reset_B)
    with autocast(precision, device):
        features_BTH, after = model(inputs_BT, state)
        nll_BT = model.head.nll(features_BTH, targets_BT)
    return nll_BT.cpu().double().numpy(), after  # on the CPU: MPS has no float64


def lane_batches(
    stream: TokenStream, streams: int, *, chunk: int = CHUNK, warm_up: int = WARM_UP, unit: int | None = None
) -> Iterator[Batch]:
    """Batches that score every prediction of the stream exactly once, over at most `streams` lanes.

    Lanes and warm-ups start at multiples of `unit`, a multiple of `chunk` (which it is if left out): so a row is reset
    only where a chunk begins, and layers with strides, if `unit` is one of their period, step alike in any lane.
    """
    for _, batch in placed_batches(stream, streams, chunk=chunk, warm_up=warm_up, unit=unit):
        yield batch


def placed_batches(
    stream: TokenStream, streams: int, *, chunk: int = CHUNK, warm_up: int = WARM_UP, unit: int | None = None
) -> Iterator[tuple[npt.NDArray[np.int64], Batch]]:
    """The same, and the number of the prediction in the first column of each row."""
    num_predictions = stream.num_predictions
    unit = unit or chunk
    lane_length = -(-num_predictions // (streams * unit)) * unit
    starts = np.arange(0, num_predictions, max(1, lane_length))
    warm_ups = np.minimum(starts, -(-warm_up // unit) * unit)
    tokens = stream.tokens
    for time in range(-int(warm_ups.max(initial=0)), lane_length, chunk):
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
