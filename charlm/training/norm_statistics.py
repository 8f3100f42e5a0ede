"""Batch-norm statistics of averaged weights, estimated before these are scored: no training step has run with them."""

from collections.abc import Iterable, Iterator

import torch
from torch import nn

from charlm.data.batches import Batch
from charlm.device import Precision, autocast
from charlm.nn.model import ConditionalModel, LanguageModel
from charlm.nn.norm import BatchNorm
from charlm.nn.state import reset_rows
from charlm.training.tasks.base import TrainingBatches

_NUM_BATCHES = 30


def statistics_batches(batches: TrainingBatches, rows: range) -> Iterator[Batch]:
    """Yield the first batches of training text, the same at every call."""
    cursor = batches.start
    for _ in range(min(_NUM_BATCHES, batches.steps_per_epoch)):
        yield batches.batch(cursor, rows)
        cursor = batches.next_cursor(cursor)


def has_batch_norm(model: nn.Module) -> bool:
    return any(isinstance(module, BatchNorm) for module in model.modules())


@torch.no_grad()
def reestimate_batch_norm(
    model: LanguageModel, batches: Iterable[Batch], device: torch.device, precision: Precision, seed: int
) -> None:
    """Estimate all statistics from training text, read as in training (Izmailov et al., 2018, section 3.2).

    State is carried from batch to batch, except where rows are whole documents.
    """
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.seen_L.zero_()
    was_training = model.training
    model.train()
    state = None
    for index, batch in enumerate(batches):
        model.rng.seed(seed, -1, index)
        reader = model
        if batch.condition is not None:
            assert isinstance(model, ConditionalModel), "its task has conditions"
            with autocast(precision, device):
                reader = model.given(tuple(tensor.to(device) for tensor in batch.condition))
        fresh = reader.initial_state(len(batch.inputs_BT))
        if batch.lengths_B is not None:
            state, lengths_B = fresh, batch.lengths_B.to(device)
        else:
            state, lengths_B = fresh if state is None else reset_rows(state, fresh, batch.reset_B.to(device)), None
        with autocast(precision, device):
            _, state = reader(batch.inputs_BT.to(device), state, lengths_B)
    model.train(was_training)
