"""Beam search finds the most probable text; with enough beams, the most probable of all texts."""

import copy
import itertools

import pytest
import torch

from charlm.errors import DataError
from charlm.nn.model import LanguageModel
from charlm.sampling.beam import beam_search
from charlm.sampling.constraints.regex_automaton import RegexAutomaton
from charlm.sampling.constraints.tokens import TokenConstraint
from charlm.sampling.generate import prime_generator
from charlm.sampling.plan import SamplingPlan
from charlm.vocab.byte import ByteVocab
from charlm.vocab.char import CharVocab
from tests.sampling.test_generate import CPU, model_for

STRICT = CharVocab("abc", byte_fallback=False)


def cost(model: LanguageModel, prompt: str, ids: tuple[int, ...]) -> float:
    """The negative log-likelihood of ids after the prompt, in nats."""
    prompt_ids = [STRICT.eod_id, *STRICT.encode(prompt).tolist()]
    inputs = torch.tensor([[*prompt_ids, *ids]])
    with torch.no_grad():
        features, _ = model(inputs, model.initial_state(1))
        log_p = model.head.logits(features).double().log_softmax(-1)[0]
    return -sum(float(log_p[len(prompt_ids) - 1 + k, token]) for k, token in enumerate(ids))


@pytest.mark.parametrize("seed", range(4))
def test_wide_beams_find_the_best_of_all_texts(seed: int) -> None:
    model = model_for(STRICT, seed=seed)
    letters = [token for token in range(STRICT.size) if token != STRICT.eod_id]
    constraint = TokenConstraint(RegexAutomaton("[abc]{4}"), STRICT)
    generator = prime_generator(model, STRICT, "ab", SamplingPlan(4, constraint=constraint), CPU)
    text, nats = beam_search(generator, 81)
    costs = {ids: cost(model, "ab", ids) / 4 for ids in itertools.product(letters, repeat=4)}
    best = min(costs, key=costs.__getitem__)
    assert text == STRICT.decode(best)
    assert nats == pytest.approx(costs[best], rel=1e-5)


def test_one_beam_is_greedy_and_more_are_no_worse() -> None:
    model = model_for(STRICT, seed=2)
    generator = prime_generator(model, STRICT, "", SamplingPlan(12), CPU)
    found = [beam_search(generator, width) for width in (1, 2, 4, 16)]
    tokens: list[int] = []
    with torch.no_grad():
        while len(STRICT.decode(tokens)) < 12 and STRICT.eod_id not in tokens:
            features, _ = model(torch.tensor([[STRICT.eod_id, *tokens]]), model.initial_state(1))
            tokens.append(int(model.head.logits(features)[0, -1].argmax()))
    assert found[0][0].startswith(STRICT.decode(tokens))
    text, nats = min(found, key=lambda each: each[1])
    assert text in (found[2][0], found[3][0])
    assert nats == pytest.approx(min(found[2][1], found[3][1]), rel=1e-6), (
        "but for rounding, which depends on the width"
    )


@pytest.mark.parametrize("length", [0, 1, 7])
def test_the_length_is_exact(length: int) -> None:
    generator = prime_generator(model_for(STRICT), STRICT, "a", SamplingPlan(length), CPU)
    assert len(beam_search(generator, 3)[0]) == length


def test_many_beams_share_the_vocabulary() -> None:
    vocab = ByteVocab()
    generator = prime_generator(model_for(vocab), vocab, "", SamplingPlan(3), CPU)
    kept = generator.new_detokenizer()
    kept.push(vocab.encode("é")[0])
    copied = copy.deepcopy(kept)
    assert vars(copied)["_vocab"] is vocab
    assert vars(vars(copied)["_decoder"])["_text_of"] is vars(vocab)["_text_of"]
    assert copied.push(vocab.encode("é")[1]) == "é"
    assert kept.push(vocab.encode("è")[1]) == "è", "the copy does not change it"


def test_numbers_that_overflow_are_an_error() -> None:
    model = model_for(STRICT)
    with torch.no_grad():
        next(model.embedding.parameters())[:] = torch.nan
    for prompt in ("", "ab"):
        generator = prime_generator(model, STRICT, prompt, SamplingPlan(4), CPU)
        with pytest.raises(DataError, match="overflow"):
            beam_search(generator, 3)


def test_stops_end_beams() -> None:
    generator = prime_generator(model_for(STRICT, seed=1), STRICT, "", SamplingPlan(30, stop_strings=("b",)), CPU)
    assert "b" not in beam_search(generator, 4)[0]
