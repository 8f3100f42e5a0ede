"""Nothing that is asked in Python is silently ignored: each keyword changes what is returned, or is refused.

A new function or keyword must be placed in the tables. Each keyword is given values of other types, too: it takes
those in its row, and each other one is an error of `charlm.errors` that names the keyword.
"""

import inspect
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import charlm
from charlm.api import Model
from charlm.api import load as load_model
from charlm.errors import CharlmError, DataError
from charlm.evaluation.score import Score
from charlm.sampling.options import SampleKeywords
from charlm.vocab.base import Vocab
from charlm.workflows.predict_options import PredictKeywords
from tests.processes import Commands
from tests.workspaces import RUN, tour_labels, tour_targets

ODD: dict[str, Any] = {
    "None": None,
    "True": True,
    "-1": -1,
    "0": 0,
    "1": 1,
    "1.5": 1.5,
    "0.5": 0.5,
    "huge": 10**400,
    "nan": math.nan,
    "NumPy int": np.int64(1),
    "NumPy float": np.float32(0.5),
    "NumPy text": np.str_("мы"),
    "NumPy array": np.array([1, 2]),
    "tensor": torch.tensor([1, 2]),
    "text": "мы",
    "empty text": "",
    "number as text": "1",
    "surrogate": "мы\udc80",
    "bytes": b"ab",
    "path": Path("мы"),
    "list": [],
    "list of texts": ["мы", "он"],
    "list of an empty text": [""],
    "list of numbers": [1, 2],
    "list of a surrogate": ["\udc80"],
    "dict": {},
    "object": object(),
}
WHOLE = {"0", "1", "NumPy int"}
COUNTS = {"1", "NumPy int"}
FRACTIONS = {"1", "0.5", "NumPy int", "NumPy float"}
TEXTS = {"text", "NumPy text", "empty text", "number as text"}
LISTS = {"text", "NumPy text", "number as text", "list", "list of texts"}
BASE: dict[str, Any] = {"length": 60, "temperature": 1.0}

SAMPLING: dict[str, tuple[dict[str, Any], set[str]]] = {
    "prompt": ({"prompt": "мы из "}, TEXTS),
    "length": ({"length": 7}, WHOLE),
    "temperature": ({"temperature": 2}, {"0", "1.5", "number as text", *FRACTIONS}),
    "top_k": ({"top_k": 2}, {"None", "huge", *COUNTS}),
    "top_p": ({"top_p": 0.2}, {"None", *FRACTIONS}),
    "min_p": ({"min_p": 0.5}, {"None", "0", *FRACTIONS}),
    "typical_p": ({"typical_p": 0.2}, {"None", *FRACTIONS}),
    "repetition_penalty": ({"repetition_penalty": 3}, {"None", "1.5", *COUNTS}),
    "frequency_penalty": ({"frequency_penalty": 2}, {"None", "-1", "0", "1.5", *FRACTIONS}),
    "penalty_window": ({"penalty_window": 3}, COUNTS),
    "stop": ({"stop": "а"}, LISTS),
    "regex": ({"regex": "[а-я ]+"}, {"None", "text", "NumPy text", "number as text"}),
    "must_contain": ({"must_contain": "café"}, LISTS),
    "only": ({"only": "аоу"}, {"None", "text", "NumPy text", "number as text"}),
    "never": ({"never": " "}, TEXTS),
    "seed": ({"seed": 4}, WHOLE),
    "precision": ({"precision": "int8"}, set()),
}
"""Keyword of `sample` and `stream` -> keywords that change the text, and which of the odd values it takes."""
BESIDE: dict[str, dict[str, Any]] = {"penalty_window": {"frequency_penalty": 2}, "precision": {"length": 1500}}
"""Keyword -> what it needs beside it."""

PREDICTION: dict[str, tuple[dict[str, Any], set[str]]] = {
    "top": ({"top": 2}, {"huge", *COUNTS}),
    "threshold": ({"threshold": 0.99}, {"0", *FRACTIONS}),
    "labels": ({"labels": "odd", "top": 2}, {"list"}),
    "temperature": ({"temperature": 5}, {"1.5", *FRACTIONS}),
    "precision": ({"precision": "bf16"}, set()),
    "beams": ({"beams": 1}, COUNTS),
    "length_penalty": ({"length_penalty": 2}, {"0", "1.5", *FRACTIONS}),
}
"""Keyword of `predict` -> keywords that change the prediction, and which of the odd values it takes."""


def parameters(model: Model) -> list[float]:
    return [float(parameter.detach().double().sum()) for parameter in model.network.parameters()]


def num_rows(model: Model, streams: int) -> int:
    """How many lanes the network reads side by side; the score is that of one lane."""
    found = [0]
    hook = model.network.register_forward_pre_hook(lambda _, inputs: found.append(len(inputs[0])))
    try:
        score = model.score("мы из " * 999, streams=streams)
    finally:
        hook.remove()
    assert score.nats == pytest.approx(model.score("мы из " * 999).nats, rel=1e-5)
    return max(found)


Call = Callable[[Model, Any], object]
OTHERS: dict[str, tuple[Call, Any, Any, set[str]]] = {
    "load run": (lambda model, value: load_model(value).settings, "bundled", str(RUN), {"None"}),
    "load checkpoint": (lambda model, value: parameters(load_model(str(RUN), checkpoint=value)), 10, "last", {"None"}),
    "given condition": (
        lambda _, value: load_model("given").given(value).score("number 8").nats,
        "odd",
        "even",
        set(),
    ),
    "load device": (lambda model, value: load_model(str(RUN), device=value), "tpu", torch.device("cpu"), set()),
    "score text": (lambda model, value: model.score(value), "мы", "он", TEXTS - {"empty text"}),
    "score streams": (num_rows, 1, 7, {"None", "huge", *COUNTS}),
    "score precision": (lambda model, value: model.score("мы из", precision=value), "fp32", "bf16", set()),
    "hidden text": (lambda model, value: model.hidden(value).tolist(), "мы", "он", TEXTS),
    "hidden per": (lambda model, value: len(model.hidden("東☃", per=value)), "token", "character", set()),
    "predict texts": (
        lambda _, value: load_model("numbers").predict(value),
        "number 8",
        ["number 8"],
        {"list", "list of texts", "list of an empty text", *TEXTS},
    ),
    "encode text": (lambda model, value: model.vocab.encode(value).tolist(), "мы", "он", TEXTS),
    "decode ids": (
        lambda model, value: model.vocab.decode(value),
        [300],
        [301],
        {"NumPy array", "tensor", "bytes", "empty text", "list", "list of numbers", "dict"},
    ),
    "symbol token": (lambda model, value: model.vocab.symbol(value), 300, 301, {"True", *WHOLE}),
}
"""Function and keyword -> a call, two values that it answers differently, and which of the odd values it takes."""
MADE_BY_EVALUATION = {
    "with_sums sums",
    "figure select",
    "from_nats nats_N",
    "from_nats stream",
    "from_sum nats",
    "from_sum tokens",
    "from_sum stream",
}
"""What only evaluation calls, to make a score."""


def keywords_of(owner: type, *names: str) -> Iterator[str]:
    for name, method in inspect.getmembers(owner, callable):
        if not name.startswith("_") and (not names or name in names):
            for keyword, parameter in inspect.signature(method).parameters.items():
                if keyword != "self" and parameter.kind is not parameter.VAR_KEYWORD:
                    yield f"{name} {keyword}"


@pytest.fixture(scope="module", autouse=True)
def model(toured: Commands, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """In a folder with a run of labels, too."""
    folder = shutil.copytree(toured.folder, tmp_path_factory.mktemp("face") / "folder")
    tour_labels(toured.within(folder))
    tour_targets(toured.within(folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield charlm.load()


def test_every_keyword_has_its_place_in_the_tables() -> None:
    assert SAMPLING.keys() == {"prompt", *SampleKeywords.__annotations__}
    assert PREDICTION.keys() == PredictKeywords.__annotations__.keys()
    found = {f"load {keyword}" for keyword in inspect.signature(load_model).parameters}
    assert inspect.signature(charlm.load).parameters.keys() == inspect.signature(load_model).parameters.keys()
    found |= {*keywords_of(Model), *keywords_of(Score), *keywords_of(Vocab, "encode", "decode", "symbol")}
    assert found - {"sample prompt", "stream prompt"} - MADE_BY_EVALUATION == OTHERS.keys()


@pytest.mark.parametrize("keyword", SAMPLING)
def test_each_keyword_changes_the_text(model: Model, keyword: str) -> None:
    changed, _ = SAMPLING[keyword]
    beside = BASE | BESIDE.get(keyword, {})
    plain = model.sample(**beside)
    assert model.sample(**beside | changed) != plain
    assert "".join(model.stream(**beside | changed)) == model.sample(**beside | changed)


@pytest.mark.parametrize("name", OTHERS)
def test_each_other_keyword_changes_what_is_returned(model: Model, name: str) -> None:
    call, first, second, _ = OTHERS[name]
    if name == "load device":
        assert call(model, second)
        with pytest.raises(CharlmError, match="tpu"):
            call(model, first)
    else:
        assert call(model, first) != call(model, second)


@pytest.mark.parametrize("keyword", SAMPLING)
@pytest.mark.parametrize("kind", ODD)
def test_a_keyword_of_sample_takes_its_type_and_refuses_others(model: Model, keyword: str, kind: str) -> None:
    taken = SAMPLING[keyword][1]
    beside = BESIDE.get(keyword, {}) | {"length": 4}
    arguments: dict[str, Any] = {**beside, keyword: ODD[kind]}
    if kind in taken:
        assert isinstance(model.sample(**arguments), str)
        return
    for call in (model.sample, model.stream):
        with pytest.raises(CharlmError) as raised:
            call(**arguments)
        assert keyword in str(raised.value) or isinstance(raised.value, DataError)
        assert "--" not in str(raised.value)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("keyword", PREDICTION)
def test_each_keyword_changes_the_prediction(keyword: str) -> None:
    model = predicting(keyword)
    beside: dict[str, Any] = {"length_penalty": 1} if keyword == "beams" else {}
    assert model.predict("number 8", **beside | PREDICTION[keyword][0]) != model.predict("number 8", **beside)


def predicting(keyword: str) -> Model:
    """Return a model for which a keyword of `predict` is."""
    return load_model("pairs" if keyword in ("beams", "length_penalty") else "numbers")


@pytest.mark.parametrize("keyword", PREDICTION)
def test_a_keyword_of_predict_takes_its_type_and_refuses_others(keyword: str) -> None:
    labels = predicting(keyword)
    for kind, value in ODD.items():
        arguments: dict[str, Any] = {keyword: value}
        if kind in PREDICTION[keyword][1]:
            assert labels.predict("number 8", **arguments).text == "number 8"
            continue
        with pytest.raises(CharlmError) as raised:
            labels.predict("number 8", **arguments)
        assert keyword in str(raised.value)
        assert "--" not in str(raised.value)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("kind", ODD)
def test_any_other_keyword_takes_its_type_and_refuses_others(model: Model, name: str, kind: str) -> None:
    call, _, _, taken = OTHERS[name]
    if kind in taken:
        call(model, ODD[kind])
        return
    with pytest.raises(CharlmError) as raised:
        call(model, ODD[kind])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("function", ["sample", "stream", "score", "hidden", "predict"])
def test_an_unknown_keyword_is_a_type_error(model: Model, function: str) -> None:
    with pytest.raises(TypeError, match="temprature"):
        getattr(load_model("numbers") if function == "predict" else model, function)("мы", temprature=1)
    with pytest.raises(TypeError, match="temprature"):
        charlm.load(temprature=1)  # type: ignore[call-arg]


def test_a_single_text_is_not_taken_letter_by_letter(model: Model) -> None:
    text = model.sample(length=200, seed=3)
    stop = text[40:43]
    assert model.sample(length=200, seed=3, stop=stop) == text[: text.index(stop)]
    assert "東京" in model.sample(length=40, must_contain="東京")


def test_a_surrogate_is_named_with_its_place(model: Model) -> None:
    for call in (model.score, model.hidden, model.sample, model.vocab.encode):
        with pytest.raises(DataError, match=r"character 2 is the lone surrogate U\+DC80"):
            call("мы\udc80")
    for keyword in ("stop", "must_contain", "only", "never", "regex"):
        arguments: dict[str, Any] = {keyword: "мы\udc80"}
        with pytest.raises(CharlmError, match=rf"{keyword} has the lone surrogate U\+DC80"):
            model.sample(**arguments)


def test_the_precision_int8_is_that_of_the_command(model: Model, toured: Commands) -> None:
    """The prompt is read with rounded matrices too, and the model itself stays as it is."""
    before = parameters(model)
    options = "--prompt мы --length 60 --temperature 1 --precision int8".split()
    assert model.sample("мы", precision="int8", **BASE) == toured.json("sample", *options)["text"]
    assert parameters(model) == before


def test_scores_add_to_scores_only(model: Model) -> None:
    score = model.score("мы")
    with pytest.raises(TypeError):
        score + 1  # type: ignore[operator]
    assert (score + score).tokens == 2 * score.tokens


def test_a_run_may_be_a_path_and_a_checkpoint_a_number() -> None:
    assert parameters(charlm.load(RUN, checkpoint=10)) == parameters(charlm.load(str(RUN), checkpoint="10"))
    step: Any = np.int64(20)
    assert parameters(charlm.load(RUN, checkpoint=step)) == parameters(charlm.load(RUN, checkpoint="last"))
