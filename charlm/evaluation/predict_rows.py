"""The probabilities of labels or tags in documents: rows of ids -> log-probabilities where something is asked.

    rows ──similar lengths together──> batches with padding on the right ──model──> log_p of each asked position

The result of a row does not depend on the rows beside it. A row longer than MAX_ROW is read in pieces: by a causal
network in chunks that carry its state; by one that reads backward in windows, each of which gives the results of its
middle and reads CONTEXT tokens on both sides; for one label for the whole text, the last MAX_ROW tokens.

B batch, T time, H features, L labels, N asked positions of a row.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charlm.device import Precision, autocast
from charlm.nn.bodies.pooling import PooledBody
from charlm.nn.model import LanguageModel
from charlm.nn.state import State
from charlm.vocab.base import IntArray, Vocab

MAX_ROW = 16_384
CONTEXT = 1_024
_MAX_ROWS = 256
_MAX_TOKENS = 16_384

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Row:
    """A document's ids, and the indices of the ids after which something is asked."""

    ids: IntArray
    asked: npt.NDArray[np.int64]


def label_row(text: str, vocab: Vocab) -> Row:
    """Return the row that asks for the label of a whole text, at its <eod>.

    Raises:
        DataError: the text has a character that the vocabulary cannot spell.
    """
    ids = np.append(vocab.encode(text), vocab.eod_id)
    return Row(ids, np.array([len(ids) - 1]))


def predict_rows(
    model: LanguageModel,
    rows: Sequence[Row],
    *,
    device: torch.device,
    precision: Precision = "fp32",
    on_progress: Callable[[int], None] = lambda tokens: None,
) -> Iterator[tuple[int, Floats]]:
    """Yield the index of each row and its log-probabilities (N, L), short rows first.

    Args:
        on_progress: called with the number of tokens read by each batch; it may raise to stop.
    """
    was_training = model.training
    model.eval()
    try:
        for batch in batches_of_rows([len(row.ids) for row in rows]):
            chosen = [rows[index] for index in batch]
            if len(chosen[0].ids) > MAX_ROW:
                found = [_predict_long_row(model, chosen[0], device, precision)]
            else:
                found = _predict_batch(model, chosen, device, precision)
            yield from zip(batch, found, strict=True)
            on_progress(sum(len(row.ids) for row in chosen))
    finally:
        model.train(was_training)


def count_batches(lengths: Sequence[int]) -> int:
    """Return the number of batches in which `predict_rows` reads rows of these lengths."""
    return sum(1 for _ in batches_of_rows(lengths))


def batches_of_rows(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the indices of the rows of each batch, short rows first; a row over MAX_ROW is alone."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        rows = len(batch) + 1
        if batch and (rows > _MAX_ROWS or rows * lengths[index] > _MAX_TOKENS):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


@torch.inference_mode()
def _predict_batch(
    model: LanguageModel, rows: Sequence[Row], device: torch.device, precision: Precision
) -> list[Floats]:
    lengths = [len(row.ids) for row in rows]
    inputs = np.zeros((len(rows), max(1, *lengths)), dtype=np.int64)
    for index, row in enumerate(rows):
        inputs[index, : lengths[index]] = row.ids
    inputs_BT = torch.from_numpy(inputs).to(device)
    lengths_B = torch.tensor(lengths, device=device)
    with autocast(precision, device):
        features_BTH, _ = model(inputs_BT, model.initial_state(len(rows)), lengths_B)
        row_N = torch.tensor(np.repeat(np.arange(len(rows)), [len(row.asked) for row in rows]), device=device)
        asked_N = torch.tensor(np.concatenate([row.asked for row in rows]), device=device)
        log_p_NL = _log_probabilities(model, features_BTH[row_N, asked_N])
    return np.split(log_p_NL.numpy(), np.cumsum([len(row.asked) for row in rows])[:-1])


def _predict_long_row(model: LanguageModel, row: Row, device: torch.device, precision: Precision) -> Floats:
    if model.is_causal:
        return _predict_in_chunks(model, row, device, precision)
    if isinstance(model.body, PooledBody):
        start = len(row.ids) - MAX_ROW
        return _predict_batch(model, [Row(row.ids[start:], row.asked - start)], device, precision)[0]
    found: list[Floats] = []
    middle = MAX_ROW - 2 * CONTEXT
    for start in range(0, len(row.ids), middle):
        first = max(0, start - CONTEXT)
        is_here = (row.asked >= start) & (row.asked < start + middle)
        window = Row(row.ids[first : start + middle + CONTEXT], row.asked[is_here] - first)
        found += _predict_batch(model, [window], device, precision)
    return np.concatenate(found)


@torch.inference_mode()
def _predict_in_chunks(model: LanguageModel, row: Row, device: torch.device, precision: Precision) -> Floats:
    state: State = model.initial_state(1)
    found: list[Floats] = []
    for start in range(0, len(row.ids), MAX_ROW):
        inputs_BT = torch.from_numpy(row.ids[start : start + MAX_ROW].astype(np.int64))[None].to(device)
        asked = row.asked[(row.asked >= start) & (row.asked < start + MAX_ROW)] - start
        with autocast(precision, device):
            features_BTH, state = model(inputs_BT, state)
            found.append(_log_probabilities(model, features_BTH[0, torch.from_numpy(asked).to(device)]).numpy())
    return np.concatenate(found)


def _log_probabilities(model: LanguageModel, features_NH: Tensor) -> Tensor:
    return model.head.logits(features_NH).log_softmax(-1).cpu()
