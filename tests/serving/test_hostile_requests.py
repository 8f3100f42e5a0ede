"""Whatever a client sends, it is told what is wrong; the server has no bug to show, and still answers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from charlm.serving.completion_request import FIELDS
from charlm.serving.json_response import to_bytes
from charlm.vocab.char import CharVocab
from tests.serving.served import client_of, complete, make_model
from tests.serving.task_models import classifier, labelled_writer, tagger, transducer

MODEL = make_model("char", CharVocab("abcdé "))
JSON = {"content-type": "application/json"}
PATHS = ("/v1/completions", "/tokenize", "/detokenize", "/distribution", "/predict")
TASKS = {
    "labels": classifier("even", "odd"),
    "tags": tagger("A", "B"),
    "names": labelled_writer("alba"),
    "pairs": transducer(),
}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with client_of({"char": MODEL}, body_bytes=1 << 20) as client:
        yield client


@pytest.fixture(scope="module")
def task_client() -> Iterator[TestClient]:
    with client_of({"char": MODEL, **TASKS}) as client:
        yield client


def send(client: TestClient, content: bytes, path: str = "/v1/completions") -> tuple[int, dict[str, Any]]:
    response = client.post(path, content=content, headers=JSON)
    assert response.headers["content-type"].startswith(("application/json", "text/event-stream"))
    return response.status_code, response.json() if response.headers["content-type"] == "application/json" else {}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"1",
        b"\xff\xfe",
        b'\xef\xbb\xbf{"prompt": "a"}',
        '{"prompt": "é"}'.encode("utf-16"),
        b'{"prompt": "\xe9"}',
        b'{"prompt": "a\x00b"}',
        b"\x00" * 100,
        b'{"prompt": NaN}',
        b'{"temperature": Infinity}',
        b'{"temperature": 1e999}',
        b'{"max_tokens": ' + b"9" * 5000 + b"}",
        b"[" * 200_000,
        b'{"prompt":' * 50_000,
        b'{"prompt": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b'{"a": 1, "a": 2} {}',
        b"{'prompt': 'a'}",
        b"prompt=a",
    ],
    ids=lambda content: repr(content[:20]),
)
def test_what_is_no_object_in_json_is_refused(client: TestClient, content: bytes, path: str) -> None:
    status, answer = send(client, content, path)
    assert status == 400
    assert answer["error"]["type"] == "invalid_request_error"


def test_a_body_that_is_too_long_is_refused(client: TestClient) -> None:
    long = json.dumps({"prompt": "a" * (1 << 20)}).encode()
    assert send(client, long)[0] == 413

    def in_chunks() -> Iterator[bytes]:
        for start in range(0, len(long), 1000):
            yield long[start : start + 1000]

    assert client.post("/v1/completions", content=in_chunks(), headers=JSON).status_code == 413


def test_a_message_may_quote_what_is_no_unicode(client: TestClient) -> None:
    status, answer = send(client, b'{"\\ud800": 1}')
    assert (status, answer["error"]["param"]) == (400, "\ud800")
    assert to_bytes({"a": "\ud800é"}) == b'{"a": "\\ud800\xc3\xa9"}'


EXTENTS = [pytest.param(80, id="some"), pytest.param(2000, id="many", marks=pytest.mark.faults)]
"""Numbers of examples."""
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-3, 30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters() | st.sampled_from("abcd[](){}*\\\x00"), max_size=12)
    | st.sampled_from([2**63, -(2**63), 10**400, 1e308, "char", "\ud800", "(a|b)*", "[a-d]{1,9}", "(?i)é"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("0123a", max_size=3), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from([*FIELDS, "tokens", "add_special_tokens"]), VALUES, max_size=6)


PREDICTION_FIELDS = ("text", "top", "threshold", "labels", "temperature", "beams", "length_penalty", "alignment", "x")
PREDICTIONS = st.dictionaries(st.sampled_from(PREDICTION_FIELDS), VALUES | st.integers(1, 9), max_size=4)


@pytest.mark.parametrize("num_examples", EXTENTS)
def test_any_prediction_is_answered_or_refused(task_client: TestClient, num_examples: int) -> None:
    @hypothesis_settings(max_examples=num_examples, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(content=PREDICTIONS, model=st.sampled_from(["char", *TASKS]))
    def check(content: dict[str, Any], model: str) -> None:
        assert_answered(task_client, {"text": "ab", **content, "model": model}, "/predict")

    check()


@pytest.mark.parametrize("num_examples", EXTENTS)
def test_any_object_is_answered_or_refused(client: TestClient, num_examples: int) -> None:
    @hypothesis_settings(max_examples=num_examples, suppress_health_check=[HealthCheck.too_slow])
    @given(content=OBJECTS, path=st.sampled_from(PATHS))
    def check(content: dict[str, Any], path: str) -> None:
        assert_answered(client, content, path)

    check()


def assert_answered(client: TestClient, content: dict[str, Any], path: str) -> None:
    status, answer = send(client, json.dumps(content).encode(), path)
    assert status in (200, 400, 404), (content, answer)
    if status != 200:
        assert set(answer["error"]) == {"message", "type", "param", "code"}


TYPED = {
    "prompt": st.sampled_from(["", "ab", ["a", "é"], [0, 1], [[3], []]]),
    "max_tokens": st.integers(0, 12),
    "temperature": st.floats(0, 100),
    "top_p": st.floats(0.001, 1),
    "top_k": st.integers(-1, 400),
    "min_p": st.floats(0, 1),
    "n": st.integers(1, 3),
    "stop": st.sampled_from(["a", ["b", "\x00"], []]),
    "seed": st.integers(-(2**63), 2**63 - 1),
    "echo": st.booleans(),
    "logprobs": st.integers(0, 20),
    "stream": st.booleans(),
    "presence_penalty": st.floats(-2, 2),
    "frequency_penalty": st.floats(-2, 2),
    "logit_bias": st.dictionaries(st.sampled_from(["0", "3", "260"]), st.floats(-100, 100), max_size=2),
    "regex": st.sampled_from(["a*", "(a|é)?", "[a-d]*", "."]),
}


@pytest.mark.parametrize("num_examples", EXTENTS)
def test_fields_of_the_right_type_go_together(client: TestClient, num_examples: int) -> None:
    """Refused is only what no text can satisfy."""

    @hypothesis_settings(max_examples=num_examples, suppress_health_check=[HealthCheck.too_slow])
    @given(content=st.fixed_dictionaries({}, optional=TYPED))
    @example(content={"regex": "a*", "temperature": 2e-309})
    def check(content: dict[str, Any]) -> None:
        status, answer = send(client, json.dumps(content).encode())
        assert status == 200 or answer["error"]["param"] == "max_tokens", (content, answer)

    check()


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/v1/models/../../etc/passwd",
        "/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/v1/models/\u2028",
        "/%00",
        "/v1//completions",
        "//evil.example/",
        "/v1/models?model=" + "a" * 5000,
        "/tokenizer_info?model=%00&model=..",
    ],
)
def test_paths_lead_nowhere(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code in (200, 404, 405)
    assert "root:" not in response.text


def test_a_regex_that_takes_too_long_ends_its_request_alone() -> None:
    with client_of({"char": MODEL}, regex_seconds=0.0) as client:
        response = client.post("/v1/completions", json={"prompt": "", "regex": "[a-d]{5}"})
        assert (response.status_code, response.json()["error"]["param"]) == (400, "regex")
        assert complete(client, prompt="a", max_tokens=3)["choices"]


def test_a_bug_is_an_answer_and_a_line_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("oh")

    lines: list[str] = []
    with client_of({"char": MODEL}, lines=lines) as client:
        monkeypatch.setattr("charlm.serving.service.tokenization.tokenize", fail)
        response = client.post("/tokenize", json={"prompt": "a"})
        assert response.status_code == 500
        assert response.json()["error"]["type"] == "server_error"
        assert "ZeroDivisionError" in response.json()["error"]["message"]
        assert client.get("/health").status_code == 200
    assert "(ZeroDivisionError: oh at tests" in lines[0] or "(ZeroDivisionError: oh at " in lines[0]
