"""The page at `/` and what it asks beside completions: files, policy, the vocabulary, and whole distributions."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hatchling.builders.wheel import WheelBuilder
from starlette.testclient import TestClient

from charlm.data.task_settings import TaskSettings
from charlm.serving import distributions
from charlm.serving.access import AccessRules
from charlm.serving.page_files import Page
from charlm.serving.served_models import WRITING_KINDS
from charlm.settings import settings_classes
from charlm.vocab.byte import ByteVocab
from tests.serving.served import TEXT, client_of, complete, ids_of, make_model, refused, vocabularies

MODELS = {name: make_model(name, vocab) for name, vocab in vocabularies().items()}
HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT / "charlm" / "serving" / "page", ROOT / "charlm" / "model_page"]
SCRIPTS = {path.name: path for folder in FOLDERS for path in folder.glob("*.js")}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with client_of(MODELS) as client:
        yield client


# ---- files


def test_browsers_get_the_page_and_programs_the_models(client: TestClient) -> None:
    page = client.get("/", headers=HTML)
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["vary"] == "accept"
    assert "<main>" in page.text
    assert '<textarea id="text"' in page.text
    for accept in ("*/*", "application/json", ""):
        assert client.get("/", headers={"accept": accept}).json()["models"] == list(MODELS)


def test_all_that_the_page_loads_is_its_own(client: TestClient) -> None:
    page = client.get("/", headers=HTML)
    loaded = re.findall(r'(?:href|src)="([^"]*)"', page.text)
    assert len(loaded) == 6
    for name, path in SCRIPTS.items():
        imported = re.findall(r'from "([^"]*)"', path.read_text(encoding="utf-8"))
        assert {each.removeprefix("./") for each in imported} <= set(SCRIPTS), name
    for path in [*loaded, *(f"page/{name}" for name in SCRIPTS)]:
        found = client.get(f"/{path}")
        assert found.status_code == 200
        assert found.headers["x-content-type-options"] == "nosniff"
        assert "://" not in re.sub(r"http://www\.w3\.org/\S+", "", found.text), path
    assert "style=" not in page.text
    assert re.findall(r"<script[^>]*>(.*?)</script>", page.text) == [""]


def test_every_task_is_written_by_or_has_a_view_of_its_predictions() -> None:
    view = SCRIPTS["prediction_view.js"].read_text(encoding="utf-8")
    fields = re.search(r"const FIELDS = \{(.*)\};", view)
    shown = re.search(r"this\.views = \{(.*)\};", view)
    assert fields
    assert shown
    tasks = [kind.model_fields["type"].default for kind in settings_classes(TaskSettings)]
    predicting = {task for task in tasks if task not in WRITING_KINDS}
    assert {*re.findall(r"(\w+): \{", fields[1])} == predicting, "a new task needs fields in prediction_view.js"
    assert {*re.findall(r"(\w+): new ", shown[1])} == predicting, "a new task needs a view in prediction_view.js"


def test_the_policy_lets_nothing_in_from_elsewhere(client: TestClient) -> None:
    policy = dict(
        part.strip().split(" ", 1)
        for part in client.get("/", headers=HTML).headers["content-security-policy"].split(";")
    )
    assert (policy["default-src"], policy["frame-ancestors"], policy["form-action"]) == ("'none'",) * 3
    assert {policy[name] for name in ("script-src", "style-src", "connect-src", "img-src")} == {"'self'"}


def test_no_name_of_a_file_leads_elsewhere(client: TestClient) -> None:
    for name in ("index.html", "../page_files.py", "..%2fpage_files.py", "%2e%2e/access.py", "/etc/passwd", "x.js"):
        assert client.get(f"/page/{name}").status_code == 404


def test_the_page_needs_no_key_but_asks_for_it() -> None:
    rules = AccessRules(host_names=None, api_key="secret")
    with client_of(MODELS, rules=rules) as client:
        assert 'name="charlm-key" content="key"' in client.get("/", headers=HTML).text
        assert client.get("/page/main.js").status_code == 200
        assert client.get("/").status_code == 401
        assert client.get("/vocabulary?model=char", headers=HTML).status_code == 401


def test_the_wheel_has_the_page() -> None:
    included = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    files = {path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in folder.iterdir() if path.is_file()}
    assert {"charlm/serving/page/index.html", "charlm/model_page/composer.js"} < files <= included
    assert {"base.css", "colours.css"} < set(Page(needs_key=False).names)


# ---- what it asks


@pytest.mark.parametrize("name", MODELS)
def test_a_vocabulary_says_what_each_id_is(client: TestClient, name: str) -> None:
    vocab = MODELS[name].vocab
    found = client.get(f"/vocabulary?model={name}").json()
    assert found["names"] == [vocab.symbol(token) for token in range(vocab.size)]
    first = found["first_byte_id"]
    assert first == (0 if isinstance(vocab, ByteVocab) else vocab.first_byte_id)
    assert [found["names"][first + byte] for byte in (0, 255)] == ["<0x00>", "<0xFF>"]
    assert [found["names"][token] for token in found["mark_ids"]] == (
        ["<spell>", "</spell>"] if name == "ngram" else []
    )
    special = {found["eod_id"], *found["mark_ids"], *range(first, first + 256)}
    assert all(found["names"][token] == vocab.decode([token]) for token in range(vocab.size) if token not in special)


def test_a_vocabulary_is_encoded_once_and_admitted(monkeypatch: pytest.MonkeyPatch) -> None:
    with client_of({"char": MODELS["char"], "byte": MODELS["byte"]}) as client:
        first = [client.get(f"/vocabulary?model={name}").content for name in ("char", "byte")]
        monkeypatch.setattr(distributions, "describe_vocabulary", None)
        assert [client.get(f"/vocabulary?model={name}").content for name in ("char", "byte")] == first
    with client_of({"char": MODELS["char"]}, active_requests=0) as client:
        assert client.get("/vocabulary").status_code == 429


@pytest.mark.parametrize("name", MODELS)
def test_a_distribution_has_the_probabilities_of_completions(client: TestClient, name: str) -> None:
    model = MODELS[name]
    ids = [model.vocab.eod_id, *ids_of(model, TEXT)]
    found = client.post("/distribution", json={"model": name, "prompt": ids}).json()
    assert sorted(found["ids"]) == list(range(model.vocab.size))
    assert found["logprobs"] == sorted(found["logprobs"], reverse=True)
    assert np.exp(found["logprobs"]).sum() == pytest.approx(1, abs=1e-4)
    fields = {"max_tokens": 1, "logprobs": 20, "return_tokens_as_token_ids": True}
    top = complete(client, model=name, prompt=ids, **fields)["choices"][0]["logprobs"]["top_logprobs"][0]
    expected = {f"token_id:{token}": value for token, value in zip(found["ids"], found["logprobs"], strict=True)}
    assert top == pytest.approx({key: expected[key] for key in top}, abs=1e-5)


def test_tokens_can_be_named_by_their_ids(client: TestClient) -> None:
    model = MODELS["sentencepiece"]
    ids = ids_of(model, TEXT)
    fields = {"model": "sentencepiece", "prompt": ids, "echo": True, "max_tokens": 2, "logprobs": 3, "seed": 1}
    named = complete(client, **fields)["choices"][0]
    by_id = complete(client, **fields, return_tokens_as_token_ids=True)["choices"][0]
    found = [int(name.removeprefix("token_id:")) for name in by_id["logprobs"]["tokens"]]
    assert found[: len(ids)] == ids
    assert [model.vocab.symbol(token) for token in found] == named["logprobs"]["tokens"]
    assert by_id["text"] == named["text"]


def test_a_distribution_is_of_one_prompt(client: TestClient) -> None:
    assert refused(client, "/distribution", model="char", prompt=["a", "b"])[:2] == (400, "prompt")
    assert refused(client, "/distribution", model="char", prompt="a", n=2)[:2] == (400, "n")
    assert refused(client, "/distribution", model="none")[:2] == (404, "model")
    assert refused(client, "/distribution", model="char", prompt=[10**6])[:2] == (400, "prompt")
    with client_of({"char": make_model("char", vocabularies()["char"])}, logprob_entries=10) as other:
        status, param, message = refused(other, "/distribution", prompt="a")
    assert (status, param) == (400, "model")
    assert "logprobs of /v1/completions" in message
    response = client.post("/distribution", content=b"{", headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert "not JSON" in json.loads(response.content)["error"]["message"]
