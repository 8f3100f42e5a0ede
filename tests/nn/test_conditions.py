"""Models that are given a label: they are language models, rows do not depend on each other, labels matter."""

from typing import Any

import pytest
import torch
from torch import Tensor

from charlm.errors import SettingsError
from charlm.nn.build import LabelInputs, build_meta_model, build_model
from charlm.nn.model import ConditionalModel, LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.settings import Layer, validate
from charlm.vocab.base import IGNORE_INDEX

VOCAB, LABELS = 7, 3
BODIES: dict[str, dict[str, Any]] = {
    "lstm": {"hidden_size": 6, "num_layers": 2, "norm": "layer"},
    "gru": {"cell": {"type": "gru"}, "hidden_size": 6},
    "strided": {"hidden_size": 6, "num_layers": 2, "strides": (1, 2), "skip": "dense"},
    "window": {"type": "window", "window": 4, "hidden_size": 6},
    "tcn": {"type": "tcn", "num_blocks": 2, "hidden_size": 6},
}
EMBEDDINGS: dict[str, dict[str, Any]] = {
    "tokens": {"size": 5},
    "context": {"size": 5, "context_ngrams": (2, 3), "context_buckets": 16},
}


def make(condition: dict[str, Any] | None = None, body: str = "lstm", embedding: str = "tokens") -> ConditionalModel:
    torch.manual_seed(1)
    tree = {"body": BODIES[body], "embedding": EMBEDDINGS[embedding], **({"condition": condition} if condition else {})}
    model = build_model(validate(ModelSettings, Layer(tree)), VOCAB, None, LabelInputs(LABELS)).double().eval()
    assert isinstance(model, ConditionalModel)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


def given(model: ConditionalModel, *labels: int) -> LanguageModel:
    return model.given((torch.tensor(labels),))


def nll(model: LanguageModel, inputs_BT: Tensor) -> Tensor:
    state = tuple(
        tensor.double() if tensor.is_floating_point() else tensor for tensor in model.initial_state(len(inputs_BT))
    )
    features_BTH, _ = model(inputs_BT, state)
    return model.head.nll(features_BTH, inputs_BT.roll(-1, 1))


def texts(rows: int, length: int = 9) -> Tensor:
    return torch.randint(VOCAB, (rows, length), generator=torch.Generator().manual_seed(rows))


CASES = [
    *((body, embedding, "input") for body in BODIES for embedding in EMBEDDINGS),
    *((body, "tokens", "state") for body in BODIES),
]


@pytest.mark.parametrize(("body", "embedding", "into"), CASES)
def test_a_row_depends_on_its_own_label_only(body: str, embedding: str, into: str) -> None:
    model = make({"type": "label", "into": into}, body, embedding)
    inputs_BT = texts(3)
    together = nll(given(model, 2, 0, 1), inputs_BT)
    for row, label in enumerate((2, 0, 1)):
        torch.testing.assert_close(together[row : row + 1], nll(given(model, label), inputs_BT[row : row + 1]))
    assert not torch.allclose(together, nll(given(model, 0, 0, 1), inputs_BT))


@pytest.mark.parametrize(("body", "embedding", "into"), CASES)
def test_chunks_equal_the_whole_and_rows_can_be_selected(body: str, embedding: str, into: str) -> None:
    """What beams, branches and streams do: rows are repeated and reordered by their states alone."""
    bound = given(make({"type": "label", "into": into}, body, embedding), 1, 2)
    inputs_BT = texts(2, 8)
    state = bound.initial_state(2)
    whole, _ = bound(inputs_BT, state)
    first, after = bound(inputs_BT[:, :4], state)
    rest, _ = bound(inputs_BT[:, 4:], after)
    torch.testing.assert_close(torch.cat([first, rest], dim=1), whole)
    rows = torch.tensor([1, 0, 1])
    selected, _ = bound(inputs_BT[rows, 4:], tuple(tensor[rows] for tensor in after))
    torch.testing.assert_close(selected, rest[rows])


def test_one_source_serves_any_number_of_rows_and_several_serve_one_each() -> None:
    model = make()
    assert len(given(model, 1).initial_state(5)[0]) == 5
    with pytest.raises(ValueError, match="3 rows for 2 sources"):
        given(model, 1, 2).initial_state(3)
    with pytest.raises(TypeError, match="before it is given"):
        model.initial_state(1)
    with pytest.raises(TypeError, match="before it is given"):
        model(texts(1), ())


@pytest.mark.parametrize("into", ["input", "state"])
def test_a_label_that_training_has_never_seen_says_nothing(into: str) -> None:
    model = make({"type": "label", "into": into})
    inputs_BT = texts(1)
    unknown = nll(given(model, -1), inputs_BT)
    assert not torch.allclose(unknown, nll(given(model, 0), inputs_BT))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith("label"):
                parameter.zero_()
    torch.testing.assert_close(nll(given(model, 0), inputs_BT), unknown)


def test_without_a_condition_the_label_changes_nothing() -> None:
    model = make({"type": "none"})
    inputs_BT = texts(2)
    assert torch.equal(nll(given(model, 0, 1), inputs_BT), nll(given(model, 2, 2), inputs_BT))


@pytest.mark.parametrize("into", ["input", "state"])
def test_gradients_reach_the_labels_that_were_given(into: str) -> None:
    model = make({"type": "label", "into": into})
    nll(given(model, 0, 2), texts(2)).sum().backward()
    (gradient,) = (parameter.grad for name, parameter in model.named_parameters() if name.startswith("label"))
    assert gradient is not None
    assert gradient.isfinite().all()
    assert gradient[[0, 2]].abs().sum(1).min() > 0
    assert gradient[1].abs().sum() == 0


def test_padding_changes_nothing() -> None:
    bound = given(make(), 0, 1)
    inputs_BT, lengths_B = texts(2), torch.tensor([4, 9])
    state = tuple(tensor.double() if tensor.is_floating_point() else tensor for tensor in bound.initial_state(2))
    features_BTH, _ = bound(inputs_BT, state, lengths_B)
    other_BT = inputs_BT.clone()
    other_BT[0, 4:] = 0
    changed_BTH, _ = bound(other_BT, state, lengths_B)
    torch.testing.assert_close(features_BTH[0, :4], changed_BTH[0, :4])
    targets_BT = torch.full((2, 9), IGNORE_INDEX)
    assert bound.head.nll(features_BTH, targets_BT).abs().sum() == 0


@pytest.mark.parametrize("condition", [{"type": "none"}, {"type": "label"}, {"type": "label", "into": "state"}])
def test_the_meta_model_has_the_same_parameters(condition: dict[str, Any]) -> None:
    model = make(condition)
    settings = validate(
        ModelSettings, Layer({"body": BODIES["lstm"], "embedding": {"size": 5}, "condition": condition})
    )
    meta = build_meta_model(settings, VOCAB, None, LabelInputs(LABELS))
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    assert {name: tensor.shape for name, tensor in meta.state_dict().items()} == shapes


def test_a_condition_of_another_task_is_refused() -> None:
    with pytest.raises(SettingsError, match="this task has none"):
        build_model(validate(ModelSettings, Layer({"condition": {"type": "label"}})), VOCAB)
