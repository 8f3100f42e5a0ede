"""Beam search for targets: what it finds is held against all strings of a small vocabulary, one by one.

N sources, W beams, T tokens, V target vocabulary.
"""

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from charlm.data.source_texts import pad_sources
from charlm.evaluation.transduction.beam_search import BeamOptions, Hypothesis, search_targets
from charlm.evaluation.transduction.transduce import TransducerEnsemble
from charlm.nn.conditions.source import BoundTransducer, Transducer
from charlm.vocab.byte import ByteVocab
from charlm.vocab.char import CharVocab
from tests.nn.test_transducer import KINDS, SOURCES, build

CPU = torch.device("cpu")
V, END, LONGEST = 3, 0, 5
STRINGS = [ids for length in range(LONGEST + 1) for ids in product(range(1, V), repeat=length)]
LENGTHS = (4, 1, 6, 0)
EXACT = 2**LONGEST  # beams that keep all prefixes of the longest strings

Ids = tuple[int, ...]


def make(kind: str, seed: int = 1, target_size: int = V) -> Transducer:
    torch.manual_seed(seed)
    reader = {"embedding": {"size": 4}, "body": {"hidden_size": 6}}
    settings = {"embedding": {"size": 5}, "body": {"hidden_size": 6, "num_layers": 2}}
    model = build(settings | {"condition": {"type": "source", "encoder": reader, **KINDS[kind]}}, SOURCES, target_size)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.8)
    return model.eval()


def sources(lengths: Sequence[int] = LENGTHS) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randint(SOURCES, (length,), generator=generator) for length in lengths]


def given(model: Transducer, rows: Sequence[Tensor]) -> BoundTransducer:
    with torch.inference_mode():
        return model.given(tuple(map(torch.from_numpy, pad_sources([row.numpy() for row in rows]))))


def search(
    models: Sequence[Transducer], rows: Sequence[Tensor], options: BeamOptions, longest: int = LONGEST
) -> list[list[Hypothesis]]:
    return search_targets([given(model, rows) for model in models], [longest] * len(rows), END, options, device=CPU)


def probabilities(models: Sequence[Transducer], source: Tensor, strings: Sequence[Ids] = STRINGS) -> dict[Ids, float]:
    """Return the log-probability of each string, by the mean of the models' probabilities of each next token."""
    width = max(map(len, strings)) + 1
    tokens_BT = torch.tensor([[END, *ids, END] + [END] * (width - len(ids) - 1) for ids in strings])
    p_BT = torch.zeros(len(strings), width, dtype=torch.float64)
    with torch.inference_mode():
        for model in models:
            bound = given(model, [source])
            features, _ = bound(tokens_BT[:, :-1], bound.initial_state(len(strings)))
            p_BTV = bound.head.logits(features).double().softmax(-1)
            p_BT += p_BTV.gather(-1, tokens_BT[:, 1:, None])[..., 0] / len(models)
    return {ids: float(p_T[: len(ids) + 1].log().sum()) for ids, p_T in zip(strings, p_BT, strict=True)}


def expect(found: Sequence[Hypothesis], log_ps: dict[Ids, float], score: Callable[[Ids], float], number: int) -> None:
    best = sorted(log_ps, key=score, reverse=True)[:number]
    assert [each.ids for each in found[:number]] == best
    assert [each.log_p for each in found[:number]] == pytest.approx([log_ps[ids] for ids in best], abs=1e-5)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "copying" not in kind])
@pytest.mark.parametrize("penalty", [0.0, 0.7, 2.0])
def test_a_wide_beam_finds_the_best_of_all_strings(kind: str, penalty: float) -> None:
    model, rows = make(kind), sources()
    for row, found in zip(rows, search([model], rows, BeamOptions(EXACT, penalty)), strict=True):
        log_ps = probabilities([model], row)
        expect(found, log_ps, lambda ids, known=log_ps: known[ids] / (len(ids) + 1) ** penalty, EXACT)


def test_an_ensemble_has_the_mean_of_the_probabilities_of_each_token() -> None:
    models, rows = [make("additive"), make("monotonic", 2), make("dot", 3)], sources()
    for row, found in zip(rows, search(models, rows, BeamOptions(EXACT)), strict=True):
        log_ps = probabilities(models, row)
        expect(found, log_ps, log_ps.__getitem__, EXACT)
    (once,), (thrice,) = (search(several, rows[:1], BeamOptions(4)) for several in (models[:1], models[:1] * 3))
    assert [each.ids for each in once] == [each.ids for each in thrice]
    assert [each.log_p for each in once] == pytest.approx([each.log_p for each in thrice])


@pytest.mark.parametrize("seed", range(4))
def test_a_beam_of_one_follows_the_best_token(seed: int) -> None:
    """Of the beginnings of the path of best tokens, the most probable target is chosen."""
    model, rows = make("additive", seed), sources()
    for row, (found,) in zip(rows, search([model], rows, BeamOptions(1)), strict=True):
        path: Ids = ()
        log_ps = probabilities([model], row, [()])
        for _ in range(LONGEST):
            path = max(((*path, token) for token in range(1, V)), key=lambda ids, row=row: prefix_p(model, row, ids))
            log_ps |= probabilities([model], row, [path])
        expect([found], log_ps, log_ps.__getitem__, 1)


def prefix_p(model: Transducer, source: Tensor, ids: Ids) -> float:
    """Return the probability that a target begins with these ids."""
    bound = given(model, [source])
    tokens = torch.tensor([[END, *ids]])
    with torch.inference_mode():
        features, _ = bound(tokens[:, :-1], bound.initial_state(1))
        log_p_TV = bound.head.logits(features)[0].double().log_softmax(-1)
    return float(log_p_TV.gather(-1, tokens[0, 1:, None]).sum())


@pytest.mark.parametrize("width", [2, 5])
def test_more_beams_find_no_worse_targets(width: int) -> None:
    for seed in range(5):
        model, rows = make("additive", seed), sources()
        narrow, wide = (search([model], rows, BeamOptions(beams)) for beams in (width, EXACT))
        for few, all_ in zip(narrow, wide, strict=True):
            assert len({each.ids for each in few}) == len(few) == width
            log_ps = [each.log_p for each in few]
            assert log_ps == sorted(log_ps, reverse=True)
            assert all(mine <= best.log_p + 1e-5 for mine, best in zip(log_ps, all_, strict=False))


@pytest.mark.parametrize("longest", [0, 1, 3])
def test_no_target_is_longer_than_allowed(longest: int) -> None:
    model, rows = make("monotonic"), sources()
    short = [ids for ids in STRINGS if len(ids) <= longest]
    for row, found in zip(rows, search([model], rows, BeamOptions(EXACT), longest), strict=True):
        log_ps = probabilities([model], row, short)
        assert len(found) == len(short)
        expect(found, log_ps, log_ps.__getitem__, len(short))


def test_each_source_has_its_own_limit() -> None:
    model, rows = make("additive"), sources((3, 3, 3))
    limits = [0, 4, 2]
    together = search_targets([given(model, rows)], limits, END, BeamOptions(9), device=CPU)
    for row, limit, found in zip(rows, limits, together, strict=True):
        same(found, search([model], [row], BeamOptions(9), limit)[0])
        assert max(len(each.ids) for each in found) <= limit


def same(found: Sequence[Hypothesis], expected: Sequence[Hypothesis]) -> None:
    assert [each.ids for each in found] == [each.ids for each in expected]
    assert [each.log_p for each in found] == pytest.approx([each.log_p for each in expected], abs=1e-5)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "copying" not in kind])
def test_a_source_is_searched_as_if_alone(kind: str) -> None:
    model, rows = make(kind, target_size=6), sources((4, 1, 9, 0, 9))
    for row, found in zip(rows, search([model], rows, BeamOptions(4), 9), strict=True):
        same(found, search([model], [row], BeamOptions(4), 9)[0])


def test_a_model_that_never_ends_is_cut() -> None:
    model = make("additive")
    with torch.no_grad():
        model.get_parameter("head.bias_V")[END] = -math.inf
    for found in search([model], sources(), BeamOptions(3), 4):
        assert [len(each.ids) for each in found] == [4, 4, 4]
        assert all(math.isfinite(each.log_p) for each in found)


def test_numbers_that_overflow_end_the_search() -> None:
    model = make("additive")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(math.nan)
    assert search([model], sources(), BeamOptions(3)) == [[]] * len(LENGTHS)


def test_the_state_has_no_copy_of_what_was_read() -> None:
    """Beams select rows of the state; the memory of a source stays where it is."""
    sizes = [
        sum(tensor.numel() for tensor in given(make("dot-layers"), sources((length,))).initial_state(1))
        for length in (1, 500)
    ]
    assert sizes[0] == sizes[1]


# ---- texts


def ensemble(models: Sequence[Transducer], **changes: Any) -> TransducerEnsemble:
    vocab = CharVocab("ab", byte_fallback=False)
    assert (vocab.size, vocab.eod_id) == (V, END)
    settings: dict[str, Any] = {"vocab": vocab, "direction": "forward", "device": CPU}
    return TransducerEnsemble(models, **settings | changes)


def test_the_batches_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = make("monotonic"), [row.numpy() for row in sources((9, 2, 0, 7, 2, 3))]
    whole = ensemble([model]).transduce(rows, BeamOptions(3))
    for rows_at_once, tokens_at_once in ((3, 1 << 15), (6, 1 << 15), (1024, 1), (1024, 24)):
        monkeypatch.setattr("charlm.evaluation.transduction.transduce._MAX_ROWS", rows_at_once)
        monkeypatch.setattr("charlm.evaluation.transduction.transduce._MAX_TOKENS", tokens_at_once)
        progress: list[int] = []
        found = ensemble([model]).transduce(rows, BeamOptions(3), progress.append)
        assert sum(progress) == len(rows)
        assert len(progress) > 1
        for mine, other in zip(found, whole, strict=True):
            assert [each.text for each in mine] == [each.text for each in other]
            assert [each.probability for each in mine] == pytest.approx([each.probability for each in other], abs=1e-5)
    assert ensemble([model]).transduce([], BeamOptions(3)) == []


def test_a_backward_model_writes_from_the_end() -> None:
    rows = [row.numpy() for row in sources()]
    forward, backward = (
        ensemble([make("additive")], direction=direction).transduce(rows, BeamOptions(5))
        for direction in ("forward", "backward")
    )
    assert [[each.text[::-1] for each in found] for found in forward] == [
        [each.text for each in found] for found in backward
    ]


def test_a_model_keeps_its_mode() -> None:
    training, evaluating = make("additive").train(), make("dot")
    ensemble([training, evaluating]).transduce([sources()[0].numpy()], BeamOptions(2))
    assert (training.training, evaluating.training) == (True, False)


def test_the_probabilities_of_equal_texts_add_up() -> None:
    """Bytes that are not UTF-8 all decode to the same character; the texts are sorted by what they have together."""
    vocab = ByteVocab()
    model = make("additive", target_size=vocab.size)
    with torch.no_grad():
        model.get_parameter("head.weight_VH").zero_()
        bias_V = model.get_parameter("head.bias_V").fill_(-20)
        for token, logit in ((vocab.eod_id, 1.0), (ord("a"), 1.2), (0xFE, 1.0), (0xFF, 1.1)):
            bias_V[token] = logit
    found = ensemble([model], vocab=vocab).transduce([sources()[0].numpy()], BeamOptions(200))[0]
    texts = [each.text for each in found]
    assert len(set(texts)) == len(texts)
    best = [each.probability for each in found]
    assert best == sorted(best, reverse=True)
    one = next(each.probability for each in found if each.text == "a")
    odd = next(each.probability for each in found if each.text == "\ufffd")
    assert odd / one == pytest.approx((math.exp(1.0) + math.exp(1.1)) / math.exp(1.2), rel=1e-5)
