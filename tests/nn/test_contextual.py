"""The features of frozen language models as an embedding: what they are, what they depend on, and that they stay.

B batch, T time, V vocabulary, H features.
"""

import json
from itertools import product
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from charlm import storage
from charlm.checkpoint import ResumeData, load_model, save_checkpoint
from charlm.data.labels import Labels
from charlm.data.source_texts import SourceConditions
from charlm.data.task_settings import TagTaskSettings, TransduceTaskSettings
from charlm.device import autocast
from charlm.errors import CheckpointError, SettingsError
from charlm.nn.build import Interface, Outputs, SourceInputs, build_meta_model, build_model
from charlm.nn.embeddings.frozen import FrozenModels, frozen_models
from charlm.nn.model import ConditionalModel, LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.nn.summary import summarize_network
from charlm.sampling.fast.fused import FusedStepper
from charlm.sampling.fast.stepper import choose_stepper
from charlm.settings import Layer, validate
from charlm.training.optim.build import build_optimizers
from charlm.training.optim.settings import MuonSettings
from charlm.vocab.char import CharVocab
from tests.nn.frozen import EOD, random_language_model, to_freeze
from tests.nn.rows import LENGTHS, rows

V, L = 9, 5
CPU = torch.device("cpu")
Direction = Literal["forward", "backward"]
LANGUAGE_MODELS: dict[str, dict[str, Any]] = {
    "lstm": {"body": {"hidden_size": 6, "num_layers": 2, "dropout": 0.5, "weight_drop": 0.3}},
    "gru-context": {
        "embedding": {"size": 3, "dropout": 0.3, "context_ngrams": (2,), "context_buckets": 16},
        "body": {"cell": {"type": "gru"}, "hidden_size": 5, "output_dropout": 0.4},
    },
    "batch-norm": {"body": {"hidden_size": 4, "norm": "batch", "norm_steps": 3}},
    "strided": {"body": {"hidden_size": 4, "num_layers": 2, "skip": "dense", "strides": (1, 3)}},
    "window": {"body": {"type": "window", "window": 3, "hidden_size": 7}},
    "tcn": {"body": {"type": "tcn", "num_blocks": 2, "hidden_size": 5, "norm": "none"}},
}
every_language_model = pytest.mark.parametrize("kind", LANGUAGE_MODELS)


def language_model(kind: str, direction: Direction) -> LanguageModel:
    return random_language_model(LANGUAGE_MODELS[kind], V, direction)[1]


def frozen(kind: str, setting: str = "model.embedding") -> FrozenModels:
    """Return a forward and a backward model."""
    return {
        f"{setting}.{direction}": to_freeze(LANGUAGE_MODELS[kind], V, direction)
        for direction in ("forward", "backward")
    }


def contextual(*directions: str, **more: Any) -> dict[str, Any]:
    return {"type": "contextual", **dict.fromkeys(directions, "a run"), "size": 0, **more}


BOTH = contextual("forward", "backward", size=3, projection=7)


def settings_of(embedding: dict[str, Any], **more: Any) -> ModelSettings:
    tree = {"embedding": embedding, "body": {"hidden_size": 6}, **more}
    return validate(ModelSettings, Layer(tree))


TAGS = Outputs(L, per_document=False)


def build(
    embedding: dict[str, Any], kind: str = "lstm", interface: Interface | None = TAGS, **more: Any
) -> LanguageModel:
    torch.manual_seed(0)
    return build_model(settings_of(embedding, **more), V, None, interface, frozen(kind)).eval()


def read(model: LanguageModel, inputs_BT: Tensor, lengths_B: Tensor) -> Tensor:
    return model(inputs_BT, model.initial_state(len(inputs_BT)), lengths_B)[0]


def vectors(model: LanguageModel, inputs_BT: Tensor, lengths_B: Tensor) -> Tensor:
    state = model.embedding.initial_state(len(inputs_BT))
    return model.embedding.read_rows(inputs_BT, state, lengths_B)[0]


def features_of_document(kind: str, direction: Direction, ids: list[int]) -> Tensor:
    """Return the features (T, H) of the tokens of a document, as its language model has them."""
    model = language_model(kind, direction)
    text = ids if direction == "forward" else ids[::-1]
    features_BTH, _ = model(torch.tensor([[EOD, *text]]), model.initial_state(1))
    features_TH = features_BTH[0, 1:]
    return features_TH if direction == "forward" else features_TH.flip(0)


# ---- what they are


@every_language_model
@pytest.mark.parametrize("ends_with_eod", [False, True])
def test_the_vectors_are_the_features_of_the_language_models(kind: str, *, ends_with_eod: bool) -> None:
    """A row of labels or tags ends with its <eod>, and a source of a transducer does not."""
    model = build(contextual("forward", "backward"), kind)
    documents = [[1, 2, 3, 4, 5], [6], [7, 8, 1, 1]]
    inputs_BT = torch.full((3, 8), 5)
    for row, ids in enumerate(documents):
        inputs_BT[row, : len(ids) + 1] = torch.tensor([*ids, EOD if ends_with_eod else 5])
    lengths_B = torch.tensor([len(ids) + ends_with_eod for ids in documents])
    found = vectors(model, inputs_BT, lengths_B)
    for row, ids in enumerate(documents):
        expected = [features_of_document(kind, direction, ids) for direction in ("forward", "backward")]
        torch.testing.assert_close(found[row, : len(ids)], torch.cat(expected, -1), rtol=0, atol=1e-5)


def test_a_projection_and_a_trained_vector_stand_beside_them() -> None:
    model = build(BOTH)
    inputs_BT, lengths_B = rows()
    assert model.embedding.size == 7 + 3
    found = vectors(model, inputs_BT, lengths_B)
    names = dict(model.embedding.named_parameters())
    assert set(names) == {"trained.weight_VD", "projection.weight", "projection.bias"}
    torch.testing.assert_close(found[..., 7:], names["trained.weight_VD"][inputs_BT])
    plain = vectors(build(contextual("forward", "backward")), inputs_BT, lengths_B)
    expected = plain @ names["projection.weight"].T + names["projection.bias"]
    torch.testing.assert_close(found[..., :7], expected, rtol=0, atol=1e-5)


@every_language_model
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_language_model_reads_the_one_of_its_direction_along(kind: str, direction: Direction) -> None:
    """Its stream has the <eod> between documents, and is reversed already for a backward model."""
    model = build(contextual(direction), kind, None, direction=direction)
    inputs_BT = torch.tensor([[EOD, 1, 2, EOD, 3, 3]])
    own = language_model(kind, direction)
    found, _ = model.embedding(inputs_BT, model.embedding.initial_state(1))
    torch.testing.assert_close(found, own(inputs_BT, own.initial_state(1))[0], rtol=0, atol=1e-5)


# ---- what they depend on


@pytest.mark.parametrize(
    ("kind", "direction", "directions"),
    [
        *product(LANGUAGE_MODELS, ["both"], [("forward", "backward")]),
        *product(["lstm"], ["forward", "backward"], [("forward",), ("backward",)]),
    ],
)
def test_a_row_alone_equals_the_row_in_a_padded_batch(kind: str, direction: str, directions: tuple[str, ...]) -> None:
    model = build(contextual(*directions, size=2), kind, direction=direction)
    assert model.is_causal == (direction == "forward" and directions == ("forward",))
    inputs_BT, lengths_B = rows(width=15)
    together = read(model, inputs_BT, lengths_B)
    for row, length in enumerate(LENGTHS):
        own = inputs_BT[row : row + 1, :length]
        alone = read(model, own, torch.tensor([length]))
        without_lengths, _ = model(own, model.initial_state(1))
        torch.testing.assert_close(together[row : row + 1, :length], alone, rtol=0, atol=1e-5)
        torch.testing.assert_close(without_lengths, alone, rtol=0, atol=1e-6)


@every_language_model
@pytest.mark.parametrize("interface", [None, TAGS], ids=["language", "tags"])
@pytest.mark.parametrize("chunks", [[1] * 12, [5, 7], [0, 3, 0, 9]])
def test_a_causal_model_reads_chunks_as_the_whole(kind: str, interface: Interface | None, chunks: list[int]) -> None:
    model = build(contextual("forward", size=2, context_ngrams=(2, 3), context_buckets=8), kind, interface)
    assert model.is_causal
    inputs_BT, _ = rows((12, 12, 12))
    whole, end = model(inputs_BT, model.initial_state(3))
    state = model.initial_state(3)
    pieces: list[Tensor] = []
    for piece in inputs_BT.split(chunks, dim=1):
        features, state = model(piece, state)
        pieces.append(features)
    torch.testing.assert_close(torch.cat(pieces, 1), whole, rtol=0, atol=1e-5)
    for mine, other in zip(state, end, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("directions", [("forward",), ("backward",), ("forward", "backward")])
def test_a_batch_without_rows_gives_gradients_of_zero(directions: tuple[str, ...]) -> None:
    model = build(contextual(*directions, size=2, projection=3), direction="both").train()
    inputs_BT, lengths_B = rows()
    features = read(model, inputs_BT[:0], lengths_B[:0])
    loss, _ = model.head.loss(features, inputs_BT[:0])
    loss.sum().backward()
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in model.parameters())


# ---- they stay as they are


@every_language_model
def test_they_have_no_noise_in_training(kind: str) -> None:
    model = build(contextual("forward", "backward"), kind)
    inputs_BT, lengths_B = rows()
    before = vectors(model, inputs_BT, lengths_B)
    assert torch.equal(vectors(model.train(), inputs_BT, lengths_B), before)
    assert not before.requires_grad


def test_they_are_no_parameters_and_no_buffers() -> None:
    model = build(BOTH).requires_grad_(requires_grad=True).train()
    names = [name for name, _ in (*model.named_parameters(), *model.named_buffers())]
    assert not [name for name in names if "along" in name or "against" in name]
    readers = frozen_models(model)
    assert [reader.setting for reader in readers] == ["model.embedding.forward", "model.embedding.backward"]
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert any(name.startswith("embedding.along.body.") for name in weights)
    optimizers = build_optimizers(MuonSettings(), model)
    inputs_BT, lengths_B = rows()
    for _ in range(2):
        loss, _ = model.head.loss(read(model, inputs_BT, lengths_B), inputs_BT % L)
        loss.sum().backward()
        optimizers.step()
        optimizers.zero_grad()
    for name, tensor in model.state_dict().items():
        is_frozen = name.startswith(("embedding.along.", "embedding.against."))
        assert torch.equal(tensor, weights[name]) == is_frozen, name


def test_they_move_with_the_model() -> None:
    model = build(BOTH)
    inputs_BT, lengths_B = rows()
    before = vectors(model, inputs_BT, lengths_B)
    after = vectors(model.double(), inputs_BT, lengths_B)
    assert after.dtype == torch.float64
    assert all(tensor.dtype == torch.float64 for tensor in model.state_dict().values() if tensor.is_floating_point())
    torch.testing.assert_close(after.float(), before, rtol=0, atol=1e-5)


def test_low_precision_is_near() -> None:
    model = build(BOTH, direction="both")
    inputs_BT, lengths_B = rows()
    before = read(model, inputs_BT, lengths_B)
    with autocast("bf16", CPU):
        after = read(model, inputs_BT, lengths_B)
    torch.testing.assert_close(after.float(), before, rtol=0, atol=0.05)


def test_the_summary_counts_them_apart() -> None:
    tree = settings_of(BOTH)
    summary = summarize_network(tree, V, None, TAGS, frozen("lstm"))
    model = build(BOTH)
    assert summary.parameters == model.num_parameters
    parts = [language_model("lstm", direction) for direction in ("forward", "backward")]
    weights = sum(
        tensor.numel() for part in parts for tensor in (*part.embedding.parameters(), *part.body.parameters())
    )
    assert summary.frozen_weights == weights
    assert summary.to_json()["frozen_weights"] == weights
    macs = sum(part.body.macs_per_token for part in parts)
    assert summary.frozen_macs_per_token == macs
    operations = summary.to_json()["operations"]
    assert operations["training"] == 3 * operations["forward"] - 2 * 2 * macs


# ---- checkpoints


def save(directory: Path, model: LanguageModel, settings: ModelSettings, vocab: CharVocab, **more: Any) -> None:
    save_checkpoint(
        directory,
        model=model,
        settings=settings,
        vocab=vocab,
        trained_on={"corpus": "c", "fingerprint": "f"},
        training=ResumeData({}),
        **more,
    )


@every_language_model
def test_a_checkpoint_needs_nothing_else(tmp_path: Path, kind: str) -> None:
    model = build(BOTH, kind, direction="both")
    save(
        tmp_path,
        model,
        settings_of(BOTH, direction="both"),
        CharVocab("abcdefgh", byte_fallback=False),
        task=TagTaskSettings(),
        labels=Labels.from_names("BCAED"),
    )
    again = load_model(tmp_path, CPU).model.eval()
    inputs_BT, lengths_B = rows()
    assert torch.equal(read(again, inputs_BT, lengths_B), read(model, inputs_BT, lengths_B))
    assert [each.description for each in frozen_models(again)] == [each.description for each in frozen_models(model)]
    assert {name for name, _ in again.named_parameters()} == {name for name, _ in model.named_parameters()}
    read(again.train(), inputs_BT, lengths_B).sum().backward()


@pytest.mark.parametrize(
    "change",
    [
        {"eod_id": V},
        {"vocab_size": V + 1},
        {"settings": {"embedding": contextual("forward")}},
        {"settings": {"body": {"hidden_size": 5}}},
        {"settings": 3},
        {"bags": 3},
        {"extra": 1},
        None,
        [],
    ],
)
def test_a_damaged_description_is_refused(tmp_path: Path, change: Any) -> None:
    vocab = CharVocab("abcdefgh", byte_fallback=False)
    model = build(contextual("forward"), "lstm", None)
    save(tmp_path, model, settings_of(contextual("forward")), vocab)
    load_model(tmp_path, CPU)
    path = tmp_path / "model.json"
    about = json.loads(path.read_text(encoding="utf-8"))
    entry = about["frozen"]["model.embedding.forward"]
    changed = {"model.embedding.forward": entry | change} if isinstance(change, dict) else change
    path.write_text(json.dumps(about | {"frozen": changed}), encoding="utf-8")
    storage.write_manifest(tmp_path, {"format": 2})
    with pytest.raises(CheckpointError, match=r"does not describe a model|does not fit model\.json"):
        load_model(tmp_path, CPU)


def test_an_encoder_reads_them_too(tmp_path: Path) -> None:
    vocab = CharVocab("abcdefgh", byte_fallback=False)
    encoder = {"embedding": BOTH, "body": {"hidden_size": 4}}
    tree = settings_of({"size": 4}, condition={"type": "source", "encoder": encoder})
    torch.manual_seed(0)
    inputs = SourceInputs(V, None)
    models = frozen("lstm", "model.condition.encoder.embedding")
    model = build_model(tree, V, None, inputs, models).eval()
    assert isinstance(model, ConditionalModel)
    sources = rows((5, 2), seed=3)
    targets_BT, _ = rows((4, 4))
    together = model.given(sources)
    found, _ = together(targets_BT, together.initial_state(2))
    for row in range(2):
        length = int(sources[1][row])
        alone = model.given((sources[0][row : row + 1, :length], sources[1][row : row + 1]))
        own, _ = alone(targets_BT[row : row + 1], alone.initial_state(1))
        torch.testing.assert_close(found[row : row + 1], own, rtol=0, atol=1e-5)
    save(tmp_path, model, tree, vocab, task=TransduceTaskSettings(), conditions=SourceConditions(vocab, "none"))
    again = load_model(tmp_path, CPU).model.eval()
    assert isinstance(again, ConditionalModel)
    bound = again.given(sources)
    assert torch.equal(bound(targets_BT, bound.initial_state(2))[0], found)


def test_a_model_without_weights_has_the_shapes_of_the_model() -> None:
    meta = build_meta_model(settings_of(BOTH), V, None, TAGS, frozen("lstm")).state_dict()
    assert all(tensor.is_meta for tensor in meta.values())
    found = build(BOTH).state_dict()
    assert {name: tensor.shape for name, tensor in meta.items()} == {
        name: tensor.shape for name, tensor in found.items()
    }


# ---- sampling


@pytest.mark.parametrize("embedding", [contextual("forward"), contextual("forward", size=2, projection=3)])
def test_the_fast_step_equals_the_forward(embedding: dict[str, Any]) -> None:
    model = build(embedding, "lstm", None)
    inputs_BT, _ = rows((6, 6))
    logits_BTV = model.head.logits(model(inputs_BT, model.initial_state(2))[0])
    stepper = choose_stepper(model, model.initial_state(2))
    assert isinstance(stepper, FusedStepper)
    for time in range(6):
        torch.testing.assert_close(stepper.step(inputs_BT[:, time]), logits_BTV[:, time], rtol=0, atol=1e-4)


# ---- errors


@pytest.mark.parametrize(
    ("direction", "named"),
    [("forward", ("backward",)), ("forward", ("forward", "backward")), ("backward", ("forward",))],
)
def test_a_language_model_may_not_see_what_it_predicts(direction: Direction, named: tuple[str, ...]) -> None:
    other = "backward" if direction == "forward" else "forward"
    with pytest.raises(SettingsError, match=rf"model\.embedding\.{other} is for labels and tags.*would see"):
        build(contextual(*named), "lstm", None, direction=direction)


def test_it_needs_language_models() -> None:
    with pytest.raises(SettingsError, match="size is 0"):
        settings_of(contextual("forward", context_ngrams=(2,)))
    with pytest.raises(SettingsError, match="set forward, backward or both"):
        settings_of({"type": "contextual"})
    with pytest.raises(ValueError, match=r"model\.embedding\.forward names a language model that is missing"):
        build_model(settings_of(contextual("forward")), V)


def test_a_head_cannot_be_tied_to_them() -> None:
    with pytest.raises(SettingsError, match="reads frozen models"):
        build(contextual("forward", size=4), "lstm", None, head={"tied": True})
