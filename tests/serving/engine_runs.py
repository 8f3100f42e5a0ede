"""An engine in an event loop, and what it is asked to write."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import torch

from charlm.api import Model
from charlm.sampling.constraints.base import Constraint
from charlm.sampling.filters import Filter, Temperature
from charlm.sampling.plan import SamplingPlan
from charlm.serving.engine import BatchEngine
from charlm.serving.limits import LIMITS, Limits
from charlm.serving.text_events import TextEvent, TextPiece, WritingTask
from charlm.serving.text_stream import TextStream
from charlm.vocab.char import CharVocab
from tests.serving.served import CPU, ids_of, make_model, start_of

VOCAB = CharVocab("abcdefghij ")
MODEL = make_model("char", VOCAB)
Body = Callable[[BatchEngine], Coroutine[Any, Any, None]]


def counting_model() -> tuple[Model, list[int]]:
    """A model, and the ids it has read so far; its steps are calls of the network itself."""
    model = make_model("window", VOCAB, body={"type": "window", "window": 3})
    counts: list[int] = [0]

    def count(_: object, arguments: tuple[torch.Tensor, object]) -> None:
        counts[0] += arguments[0].numel()

    model.network.register_forward_pre_hook(count)
    return model, counts


def task(
    model: Model = MODEL,
    *,
    prompt: str = "ab",
    max_tokens: int = 20,
    seed: int = 0,
    count: int = 1,
    constraint: Constraint | None = None,
    filters: tuple[Filter, ...] = (Temperature(1.0),),
    num_alternatives: int | None = None,
    scores_prompt: bool = False,
) -> WritingTask:
    ids = torch.tensor([VOCAB.eod_id, *ids_of(model, prompt)]).numpy()
    return WritingTask(
        start=start_of(model),
        vocab=VOCAB,
        device=CPU,
        context_ids=ids,
        plan=SamplingPlan(length=10**9, filters=filters, seed=seed, constraint=constraint),
        count=count,
        max_tokens=max_tokens,
        num_alternatives=num_alternatives,
        scores_prompt=scores_prompt,
    )


async def read_events(stream: TextStream) -> list[TextEvent]:
    found: list[TextEvent] = []
    while events := await stream.read():
        found += events
    return found


async def read_all(stream: TextStream) -> str:
    return "".join(event.text for event in await read_events(stream) if isinstance(event, TextPiece))


def run(body: Body, limits: Limits = LIMITS, *, is_deterministic: bool = False) -> None:
    """Run a test in an event loop, with an engine."""
    engine = BatchEngine(limits, is_deterministic=is_deterministic)
    try:
        asyncio.run(asyncio.wait_for(body(engine), 30))
    finally:
        engine.close()
    assert not engine.thread.is_alive()
