"""A deterministic engine: no bit of an answer depends on who else asks, or on what was asked before."""

from typing import Any

import pytest

from charlm.sampling.constraints.build import build_constraint
from charlm.sampling.filters import FrequencyPenalty, MinP, Temperature, TopK, TopP
from charlm.sampling.options import SamplingOptions
from charlm.serving.engine import BatchEngine
from charlm.serving.text_events import TextEvent
from tests.serving.engine_runs import VOCAB, read_events, run, task
from tests.serving.served import make_model

REGEX = build_constraint(SamplingOptions(length=1000, regex="[a-j ]{5,60}"), VOCAB)
OPTIONS: list[dict[str, Any]] = [
    {},
    {"filters": (Temperature(0.7),)},
    {"filters": (Temperature(0.9), TopK(5))},
    {"filters": (FrequencyPenalty(0.5), Temperature(1.2), TopP(0.9), MinP(0.01))},
    {"constraint": REGEX},
    {"num_alternatives": 3},
    {"num_alternatives": 0, "scores_prompt": True},
    {"count": 4},
]
BODIES: dict[str, dict[str, Any]] = {
    "lstm": {"num_layers": 2},
    "batch norm": {"norm": "batch", "norm_steps": 3},
    "batch norm in C": {"norm": "batch", "norm_steps": 48, "hidden_size": 64},
    "window": {"type": "window", "window": 3},
    "strided": {"num_layers": 2, "strides": (1, 2), "skip": "dense"},
}


def test_a_model_that_cannot_step_ends_its_requests() -> None:
    model = make_model("broken", VOCAB)

    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    model.network.register_forward_pre_hook(fail)

    async def body(engine: BatchEngine) -> None:
        with pytest.raises(RuntimeError, match="broken"):
            await read_events(engine.submit([task(model)]))
        assert await read_events(engine.submit([task()]))

    run(body, is_deterministic=True)


@pytest.mark.parametrize("name", [*BODIES, "n-grams"])
def test_a_deterministic_text_does_not_depend_on_others(name: str) -> None:
    """Bit for bit, log-probabilities too: of prompts of any length, whatever was read before."""
    model = make_model(name, VOCAB, body=BODIES.get(name), order=0 if name in BODIES else 3)
    text = "abcdefghij " * 12
    tasks = [
        task(model, prompt=text[: 11 * number + number], max_tokens=10 + 7 * number, seed=number, **options)
        for number, options in enumerate(OPTIONS)
    ]

    async def alone(engine: BatchEngine, which: int) -> list[TextEvent]:
        return await read_events(engine.submit([tasks[which]]))

    expected: list[list[TextEvent]] = []
    for which in range(len(tasks)):
        run_one: list[list[TextEvent]] = []

        async def body(engine: BatchEngine, which: int = which, found: list[list[TextEvent]] = run_one) -> None:
            found.append(await alone(engine, which))

        run(body, is_deterministic=True)
        expected += run_one

    async def together(engine: BatchEngine) -> None:
        for order in (range(len(tasks)), reversed(range(len(tasks)))):
            streams = {which: engine.submit([tasks[which]]) for which in order}
            for which, stream in streams.items():
                assert await read_events(stream) == expected[which]

    run(together, is_deterministic=True)
