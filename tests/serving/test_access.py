"""Who may ask: this machine's programs, and nobody else without a key; no web page elsewhere, whatever it tries."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from charlm.errors import OptionError
from charlm.serving.access import LOOPBACK_NAMES, AccessRules
from charlm.serving.address import ServerOptions
from charlm.vocab.char import CharVocab
from tests.serving.served import client_of, make_model

MODEL = make_model("char", CharVocab("abc"))
PATH = "/v1/completions"
ASKED: dict[str, Any] = {"prompt": "a", "max_tokens": 1}
JSON = "application/json"


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with client_of({"char": MODEL}) as client:
        yield client


@pytest.fixture(scope="module")
def locked() -> Iterator[TestClient]:
    """A server that others can reach."""
    rules = AccessRules(host_names=None, api_key="secret", allowed_origins=("https://good.example",))
    with client_of({"char": MODEL}, rules=rules) as client:
        yield client


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:8000", "[::1]:80", "127.0.0.1:1"])
def test_names_of_this_machine_are_hosts(client: TestClient, host: str) -> None:
    assert client.get("/v1/models", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("evil.example:8000", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("localhost@evil.example", 400),
        ("localhost:80:80", 400),
        ("localhost, evil.example", 400),
        ("localhost/", 400),
        ("127.0.0.2", 421),
        ("0.0.0.0", 421),
        ("", 400),
    ],
)
def test_another_host_is_refused_on_every_path(client: TestClient, host: str, status: int) -> None:
    """DNS rebinding: a page's own name points here."""
    for path in ("/", "/health", "/v1/models", "/nothing"):
        assert client.get(path, headers={"host": host}).status_code == status
    assert client.post(PATH, json=ASKED, headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://127.0.0.1"}, 200),
        ({"origin": "http://127.0.0.1", "sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "http://127.0.0.1:8080"}, 403),
        ({"origin": "http://localhost"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "https://evil.example/http://127.0.0.1"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://[::1"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://127.0.0.1", "sec-fetch-site": "cross-site"}, 403),
    ],
    ids=str,
)
def test_a_page_of_another_origin_cannot_post(client: TestClient, headers: dict[str, str], status: int) -> None:
    assert client.post(PATH, json=ASKED, headers=headers).status_code == status
    assert client.post("/tokenize", json={"prompt": "a"}, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (JSON, 200),
        (f"{JSON}; charset=utf-8", 200),
        ("Application/JSON", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/jsonp", 415),
        ("", 415),
    ],
)
def test_a_post_is_declared_as_json(client: TestClient, kind: str, status: int) -> None:
    """A form of another page cannot be."""
    response = client.post(PATH, content=b'{"prompt": "a", "max_tokens": 1}', headers={"content-type": kind})
    assert response.status_code == status


def test_no_other_origin_is_allowed_to_read(client: TestClient) -> None:
    asked = {"origin": "http://evil.example", "access-control-request-method": "POST"}
    for response in (
        client.get("/v1/models", headers={"origin": "http://evil.example"}),
        client.options(PATH, headers=asked),
    ):
        assert not [name for name in response.headers if name.startswith("access-control-")]


def test_every_answer_tells_browsers_to_be_careful(client: TestClient) -> None:
    for response in (client.get("/health"), client.get("/no"), client.get("/", headers={"host": "x"})):
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cross-origin-resource-policy"] == "same-origin"
        assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("key", ["", "Bearer", "Bearer x", "anything"])
def test_without_a_key_any_token_is_good(client: TestClient, key: str) -> None:
    assert client.get("/v1/models", headers={"authorization": key}).status_code == 200


@pytest.mark.parametrize(
    ("key", "status"),
    [
        ("Bearer secret", 200),
        ("bearer secret", 200),
        ("Bearer Secret", 401),
        ("Bearer secret2", 401),
        ("Basic secret", 401),
        ("secret", 401),
        ("Bearer", 401),
        ("Bearer \xe9", 401),
        (None, 401),
    ],
)
def test_a_key_is_needed_where_there_is_one(locked: TestClient, key: str | None, status: int) -> None:
    headers = {} if key is None else {b"authorization": key.encode("latin-1")}
    for response in (
        locked.get("/v1/models", headers=headers),
        locked.post(PATH, json=ASKED, headers=headers),
        locked.get("/tokenizer_info", headers=headers),
    ):
        assert response.status_code == status
    assert locked.get("/health").status_code == 200
    if status == 401:
        answer = locked.get("/v1/models", headers=headers)
        assert answer.json()["error"]["code"] == "invalid_api_key"
        assert answer.headers["www-authenticate"] == "Bearer"


def test_an_origin_that_was_allowed_can_ask_and_read(locked: TestClient) -> None:
    page = {"origin": "https://good.example", "sec-fetch-site": "cross-site", "authorization": "Bearer secret"}
    response = locked.post(PATH, json=ASKED, headers=page)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "https://good.example"
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    assert locked.options(PATH, headers={"origin": "https://good.example", **asked}).status_code == 200
    other = locked.options(PATH, headers={"origin": "https://evil.example", **asked})
    assert "access-control-allow-origin" not in other.headers
    assert locked.post(PATH, json=ASKED, headers=page | {"origin": "https://evil.example"}).status_code == 403


def test_an_origin_that_was_allowed_can_read_why_it_is_refused(locked: TestClient) -> None:
    page = {"origin": "https://good.example", "sec-fetch-site": "cross-site"}
    response = locked.post(PATH, json=ASKED, headers=page)
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == "https://good.example"


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://Example.org", "https://example.org"),
        ("HTTPS://example.org:443", "https://example.org"),
        ("http://[::1]:80", "http://[::1]"),
        ("http://example.org:8080", "http://example.org:8080"),
        ("http://example.org:443", "http://example.org:443"),
    ],
)
def test_an_origin_is_allowed_however_it_is_written(given: str, origin: str) -> None:
    rules = ServerOptions(allowed_origins=[given]).access_rules
    with client_of({"char": MODEL}, rules=rules) as client:
        response = client.post(PATH, json=ASKED, headers={"origin": origin})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == origin


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"host": "0.0.0.0"}, "--host"),
        ({"host": "::"}, "--host"),
        ({"host": "example.org"}, "--host"),
        ({"api_key": "two words"}, "--api-key"),
        ({"api_key": "é"}, "--api-key"),
        ({"allowed_origins": ["example.org"]}, "--allow-origin"),
        ({"allowed_origins": ["*"]}, "--allow-origin"),
        ({"allowed_origins": ["https://example.org/page"]}, "--allow-origin"),
    ],
    ids=str,
)
def test_options_that_would_let_others_in_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(OptionError) as caught:
        ServerOptions(**options)
    assert named in " ".join(caught.value.for_command_line())


def test_the_host_is_checked_where_there_may_be_no_key() -> None:
    assert ServerOptions().access_rules.host_names == LOOPBACK_NAMES
    assert ServerOptions(host="0.0.0.0", api_key="x").access_rules == AccessRules(host_names=None, api_key="x")
