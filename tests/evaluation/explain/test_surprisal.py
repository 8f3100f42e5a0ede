"""What tokens cost: the same as the score says, of probabilities that sum to one."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from charlm.errors import DataError
from charlm.evaluation import lane
from charlm.evaluation.evaluate import evaluate
from charlm.evaluation.explain import surprisal as surprisal_module
from charlm.evaluation.explain.surprisal import find_surprisals
from charlm.nn.bodies.settings import RecurrentSettings
from charlm.nn.build import build_model
from charlm.nn.heads.settings import AdaptiveSoftmaxSettings
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.vocab.base import Vocab
from charlm.workflows.evaluate import stream_from_text
from tests.evaluation.explain.models import CPU, VARIANTS, model_of, vocab_of

TEXT = "The quick ☃ fox, e\u0301. " * 40  # longer than a chunk of tokens


@pytest.fixture(scope="module", params=VARIANTS)
def vocab(request: pytest.FixtureRequest) -> Vocab:
    return vocab_of(request.param)


def check(model: LanguageModel, vocab: Vocab) -> None:
    stream = stream_from_text(TEXT, vocab)
    found = find_surprisals(model, stream, top=vocab.size, device=CPU)
    assert found.nats_P.sum() == pytest.approx(evaluate(model, stream, device=CPU).nats, rel=1e-5)
    assert found.ids_P.tolist() == stream.tokens[1:].tolist()
    probabilities_PV = np.exp(-found.top_nats_PK.astype(np.float64))
    assert probabilities_PV.sum(1) == pytest.approx(1, abs=1e-5)
    assert (np.diff(found.top_nats_PK) >= 0).all(), "the best first"
    assert (np.sort(found.top_ids_PK) == np.arange(vocab.size)).all(), "each once"
    came = (found.top_ids_PK == found.ids_P[:, None]).argmax(1)
    assert found.nats_P == pytest.approx(found.top_nats_PK[np.arange(len(came)), came], abs=1e-6)
    assert found.ranks_P == pytest.approx(1 + (found.top_nats_PK < found.nats_P[:, None] - 1e-9).sum(1), abs=1e-9)
    assert len(set(found.ranks_P.tolist())) > 3, "this model does not always guess alike"


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_the_sum_is_the_score_and_all_probabilities_are_one(vocab: Vocab, direction: str) -> None:
    model = model_of(vocab, "backward" if direction == "backward" else "forward")
    check(model, vocab)


def test_an_adaptive_softmax_too() -> None:
    vocab = vocab_of("char")
    torch.manual_seed(0)
    settings = ModelSettings(
        body=RecurrentSettings(hidden_size=16), head=AdaptiveSoftmaxSettings(cutoffs=(20, 100), div_value=2)
    )
    model = build_model(settings, vocab.size)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    check(model, vocab)


def test_the_best_few_are_the_first_of_all(vocab: Vocab) -> None:
    model, stream = model_of(vocab), stream_from_text(TEXT[:60], vocab)
    few, every = (find_surprisals(model, stream, top=top, device=CPU) for top in (3, 10**6))
    assert few.top_nats_PK.shape == (stream.num_predictions, 3)
    assert every.top_ids_PK.shape == (stream.num_predictions, vocab.size)
    assert (few.top_nats_PK == every.top_nats_PK[:, :3]).all()


def test_chunks_make_no_difference(vocab: Vocab, monkeypatch: pytest.MonkeyPatch) -> None:
    model, stream = model_of(vocab), stream_from_text(TEXT[:200], vocab)
    whole = find_surprisals(model, stream, top=2, device=CPU)
    monkeypatch.setattr(lane, "CHUNK", 50)
    monkeypatch.setattr(surprisal_module, "_CHUNK_ELEMENTS", 16 * vocab.size)
    pieces: list[int] = []
    cut = find_surprisals(model, stream, top=2, device=CPU, on_progress=pieces.append)
    assert cut.nats_P == pytest.approx(whole.nats_P, rel=1e-4, abs=1e-5)
    assert max(pieces) == 16
    assert sum(pieces) == stream.num_predictions


def test_each_token_is_predicted_from_those_before_it() -> None:
    """Against the model run by hand, a token at a time."""
    vocab = vocab_of("char")
    model, stream = model_of(vocab).eval(), stream_from_text("quick fox", vocab)
    found = find_surprisals(model, stream, top=1, device=CPU)
    state, nats = model.initial_state(1), []
    with torch.no_grad():
        for given, target in pairwise(stream.tokens.tolist()):
            features_BTH, state = model(torch.tensor([[given]]), state)
            probabilities_V = model.head.logits(features_BTH[0, 0]).softmax(-1)
            nats.append(-math.log(float(probabilities_V[target])))
    assert found.nats_P == pytest.approx(nats, rel=1e-4)


def test_a_model_in_training_mode_is_scored_without_dropout_and_returned_to_training() -> None:
    vocab = vocab_of("char")
    settings = ModelSettings(body=RecurrentSettings(hidden_size=12, output_dropout=0.5))
    model, stream = build_model(settings, vocab.size).train(), stream_from_text("quick", vocab)
    first, second = (find_surprisals(model, stream, top=1, device=CPU).nats_P for _ in range(2))
    assert model.training
    assert (first == second).all()


def test_numbers_that_overflow_are_reported() -> None:
    vocab = vocab_of("char")
    model = model_of(vocab)
    with torch.no_grad():
        next(model.head.parameters()).fill_(math.inf)
    with pytest.raises(DataError, match="overflow"):
        find_surprisals(model, stream_from_text("quick", vocab), top=1, device=CPU)
