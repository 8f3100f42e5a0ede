"""Properties of every model of labels and tags, over bodies x directions x readers x heads.

Rows of a batch do not affect each other, whatever their padding; a causal body may read a text in chunks; a direction
reads what it should and nothing else.

B batch, T time, L labels.
"""

from itertools import product
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Tensor

from charlm.checkpoint import ResumeData, load_model, save_checkpoint
from charlm.data.labels import Labels
from charlm.data.task_settings import ClassifyTaskSettings, TagTaskSettings
from charlm.errors import SettingsError
from charlm.nn.bodies.pooling import PooledBody
from charlm.nn.bodies.settings import BodySettings
from charlm.nn.build import Outputs, build_model
from charlm.nn.heads.settings import HeadSettings
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.vocab.char import CharVocab
from tests.nn.cells import BACKENDS
from tests.nn.rows import (
    BODIES,
    DIRECTIONS,
    HEADS,
    LENGTHS,
    READERS,
    L,
    V,
    build,
    covering,
    read,
    rows,
    settings,
    targets_for,
)

every_model = pytest.mark.parametrize(("body", "direction", "reader"), covering(BODIES, DIRECTIONS, READERS))
every_body = pytest.mark.parametrize("body", BODIES)
CPU = torch.device("cpu")


def test_the_table_has_every_member() -> None:
    found = {build(body, "forward", "tags") and BODIES[body].get("type", "recurrent") for body in BODIES}
    assert found == {member.model_fields["type"].default for member in get_args(get_args(BodySettings)[0])}
    heads = {tree.get("head", {}).get("type", "softmax") for tree in HEADS.values()}
    assert heads == {member.model_fields["type"].default for member in get_args(get_args(HeadSettings)[0])}
    assert {tree["direction"] for tree in DIRECTIONS.values()} == set(
        get_args(ModelSettings.model_fields["direction"].annotation)
    )
    assert set(READERS) - {"tags"} == set(get_args(ModelSettings.model_fields["pooling"].annotation))


@every_model
def test_a_row_alone_equals_the_row_in_a_padded_batch(body: str, direction: str, reader: str) -> None:
    model = build(body, direction, reader)
    inputs_BT, lengths_B = rows(width=15)
    together = model.head.logits(read(model, inputs_BT, lengths_B))
    for row, length in enumerate(LENGTHS):
        own = inputs_BT[row : row + 1, :length]
        alone = model.head.logits(read(model, own, torch.tensor([length])))
        without_lengths = model.head.logits(model(own, model.initial_state(1))[0])
        torch.testing.assert_close(together[row : row + 1, :length], alone, rtol=0, atol=1e-5)
        torch.testing.assert_close(without_lengths, alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("body", "direction", "reader", "head"),
    [
        *covering(BODIES, DIRECTIONS, ["tags", "mean"], ["softmax"]),
        *covering(["lstm-plain", "window"], DIRECTIONS, READERS, HEADS),
    ],
)
def test_gradients_of_a_row_do_not_depend_on_others(body: str, direction: str, reader: str, head: str) -> None:
    model = build(body, direction, reader, head).double()
    inputs_BT, lengths_B = rows(width=14)
    targets_BT = targets_for(reader, inputs_BT, lengths_B)

    def gradients(inputs: Tensor, targets: Tensor, lengths: Tensor) -> list[Tensor]:
        loss, _ = model.head.loss(read(model, inputs, lengths), targets)
        found = torch.autograd.grad(loss.sum(), list(model.parameters()), materialize_grads=True)
        assert all(bool(gradient.isfinite().all()) for gradient in found)
        return list(found)

    together = gradients(inputs_BT, targets_BT, lengths_B)
    assert sum(float(gradient.abs().sum()) for gradient in together) > 0
    alone = [
        gradients(inputs_BT[row : row + 1, :length], targets_BT[row : row + 1, :length], torch.tensor([length]))
        for row, length in enumerate(LENGTHS)
    ]
    for whole, *parts in zip(together, *alone, strict=True):
        torch.testing.assert_close(whole, torch.stack(parts).sum(0), rtol=1e-8, atol=1e-10)


CHUNKS = {"single": [1] * 12, "two": [5, 7], "empty": [0, 3, 0, 9]}


@pytest.mark.parametrize(("body", "reader", "chunks"), covering(BODIES, READERS, CHUNKS))
def test_a_causal_body_reads_chunks_as_the_whole(body: str, reader: str, chunks: str) -> None:
    model = build(body, "forward", reader)
    assert model.body.is_causal
    inputs_BT, _ = rows((12, 12, 12))
    whole, end = model(inputs_BT, model.initial_state(3))
    state = model.initial_state(3)
    pieces: list[Tensor] = []
    for piece in inputs_BT.split(CHUNKS[chunks], dim=1):
        features, state = model(piece, state)
        pieces.append(features)
    torch.testing.assert_close(torch.cat(pieces, 1), whole, rtol=0, atol=1e-5)
    for mine, other in zip(state, end, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-5)


@every_body
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_direction_reads_what_it_should(body: str, direction: str) -> None:
    """Change each token: the features that change are those of later tokens, of earlier ones, or of both."""
    model = build(body, direction, "tags")
    inputs_BT, lengths_B = rows((8, 8))
    before = read(model, inputs_BT, lengths_B)
    seen: set[int] = set()
    for time in range(8):
        changed = inputs_BT.clone()
        changed[:, time] = (changed[:, time] + 1) % V
        differs_T = (read(model, changed, lengths_B) != before).flatten(2).any(2).any(0)
        seen |= {at - time for at in differs_T.nonzero()[:, 0].tolist()}
    allowed = {"forward": range(8), "backward": range(-7, 1)}.get(direction, range(-7, 8))
    assert seen <= set(allowed)
    assert 0 in seen
    assert (direction == "backward") or max(seen) > 0
    assert (direction == "forward") or min(seen) < 0


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("reader", ["end", "mean"])
def test_a_pooled_row_knows_its_first_and_its_last_token(direction: str, reader: str) -> None:
    model = build("lstm-plain", direction, reader)
    inputs_BT, lengths_B = rows()
    before = read(model, inputs_BT, lengths_B)
    for row, length in enumerate(LENGTHS):
        for time in {0, length - 1}:
            changed = inputs_BT.clone()
            changed[row, time] = (changed[row, time] + 1) % V
            differs_B = (read(model, changed, lengths_B) != before)[torch.arange(4), lengths_B - 1].any(1)
            assert differs_B.tolist() == [other == row for other in range(4)]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_pooled_features_are_the_mean_and_the_maximum(direction: str) -> None:
    inputs_BT, lengths_B = rows()
    for reader in ("mean", "max"):
        model = build("gru-plain", direction, reader)
        assert isinstance(model.body, PooledBody)
        pooled = read(model, inputs_BT, lengths_B)
        x_BTD, _ = model.embedding(inputs_BT, ())
        unpooled, _ = model.body.body.read_rows(x_BTD, model.body.body.initial_state(4), lengths_B)
        for row, length in enumerate(LENGTHS):
            own = unpooled[row, :length]
            expected = own.mean(0) if reader == "mean" else own.amax(0)
            torch.testing.assert_close(pooled[row, length - 1], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("cell", "backend", "norm"),
    [
        (cell, backend, norm)
        for cell, backends in BACKENDS.items()
        for backend, norm in (("torch", "none"), ("fused", "none"), ("fused", "layer"))
        if backend in backends
    ],
)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_fast_backends_equal_the_plain_one(cell: str, backend: str, direction: str, norm: str) -> None:
    inputs_BT, lengths_B = rows(width=14)
    found: list[list[Tensor]] = []
    for name in ("plain", backend):
        model = build(f"{cell}-{name}", direction, "mean", norm=norm)
        assert model.body.backend_name(CPU) == name
        logits = model.head.logits(read(model, inputs_BT, lengths_B))[torch.arange(4), lengths_B - 1]
        loss = (logits * torch.arange(logits.numel()).view_as(logits)).sum()
        found.append([logits.detach(), *torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True)])
    for plain, fast in zip(*found, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("body", "direction", "reader"), covering(BODIES, DIRECTIONS, ["tags", "max"]))
def test_a_batch_without_rows_gives_gradients_of_zero(body: str, direction: str, reader: str) -> None:
    """A rank may get no rows of a batch; the others wait for its gradients."""
    model = build(body, direction, reader).train()
    averages = {name: buffer.clone() for name, buffer in model.named_buffers()}
    inputs_BT, lengths_B = rows()
    features = read(model, inputs_BT[:0], lengths_B[:0])
    assert features.shape == (0, 12, model.body.features_size)
    loss, nats = model.head.loss(features, inputs_BT[:0])
    loss.sum().backward()
    assert nats.shape == (0, 12)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.grad.abs().sum().item(), name
    assert all(torch.equal(buffer, averages[name]) for name, buffer in model.named_buffers())


@pytest.mark.parametrize(
    ("body", "direction", "reader", "head"), covering(["dense", "batch-norm", "window"], DIRECTIONS, READERS, HEADS)
)
def test_checkpoints_hold_the_task_and_the_labels(
    tmp_path: Path, body: str, direction: str, reader: str, head: str
) -> None:
    vocab = CharVocab("abcdefgh", byte_fallback=False)
    model = build(body, direction, reader, head)
    task = ClassifyTaskSettings() if READERS[reader][0] else TagTaskSettings()
    labels = Labels.from_names("BCAED")
    save_checkpoint(
        tmp_path,
        model=model,
        settings=settings(body, direction, reader, head),
        vocab=vocab,
        trained_on={"corpus": "c", "fingerprint": "f"},
        training=ResumeData({}),
        task=task,
        labels=labels,
    )
    loaded = load_model(tmp_path, CPU)
    assert (loaded.task, loaded.labels) == (task, labels)
    inputs_BT, lengths_B = rows()
    targets_BT = targets_for(reader, inputs_BT, lengths_B)
    again = loaded.model.eval()
    for mine, other in zip(
        again.head.loss(read(again, inputs_BT, lengths_B), targets_BT),
        model.head.loss(read(model, inputs_BT, lengths_B), targets_BT),
        strict=True,
    ):
        assert torch.equal(mine, other)


# ---- dropout and skips of layers that read both ways


def both_ways(skip: str, **dropouts: float) -> LanguageModel:
    return build("lstm-plain", "layers", "tags", "softmax", num_layers=2, skip=skip, **dropouts)


@pytest.mark.parametrize("skip", ["none", "residual", "dense"])
def test_dropout_of_inputs_and_features_hides_them_from_all_layers(skip: str) -> None:
    """With a probability of nearly 1, nothing of the input reaches a layer, and nothing of the features the head."""
    inputs_BT, lengths_B = rows()
    without_features = both_ways(skip, output_dropout=1 - 1e-9).train()
    features = read(without_features, inputs_BT, lengths_B)
    last = features[..., -12:] if skip == "dense" else features
    assert not last.abs().sum().item()
    without_inputs = both_ways(skip, input_dropout=1 - 1e-9).train()
    other_BT, _ = rows(seed=5)
    same = [read(without_inputs, inputs, torch.full((4,), 12)) for inputs in (inputs_BT, other_BT)]
    assert torch.equal(*same)


# ---- heads


def test_rare_labels_weigh_more_and_the_mean_weight_is_1() -> None:
    counts = torch.tensor([80, 15, 5, 0, 0])
    for power in (0.5, 1.0):
        model = build_model(
            ModelSettings.model_validate({"head": {"class_weights": power}, "body": {"hidden_size": 3}}),
            V,
            None,
            Outputs(L, per_document=True),
        )
        model.head.set_frequencies(counts)
        weights = model.head.loss_weight_V
        assert weights is not None
        torch.testing.assert_close((weights * counts).sum() / counts.sum(), torch.tensor(1.0))
        torch.testing.assert_close(weights[1] / weights[0], torch.tensor((80 / 15) ** power))
        if power == 1:
            torch.testing.assert_close((weights * counts)[:3], torch.full((3,), 100 / 3))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("power", [0.0, 0.7])
def test_the_loss_is_weighted_and_smoothed_and_the_nats_are_not(smoothing: float, power: float) -> None:
    model = build_model(
        ModelSettings.model_validate({"head": {"label_smoothing": smoothing, "class_weights": power}}),
        V,
        None,
        Outputs(L, per_document=False),
    )
    head = model.head.double()
    head.set_frequencies(torch.tensor([5, 90, 1, 3, 40]))
    features = torch.randn(2, 3, model.body.features_size, dtype=torch.float64)
    targets = torch.tensor([[0, 4, -100], [2, -100, 1]])
    loss, nats = head.loss(features, targets)
    log_p = head.logits(features).log_softmax(-1)
    weights = head.loss_weight_V if power else torch.ones(L, dtype=torch.float64)
    assert weights is not None
    for row, time in product(range(2), range(3)):
        target = int(targets[row, time])
        nll = -log_p[row, time, target] if target >= 0 else torch.tensor(0.0, dtype=torch.float64)
        smooth = (1 - smoothing) * nll - smoothing * log_p[row, time].mean() if target >= 0 else nll
        torch.testing.assert_close(nats[row, time], nll)
        torch.testing.assert_close(loss[row, time], smooth * (weights[target] if target >= 0 else 1))


@pytest.mark.parametrize(
    ("head", "outputs", "words"),
    [
        ({"class_weights": 0.5}, None, "class_weights is for labels"),
        ({"class_weights": 0.5, "tied": True}, None, "class_weights is for labels"),
        ({"tied": True}, Outputs(L, per_document=True), "labels are only predicted"),
        ({"type": "adaptive"}, Outputs(1, per_document=True), "leaves no id"),
    ],
)
def test_heads_that_do_not_fit_are_refused(head: dict[str, object], outputs: Outputs | None, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        build_model(ModelSettings.model_validate({"head": {"type": "softmax", **head}}), V, None, outputs)
