"""Log-probabilities: those of `charlm eval`, at the right places, for every vocabulary and kind of model."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from charlm.api import Model
from charlm.serving.prompts import Prompt
from charlm.vocab.byte import ByteVocab
from tests.serving.served import TEXT, client_of, complete, ids_of, make_model, values, vocabularies

MODELS = {name: make_model(name, vocab) for name, vocab in vocabularies().items()} | {
    "n-grams inside": make_model("n-grams inside", vocabularies()["char"], order=4),
    "window": make_model("window", vocabularies()["char"], body={"type": "window", "window": 5}),
}
BYTES = ByteVocab()
LONG = TEXT * 12
"""Longer than the chunks in which a prompt is read."""


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with client_of(MODELS) as client:
        yield client


def logprobs(client: TestClient, **fields: Any) -> dict[str, list[Any]]:
    return complete(client, **{"echo": True, "logprobs": 2, "temperature": 0, **fields})["choices"][0]["logprobs"]


@pytest.mark.parametrize("name", MODELS)
def test_the_sum_is_the_score_of_the_text(client: TestClient, name: str) -> None:
    """As lm-evaluation-harness asks for a document: from <eod>, with one token that is drawn and dropped."""
    model = MODELS[name]
    ids = [model.vocab.eod_id, *ids_of(model, LONG)]
    found = logprobs(client, model=name, prompt=ids, max_tokens=1, logprobs=1)
    assert found["token_logprobs"][0] is None
    closing = [model.vocab.eod_id]
    drawn = logprobs(client, model=name, prompt=[*ids, *closing], max_tokens=0)["token_logprobs"]
    assert found["token_logprobs"][: len(ids)] == pytest.approx(drawn[: len(ids)], abs=1e-5)
    assert -sum(values(drawn)) == pytest.approx(model.score(LONG).nats, rel=1e-6)
    assert -sum(found["token_logprobs"][1:-1]) == pytest.approx(model.score(LONG).nats + drawn[-1], rel=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_every_place_is_the_one_of_the_model(client: TestClient, name: str) -> None:
    model = MODELS[name]
    ids = [model.vocab.eod_id, *ids_of(model, TEXT)]
    with torch.inference_mode():
        features_BTH, _ = model.network(torch.tensor([ids]), model.network.initial_state(1))
        log_p_TV = model.network.head.logits(features_BTH)[0].log_softmax(-1)
    found = logprobs(client, model=name, prompt=TEXT, max_tokens=3, logprobs=3, logit_bias={})
    expected = log_p_TV[torch.arange(1, len(ids) - 1), torch.tensor(ids[2:])]
    assert found["token_logprobs"][0] is None
    assert found["token_logprobs"][1 : len(ids) - 1] == pytest.approx(expected.tolist(), abs=1e-5)
    assert found["tokens"][: len(ids) - 1] == [model.vocab.symbol(token) for token in ids[1:]]
    assert math.isclose(max(found["top_logprobs"][len(ids) - 1].values()), float(log_p_TV[-1].max()), abs_tol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_greedy_token_is_the_likeliest(client: TestClient, name: str) -> None:
    """lm-evaluation-harness compares the numbers exactly."""
    found = logprobs(client, model=name, prompt=TEXT, max_tokens=20, logprobs=1)
    for log_p, top in list(zip(found["token_logprobs"], found["top_logprobs"], strict=True))[
        len(ids_of(MODELS[name], TEXT)) :
    ]:
        assert log_p == max(top.values())
        assert len(top) == 1


@pytest.mark.parametrize("name", MODELS)
def test_offsets_are_those_of_the_text_in_characters(client: TestClient, name: str) -> None:
    vocab = MODELS[name].vocab
    fields = {"model": name, "prompt": TEXT, "max_tokens": 60, "seed": 2, "ignore_eos": True}
    for echo in (True, False):
        choice = complete(client, **fields, echo=echo, logprobs=0)["choices"][0]
        text, found = choice["text"], choice["logprobs"]
        lengths = {len(items) for items in found.values()}
        assert lengths == {60 + (len(ids_of(MODELS[name], TEXT)) if echo else 0)}
        assert found["text_offset"] == sorted(found["text_offset"])
        plain = {vocab.symbol(token) for token in range(vocab.size) if len(vocab.decode([token])) > 0}
        for token, offset in zip(found["tokens"], found["text_offset"], strict=True):
            if token in plain and not token.startswith("<"):
                assert text[offset:].startswith(token) or offset + len(token) > len(text)


@given(st.lists(st.integers(0, 256)))
@example([0xE2, 0x82, 0xAC, 0xE2, 0x82, 0x41, 0xC3, 0xC3, 0xA9, 256, 0xF0, 256, 0x80])
def test_bytes_of_all_sorts_have_offsets(ids: list[int]) -> None:
    prompt = Prompt(BYTES, np.array(ids, dtype=np.int64))
    text, offsets = prompt.text, prompt.offsets
    assert offsets == sorted(offsets)
    assert len(offsets) == len(ids)
    for token, offset in zip(ids, offsets, strict=True):
        assert offset <= len(text)
        if token < 0x80:
            assert text[offset] == chr(token)


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_bytes_of_text_begin_where_their_characters_do(text: str) -> None:
    prompt = Prompt(BYTES, BYTES.encode(text).astype(np.int64))
    assert prompt.text == text
    assert prompt.offsets == [index for index, character in enumerate(text) for _ in character.encode()]
    assert prompt.pending_ids == ()


def test_alternatives_are_the_likeliest_and_the_token_itself(client: TestClient) -> None:
    found = logprobs(client, model="char", prompt="", max_tokens=30, temperature=3, seed=1, logprobs=2)
    for token, log_p, top in zip(found["tokens"], found["token_logprobs"], found["top_logprobs"], strict=True):
        assert top[token] == log_p
        assert len(top) in (2, 3)
        assert min(top.values()) == log_p or len(top) == 2


def test_log_probabilities_are_of_the_model_before_filters(client: TestClient) -> None:
    plain = logprobs(client, model="char", prompt="the ", max_tokens=1, temperature=0)
    filtered = logprobs(client, model="char", prompt="the ", max_tokens=1, temperature=0.1, top_k=1)
    assert plain["token_logprobs"][-1] == filtered["token_logprobs"][-1]


def test_prompts_do_not_depend_on_each_other() -> None:
    with client_of(MODELS, is_deterministic=True) as client:
        together = complete(client, model="char", prompt=["the ", "fox"], echo=True, logprobs=1, max_tokens=5, seed=1)
        alone = complete(client, model="char", prompt="fox", echo=True, logprobs=1, max_tokens=5, seed=1)
    assert together["choices"][1] | {"index": 0} == alone["choices"][0]


def test_a_model_whose_numbers_overflow_is_an_error_of_the_server() -> None:
    broken: Model = make_model("char", vocabularies()["char"])
    with torch.no_grad():
        next(broken.network.parameters()).fill_(float("nan"))
    with client_of({"char": broken}) as client:
        for fields in ({"logprobs": 1, "echo": True, "max_tokens": 0}, {}):
            response = client.post("/v1/completions", json={"prompt": "a", **fields})
            assert response.status_code == 500
            assert "overflow" in response.json()["error"]["message"]
