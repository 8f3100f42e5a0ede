"""Completions: each field does what OpenAI's documents say, and what `charlm sample` draws."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from charlm.api import Model
from charlm.vocab.byte import ByteVocab
from charlm.vocab.char import CharVocab
from tests.serving.served import TEXT, client_of, complete, make_model, refused, texts, vocabularies

CHARACTERS = "".join(sorted(set(TEXT)))
MODEL = make_model("char", CharVocab(CHARACTERS))
BYTES = make_model("bytes", ByteVocab(), seed=1)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with client_of({"char": MODEL, "bytes": BYTES}) as client:
        yield client


@pytest.fixture(scope="module")
def deterministic_client() -> Iterator[TestClient]:
    with client_of({"char": MODEL, "bytes": BYTES}, is_deterministic=True) as client:
        yield client


def ask(client: TestClient, **fields: Any) -> dict[str, Any]:
    return complete(client, **{"model": "char", "prompt": "the ", "max_tokens": 40, "seed": 1, **fields})


def until_document_ends(model: Model, text: str) -> str:
    """What the API shows of a sample that goes on after <eod>."""
    return text.partition("\n\n")[0]


# ---- fields


def test_an_answer_has_the_fields_of_openai(client: TestClient) -> None:
    answer = ask(client)
    assert answer["object"] == "text_completion"
    assert answer["id"].startswith("cmpl-")
    assert answer["model"] == "char"
    assert answer["seed"] == 1
    assert type(answer["created"]) is int
    (choice,) = answer["choices"]
    assert (choice["index"], choice["logprobs"]) == (0, None)
    usage = answer["usage"]
    assert usage["prompt_tokens"] == 4
    assert usage["total_tokens"] == 4 + usage["completion_tokens"]


def test_a_text_is_the_one_that_is_sampled(client: TestClient) -> None:
    sampled = MODEL.sample("the ", length=40, temperature=0.8, top_k=9, top_p=0.95, min_p=0.01, seed=5)
    found = ask(client, temperature=0.8, top_k=9, top_p=0.95, min_p=0.01, seed=5, ignore_eos=True)
    assert texts(found)[0].startswith(sampled[:30].rstrip("\n"))


def test_the_seed_alone_decides(client: TestClient) -> None:
    assert texts(ask(client)) == texts(ask(client))
    assert texts(ask(client)) != texts(ask(client, seed=2))
    assert texts(ask(client, seed=-3)) == texts(ask(client, seed=2**63 - 3))
    drawn = [ask(client, seed=None) for _ in range(2)]
    assert texts(drawn[0]) != texts(drawn[1])
    assert texts(ask(client, seed=drawn[0]["seed"])) == texts(drawn[0])


def test_max_tokens_counts_tokens(client: TestClient) -> None:
    for count in (0, 1, 7):
        (choice,) = (answer := ask(client, model="bytes", max_tokens=count, logit_bias={"256": -100}))["choices"]
        assert answer["usage"]["completion_tokens"] == count
        assert choice["finish_reason"] == "length"
        assert len(choice["text"]) <= count
    assert ask(client, max_tokens=None)["usage"]["completion_tokens"] <= 16


def test_eod_ends_a_text_unless_it_is_ignored(client: TestClient) -> None:
    bias = {str(MODEL.vocab.eod_id): 100}
    (choice,) = (answer := ask(client, logit_bias=bias, logprobs=0))["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("", "stop")
    assert answer["usage"]["completion_tokens"] == 1
    assert choice["logprobs"]["tokens"] == ["<eod>"]
    (choice,) = ask(client, logit_bias=bias, logprobs=0, ignore_eos=True, max_tokens=3)["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("\n\n" * 3, "length")
    assert choice["logprobs"]["text_offset"] == [0, 2, 4]


def test_stop_strings_end_a_text_before_them(client: TestClient) -> None:
    whole = texts(ask(client, ignore_eos=True))[0]
    stop = whole[10:12]
    (choice,) = ask(client, stop=stop, ignore_eos=True)["choices"]
    assert (choice["text"], choice["finish_reason"]) == (whole[: whole.index(stop)], "stop")
    assert texts(ask(client, stop=["\x00", stop], ignore_eos=True)) == [choice["text"]]
    held_back = whole[-1] + "\x00"  # could begin at the last character, and does not
    assert texts(ask(client, stop=held_back, ignore_eos=True)) == [whole]


def test_prompts_are_texts_or_ids_and_give_the_same(client: TestClient) -> None:
    ids = MODEL.vocab.encode("the ").tolist()
    expected = texts(ask(client))
    eod = MODEL.vocab.eod_id
    for prompt in (["the "], ids, [ids], [eod, *ids]):
        assert texts(ask(client, prompt=prompt)) == expected
    several = ask(client, prompt=["the ", "", "the "], n=2)
    assert [choice["index"] for choice in several["choices"]] == list(range(6))
    assert texts(several)[:2] == texts(ask(client, n=2)) == texts(several)[4:]
    assert texts(several)[2] == texts(ask(client, prompt=""))[0] == texts(ask(client, prompt=None))[0]
    assert several["usage"]["prompt_tokens"] == 8
    assert texts(ask(client, prompt=[eod, *ids], echo=True)) == texts(ask(client, echo=True))


def test_best_of_returns_the_likeliest_per_token(client: TestClient) -> None:
    drawn = ask(client, n=5, logprobs=0)["choices"]
    means = [sum(logprobs := choice["logprobs"]["token_logprobs"]) / len(logprobs) for choice in drawn]
    order = sorted(range(5), key=lambda index: -means[index])
    best = ask(client, n=2, best_of=5)
    assert texts(best) == [drawn[index]["text"] for index in order[:2]]
    assert best["usage"]["completion_tokens"] == sum(len(each["logprobs"]["tokens"]) for each in drawn)


def test_penalties_and_biases_change_the_draw(client: TestClient) -> None:
    often = ask(client, temperature=0, frequency_penalty=-2, ignore_eos=True)
    seldom = ask(client, temperature=0, presence_penalty=2, ignore_eos=True)
    assert len(set(texts(often)[0])) < len(set(texts(seldom)[0]))
    letter = MODEL.vocab.encode("x").tolist()[0]
    assert texts(ask(client, logit_bias={letter: 100}, max_tokens=5)) == ["xxxxx"]
    assert "x" not in texts(ask(client, logit_bias={letter: -100}))[0]


def test_penalties_count_the_text_and_not_the_prompt(client: TestClient) -> None:
    """The first token is drawn as without them."""
    plain = texts(ask(client, prompt="the " * 9, max_tokens=1, temperature=0))
    assert texts(ask(client, prompt="the " * 9, max_tokens=1, temperature=0, frequency_penalty=2)) == plain


def test_a_regex_is_matched_as_a_whole(client: TestClient) -> None:
    (choice,) = ask(client, regex="(the|fox) [a-z]{3}", max_tokens=7)["choices"]
    assert choice["text"][:4] in ("the ", "fox ")
    assert len(choice["text"]) == 7
    (choice,) = ask(client, regex="the|fox")["choices"]
    assert (choice["text"], choice["finish_reason"]) in [("the", "stop"), ("fox", "stop")]
    assert refused(client, model="char", regex="[a-z]{9}", max_tokens=8)[:2] == (400, "max_tokens")


def test_a_regex_that_longer_tokens_cannot_match_is_refused_with_the_numbers_asked_for() -> None:
    with client_of({"pieces": make_model("pieces", vocabularies()["sentencepiece"])}) as client:
        status, param, message = refused(client, prompt="a", regex="[a-z]{500}", max_tokens=8)
    assert (status, param) == (400, "max_tokens")
    assert message.startswith("no text of max_tokens 8, of at most ")
    assert "give a higher one" in message


def test_bytes_that_a_prompt_leaves_open_are_completed(client: TestClient) -> None:
    first, second = "é".encode()
    fields = {"model": "bytes", "prompt": [97, first], "max_tokens": 1, "logit_bias": {second: 100}}
    assert texts(ask(client, **fields)) == ["é"]
    (choice,) = ask(client, **fields, echo=True, logprobs=0)["choices"]
    assert choice["text"] == "aé"
    assert choice["logprobs"]["text_offset"] == [0, 1, 1]
    assert choice["logprobs"]["tokens"] == ["<0x61>", f"<0x{first:02X}>", f"<0x{second:02X}>"]
    assert texts(ask(client, **fields | {"prompt": [first, first]})) == ["é"]
    assert texts(ask(client, **fields | {"prompt": "a", "logit_bias": {first: 100}})) == [""]  # half a character


# ---- streams


def chunks_of(client: TestClient, **fields: Any) -> list[dict[str, Any]]:
    response = client.post("/v1/completions", json={"model": "char", "stream": True, **fields})
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


def joined(chunks: list[dict[str, Any]], index: int) -> dict[str, Any]:
    """The text, the reason and the log-probabilities of a choice."""
    choices = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
    reasons = [choice["finish_reason"] for choice in choices]
    assert reasons[:-1] == [None] * (len(reasons) - 1)
    logprobs: dict[str, list[Any]] = {}
    for choice in choices:
        for name, items in (choice["logprobs"] or {}).items():
            logprobs[name] = logprobs.get(name, []) + items
    return {
        "index": index,
        "text": "".join(choice["text"] for choice in choices),
        "logprobs": logprobs or None,
        "finish_reason": reasons[-1],
    }


@pytest.mark.parametrize("more", [{}, {"echo": True}, {"logprobs": 2}, {"echo": True, "logprobs": 1, "stop": "e"}])
@pytest.mark.parametrize("model", ["char", "bytes"])
def test_a_stream_is_the_answer_in_pieces(deterministic_client: TestClient, model: str, more: dict[str, Any]) -> None:
    fields = {"model": model, "prompt": ["the ", "é"], "max_tokens": 300, "n": 2, "seed": 4, **more}
    whole = complete(deterministic_client, **fields)
    chunks = chunks_of(deterministic_client, **fields, stream_options={"include_usage": True})
    assert [joined(chunks, index) for index in range(4)] == whole["choices"]
    assert (chunks[-1]["choices"], chunks[-1]["usage"]) == ([], whole["usage"])
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert len(chunks) > 4


def test_a_stream_has_usage_only_if_asked(client: TestClient) -> None:
    assert all("usage" not in chunk for chunk in chunks_of(client, prompt="a", max_tokens=3))


# ---- errors


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": 10**400}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.01}, "top_p"),
        ({"top_k": -2}, "top_k"),
        ({"min_p": 2}, "min_p"),
        ({"n": 0}, "n"),
        ({"n": 300}, "n"),
        ({"n": 3, "best_of": 2}, "best_of"),
        ({"stream": True, "best_of": 2}, "best_of"),
        ({"stream": 1}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"usage": True}}, "usage"),
        ({"logprobs": 21}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"stop": "a" * 257}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"stop": "\ud800"}, "stop"),
        ({"seed": 2**63}, "seed"),
        ({"seed": "1"}, "seed"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"logit_bias": {"a": 1}}, "logit_bias"),
        ({"logit_bias": {"5": 101}}, "logit_bias"),
        ({"logit_bias": {"99999": 1}}, "logit_bias"),
        ({"logit_bias": {"²": 1}}, "logit_bias"),
        ({"logit_bias": [5]}, "logit_bias"),
        ({"suffix": "end"}, "suffix"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": [[1], "a"]}, "prompt"),
        ({"prompt": [True]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": [10**30]}, "prompt"),
        ({"prompt": [1.0]}, "prompt"),
        ({"prompt": {}}, "prompt"),
        ({"prompt": "a\ud800"}, "prompt"),
        ({"prompt": ["a"] * 257}, "prompt"),
        ({"prompt": "a" * 131_073}, "prompt"),
        ({"prompt": ["a"] * 20, "n": 20}, "n"),
        ({"prompt": "a" * 20_000, "echo": True, "logprobs": 20}, "logprobs"),
        ({"regex": "("}, "regex"),
        ({"regex": ""}, "regex"),
        ({"regex": "(?=a)b"}, "regex"),
        ({"regex": "a" * 1001}, "regex"),
        ({"regex": "(a{40}){60}"}, "regex"),
        ({"regex": "".join(f"[{chr(97 + k)}A]" for k in range(21))}, "regex"),
        ({"regex": "a", "ignore_eos": True}, "ignore_eos"),
        ({"tempratur": 1}, "tempratur"),
        ({"model": 5}, "model"),
    ],
    ids=str,
)
def test_a_wrong_field_is_named(client: TestClient, fields: dict[str, Any], param: str) -> None:
    status, named, _ = refused_body(client, {"model": "char", **fields})
    assert (status, named) == (400, param)


def refused_body(client: TestClient, content: dict[str, Any]) -> tuple[int, str | None, str]:
    """Status, field and message; lone surrogates are sent as escapes."""
    response = client.post("/v1/completions", content=json.dumps(content), headers={"content-type": "application/json"})
    error = response.json()["error"]
    return response.status_code, error["param"], error["message"]


def test_null_is_a_field_that_is_left_out(client: TestClient) -> None:
    names = "max_tokens temperature top_p n best_of stop echo logprobs stream stream_options presence_penalty".split()
    names += "frequency_penalty logit_bias suffix user top_k min_p regex ignore_eos".split()
    fields = {"model": "char", "prompt": "the ", "seed": 3}
    assert texts(complete(client, **fields, **dict.fromkeys(names))) == texts(complete(client, **fields))


def test_models_are_chosen_by_id(client: TestClient) -> None:
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["char", "bytes"]
    assert client.get("/v1/models/char").json() == listed["data"][0]
    for name in ("chars", "runs/char", "../char", "", "/etc/passwd", "char\x00"):
        assert refused(client, model=name, prompt="a")[:2] == (404, "model")
    assert client.get("/v1/models/..%2fchar").status_code == 404
    status, param, message = refused(client, prompt="a")
    assert (status, param) == (400, "model")
    assert "char, bytes" in message


def test_a_chat_is_refused_with_a_reason(client: TestClient) -> None:
    status, _, message = refused(client, "/v1/chat/completions", messages=[])
    assert status == 404
    assert "continue a text" in message
    assert "/v1/completions" in message


def test_other_paths_and_methods(client: TestClient) -> None:
    assert client.get("/v1/nothing").json()["error"]["message"].startswith("there is nothing at this path")
    response = client.get("/v1/completions")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/").json()["models"] == ["char", "bytes"]


def test_one_model_needs_no_name() -> None:
    with client_of({"only": MODEL}) as client:
        assert complete(client, prompt="a")["model"] == "only"


def test_the_log_has_a_line_for_each_request_and_no_text() -> None:
    lines: list[str] = []
    with client_of({"char": MODEL}, lines=lines) as client:
        complete(client, prompt="fox", max_tokens=5, logit_bias={str(MODEL.vocab.eod_id): -100})
        client.get("/a%0Ab")
    assert [line.split(" ", 1)[1].split(" 0.")[0] for line in lines] == [
        "POST /v1/completions 200",
        "GET /a\ufffdb 404",
    ]
    assert lines[0].endswith(" s char 3+5 tokens")


def test_too_many_requests_are_told_to_try_again() -> None:
    with client_of({"char": MODEL}, active_requests=0) as client:
        response = client.post("/v1/completions", json={"prompt": "a"})
        assert (response.status_code, response.headers["retry-after"]) == (429, "1")
    with client_of({"char": MODEL}, regex_requests=0) as client:
        assert refused(client, prompt="a", regex="a")[0] == 429
        assert complete(client, prompt="a")["choices"]
    with client_of({"char": MODEL}, active_logprob_entries=15, active_requests=1) as client:
        for _ in range(3):  # what has ended counts no more
            assert refused(client, prompt="a", max_tokens=8, logprobs=1)[0] == 429
            assert complete(client, prompt="a", max_tokens=7, logprobs=1)["choices"]
            assert chunks_of(client, prompt="a", max_tokens=7, logprobs=1)
            assert refused(client, prompt="a", max_tokens=-1)[0] == 400
