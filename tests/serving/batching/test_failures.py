"""A request that fails does not end others: numbers that overflow after some text, and texts that cannot begin."""

from typing import Any

import pytest
import torch

from charlm.api import Model
from charlm.sampling.constraints.base import Constraint
from charlm.sampling.filters import LogitBias, Temperature
from charlm.serving.api_error import ApiError
from charlm.serving.engine import BatchEngine
from tests.serving.engine_runs import MODEL, VOCAB, read_events, run, task
from tests.serving.served import ids_of, make_model

(BAD_ID,) = ids_of(MODEL, "j")


def overflowing_model() -> Model:
    """A model whose numbers overflow once it has read the letter j."""
    model = make_model("char", VOCAB)
    with torch.no_grad():
        next(model.network.embedding.parameters())[BAD_ID] = float("nan")
    return model


def bias(amount: float) -> LogitBias:
    return LogitBias(torch.tensor([BAD_ID]), torch.tensor([amount]))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("num_alternatives", [None, 1])
def test_numbers_that_overflow_in_a_text_end_its_request_alone(
    temperature: float, num_alternatives: int | None
) -> None:
    model = overflowing_model()
    draw = Temperature(temperature)

    def good(seed: int) -> Any:
        return task(model, seed=seed, filters=(bias(-100), draw), num_alternatives=num_alternatives)

    async def body(engine: BatchEngine) -> None:
        alone = [await read_events(engine.submit([good(seed)])) for seed in range(2)]
        first = engine.submit([good(0)])
        bad = engine.submit([task(model, filters=(bias(100), draw), num_alternatives=num_alternatives)])
        second = engine.submit([good(1)])
        with pytest.raises(ApiError, match="overflow"):
            await read_events(bad)
        assert [await read_events(first), await read_events(second)] == alone

    run(body, is_deterministic=True)


def test_scores_that_overflow_end_their_request_alone() -> None:
    model = overflowing_model()

    async def body(engine: BatchEngine) -> None:
        streams = [
            engine.submit([task(model, prompt=prompt, max_tokens=0, num_alternatives=1, scores_prompt=True)])
            for prompt in ("a" * 40, "j" * 40, "b" * 40)
        ]
        with pytest.raises(ApiError, match="overflow"):
            await read_events(streams[1])
        assert len(await read_events(streams[0])) == len(await read_events(streams[2])) == 2

    run(body)


class UnusableConstraint(Constraint):
    """A constraint that no text can begin with."""

    ends_at_eod = False

    @property
    def start(self) -> Any:
        raise RuntimeError("no start")

    def mask(self, state: Any, remaining: int) -> Any:
        del state, remaining

    def advance(self, state: Any, token: int) -> Any:
        del state, token


@pytest.mark.parametrize("length", [3, 40])
def test_a_text_that_cannot_begin_ends_its_request_alone(length: int) -> None:
    """Whether prompts are read token by token or as chunks."""

    async def body(engine: BatchEngine) -> None:
        streams = [
            engine.submit([task(prompt=letter * length, constraint=constraint)])
            for letter, constraint in (("a", None), ("b", UnusableConstraint()), ("c", None))
        ]
        with pytest.raises(RuntimeError, match="no start"):
            await read_events(streams[1])
        assert await read_events(streams[0])
        assert await read_events(streams[2])

    run(body)
