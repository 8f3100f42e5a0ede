"""The engine: requests take turns, each is what it would be alone, and nothing is written for who has gone."""

import asyncio
from dataclasses import replace

import httpx2
import numpy as np
import numpy.typing as npt
import pytest

from charlm.serving.api_error import ApiError
from charlm.serving.application import build_application
from charlm.serving.engine import BatchEngine
from charlm.serving.limits import LIMITS
from charlm.serving.served_models import ServedModels
from charlm.serving.text_events import PromptRead, TextPiece
from charlm.serving.text_stream import CancelledTextError, TextStream
from tests.serving.engine_runs import MODEL, VOCAB, counting_model, read_all, read_events, run, task
from tests.serving.served import LOCAL, URL, served


def test_a_request_reads_its_prompt_and_then_writes() -> None:
    async def body(engine: BatchEngine) -> None:
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
    async def body(engine: BatchEngine) -> None:
        ended: list[str] = []

        async def read(name: str, stream: TextStream) -> None:
            await read_all(stream)
            ended.append(name)

        long = engine.submit([task(max_tokens=4000)])
        await long.read()
        short = engine.submit([task(max_tokens=20)])
        prompt = engine.submit([task(prompt="ab" * 2500, max_tokens=1)])
        await asyncio.gather(read("long", long), read("short", short), read("prompt", prompt))
        assert ended[0] == "short"
        assert ended[-1] == "long"

    run(body, replace(LIMITS, unread_events=10**6))


def test_texts_are_the_same_beside_others_as_alone() -> None:
    async def body(engine: BatchEngine) -> None:
        async def write(seed: int) -> str:
            return await read_all(engine.submit([task(max_tokens=50 + seed, seed=seed)]))

        alone = [await write(seed) for seed in range(20)]
        together = await asyncio.gather(*(write(seed) for seed in range(20)))
        assert together == alone
        assert len(set(alone)) == 20

    run(body)


def test_nothing_is_written_for_a_client_that_has_gone() -> None:
    model, counts = counting_model()

    async def body(engine: BatchEngine) -> None:
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

    async def body(engine: BatchEngine) -> None:
        stream = engine.submit([task(model, max_tokens=100_000)])
        await asyncio.sleep(0.3)
        before = counts[0]
        assert stream.num_unread == before - 3 + 1 == 20  # the prompt has three ids, and an event of its own
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

    async def body(engine: BatchEngine) -> None:
        alone = await read_all(engine.submit([task(max_tokens=1000)]))
        other = engine.submit([task(max_tokens=1000)])
        with pytest.raises(RuntimeError, match="broken"):
            await read_all(engine.submit([task(model)]))
        assert await read_all(other) == alone

    run(body, replace(LIMITS, unread_events=10**6))


def test_a_model_writes_again_after_an_error() -> None:
    model, counts = counting_model()
    fails = True

    def fail(*_: object) -> None:
        if fails and counts[0] > 30:
            raise RuntimeError("broken")

    model.network.register_forward_pre_hook(fail)

    async def body(engine: BatchEngine) -> None:
        nonlocal fails
        streams = [engine.submit([task(model, max_tokens=100, seed=seed)]) for seed in range(3)]
        for stream in streams:
            with pytest.raises(RuntimeError, match="broken"):
                await read_all(stream)
        fails = False
        assert await read_all(engine.submit([task(model)]))

    run(body)


class FailingConstraint:
    """Allows all ids, and fails at the tenth token."""

    start = 0
    ends_at_eod = True

    def mask(self, state: int, remaining: int) -> npt.NDArray[np.bool_]:
        del remaining
        if state == 10:
            raise ValueError("no such state")
        return np.ones(VOCAB.size, dtype=np.bool_) & (np.arange(VOCAB.size) != VOCAB.eod_id)

    def advance(self, state: int, token: int) -> int:
        del token
        return state + 1


def test_a_text_that_fails_does_not_touch_the_others() -> None:
    async def body(engine: BatchEngine) -> None:
        alone = [await read_all(engine.submit([task(seed=seed, max_tokens=60)])) for seed in range(8)]
        others = [engine.submit([task(seed=seed, max_tokens=60)]) for seed in range(8)]
        failing = engine.submit([task(count=3, max_tokens=60, constraint=FailingConstraint())])
        with pytest.raises(ValueError, match="no such state"):
            await read_all(failing)
        assert [await read_all(stream) for stream in others] == alone

    run(body, is_deterministic=True)


def test_each_request_has_a_row() -> None:
    """A request of many texts does not keep others waiting, though it came first."""

    async def body(engine: BatchEngine) -> None:
        many = engine.submit([task(count=50, max_tokens=60)])
        await many.read()
        few = [engine.submit([task(seed=seed, max_tokens=10)]) for seed in range(3)]
        for stream in few:
            assert len(await read_all(stream)) > 0
        rest = await read_events(many)
        assert sum(event.finish_reason is not None for event in rest if isinstance(event, TextPiece)) == 50

    run(body, replace(LIMITS, rows=4, unread_events=10**6))


def test_the_end_of_the_engine_is_the_end_of_all_requests() -> None:
    async def body(engine: BatchEngine) -> None:
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
    async def body(engine: BatchEngine) -> None:
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

    run(body, is_deterministic=True)
