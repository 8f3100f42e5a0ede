"""Measure how long an update takes here, for two sizes of a network."""

import time

import torch

from charlm.data.batches import Batch
from charlm.device import retain_freed_memory
from charlm.nn.build import build_model
from charlm.nn.settings import ModelSettings
from charlm.settings import Layer, validate
from charlm.training.distributed import SingleProcess
from charlm.training.model_updater import ModelUpdater
from charlm.training.optim.schedules import ScheduleInput
from charlm.training.settings import TrainingSettings
from charlm.workflows.auto.speed import EMBEDDING_SIZE, Size, Speed

_SECONDS = 0.6
_MIN_UPDATES = 3
_WARMUP = 2
_SMALL, _LARGE = Size(256, 16, 64, 1e-3), Size(512, 32, 64, 1e-3)


def measure_speed(vocab_size: int, device: torch.device) -> Speed:
    """Train two small networks on random tokens, for less than a second each, and discard them."""
    retain_freed_memory(device)
    random_state = torch.get_rng_state()
    seconds = [_measure_update(size, vocab_size, device) for size in (_SMALL, _LARGE)]
    torch.set_rng_state(random_state)
    return Speed.fit(_SMALL, seconds[0], _LARGE, seconds[1], vocab_size)


def _measure_update(size: Size, vocab_size: int, device: torch.device) -> float:
    """Return the shortest time of an update: other programs can only make it longer."""
    body = {"type": "recurrent", "hidden_size": size.hidden_size}
    model_settings = validate(ModelSettings, Layer({"embedding": {"size": EMBEDDING_SIZE}, "body": body}))
    settings = TrainingSettings(batch_size=size.batch_size, seq_len=size.seq_len, max_steps=1)
    updater = ModelUpdater(
        build_model(model_settings, vocab_size).to(device).train(), settings, device, SingleProcess()
    )
    tokens_BT = torch.randint(vocab_size, (size.batch_size, size.seq_len + 1))
    batch = Batch(tokens_BT[:, :-1], tokens_BT[:, 1:], torch.zeros(size.batch_size, dtype=torch.bool))
    times: list[float] = []
    start = time.perf_counter()
    for step in range(1000):
        before = time.perf_counter()
        updater.update(batch, ScheduleInput(step, 0, 0.0, 0.0), num_scored=size.tokens)
        now = time.perf_counter()
        if step < _WARMUP:
            start = now
            continue
        times.append(now - before)
        if len(times) >= _MIN_UPDATES and now - start >= _SECONDS:
            break
    return min(times)
