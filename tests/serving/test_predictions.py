"""`/predict` and `/labels`: what `charlm predict` prints, for the models of all tasks, within the server's limits."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from starlette.testclient import TestClient

from charlm.checkpoint import LoadedModel, ResumeData, save_checkpoint
from charlm.serving.served_models import load_models
from charlm.vocab.symbols import SymbolsVocab
from charlm.workflows.explain import align_target
from charlm.workflows.predict import Predictor, as_queries
from charlm.workflows.predict_options import PredictOptions
from tests.processes import Commands, until
from tests.serving.live_server import LiveServer, live_server
from tests.serving.served import client_of, make_model, refused, served
from tests.serving.task_models import VOCAB, classifier, labelled_writer, tagger, transducer

MODELS: dict[str, LoadedModel] = {
    "labels": classifier("7", "even", "odd"),
    "tags": tagger("NOUN", "VERB"),
    "words": tagger("B-sent", "B-word", "I-sent", "I-word", scheme="segments"),
    "names": labelled_writer("alba", "echo", "iris"),
    "pairs": labelled_writer("a=1", "a=2", "b=x", "b=y", columns=("a", "b")),
    "copied": transducer(),
    "soft": transducer("dot"),
    "backward": transducer("additive", direction="backward"),
    "spelled": transducer(vocab=SymbolsVocab(("ab", "ba"))),
    "blind": transducer("none"),
}
TEXTS = ["a quick fox", "", "ab ab"]


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with client_of({**MODELS, "language": make_model("language", VOCAB)}) as client:
        yield client


def predict(client: TestClient, **fields: Any) -> Any:
    response = client.post("/predict", json=fields)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("name", [name for name in MODELS if name != "pairs"])
def test_predictions_are_those_of_the_command(client: TestClient, name: str) -> None:
    found = predict(client, model=name, text=TEXTS)
    assert (found["model"], found["kind"]) == (name, MODELS[name].task.type)
    predictor = Predictor(MODELS[name], name, "cpu", PredictOptions())
    expected = [each.to_json() for each in predictor.predict(as_queries(TEXTS))]
    assert [each["text"] for each in found["predictions"]] == TEXTS
    for one, other in zip(found["predictions"], expected, strict=True):
        assert one.keys() == other.keys()
        assert [one.get(key) for key in ("label", "target", "sentences")] == [
            other.get(key) for key in ("label", "target", "sentences")
        ]
        assert [tag[:3] for tag in one.get("tags", [])] == [tag[:3] for tag in other.get("tags", [])]
        if "probability" in other:
            assert one["probability"] == pytest.approx(other["probability"], rel=1e-4)


def test_options_are_those_of_the_command(client: TestClient) -> None:
    both = predict(client, model="labels", text="fox", top=3, labels=["odd", "7"])["predictions"][0]["labels"]
    assert set(both) == {"odd", "7"}
    assert sum(both.values()) == pytest.approx(1)
    assert predict(client, model="labels", text="fox", threshold=1)["predictions"][0]["label"] is None
    several = predict(client, model="copied", text="fox", top=3, beams=7)["predictions"][0]["targets"]
    assert [each["probability"] for each in several] == sorted((each["probability"] for each in several), reverse=True)
    assert len(several) == 3


@pytest.mark.parametrize("name", ["copied", "soft", "backward", "spelled"])
def test_an_alignment_is_that_of_explain(client: TestClient, name: str) -> None:
    (found,) = predict(client, model=name, text="ab c", alignment=True)["predictions"]
    expected = align_target(MODELS[name], "ab c", found["target"], top=1, device="cpu")
    aligned = found["alignment"]
    assert aligned["cells"] == ["a", "b", " ", "c"] == list(expected.cells)
    assert aligned["ids"] == expected.surprisals.ids_P.tolist()
    for row, other in zip(aligned["weights"], expected.weights_PC, strict=True):
        assert row == pytest.approx(other, abs=1e-4)
        assert sum(row) < 1.001


def test_no_alignment_is_null(client: TestClient) -> None:
    for fields in ({"model": "blind", "text": "ab"}, {"model": "tags", "text": "ab"}):
        assert predict(client, **fields, alignment=True)["predictions"][0]["alignment"] is None
    long = predict(client, model="copied", text="a" * 600, beams=1, alignment=True)["predictions"][0]
    assert long["alignment"] is None


def test_models_say_what_they_are(client: TestClient) -> None:
    kinds = {model["id"]: model["kind"] for model in client.get("/v1/models").json()["data"]}
    assert kinds == {"language": "language", **{name: model.task.type for name, model in MODELS.items()}}
    assert client.get("/labels?model=labels").json()["labels"] == ["7", "even", "odd"]
    assert client.get("/labels?model=tags").json()["labels"] == ["NOUN", "VERB"]
    pairs = client.get("/labels?model=pairs").json()
    assert (pairs["columns"], pairs["labels"]) == (["a", "b"], ["a=1", "a=2", "b=x", "b=y"])
    assert client.get("/labels?model=language").json()["labels"] == []


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"model": "labels"}, "text", "text is missing"),
        ({"model": "labels", "text": []}, "text", "text is missing"),
        ({"model": "labels", "text": 5}, "text", "wrong type"),
        ({"model": "labels", "text": ["a"] * 257}, "text", "257 strings"),
        ({"model": "labels", "text": "a", "top": 0}, "top", "top 0 is out of range"),
        ({"model": "labels", "text": "a", "top": "2"}, "top", "is not a whole number"),
        ({"model": "labels", "text": "a", "labels": ["od"]}, "labels", 'did you mean "odd"?'),
        ({"model": "labels", "text": "a", "labels": [5]}, "labels", "labels 5 is not a text"),
        ({"model": "labels", "text": "a", "beams": 2}, "beams", "is for models that write texts"),
        ({"model": "labels", "text": "a", "prompt": "b"}, "prompt", "is not known"),
        ({"model": "tags", "text": "a", "top": 2}, "top", "this model predicts tags"),
        ({"model": "tags", "text": ["a", "b"], "alignment": True}, "alignment", "give one"),
        ({"model": "tags", "text": "a" * 300_000}, "text", "need 300,001 characters"),
        ({"model": "names", "text": "a" * 100_000}, "text", "need 300,003 characters"),
        ({"model": "copied", "text": "a" * 1_001}, "text", "a text has 1,001 characters"),
        ({"model": "copied", "text": "a" * 900, "beams": 1024}, "text", "tokens to be written"),
        ({"model": "copied", "text": "a", "temperature": 2}, "temperature", "this model writes texts"),
        ({"model": "pairs", "text": "a"}, None, "only a single one can be recognised"),
        ({"model": "language", "text": "a"}, None, "is a language model"),
    ],
    ids=str,
)
def test_what_cannot_be_predicted_is_refused(
    client: TestClient, fields: dict[str, Any], param: str | None, message: str
) -> None:
    status, found, text = refused(client, "/predict", **fields)
    assert (status, found) == (400, param)
    assert message in text


def test_what_is_written_is_counted_in_tokens() -> None:
    """A character that the vocabulary spells in bytes has up to four of them."""
    with client_of({"bytes": transducer()}, prediction_characters=5 * (4 * 8 + 32)) as client:
        predict(client, text="a" * 8)
        predict(client, text="🙂" * 2)
        status, param, message = refused(client, "/predict", text="🙂" * 3)
    assert (status, param) == (400, "text")
    assert "400 tokens to be written" in message


@pytest.mark.parametrize("name", ["copied", "names"])
def test_the_work_for_a_single_text_can_be_stopped(name: str) -> None:
    num_calls = 0

    def check() -> None:
        nonlocal num_calls
        num_calls += 1
        if num_calls == 3:
            raise InterruptedError

    predictor = Predictor(MODELS[name], name, "cpu", PredictOptions())
    with pytest.raises(InterruptedError):
        list(predictor.predict(as_queries(["a quick fox"]), check))


def test_numbers_that_overflow_are_an_error_of_the_server() -> None:
    broken = transducer()
    with torch.no_grad():
        next(broken.model.parameters()).fill_(torch.nan)
    with client_of({"broken": broken}) as client:
        status, _, message = refused(client, "/predict", text="ab")
    assert status == 500
    assert "overflow" in message


def test_a_lone_surrogate_is_refused(client: TestClient) -> None:
    content = b'{"model": "labels", "text": "a\\ud800"}'
    response = client.post("/predict", content=content, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert "lone surrogate" in response.json()["error"]["message"]


@pytest.mark.parametrize("name", ["labels", "tags", "copied"])
def test_models_that_do_not_go_on_from_a_prompt_say_what_to_ask(client: TestClient, name: str) -> None:
    for path in ("/v1/completions", "/distribution"):
        status, param, message = refused(client, path, model=name, prompt="a")
        assert (status, param) == (400, "model")
        assert "/predict" in message


def test_the_guards_are_those_of_completions(client: TestClient) -> None:
    body = {"model": "labels", "text": "a"}
    assert client.post("/predict", json=body, headers={"origin": "https://evil.example"}).status_code == 403
    assert client.post("/predict", json=body, headers={"host": "evil.example"}).status_code == 421
    assert client.post("/predict", content=b"{}", headers={"content-type": "text/plain"}).status_code == 415
    assert refused(client, "/predict", model="../labels", text="a")[:2] == (404, "model")
    assert client.get("/predict").status_code == 405


@pytest.mark.parametrize("name", ["labels", "tags", "names", "pairs", "copied", "backward"])
def test_checkpoints_of_all_tasks_are_served(tmp_path: Path, name: str) -> None:
    made = MODELS[name]
    trained_on = {"corpus": "none", "fingerprint": "none"}
    save_checkpoint(
        tmp_path / name,
        model=made.model,
        settings=made.settings,
        vocab=made.vocab,
        trained_on=trained_on,
        training=ResumeData({}),
        task=made.task,
        labels=made.labels,
        conditions=made.conditions,
    )
    (model,) = load_models([str(tmp_path / name)], None, "cpu").all
    assert (model.id, model.kind, model.labels) == (name, made.task.type, served(name, made).labels)


@pytest.fixture(scope="module")
def server(labelled: Commands) -> Iterator[LiveServer]:
    with live_server(labelled, "labels", "tags") as server:
        yield server


def test_trained_runs_are_served(server: LiveServer) -> None:
    status, body = server.ask("POST", "/predict", {"model": "labels", "text": ["number 8", "number 9"]})
    assert (status, body.count('"label"')) == (200, 2)
    assert "NOUN" in server.ask("POST", "/predict", {"model": "tags", "text": "word7 7"})[1]
    until(lambda: "POST /predict 200" in server.log and "labels 2 texts" in server.log)
    assert "serving labels, tags" in server.log


def test_a_client_that_goes_ends_its_prediction(server: LiveServer) -> None:
    request = {"model": "labels", "text": ["number 8 " * 150] * 190}
    with server.connect() as connection:
        connection.sendall(server.request("POST", "/predict", request))
        time.sleep(0.1)
    until(lambda: "/predict 499" in server.log)
