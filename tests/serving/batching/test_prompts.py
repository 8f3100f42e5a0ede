"""Prompts: each is read once, several side by side, and the states after them are kept within a memory limit."""

from dataclasses import replace
from typing import Any

import torch

from charlm.serving.engine import BatchEngine
from charlm.serving.limits import LIMITS
from tests.serving.engine_runs import VOCAB, counting_model, read_events, run, task
from tests.serving.served import make_model


def test_a_prompt_is_read_once() -> None:
    model, counts = counting_model()

    async def body(engine: BatchEngine) -> None:
        async def num_read(prompt: str, **more: Any) -> int:
            before = counts[0]
            await read_events(engine.submit([task(model, prompt=prompt, max_tokens=0, **more)]))
            return counts[0] - before

        for letter, length in (("a", 3), ("b", 40), ("c", 300)):
            prompt = letter * length
            assert await num_read(prompt) == length + 1
            assert await num_read(prompt) == 0
            assert await num_read(f"{prompt}ab", count=2) == 2
            assert await num_read(prompt, scores_prompt=True) == length + 1

    run(body)


def test_without_memory_each_prompt_is_read_again() -> None:
    model, counts = counting_model()

    async def body(engine: BatchEngine) -> None:
        for _ in range(3):
            await read_events(engine.submit([task(model, prompt="abcd", max_tokens=0)]))
        assert counts[0] == 15

    run(body, replace(LIMITS, prompt_state_bytes=0))


def test_several_prompts_are_read_side_by_side() -> None:
    model, calls = make_model("window", VOCAB, body={"type": "window", "window": 3}), list[tuple[int, int]]()

    def note(_: object, arguments: tuple[torch.Tensor, object]) -> None:
        calls.append((arguments[0].shape[0], arguments[0].shape[1]))

    model.network.register_forward_pre_hook(note)

    async def body(engine: BatchEngine) -> None:
        tasks = [task(model, prompt="a" * 100 + letter, max_tokens=0) for letter in "abcdefgh"]
        await read_events(engine.submit(tasks))
        assert (8, 102) in calls

    run(body)
