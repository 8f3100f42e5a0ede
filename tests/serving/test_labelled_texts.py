"""Completions for a label: those of the language model that is given it, side by side with those for other labels."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import pytest
import torch
from starlette.testclient import TestClient

from charlm.api import Model
from charlm.checkpoint import LoadedModel
from charlm.errors import UsageError
from charlm.serving.text_starts import TextStarts
from tests.serving.served import client_of, complete, make_model, refused, texts
from tests.serving.task_models import VOCAB, labelled_writer

LABELS = ("alba", "echo", "iris")
MODELS: dict[str, LoadedModel] = {
    "input": labelled_writer(*LABELS),
    "state": labelled_writer(*LABELS, into="state", body={"hidden_size": 8, "num_layers": 2}),
    "pairs": labelled_writer("a=1", "b=x", "a=2", "b=y", columns=("a", "b")),
}
COMBINATIONS = [("a=1", "b=y"), ("a=2", "b=x"), ("b=y", "a=2")]
CASES = [*product(("input", "state"), [(label,) for label in LABELS]), *product(("pairs",), COMBINATIONS)]
QUIET = {str(VOCAB.eod_id): -100}


@pytest.fixture(scope="module", params=[False, True], ids=["fast", "deterministic"])
def client(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    models = {**MODELS, "language": make_model("language", VOCAB)}
    with client_of(models, is_deterministic=request.param) as client:
        yield client


def ask(client: TestClient, name: str, labels: tuple[str, ...], **fields: Any) -> dict[str, Any]:
    label = labels[0] if len(labels) == 1 else list(labels)
    given = {"prompt": "ab", "max_tokens": 30, "seed": 1, "ignore_eos": True, "logit_bias": QUIET}
    return complete(client, model=name, label=label, **given, **fields)


def test_a_text_is_the_one_that_is_sampled_for_its_label(client: TestClient) -> None:
    with ThreadPoolExecutor(len(CASES)) as pool:
        fields = {"logprobs": 1, "return_tokens_as_token_ids": True}
        asked = [pool.submit(ask, client, name, labels, **fields) for name, labels in CASES]
    found = [each.result() for each in asked]
    assert len({texts(answer)[0] for answer in found}) > len(CASES) // 2
    for (name, labels), answer in zip(CASES, found, strict=True):
        (choice,) = answer["choices"]
        model = Model(MODELS[name], "cpu", name).given(*labels)
        drawn = [int(name.removeprefix("token_id:")) for name in choice["logprobs"]["tokens"]]
        ids = [VOCAB.eod_id, *VOCAB.encode("ab").tolist(), *drawn]
        with torch.inference_mode():
            features, _ = model.network(torch.tensor([ids[:-1]]), model.network.initial_state(1))
            log_p = model.network.head.logits(features)[0].log_softmax(-1)
        expected = [float(log_p[place, ids[place + 1]]) for place in range(2, len(ids) - 1)]
        assert choice["logprobs"]["token_logprobs"] == pytest.approx(expected, abs=1e-4)


def test_labels_do_not_share_kept_prompts(client: TestClient) -> None:
    for _ in range(2):
        answers = [ask(client, "input", (label,), temperature=0, logprobs=0) for label in LABELS]
        assert len({str(answer["choices"][0]["logprobs"]["token_logprobs"]) for answer in answers}) == len(LABELS)
        assert answers[0]["choices"] == ask(client, "input", ("alba",), temperature=0, logprobs=0)["choices"]


def test_a_distribution_is_that_of_the_label(client: TestClient) -> None:
    found = [
        client.post("/distribution", json={"model": "input", "label": label, "prompt": "a"}).json() for label in LABELS
    ]
    assert len({str(each["logprobs"]) for each in found}) == len(LABELS)
    top = ask(client, "input", ("iris",), temperature=0, logprobs=0)["choices"][0]["logprobs"]["token_logprobs"][0]
    after = client.post("/distribution", json={"model": "input", "label": "iris", "prompt": "ab"}).json()
    assert top in [pytest.approx(value, abs=1e-4) for value in after["logprobs"][:2]]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "input"}, "label is missing, and input writes for one; give one, such as iris"),
        ({"model": "input", "label": "irsi"}, "there is no label 'irsi'; did you mean \"iris\"?"),
        ({"model": "input", "label": ["alba", "iris"]}, "2 labels are given, and a text has one"),
        ({"model": "input", "label": ["a"] * 33}, "33 strings"),
        ({"model": "input", "label": 5}, "wrong type"),
        ({"model": "pairs"}, "give one, such as a=2 and b=y"),
        ({"model": "pairs", "label": "a=1"}, "a text has one label of b, and none is given"),
        ({"model": "language", "label": "alba"}, "label has no effect: language is given none"),
    ],
    ids=str,
)
def test_wrong_labels_are_refused(client: TestClient, fields: dict[str, Any], message: str) -> None:
    status, param, text = refused(client, prompt="a", **fields)
    assert (status, param) == (400, "label")
    assert message in text


def test_too_many_combinations_are_refused() -> None:
    names = [f"{column}={number}" for column in "abc" for number in range(30)]
    with pytest.raises(UsageError, match="many has 27,000 combinations of labels"):
        TextStarts(labelled_writer(*names, columns=("a", "b", "c")), "many")
