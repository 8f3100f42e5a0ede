"""The exact score of a model on a token stream: every token predicted once, in the context of all before it.

One stream is the definition. For speed the stream is cut into lanes that run as one batch; each lane first reads
WARM_UP tokens that it does not score, so that its state is what the text before would have left.

    lane 0   |scored ..........|
    lane 1            warm-up ..|scored ..........|
    lane 2                              warm-up ..|scored ......|     the ragged tail is scored too

B lanes, T time.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

from charlm.data.batches import Batch
from charlm.data.store import TokenStream
from charlm.device import Precision, autocast
from charlm.evaluation.score import Score
from charlm.nn.head import IGNORED
from charlm.nn.model import LanguageModel
from charlm.nn.state import reset_rows

WARM_UP = 1024
_CHUNK = 256
_MAX_LANES = 64
_WARM_UP_SHARE = 4  # a lane scores at least this many times its warm-up


def default_streams(num_predictions: int) -> int:
    """As many lanes as keep the warm-up below a quarter of the work."""
    return max(1, min(_MAX_LANES, num_predictions // (_WARM_UP_SHARE * WARM_UP)))


@torch.inference_mode()
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
    was_training = model.training
    model.eval()
    try:
        nats = 0.0
        tokens = 0
        lanes = streams or default_streams(stream.num_predictions)
        state = None
        for whole in lane_batches(stream, lanes, unit=math.lcm(_CHUNK, model.body.period)):
            batch = Batch(*(tensor[part[0] :: part[1]] for tensor in whole))
            inputs_BT, targets_BT, reset_B = (tensor.to(device) for tensor in batch)
            fresh = model.initial_state(len(inputs_BT))
            state = fresh if state is None else reset_rows(state, fresh, reset_B)
            with autocast(precision, device):
                features_BTH, state = model(inputs_BT, state)
                nll_BT = model.head.nll(features_BTH, targets_BT)
            nats += nll_BT.cpu().double().sum().item()  # on the CPU: MPS has no float64
            scored = int((batch.targets_BT != IGNORED).sum())
            tokens += scored
            if on_progress is not None:
                on_progress(scored)
    finally:
        model.train(was_training)
    return Score(nats, tokens, *(stream.count(unit) for unit in ("characters", "words", "bytes")))


def lane_batches(
    stream: TokenStream, streams: int, *, chunk: int = _CHUNK, warm_up: int = WARM_UP, unit: int | None = None
) -> Iterator[Batch]:
    """Batches that score every prediction of the stream exactly once, over at most `streams` lanes.

    Lanes and warm-ups start at multiples of `unit`, a multiple of `chunk` (which it is if left out): so a row is reset
    only where a chunk begins, and layers with strides, if `unit` is one of their period, step alike in any lane.
    """
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
        yield Batch(torch.from_numpy(inputs), torch.from_numpy(targets), reset)
