"""Evaluation: every token is scored exactly once, after the tokens before it, for any number of lanes."""

import math
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor

from charlm.data.batches import Batches, Cursor
from charlm.data.store import DOCUMENT_DTYPE, TokenStream
from charlm.device import cpu_has_bf16
from charlm.evaluation import evaluate as evaluate_module
from charlm.evaluation import lane_states
from charlm.evaluation.evaluate import WARM_UP, cut_lanes, default_num_lanes, evaluate, lane_batches, score_tokens
from charlm.evaluation.score import NOT_SCORED
from charlm.nn.bodies.base import Body
from charlm.nn.bodies.settings import RecurrentSettings
from charlm.nn.build import build_model
from charlm.nn.dropout import NoiseRNG
from charlm.nn.embeddings.settings import TokenEmbeddingSettings
from charlm.nn.embeddings.token_embedding import TokenEmbedding
from charlm.nn.heads.softmax import Softmax
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.nn.state import State
from charlm.training.distributed import SingleProcess
from charlm.training.model_updater import ModelUpdater
from charlm.training.optim.schedules import ScheduleInput
from charlm.training.optim.settings import AdamWSettings
from charlm.training.settings import TrainingSettings
from charlm.vocab.base import IGNORE_INDEX

CPU = torch.device("cpu")


def stream_of(ids: Any) -> TokenStream:
    """A stream that counts one character, word and byte for each token."""
    documents = np.array([(1, len(ids) - 1, len(ids) - 1, len(ids) - 1)], dtype=DOCUMENT_DTYPE)
    return TokenStream(np.asarray(ids), documents)


# ---- lanes


@given(
    num_predictions=st.integers(0, 200),
    streams=st.integers(1, 12),
    chunk=st.integers(1, 17),
    warm_up=st.integers(0, 60),
)
@example(num_predictions=1, streams=64, chunk=256, warm_up=1024)
@example(num_predictions=17, streams=1, chunk=8, warm_up=0)
@hypothesis_settings(max_examples=200)
def test_every_token_is_scored_once_after_the_tokens_before_it(
    num_predictions: int, streams: int, chunk: int, warm_up: int
) -> None:
    ids = np.arange(num_predictions + 1)
    scored: list[int] = []
    contexts: dict[int, list[int]] = {}
    lanes = cut_lanes(num_predictions, streams, warm_up, chunk)
    for _, (inputs_BT, targets_BT, reset_B, *_) in lane_batches(stream_of(ids), lanes, chunk):
        assert inputs_BT.shape == targets_BT.shape
        assert len(inputs_BT) <= streams
        for row, reset in enumerate(reset_B.tolist()):
            if reset:
                contexts[row] = []
            for given_id, target in zip(inputs_BT[row].tolist(), targets_BT[row].tolist(), strict=True):
                contexts.setdefault(row, []).append(given_id)
                if target != IGNORE_INDEX:
                    scored.append(target)
                    read = contexts[row]
                    assert read == list(range(target - len(read), target)), "the text before it, without a gap"
                    assert len(read) >= min(target, warm_up), "and enough of it"
    assert sorted(scored) == list(range(1, num_predictions + 1))


@given(num_predictions=st.integers(0, 10**9))
def test_warm_ups_are_at_most_a_quarter_of_the_work(num_predictions: int) -> None:
    streams = default_num_lanes(num_predictions)
    assert 1 <= streams <= 64
    assert (streams - 1) * WARM_UP <= num_predictions / 4
    assert streams == 64 or (streams + 1) * 4 * WARM_UP > num_predictions


# ---- a model whose score is known


class Passing(Body):
    """A body that returns its inputs."""

    def initial_state(self, batch_size: int) -> State:
        return ()

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        return x_BTD, state

    @property
    def activations_per_token(self) -> int:
        return 0


def bigram_model(probabilities_VV: Tensor) -> LanguageModel:
    """P(next | last) as weights: the embedding is the identity, the head holds the logarithms."""
    size = len(probabilities_VV)
    embedding = TokenEmbedding(size, size)
    head = Softmax(size, size)
    with torch.no_grad():
        embedding.weight_VD.copy_(torch.eye(size))
        head.weight_VH.copy_(probabilities_VV.clamp(min=1e-30).log().T)
    return LanguageModel(embedding, Passing(), head, NoiseRNG())


@pytest.mark.parametrize("streams", [1, 3, None])
def test_a_bigram_model_has_the_negative_log_likelihood_of_its_table(streams: int | None) -> None:
    generator = np.random.default_rng(0)
    table = generator.dirichlet(np.full(6, 0.7), size=6).clip(1e-4)
    table /= table.sum(axis=1, keepdims=True)
    ids = [0]
    for _ in range(5000):
        ids.append(int(generator.choice(6, p=table[ids[-1]])))
    score = evaluate(bigram_model(torch.from_numpy(table)), stream_of(ids), num_lanes=streams, device=CPU)
    nats = -math.fsum(math.log(table[last, following]) for last, following in pairwise(ids))
    assert score.tokens == 5000
    assert score.nats / 5000 == pytest.approx(nats / 5000, abs=1e-6)
    assert score.perplexity == pytest.approx(math.exp(nats / 5000), rel=1e-6)


def test_a_chain_that_tosses_a_coin_has_one_bit_per_token() -> None:
    table = torch.tensor([[0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.5, 0.5], [0.5, 0.0, 0.0, 0.5], [0.5, 0.5, 0.0, 0.0]])
    ids = [0]
    for toss in np.random.default_rng(1).integers(1, 3, size=1500).tolist():
        ids.append((ids[-1] + toss) % 4)
    score = evaluate(bigram_model(table), stream_of(ids), device=CPU)
    assert score.bits_per_character == pytest.approx(1, abs=1e-6)
    assert score.perplexity == pytest.approx(2, abs=1e-6)


def test_a_target_off_by_one_would_change_the_score() -> None:
    """The certain chain 0 1 2 3 0 ... has 0 nats; a target off by one would have very many."""
    table = torch.full((4, 4), 1e-9)
    table[torch.arange(4), (torch.arange(4) + 1) % 4] = 1.0
    ids = np.arange(900) % 4
    assert evaluate(bigram_model(table), stream_of(ids), device=CPU).nats == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("num_predictions", [0, 1, 255, 256, 257])
def test_the_last_partial_chunk_is_scored(num_predictions: int) -> None:
    ids = np.arange(num_predictions + 1) % 3
    score = evaluate(bigram_model(torch.full((3, 3), 1 / 3)), stream_of(ids), device=CPU)
    assert (score.tokens, score.characters) == (num_predictions, num_predictions)
    assert score.nats == pytest.approx(num_predictions * math.log(3), abs=1e-3)


@pytest.mark.parametrize("num_shards", [2, 3, 4])
@pytest.mark.parametrize("num_lanes", [1, 2, 3, 4, 5])
def test_shards_report_equally_often_and_score_every_token_once(num_lanes: int, num_shards: int) -> None:
    """The ranks of a job synchronize at each report. A shard may have no lanes, or only one without a warm-up."""
    torch.manual_seed(0)
    architecture = ModelSettings(embedding=TokenEmbeddingSettings(size=4), body=RecurrentSettings(hidden_size=8))
    model = build_model(architecture, 8)
    stream = stream_of(np.random.default_rng(0).integers(0, 8, size=4000))
    calls: list[list[int]] = [[] for _ in range(num_shards)]
    nats_SP = np.stack(
        [
            score_tokens(
                model, stream, num_lanes=num_lanes, device=CPU, shard=(number, num_shards), on_progress=reported.append
            )
            for number, reported in enumerate(calls)
        ]
    )
    assert len({len(reported) for reported in calls}) == 1
    assert ((nats_SP != NOT_SCORED).sum(axis=0) == 1).all()
    whole_P = score_tokens(model, stream, num_lanes=num_lanes, device=CPU)
    np.testing.assert_allclose(nats_SP.max(axis=0), whole_P, atol=1e-4)


def test_a_shard_does_not_hide_numbers_that_overflow() -> None:
    model, stream = bigram_model(torch.full((3, 3), 1 / 3)), stream_of(np.arange(4000) % 3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(math.nan)
    score = evaluate(model, stream, num_lanes=2, device=CPU, shard=(0, 2))
    assert math.isnan(score.nats)
    assert 0 < score.tokens < stream.num_predictions


def test_progress_adds_up_and_may_stop_the_evaluation() -> None:
    model, stream = bigram_model(torch.full((3, 3), 1 / 3)), stream_of(np.arange(1500) % 3)
    model.train()
    scored: list[int] = []
    score = evaluate(model, stream, device=CPU, on_progress=scored.append)
    assert sum(scored) == score.tokens == stream.num_predictions
    assert model.training, "the model is back in training mode"

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(model, stream, device=CPU, on_progress=stop)
    assert model.training


# ---- a model with a memory


@pytest.fixture(scope="module", params=["plain", "strided", "batch"])
def trained(request: pytest.FixtureRequest) -> tuple[LanguageModel, TokenStream]:
    """A tiny LSTM, plain, with a stride or with batch normalisation, trained briefly on a text with structure, and a
    held-out part of that text."""
    generator = np.random.default_rng(0)
    words = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dog", "and", "then"]
    text = " ".join(words[int(i)] for i in generator.zipf(1.5, size=8000) % 10)
    ids = np.frombuffer(text.encode(), dtype=np.uint8) % 32
    train, test = stream_of(ids[:-4000]), stream_of(ids[-4000:])
    torch.manual_seed(0)
    settings = TrainingSettings(
        batch_size=16, seq_len=24, max_steps=80, optimizer=AdamWSettings(lr=0.02), precision="fp32"
    )
    strided = RecurrentSettings(hidden_size=24, num_layers=2, strides=(1, 3), skip="residual")
    normalised = RecurrentSettings(hidden_size=24, norm="batch")
    body = {"plain": RecurrentSettings(hidden_size=24), "strided": strided, "batch": normalised}[request.param]
    architecture = ModelSettings(embedding=TokenEmbeddingSettings(size=8), body=body)
    updater = ModelUpdater(build_model(architecture, 32), settings, CPU, SingleProcess())
    batches = Batches(
        train, settings.batch_size, settings.seq_len, 0, 24 if architecture.depends_on_step_count else None
    )
    cursor = Cursor()
    for step in range(80):
        moment = ScheduleInput(step, 0, 0.0, 0.0)
        updater.update(batches.batch(cursor), moment, num_scored=batches.num_scored(cursor))
        cursor = batches.next_cursor(cursor)
    return updater.model, test


@pytest.fixture(scope="module")
def exact_P(trained: tuple[LanguageModel, TokenStream]) -> np.ndarray:
    """The nats of each token, all in one lane."""
    return score_tokens(*trained, num_lanes=1, device=CPU)


def bits_per_character(nats_P: np.ndarray) -> float:
    return float(nats_P.mean(dtype=np.float64) / math.log(2))


def test_lanes_do_not_change_the_score(trained: tuple[LanguageModel, TokenStream], exact_P: np.ndarray) -> None:
    model, stream = trained
    exact = bits_per_character(exact_P)
    assert exact < 2.5, "it has learned something"
    for streams in (2, 7, 64):
        found = evaluate(model, stream, num_lanes=streams, device=CPU).bits_per_character
        assert found == pytest.approx(exact, abs=0.0005), streams


def test_one_lane_is_one_pass_over_the_text(trained: tuple[LanguageModel, TokenStream]) -> None:
    model, stream = trained
    ids = torch.from_numpy(stream.tokens[:601].astype(np.int64))
    with torch.no_grad():
        features, _ = model.eval()(ids[None, :-1], model.initial_state(1))
        nats = model.head.nll(features, ids[None, 1:]).double().sum().item()
    assert evaluate(model, stream_of(ids.numpy()), num_lanes=1, device=CPU).nats == pytest.approx(nats, rel=1e-6)


def test_without_a_warm_up_lanes_would_change_the_score(
    trained: tuple[LanguageModel, TokenStream], exact_P: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This shows that the model uses its memory, so that the agreement above is meaningful."""
    model, stream = trained
    monkeypatch.setattr(evaluate_module, "CHUNK", 32)
    monkeypatch.setattr(evaluate_module, "WARM_UP", 0)
    monkeypatch.setitem(lane_states.STATE_TOLERANCES, "fp32", math.inf)
    cold = evaluate(model, stream, num_lanes=500, device=CPU).bits_per_character or 0
    assert cold > bits_per_character(exact_P) + 0.01


def test_a_lane_with_a_mismatched_state_is_scored_again(
    trained: tuple[LanguageModel, TokenStream], exact_P: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a warm-up every lane is scored again, one after the other, and the score is still exact."""
    model, stream = trained
    monkeypatch.setattr(evaluate_module, "WARM_UP", 0)
    found = score_tokens(model, stream, num_lanes=40, device=CPU)
    assert np.abs(found - exact_P).max() < 0.05
    assert abs(found.sum(dtype=np.float64) - exact_P.sum(dtype=np.float64)) < 0.01


@pytest.mark.skipif(not cpu_has_bf16(), reason="the CPU does not multiply bf16")
def test_rounding_to_bf16_is_no_mismatch(
    trained: tuple[LanguageModel, TokenStream], exact_P: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """States of the same text differ by rounding. Scoring all lanes again for that took ten times as long."""
    model, stream = trained
    mismatched: list[int] = []

    def find(*arguments: Any) -> np.ndarray:
        found = lane_states.find_mismatched_lanes(*arguments)
        mismatched.append(len(found))
        return found

    monkeypatch.setattr(evaluate_module, "find_mismatched_lanes", find)
    found = evaluate(model, stream, num_lanes=7, device=CPU, precision="bf16").bits_per_character
    assert mismatched == [0]
    assert found == pytest.approx(bits_per_character(exact_P), abs=0.005)


class Switch(Body):
    """A state that lasts for ever: id 1 turns it on, id 2 turns it off."""

    features_size = 4

    def initial_state(self, batch_size: int) -> State:
        return (torch.zeros(batch_size),)

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        (on_B,) = state
        turns_BT = ((x_BTD[..., 1] + x_BTD[..., 2]) > 0).long() * torch.arange(1, x_BTD.shape[1] + 1)
        last_BT = turns_BT.cummax(1).values
        turned_BT = x_BTD[..., 1].gather(1, (last_BT - 1).clamp(min=0)) > 0
        on_BT = torch.where(last_BT > 0, turned_BT.float(), on_B[:, None])
        nothing_BT = torch.zeros_like(on_BT)
        return torch.stack([on_BT, 1 - on_BT, nothing_BT, nothing_BT], dim=2), (on_BT[:, -1],)

    @property
    def activations_per_token(self) -> int:
        return 4


@pytest.mark.parametrize("turned", [(40,), (40, 21_000), (40, 9_000, 9_001)])
def test_every_lane_knows_a_state_that_lasts_for_ever(turned: tuple[int, ...]) -> None:
    """A warm-up of 1,024 tokens does not show the state of the switch; the end of the lane before does."""
    ids = np.full(60_000, 3)
    ids[list(turned)] = [1 + number % 2 for number in range(len(turned))]
    model = bigram_model(torch.full((4, 4), 0.25))
    with torch.no_grad():
        cast("Softmax", model.head).weight_VH.copy_(
            torch.tensor([[0.0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [3, -3, 0, 0]])
        )
    model.body = Switch()
    exact = score_tokens(model, stream_of(ids), num_lanes=1, device=CPU)
    for streams in (2, 7, 14):
        found = score_tokens(model, stream_of(ids), num_lanes=streams, device=CPU)
        np.testing.assert_allclose(found, exact, atol=1e-6)


def test_evaluation_is_deterministic_with_dropout() -> None:
    torch.manual_seed(0)
    body = RecurrentSettings(hidden_size=8, output_dropout=0.5)
    model = build_model(ModelSettings(embedding=TokenEmbeddingSettings(size=4), body=body), 8).train()
    stream = stream_of(np.random.default_rng(0).integers(0, 8, size=600))
    assert evaluate(model, stream, device=CPU) == evaluate(model, stream, device=CPU)
