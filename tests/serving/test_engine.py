"""The engine: requests take turns, each is what it would be alone, and nothing is written for who has gone."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import httpx2
import pytest
import torch

from charlm.api import Model
from charlm.sampling.filters import Temperature
from charlm.sampling.plan import SamplingPlan
from charlm.serving.api_error import ApiError
from charlm.serving.application import build_application
from charlm.serving.engine import RoundRobinEngine
from charlm.serving.limits import LIMITS, Limits
from charlm.serving.served_models import ServedModels
from charlm.serving.text_events import PromptRead, TextPiece, WritingTask
from charlm.serving.text_stream import CancelledTextError, TextStream
from charlm.vocab.char import CharVocab
from tests.serving.served import CPU, LOCAL, URL, ids_of, make_model, served

VOCAB = CharVocab("abcdefghij ")
MODEL = make_model("char", VOCAB)
Body = Callable[[RoundRobinEngine], Coroutine[Any, Any, None]]


def counting_model() -> tuple[Model, list[int]]:
    """A model, and the ids it has read so far; its steps are calls of the network itself."""
    model = make_model("window", VOCAB, body={"type": "window", "window": 3})
    counts: list[int] = [0]

    def count(_: object, arguments: tuple[torch.Tensor, object]) -> None:
        counts[0] += arguments[0].numel()

    model.network.register_forward_pre_hook(count)
    return model, counts


def task(
    model: Model = MODEL, *, prompt: str = "ab", max_tokens: int = 20, seed: int = 0, count: int = 1
) -> WritingTask:
    ids = torch.tensor([VOCAB.eod_id, *ids_of(model, prompt)]).numpy()
    plan = SamplingPlan(length=10**9, filters=(Temperature(1.0),), seed=seed)
    return WritingTask(
        model=model.network, vocab=VOCAB, device=CPU, context_ids=ids, plan=plan, count=count, max_tokens=max_tokens
    )


async def read_all(stream: TextStream) -> str:
    text = ""
    while events := await stream.read():
        text += "".join(event.text for event in events if isinstance(event, TextPiece))
    return text


def run(body: Body, limits: Limits = LIMITS) -> None:
    """Run a test in an event loop, with an engine."""
    engine = RoundRobinEngine(limits)
    try:
        asyncio.run(asyncio.wait_for(body(engine), 30))
    finally:
        engine.close()
    assert not engine.thread.is_alive()


def test_a_request_reads_its_prompt_and_then_writes() -> None:
    async def body(engine: RoundRobinEngine) -> None:
        stream = engine.submit([task(max_tokens=3, count=2)])
        events = [*await stream.read()]
        while more := await stream.read():
            events += more
        assert isinstance(events[0], PromptRead)
        pieces = [event for event in events if isinstance(event, TextPiece)]
        assert [piece.number for piece in pieces] == [0, 1] * 3
        assert [piece.finish_reason for piece in pieces] == [None] * 4 + ["length"] * 2
        assert await stream.read() == []

    run(body)


def test_a_short_text_does_not_wait_for_a_long_one() -> None:
    async def body(engine: RoundRobinEngine) -> None:
        ended: list[str] = []

        async def read(name: str, stream: TextStream) -> None:
            await read_all(stream)
            ended.append(name)

        long = engine.submit([task(max_tokens=8000)])
        await long.read()
        short = engine.submit([task(max_tokens=20)])
        prompt = engine.submit([task(prompt="ab" * 10_000, max_tokens=1)])
        await asyncio.gather(read("long", long), read("short", short), read("prompt", prompt))
        assert ended[0] == "short"
        assert ended[-1] == "long"

    run(body, replace(LIMITS, unread_events=10**6))


def test_texts_are_the_same_beside_others_as_alone() -> None:
    async def body(engine: RoundRobinEngine) -> None:
        async def write(seed: int) -> str:
            return await read_all(engine.submit([task(max_tokens=50 + seed, seed=seed)]))

        alone = [await write(seed) for seed in range(20)]
        together = await asyncio.gather(*(write(seed) for seed in range(20)))
        assert together == alone
        assert len(set(alone)) == 20

    run(body)


def test_nothing_is_written_for_a_client_that_has_gone() -> None:
    model, counts = counting_model()

    async def body(engine: RoundRobinEngine) -> None:
        stream = engine.submit([task(model, max_tokens=10**6)])
        await stream.read()
        stream.cancel()
        await asyncio.sleep(0.1)
        before = counts[0]
        await asyncio.sleep(0.2)
        assert counts[0] == before
        with pytest.raises(CancelledTextError):
            await read_all(stream)
        assert await read_all(engine.submit([task(max_tokens=5)]))

    run(body)


def test_a_text_waits_for_a_client_that_does_not_read() -> None:
    model, counts = counting_model()

    async def body(engine: RoundRobinEngine) -> None:
        stream = engine.submit([task(model, max_tokens=100_000)])
        await asyncio.sleep(0.3)
        before = counts[0]
        assert 20 <= stream.num_unread == before - 3 + 1 + 1 < 5000  # the prompt's three ids; the last is not read yet
        await asyncio.sleep(0.1)
        assert counts[0] == before
        await stream.read()
        await asyncio.sleep(0.1)
        assert counts[0] > before

    run(body, replace(LIMITS, unread_events=20))


def test_an_error_ends_one_request() -> None:
    model, _ = counting_model()

    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    model.network.register_forward_pre_hook(fail)

    async def body(engine: RoundRobinEngine) -> None:
        alone = await read_all(engine.submit([task(max_tokens=3000)]))
        other = engine.submit([task(max_tokens=3000)])
        with pytest.raises(RuntimeError, match="broken"):
            await read_all(engine.submit([task(model)]))
        assert await read_all(other) == alone

    run(body, replace(LIMITS, unread_events=10**6))


def test_the_end_of_the_engine_is_the_end_of_all_requests() -> None:
    async def body(engine: RoundRobinEngine) -> None:
        streams = [engine.submit([task(max_tokens=10**6)]) for _ in range(3)]
        await streams[0].read()
        engine.close()
        for stream in streams:
            with pytest.raises(ApiError, match="stopping") as caught:
                await read_all(stream)
            assert caught.value.status == 503
        with pytest.raises(ApiError, match="stopping"):
            engine.submit([task()])

    run(body)


@pytest.mark.parametrize(("streamed", "num_clients"), [(False, 64), (True, 24)])
def test_clients_get_together_what_each_gets_alone(streamed: bool, num_clients: int) -> None:
    async def body(engine: RoundRobinEngine) -> None:
        app = build_application(ServedModels([served("char", MODEL)]), engine, LIMITS, LOCAL, lambda _: None)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=URL) as client:

            async def write(seed: int) -> str:
                fields = {"prompt": "ab", "seed": seed, "max_tokens": 20 + seed, "stream": streamed, "logprobs": 1}
                response = await client.post("/v1/completions", json=fields, timeout=60)
                assert response.status_code == 200
                ids = {"id", "created"}
                if not streamed:
                    return str({name: value for name, value in response.json().items() if name not in ids})
                events = response.text.removesuffix("data: [DONE]\n\n").split("\n\n")
                return "".join(event.partition('"text": ')[2].partition(', "logprobs"')[0] for event in events)

            alone = [await write(seed) for seed in range(num_clients)]
            together = await asyncio.gather(*(write(seed) for seed in range(num_clients)))
            if streamed:  # pieces may be cut elsewhere
                assert [text.replace('""', "") for text in together] == [text.replace('""', "") for text in alone]
            else:
                assert together == alone

    run(body)
