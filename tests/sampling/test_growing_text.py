"""Texts of different plans that draw side by side: each draws what it would draw alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from charlm.sampling.detokenizer import Detokenizer
from charlm.sampling.filters import (
    Filter,
    FrequencyPenalty,
    LogitBias,
    MinP,
    PresencePenalty,
    Temperature,
    TopK,
    TopP,
    Typical,
    apply_filters,
)
from charlm.sampling.growing_text import GrowingText, draw_next
from charlm.sampling.options import SamplingOptions
from charlm.sampling.plan import SamplingPlan, plan_sampling
from charlm.sampling.shared_filters import group_of, merge_filters
from charlm.vocab.char import CharVocab

VOCAB = CharVocab("abcdefghij ")
NO_IDS = np.zeros(0, dtype=np.int64)
STEPS = 30
BIAS = LogitBias(torch.tensor([3, 5]), torch.tensor([2.0, -100.0]))
PLANS: dict[str, SamplingPlan] = {
    **{
        name: SamplingPlan(length=10**9, filters=filters)
        for name, filters in {
            "own distribution": (Temperature(1.0),),
            "warm": (Temperature(1.3),),
            "cool": (Temperature(0.7),),
            "greedy": (Temperature(0),),
            "nearly greedy": (Temperature(1e-30),),
            "top-k": (Temperature(0.7), TopK(4)),
            "top-k, warmer": (Temperature(0.9), TopK(4)),
            "top-p": (Temperature(0.9), Typical(0.9), TopP(0.8), MinP(0.05)),
            "penalties": (FrequencyPenalty(0.5), PresencePenalty(1.0), Temperature(0.8)),
            "bias": (BIAS, Temperature(0.8)),
            "bias, warmer": (BIAS, Temperature(1.2)),
            "schedule": (Temperature(0.2, 2.0),),
        }.items()
    },
    "regex": plan_sampling(SamplingOptions(length=STEPS, regex="[a-e]*(fg)+", temperature=0.8), VOCAB),
    "only": plan_sampling(SamplingOptions(length=10**6, only="abc", temperature=1.1), VOCAB),
}


def make_text(plan: SamplingPlan, stream: int = 0) -> GrowingText:
    detokenizer = Detokenizer(VOCAB, plan.length, ends_at_eod=plan.ends_at_eod)
    return GrowingText(plan, stream, detokenizer, VOCAB.size, NO_IDS)


def draw(texts: list[GrowingText], logits_BV: Tensor) -> list[int]:
    tokens = draw_next(texts, logits_BV, [text.allowed_ids() for text in texts]).tolist()
    for text, token in zip(texts, tokens, strict=True):
        if not text.done:
            text.push(token)
    return tokens


def test_each_text_draws_what_it_draws_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    logits_SBV = torch.randn(STEPS, len(PLANS), VOCAB.size, generator=generator) * 3
    together = [make_text(replace(plan, seed=seed)) for seed, plan in enumerate(PLANS.values())]
    drawn = np.array([draw(together, logits_BV) for logits_BV in logits_SBV])
    for row, (name, plan) in enumerate(PLANS.items()):
        text = make_text(replace(plan, seed=row))
        alone = [draw([text], logits_BV[row : row + 1])[0] for logits_BV in logits_SBV]
        assert drawn[:, row].tolist() == alone, name
    assert len({tuple(column) for column in drawn.T.tolist()}) == len(PLANS)


def test_the_order_of_texts_does_not_matter() -> None:
    generator = torch.Generator().manual_seed(1)
    logits_BV = torch.randn(len(PLANS), VOCAB.size, generator=generator)
    forward = draw([make_text(plan) for plan in PLANS.values()], logits_BV)
    backward = draw([make_text(plan) for plan in reversed(PLANS.values())], logits_BV.flip(0))
    assert backward == forward[::-1]


@pytest.mark.parametrize("others", [(), (TopK(3),), (TopP(0.9), MinP(0.01))])
def test_temperatures_of_a_group_are_those_of_each(others: tuple[Filter, ...]) -> None:
    logits_BV = torch.randn(4, 50, generator=torch.Generator().manual_seed(2))
    rows = [(Temperature(value), *others) for value in (0.3, 0.7, 1.7, 99.0)]
    assert len({group_of(filters) for filters in rows}) == 1
    together = apply_filters(merge_filters(rows), logits_BV)
    alone = [apply_filters(filters, logits_BV[row : row + 1]) for row, filters in enumerate(rows)]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("other", [Temperature(1.0), Temperature(0), Temperature(0.5, 1.0), Temperature(1e-40)])
def test_other_temperatures_are_no_group(other: Temperature) -> None:
    assert group_of((other,)) != group_of((Temperature(0.7),))
