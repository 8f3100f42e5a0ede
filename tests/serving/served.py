"""Small models that are served without a network, and clients of an application in this process."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from starlette.testclient import TestClient

from charlm.api import Model
from charlm.checkpoint import LoadedModel
from charlm.nn.build import build_model
from charlm.nn.embeddings.settings import NgramEmbeddingSettings
from charlm.nn.ngrams.counting import CountingOptions, count_ngrams
from charlm.nn.settings import ModelSettings
from charlm.serving.access import LOOPBACK_NAMES, AccessRules
from charlm.serving.application import build_application
from charlm.serving.engine import BatchEngine
from charlm.serving.limits import LIMITS, Limits
from charlm.serving.served_models import ServedModel, ServedModels
from charlm.serving.text_starts import TextStart
from charlm.settings import Layer, validate
from charlm.vocab.base import Vocab
from charlm.vocab.byte import ByteVocab
from charlm.vocab.char import CharVocab
from charlm.vocab.settings import NgramSettings, SentencePieceSettings, WordSettings
from tests.vocab.learning import learn

CPU = torch.device("cpu")
TEXT = "Съешь ещё этих мягких булок 🙂, café and the quick brown fox.\n"
LOCAL = AccessRules(host_names=LOOPBACK_NAMES)
URL = "http://127.0.0.1"


def vocabularies() -> dict[str, Vocab]:
    lines = [TEXT * 8]
    return {
        "char": CharVocab("".join(sorted(set(TEXT)))),
        "byte": ByteVocab(),
        "word": learn(WordSettings(min_count=1), lines),
        "ngram": learn(NgramSettings(min_count=1), lines),
        "sentencepiece": learn(SentencePieceSettings(vocab_size=512), lines),
    }


def make_model(name: str, vocab: Vocab, *, seed: int = 0, order: int = 0, body: dict[str, Any] | None = None) -> Model:
    """A model with random weights, three times as large as usual, so that its distributions are not flat.

    Args:
        order: of its n-gram component; none if 0.
    """
    tree: dict[str, Any] = {"embedding": {"size": 6}, "body": {"hidden_size": 8, **(body or {})}}
    tree |= {"ngram": {"order": order}} if order else {}
    settings = validate(ModelSettings, Layer(tree))
    bags = vocab.bags()
    if bags is not None:
        settings = settings.model_copy(update={"embedding": NgramEmbeddingSettings(size=6)})
    tokens = torch.cat([torch.tensor([vocab.eod_id]), torch.from_numpy(vocab.encode(TEXT * 9).astype("int64"))]).numpy()
    ngrams = None
    if order:
        ngrams = count_ngrams(tokens, vocab.size, vocab.eod_id, CountingOptions(order, 1, 1000, 1 << 30)).tables
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        model = build_model(settings, vocab.size, bags, ngrams=ngrams).eval()
        for parameter in model.parameters():
            parameter.mul_(3)
    return Model(LoadedModel(model, settings, vocab, {}, Path()), "cpu", name)


def set_bias(model: Model, bias: float, *ids: int) -> None:
    """Make some ids of a softmax model as rare, or as frequent, as a test needs them."""
    with torch.no_grad():
        dict(model.network.head.named_parameters())["bias_V"][list(ids)] = bias


def start_of(model: Model) -> TextStart:
    """What the texts of a language model begin with."""
    return TextStart(model.network, model.network.initial_state(1))


def served(name: str, model: Model | LoadedModel) -> ServedModel:
    if isinstance(model, Model):
        model = LoadedModel(model.network, model.settings, model.vocab, {}, Path())
    return ServedModel(name, model, CPU, 0, "test")


@contextmanager
def client_of(
    models: Mapping[str, Model | LoadedModel],
    *,
    rules: AccessRules = LOCAL,
    lines: list[str] | None = None,
    is_deterministic: bool = False,
    **limits: Any,
) -> Generator[TestClient, None, None]:
    """A client of an application that serves these models.

    Args:
        lines: gets the lines of the log.
        limits: that differ from those of the server.
    """
    chosen: Limits = replace(LIMITS, **limits)
    engine = BatchEngine(chosen, is_deterministic=is_deterministic)
    known = ServedModels([served(name, model) for name, model in models.items()])
    app = build_application(known, engine, chosen, rules, (lines if lines is not None else []).append)
    try:
        with TestClient(app, base_url=URL, raise_server_exceptions=False) as client:
            yield client
    finally:
        engine.close()


def complete(client: TestClient, **fields: Any) -> dict[str, Any]:
    """An answer of `/v1/completions`."""
    response = client.post("/v1/completions", json=fields)
    assert response.status_code == 200, response.text
    return response.json()


def texts(answer: dict[str, Any]) -> list[str]:
    return [choice["text"] for choice in answer["choices"]]


def refused(client: TestClient, path: str = "/v1/completions", **fields: Any) -> tuple[int, str | None, str]:
    """Status, field and message of an error."""
    response = client.post(path, json=fields)
    assert response.status_code >= 400, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert "; " in error["message"]
    return response.status_code, error["param"], error["message"]


def ids_of(model: Model, text: str) -> list[int]:
    return model.vocab.encode(text).astype("int64").tolist()


def values(items: Sequence[float | None]) -> list[float]:
    """The numbers of a list without null."""
    return [item for item in items if item is not None]
