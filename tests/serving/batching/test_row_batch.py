"""Rows that step side by side: each goes on from its own state, whoever joins, leaves or waits."""

import random
from typing import Any

import pytest
import torch
from torch import Tensor

from charlm.api import Model
from charlm.nn.fused.compiled import load_compiled_library
from charlm.nn.model import LanguageModel
from charlm.nn.state import State
from charlm.serving.batching.request_progress import RequestProgress
from charlm.serving.batching.row_batch import RowBatch
from charlm.serving.batching.rows import Row, take_turns
from charlm.serving.batching.same_rows import GROUP_SIZE, Grouping, reliable_grouping
from charlm.vocab.char import CharVocab
from tests.serving.served import CPU, make_model, start_of

VOCAB = CharVocab("abcdefghij ")
KINDS: dict[str, dict[str, Any]] = {
    "lstm": {},
    "two layers": {"num_layers": 2},
    "gru": {"cell": {"type": "gru"}},
    "batch norm": {"norm": "batch", "norm_steps": 3},
    "dilated": {"num_layers": 2, "dilations": (1, 2)},
    "strided": {"num_layers": 2, "strides": (1, 2), "skip": "dense"},
    "no fast step": {"cell": {"type": "gru", "reset": "before"}},
    "window": {"type": "window", "window": 3},
    "mingru": {"cell": {"type": "mingru"}},
    "rglru": {"type": "rglru", "num_blocks": 1},
    "convolutions": {"type": "tcn", "num_blocks": 2, "kernel_size": 2},
}
LENGTH = 12


class SimpleRow(Row):
    """A row that reads given ids."""

    def __init__(self, state: State, ids: list[int]) -> None:
        super().__init__(Open(), state)
        self.ids = ids
        self.num_read = 0
        self.found: list[Tensor] = []

    @property
    def is_done(self) -> bool:
        return self.num_read == len(self.ids)

    def next_id(self) -> int:
        self.num_read += 1
        return self.ids[self.num_read - 1]


class Open(RequestProgress):
    """A request that goes on."""

    def __init__(self) -> None:
        pass

    @property
    def is_over(self) -> bool:
        return False


def models() -> dict[str, Model]:
    return {name: make_model(name, VOCAB, body=body) for name, body in KINDS.items()} | {
        "n-grams": make_model("n-grams", VOCAB, order=3)
    }


MODELS = models()


def make_rows(model: LanguageModel, count: int) -> list[SimpleRow]:
    generator = torch.Generator().manual_seed(count)
    ids = torch.randint(VOCAB.size, (count, LENGTH), generator=generator).tolist()
    return [SimpleRow(model.initial_state(1), own) for own in ids]


def step(batch: RowBatch, rows: list[SimpleRow]) -> None:
    batch.step(rows, [row.next_id() for row in rows])
    for row in rows:
        assert row.logits_V is not None
        row.found.append(row.logits_V.clone())


@torch.inference_mode()
def expected(model: LanguageModel, ids: list[int]) -> Tensor:
    features_BTH, _ = model(torch.tensor([ids]), model.initial_state(1))
    return model.head.logits(features_BTH)[0].log_softmax(-1)


def run_in_any_company(model: LanguageModel, group_size: int | None, seed: int) -> list[SimpleRow]:
    """Step 20 rows to their ends, a random part of them at a time."""
    rows, batch, chance = make_rows(model, 20), RowBatch(model, CPU, group_size), random.Random(seed)
    while unfinished := [row for row in rows if not row.is_done]:
        step(batch, chance.sample(unfinished, chance.randint(1, len(unfinished))))
    return rows


@pytest.mark.parametrize("group_size", [None, 4])
@pytest.mark.parametrize("kind", MODELS)
def test_rows_join_leave_and_wait(kind: str, group_size: int | None) -> None:
    model = MODELS[kind].network
    for row in run_in_any_company(model, group_size, seed=0):
        found = torch.stack(row.found).log_softmax(-1)
        torch.testing.assert_close(found, expected(model, row.ids), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("kind", MODELS)
def test_groups_of_one_size_give_equal_bits(kind: str) -> None:
    model = MODELS[kind].network
    grouping = reliable_grouping(start_of(MODELS[kind]), CPU)
    assert grouping.chunk_rows in (1, GROUP_SIZE)
    assert grouping.step_rows in (None, 1, GROUP_SIZE)
    size = grouping.step_rows
    for row in run_in_any_company(model, size, seed=1):
        alone = SimpleRow(model.initial_state(1), row.ids)
        batch = RowBatch(model, CPU, size)
        while not alone.is_done:
            step(batch, [alone])
        assert torch.equal(torch.stack(alone.found), torch.stack(row.found))


def test_a_model_whose_rows_depend_on_their_place_steps_each_alone() -> None:
    """With weights of few digits all sums are exact, so that no CPU's order of additions can change them."""
    model = make_model("mixed", VOCAB, body={"type": "window", "window": 3, "activation": "relu"})
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.copy_((parameter * 8).round() / 8)

    def mix(_: object, __: object, output: tuple[Tensor, State]) -> tuple[Tensor, State]:
        features_BTH, state = output
        return features_BTH + features_BTH.cumsum(0) * 1e-3, state

    assert reliable_grouping(start_of(model), CPU).chunk_rows == GROUP_SIZE
    model.network.register_forward_hook(mix)
    assert reliable_grouping(start_of(model), CPU) == Grouping(1, 1)


def test_chunks_of_a_network_that_counts_tokens_are_read_alone() -> None:
    """Rows of one count are computed in C, and rows of different counts step by step."""
    assert reliable_grouping(start_of(MODELS["batch norm"]), CPU).chunk_rows == 1


def test_a_model_for_which_the_number_of_rows_matters_steps_in_groups() -> None:
    model = make_model("counting", VOCAB, body={"type": "window", "window": 3, "activation": "relu"})

    def add_number(_: object, __: object, output: tuple[Tensor, State]) -> tuple[Tensor, State]:
        features_BTH, state = output
        return features_BTH + len(features_BTH) * 1e-3, state

    model.network.register_forward_hook(add_number)
    assert reliable_grouping(start_of(model), CPU).step_rows in (1, GROUP_SIZE)


@pytest.mark.skipif(load_compiled_library() is None, reason="needs a C compiler")
@pytest.mark.parametrize("kind", ["lstm", "two layers", "gru", "n-grams"])
def test_a_compiled_step_needs_no_groups(kind: str) -> None:
    assert reliable_grouping(start_of(MODELS[kind]), CPU).step_rows is None


def test_a_row_that_has_read_its_last_token_gets_its_state() -> None:
    model = MODELS["two layers"].network
    first, second = make_rows(model, 2)
    batch = RowBatch(model, CPU, None)
    for _ in range(LENGTH):
        step(batch, [first, second])
    batch.copy_states([second])
    assert first.state is None
    assert second.state is not None
    with torch.inference_mode():
        _, state = model(torch.tensor([second.ids]), model.initial_state(1))
    for own, other in zip(second.state, state, strict=True):
        torch.testing.assert_close(own, other)


def test_the_first_rows_of_each_request_come_before_the_second() -> None:
    many, few, one = Open(), Open(), Open()
    rows = [SimpleRow((), [0]) for _ in range(7)]
    for row, request in zip(rows, (many, many, many, many, few, few, one), strict=True):
        row.request = request
    chosen = take_turns(rows, 4)
    assert [row.request for row in chosen] == [many, few, one, many]
    assert take_turns(rows, 7) == rows
