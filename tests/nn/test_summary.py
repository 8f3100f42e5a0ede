"""The summary of a network: parameters as in the model, sizes as in a forward pass, operations counted by hand."""

from typing import Any

import pytest
import torch

from charlm.nn.build import build_meta_model, build_model
from charlm.nn.settings import ModelSettings
from charlm.nn.summary import NetworkSummary, summarize_network
from charlm.settings import Layer, validate
from tests.nn.model_cases import CASES, CELLS, bags_of, build_afresh, frozen_of, model_settings, vocab_of


def summary_of(vocab_size: int = 100, **tree: Any) -> NetworkSummary:
    return summarize_network(validate(ModelSettings, Layer(tree)), vocab_size)


def sizes(summary: NetworkSummary) -> dict[str, tuple[int, int]]:
    return {part.name: (part.inputs, part.outputs) for part in summary.parts}


# ---- any network


@pytest.mark.parametrize("case", CASES)
def test_the_table_adds_up_to_the_model(case: str) -> None:
    model, vocab_size = build_afresh(case), vocab_of(case).size
    summary = summarize_network(model_settings(case), vocab_size, bags_of(case), None, frozen_of(case))
    assert summary.parameters == model.num_parameters
    first, *layers, last = summary.parts
    assert (first.name, first.inputs, first.outputs) == ("embedding", vocab_size, model.embedding.size)
    features, _ = model(torch.zeros(1, 1, dtype=torch.int64), model.initial_state(1))
    assert (last.name, last.inputs, last.outputs) == ("head", features.numel(), vocab_size)
    assert sum(part.parameters for part in layers) == sum(parameter.numel() for parameter in model.body.parameters())
    assert all(part.parameters > 0 for part in layers)
    assert len(summary.to_table()) >= len(summary.parts) + 2, "each part has a line"


@pytest.mark.parametrize("case", CASES)
def test_a_model_without_weights_has_the_shapes_of_the_model(case: str) -> None:
    about_vocab = vocab_of(case).size, bags_of(case)
    model, shapes = build_afresh(case), build_meta_model(model_settings(case), *about_vocab, None, frozen_of(case))
    assert all(tensor.is_meta for tensor in shapes.state_dict().values())
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in shapes.state_dict().items()} == {
        name: (tensor.shape, tensor.dtype) for name, tensor in model.state_dict().items()
    }


def test_the_largest_network_takes_no_memory() -> None:
    size = 1_000_000
    body = {"hidden_size": size, "num_layers": 2, "norm": "batch"}
    summary = summary_of(size, embedding={"size": size}, body=body)
    assert summary.parameters > 16 * size**2


# ---- by hand


def test_a_network_by_hand() -> None:
    summary = summary_of(embedding={"size": 20}, body={"hidden_size": 30, "num_layers": 2})
    lstm = 4 * 30 * (20 + 30 + 1), 4 * 30 * (30 + 30 + 1)
    assert [(part.name, part.parameters) for part in summary.parts] == [
        ("embedding", 100 * 20),
        ("layer 1", lstm[0]),
        ("layer 2", lstm[1]),
        ("head", 100 * 31),
    ]
    assert sizes(summary) == {"embedding": (100, 20), "layer 1": (20, 30), "layer 2": (30, 30), "head": (30, 100)}
    products = 4 * 30 * (20 + 30) + 4 * 30 * (30 + 30) + 30 * 100
    assert summary.to_json()["operations"] == {"per": "token", "forward": 2 * products, "training": 6 * products}
    operations = summary.to_json(tokens_per_character=1.5)["operations"]
    assert operations == {"per": "character", "forward": 3 * products, "training": 9 * products}


def test_what_dense_layers_read_grows() -> None:
    body = {"hidden_size": 30, "num_layers": 3, "skip": "dense", "strides": (1, 2, 4)}
    summary = summary_of(embedding={"size": 20}, body=body)
    assert sizes(summary) == {
        "embedding": (100, 20),
        "layer 1": (20, 30),
        "layer 2": (50, 30),
        "layer 3": (80, 30),
        "head": (90, 100),
    }
    steps = 4 * 30 * (50 + 80 / 2 + 110 / 4)
    assert summary.macs_per_token == steps + 90 * 100, "a layer that steps every s tokens costs an s-th"


@pytest.mark.parametrize(
    ("head", "parameters", "products"),
    [
        ({"type": "softmax"}, 30 * 100 + 100, 30 * 100),
        ({"type": "softmax", "tied": True}, 30 * 20 + 100, 30 * 20 + 20 * 100),
        (
            {"type": "adaptive", "cutoffs": (10, 40), "div_value": 2.0},
            12 + 12 * 30 + 15 * 30 + 30 * 15 + 7 * 30 + 60 * 7,
            12 * 30 + 15 * 30 + 30 * 15 + 7 * 30 + 60 * 7,
        ),
    ],
    ids=["softmax", "tied", "adaptive"],
)
def test_weights_of_a_head_stand_once_and_cost_each_time(head: Any, parameters: int, products: int) -> None:
    summary = summary_of(embedding={"size": 20}, body={"hidden_size": 30}, head=head)
    assert summary.parts[-1].parameters == parameters
    assert summary.macs_per_token == 4 * 30 * (20 + 30) + products


def test_a_receptive_field_is_named_where_there_is_one() -> None:
    window = summary_of(embedding={"size": 20}, body={"type": "window", "window": 5, "hidden_size": 30})
    assert window.to_json()["receptive_field"] == 5
    assert window.to_table()["receptive_field"] == 5
    assert window.macs_per_token == 5 * 20 * 30 + 30 * 100
    tcn = summary_of(body={"type": "tcn", "num_blocks": 3, "kernel_size": 2})
    assert tcn.to_json()["receptive_field"] == 1 + 2 * (1 + 2 + 4)
    assert "receptive_field" not in {**summary_of().to_json(), **summary_of().to_table()}


# ---- the cells side by side


def test_the_share_of_a_gru_is_three_quarters() -> None:
    content = summary_of().to_json()
    counts = content["body_parameters_with"]
    assert content["gru_to_lstm"] == pytest.approx(3 / 4, abs=1e-3)
    assert counts["rnn"] / counts["lstm"] == pytest.approx(1 / 4, abs=1e-3)
    assert not {"body_parameters_with", "gru_to_lstm"} & set(summary_of(body={"type": "window"}).to_json())


@pytest.mark.parametrize("cell", CELLS)
def test_a_body_with_each_cell_is_the_same_body(cell: str) -> None:
    body = {"hidden_size": 30, "num_layers": 2, "norm": "layer", "skip": "dense"}
    given = summary_of(body={**body, "cell": {"type": "lstm", "mogrifier_rounds": 2}, "backend": "plain"})
    model = build_model(validate(ModelSettings, Layer({"body": {**body, "cell": {"type": cell}}})), 100)
    expected = sum(parameter.numel() for parameter in model.body.parameters())
    assert given.to_json()["body_parameters_with"][cell] == expected
    assert set(given.to_json()["body_parameters_with"]) == set(CELLS)
