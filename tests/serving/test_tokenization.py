"""Text <-> ids over HTTP, as lm-evaluation-harness asks for them."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from tests.serving.served import TEXT, client_of, ids_of, make_model, refused, vocabularies

MODELS = {name: make_model(name, vocab) for name, vocab in vocabularies().items()}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with client_of(MODELS) as client:
        yield client


@pytest.mark.parametrize("name", MODELS)
def test_there_and_back(client: TestClient, name: str) -> None:
    sent = {"model": name, "prompt": TEXT + "\x00☃", "return_token_strs": True}
    found = client.post("/tokenize", json=sent).json()
    assert found["tokens"] == ids_of(MODELS[name], TEXT + "\x00☃")
    assert found["count"] == len(found["tokens"]) == len(found["token_strs"])
    back = client.post("/detokenize", json={"model": name, "tokens": found["tokens"]}).json()
    assert back == {"prompt": TEXT + "\x00☃"}


@pytest.mark.parametrize("name", MODELS)
def test_the_harness_finds_the_end_of_documents(client: TestClient, name: str) -> None:
    """It encodes the name of the token, and takes the first id."""
    info = client.get(f"/tokenizer_info?model={name}").json()
    vocab = MODELS[name].vocab
    assert (info["eos_token"], info["bos_token"], info["eos_token_id"]) == ("<eod>", "<eod>", vocab.eod_id)
    assert (info["vocab_size"], info["chat_template"]) == (vocab.size, None)
    for key in ("eos_token", "bos_token"):
        sent = {"model": name, "prompt": info[key], "add_special_tokens": False}
        assert client.post("/tokenize", json=sent).json()["tokens"] == [vocab.eod_id]
    sent = {"model": name, "prompt": "a", "add_special_tokens": True}
    assert client.post("/tokenize", json=sent).json()["tokens"] == [vocab.eod_id, *ids_of(MODELS[name], "a")]
    within = client.post("/tokenize", json={"model": name, "prompt": "<eod>a"}).json()["tokens"]
    assert within == ids_of(MODELS[name], "<eod>a")


def test_wrong_fields_are_named(client: TestClient) -> None:
    assert refused(client, "/tokenize", model="char")[:2] == (400, "prompt")
    assert refused(client, "/tokenize", model="char", prompt=5)[:2] == (400, "prompt")
    assert refused(client, "/tokenize", model="none", prompt="a")[:2] == (404, "model")
    assert refused(client, "/tokenize", prompt="a")[:2] == (400, "model")
    assert refused(client, "/detokenize", model="char")[:2] == (400, "tokens")
    assert refused(client, "/detokenize", model="char", tokens=[10**9])[:2] == (400, "tokens")
    assert refused(client, "/detokenize", model="char", tokens="a")[:2] == (400, "tokens")
    assert client.get("/tokenizer_info").status_code == 400
