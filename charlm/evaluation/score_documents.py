"""The exact score of documents. Each is read alone: from the initial state, and with its own condition.

    <eod> document <eod>    rows of similar length together, padding on the right ──model──> nats of every token

A document longer than MAX_ROW tokens is read in chunks that carry its state. The result of a document does not depend
on the others.

B batch, T time, P predictions, D documents.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charlm.data.conditions import DocumentConditions
from charlm.data.store import TokenStream
from charlm.device import Precision, autocast
from charlm.evaluation.predict_rows import MAX_ROW, batches_of_rows
from charlm.evaluation.score import NOT_SCORED
from charlm.nn.model import ConditionalModel, LanguageModel
from charlm.vocab.base import IGNORE_INDEX, IntArray

_BLOCK_DOCUMENTS = 65_536  # documents that are sorted by length together

Indices = npt.NDArray[np.int64]


def score_documents(
    model: LanguageModel,
    stream: TokenStream,
    conditions: DocumentConditions | None,
    *,
    device: torch.device,
    precision: Precision = "fp32",
    on_progress: Callable[[int], None] = lambda tokens: None,
    shard: tuple[int, int] = (0, 1),
) -> npt.NDArray[np.float32]:
    """Return (P,) the nats of every prediction, in the order of the stream: element i is the negative log-likelihood of
    token i + 1.

    Args:
        conditions: of the documents, if the model is a conditional one.
        on_progress: called with the number of tokens that each batch scored; it may raise to stop. All shards call it
            equally often, since several processes agree on the time and on signals there.
        shard: (k, n) scores every n-th document from the k-th on; predictions of other shards are NOT_SCORED.
    """
    nats_P = np.full(stream.num_predictions, NOT_SCORED, dtype=np.float32)
    starts = stream.documents["start"].astype(np.int64) - 1  # prediction i is that of token i + 1
    lengths = stream.ends - 1 - starts
    read = conditions.lengths_D if conditions is not None else None
    sizes = lengths if read is None else np.maximum(lengths, read)  # sources take memory too
    index, num_shards = shard
    shards = [np.arange(each, len(starts), num_shards) for each in range(num_shards)]
    was_training = model.training
    model.eval()
    try:
        for documents in _batches(sizes, shards[index]):
            reader = model
            if isinstance(model, ConditionalModel):
                assert conditions is not None, "the corpus of a conditional model has conditions"
                reader = _bind(model, conditions.select(documents), device, precision)
            _score_rows(reader, stream, starts[documents], lengths[documents], nats_P, device, precision)
            on_progress(int(lengths[documents].sum()))
    finally:
        model.train(was_training)
    counts = [sum(1 for _ in _batches(sizes, each)) for each in shards] if num_shards > 1 else [0]
    for _ in range(max(counts) - counts[index] if num_shards > 1 else 0):
        on_progress(0)
    return nats_P


def _batches(lengths_D: Indices, documents: Indices) -> Iterator[Indices]:
    """Yield the documents of each batch."""
    for first in range(0, len(documents), _BLOCK_DOCUMENTS):
        block = documents[first : first + _BLOCK_DOCUMENTS]
        for batch in batches_of_rows(lengths_D[block].tolist()):
            yield block[batch]


@torch.inference_mode()
def _bind(
    model: ConditionalModel, condition: Sequence[IntArray], device: torch.device, precision: Precision
) -> LanguageModel:
    with autocast(precision, device):
        return model.given(tuple(torch.from_numpy(array).to(device) for array in condition))


@torch.inference_mode()
def _score_rows(
    model: LanguageModel,
    stream: TokenStream,
    starts_B: Indices,
    lengths_B: Indices,
    nats_P: npt.NDArray[np.float32],
    device: torch.device,
    precision: Precision,
) -> None:
    """Write the nats of some documents to nats_P."""
    state = model.initial_state(len(starts_B))
    longest = int(lengths_B.max(initial=0))
    for begin in range(0, longest, MAX_ROW):
        width = min(MAX_ROW, longest - begin)
        inputs = np.zeros((len(starts_B), width), dtype=np.int64)
        targets = np.full(inputs.shape, IGNORE_INDEX, dtype=np.int64)
        ends_B = np.clip(lengths_B - begin, 0, width)
        for row, (start, end) in enumerate(zip(starts_B + begin, ends_B, strict=True)):
            inputs[row, :end] = stream.inputs[start : start + end]
            targets[row, :end] = stream.targets[start : start + end]
        with autocast(precision, device):
            features_BTH, state = model(_to(inputs, device), state, _to(ends_B, device))
            nll_BT = model.head.nll(features_BTH, _to(targets, device)).cpu().numpy()
        for row, (start, end) in enumerate(zip(starts_B + begin, ends_B, strict=True)):
            nats_P[start : start + end] = nll_BT[row, :end]


def _to(array: Indices, device: torch.device) -> Tensor:
    return torch.from_numpy(array).to(device)
