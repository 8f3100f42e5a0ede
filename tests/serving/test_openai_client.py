"""OpenAI's own client, with every parameter that it has for completions. Needs `scripts/test --peers`."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.processes import Commands
from tests.serving.live_server import live_server

openai: Any = pytest.importorskip("openai", reason="the package openai is not installed")

pytestmark = pytest.mark.peers

EVERYTHING: dict[str, Any] = {
    "model": "bundled",
    "prompt": "A list is",
    "best_of": 2,
    "echo": True,
    "frequency_penalty": 0.5,
    "logit_bias": {"5": 1},
    "logprobs": 2,
    "max_tokens": 12,
    "n": 2,
    "presence_penalty": 0.5,
    "seed": 3,
    "stop": ["\n"],
    "suffix": None,
    "temperature": 0.9,
    "top_p": 0.95,
    "user": "me",
}


@pytest.fixture(scope="module")
def client(charlm_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    commands = Commands(charlm_server, tmp_path_factory.mktemp("openai"), {"CHARLM_API_KEY": "secret"})
    with (
        live_server(commands, "bundled") as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="secret", max_retries=0) as client,
    ):
        yield client


def test_every_parameter(client: Any) -> None:
    found = client.completions.create(**EVERYTHING)
    assert found.object == "text_completion"
    assert found.model == "bundled"
    assert found.usage is not None
    assert found.usage.prompt_tokens == 9
    assert [choice.index for choice in found.choices] == [0, 1]
    for choice in found.choices:
        assert choice.text.startswith("A list is")
        assert choice.finish_reason in ("stop", "length")
        assert choice.logprobs is not None
        assert choice.logprobs.tokens is not None
        assert choice.logprobs.tokens[:6] == list("A list")
        assert choice.logprobs.text_offset == list(range(len(choice.logprobs.tokens)))
    assert found.system_fingerprint == client.completions.create(**EVERYTHING).system_fingerprint


def test_extras(client: Any) -> None:
    found = client.completions.create(
        model="bundled", prompt="x", extra_body={"regex": "[0-9]{3}", "top_k": 5, "min_p": 0.001}
    )
    assert found.choices[0].text.isdecimal()


def test_a_stream_ends_with_its_usage(client: Any) -> None:
    fields = {name: value for name, value in EVERYTHING.items() if name != "best_of"}
    whole = client.completions.create(**fields)
    chunks = list(client.completions.create(**fields, stream=True, stream_options={"include_usage": True}))
    for index, choice in enumerate(whole.choices):
        parts = [each for chunk in chunks for each in chunk.choices if each.index == index]
        assert "".join(each.text for each in parts) == choice.text
        assert parts[-1].finish_reason == choice.finish_reason
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage


def test_a_stream_can_be_closed(client: Any) -> None:
    with client.completions.create(model="bundled", prompt="a", max_tokens=16_000, stream=True) as stream:
        assert next(iter(stream)).choices[0].text
    assert client.completions.create(model="bundled", prompt="a").choices


def test_models(client: Any) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.object, model.owned_by) == ("bundled", "model", "charlm")
    assert client.models.retrieve("bundled") == model
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("davinci")


def test_errors_are_those_of_the_client(client: Any) -> None:
    with pytest.raises(openai.BadRequestError) as bad:
        client.completions.create(model="bundled", prompt="a", temperature=-1)
    assert bad.value.param == "temperature"
    assert "out of range" in bad.value.message
    with pytest.raises(openai.NotFoundError) as missing:
        client.completions.create(model="davinci", prompt="a")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError, match="continue a text"):
        client.chat.completions.create(model="bundled", messages=[{"role": "user", "content": "hi"}])
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()
