"""A checkpoint is complete, readable and harmless, or it is refused before anything large is allocated."""

import errno
import json
import math
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from charlm import formats, storage
from charlm.checkpoint import (
    ResumeData,
    describe_model,
    load_model,
    load_resume_data,
    save_checkpoint,
    save_fp16,
)
from charlm.errors import CheckpointError, DataError, StorageError
from charlm.nn.bodies.settings import RecurrentSettings
from charlm.nn.build import build_model
from charlm.nn.embeddings.settings import TokenEmbeddingSettings
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.vocab.char import CharVocab
from tests.faulty_disk import every_fault

CPU = torch.device("cpu")
VOCAB = CharVocab("abc☃", byte_fallback=False)
SETTINGS = ModelSettings(embedding=TokenEmbeddingSettings(size=3), body=RecurrentSettings(hidden_size=4))
FILES = ["model.safetensors", "model.json", "vocab.json", "training.safetensors", "training.json"]
TRAINED_ON = {"corpus": "tiny", "fingerprint": "0" * 64, "step": 7}
FACTS = {"step": 7, "best": None, "nested": {"x": [1, 2.5]}}
TENSORS = {"a": torch.arange(3.0), "rng": torch.arange(5, dtype=torch.uint8), "step": torch.tensor(7.0)}

Tree = dict[str, Any]


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    torch.manual_seed(0)
    return build_model(SETTINGS, VOCAB.size)


def save(directory: Path, model: LanguageModel) -> Path:
    state = ResumeData(FACTS, TENSORS)
    save_checkpoint(directory, model=model, settings=SETTINGS, vocab=VOCAB, trained_on=TRAINED_ON, training=state)
    return directory


@pytest.fixture
def checkpoint(tmp_path: Path, model: LanguageModel) -> Path:
    return save(tmp_path / "c", model)


def sign(directory: Path) -> None:
    """Make the manifest match the changed files, so that it cannot reveal the change."""
    storage.write_manifest(directory, {"format": formats.CHECKPOINT})


def edit(directory: Path, name: str, change: Callable[[Tree], object]) -> None:
    content = json.loads((directory / name).read_text(encoding="utf-8"))
    change(content)
    (directory / name).write_text(json.dumps(content), encoding="utf-8")
    if name != "manifest.json":
        sign(directory)


def load(directory: Path) -> LanguageModel:
    """Read everything that any command reads of a checkpoint."""
    loaded = load_model(directory, CPU)
    load_resume_data(directory)
    return loaded.model


def refused(directory: Path, *words: str) -> None:
    with pytest.raises(DataError) as caught:
        load(directory)
    assert all(word in str(caught.value) for word in words), str(caught.value)


# ---- complete


def test_a_saved_checkpoint_is_loaded_unchanged(checkpoint: Path, model: LanguageModel) -> None:
    loaded = load_model(checkpoint, CPU)
    assert loaded.vocab.to_json() == VOCAB.to_json()
    assert loaded.metadata["trained_on"] == TRAINED_ON
    weights = model.state_dict()
    assert {name: tensor.shape for name, tensor in loaded.model.state_dict().items()} == {
        name: tensor.shape for name, tensor in weights.items()
    }
    assert all(torch.equal(tensor, weights[name]) for name, tensor in loaded.model.state_dict().items())
    training = load_resume_data(checkpoint)
    assert training.metadata == FACTS
    assert set(training.tensors) == set(TENSORS)
    assert all(torch.equal(tensor, TENSORS[name]) for name, tensor in training.tensors.items())
    assert {path.name for path in checkpoint.iterdir()} == {*FILES, "manifest.json"}


@pytest.mark.parametrize("is_there", [False, True], ids=["new", "replaced"])
def test_after_any_failed_operation_a_checkpoint_is_the_old_or_the_new_one(
    tmp_path: Path, model: LanguageModel, is_there: bool
) -> None:
    """A full disk becomes no fuller, and never costs the checkpoint that is replaced. Only an old one that cannot be
    removed stays, moved aside."""
    directory = tmp_path / "c"

    def reset() -> None:
        storage.remove_tree(directory)
        if is_there:
            save(directory, model)
            edit(directory, "training.json", lambda content: content.update(step=6))

    steps: set[int] = set()
    reset()
    for failed in every_fault(errno.ENOSPC, lambda: save(directory, model)):
        if is_there or not failed:
            load(directory)
            steps.add(load_resume_data(directory).metadata["step"])
        names = {path.name for path in tmp_path.iterdir()} - {f".c.old.{os.getpid()}.tmp"}
        assert names == {"c"} or (failed and not is_there and not names)
        storage.remove_tree(tmp_path / f".c.old.{os.getpid()}.tmp")
        reset()
    assert steps == ({6, 7} if is_there else {7})


def test_a_checkpoint_that_is_read_back_differently_is_not_saved(
    checkpoint: Path, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = storage.write_manifest

    def flip(directory: Path, metadata: Tree) -> None:
        write(directory, metadata)
        content = bytearray((directory / "model.safetensors").read_bytes())
        content[-1] ^= 1
        (directory / "model.safetensors").write_bytes(content)

    before = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    monkeypatch.setattr(storage, "write_manifest", flip)
    with pytest.raises(StorageError, match=r"model\.safetensors is damaged.*check the disk"):
        save(checkpoint, model)
    assert {path.name: path.read_bytes() for path in checkpoint.iterdir()} == before
    assert [path.name for path in checkpoint.parent.iterdir()] == ["c"]


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_the_direction_is_that_of_the_settings(checkpoint: Path, model: LanguageModel, direction: str) -> None:
    settings = ModelSettings.model_validate({**SETTINGS.model_dump(), "direction": direction})
    state = ResumeData(FACTS, TENSORS)
    save_checkpoint(checkpoint, model=model, settings=settings, vocab=VOCAB, trained_on=TRAINED_ON, training=state)
    loaded = load_model(checkpoint, CPU)
    assert loaded.settings == settings
    assert loaded.metadata["direction"] == describe_model(checkpoint).settings.direction == direction


def test_an_fp16_model_is_half_as_large(tmp_path: Path, checkpoint: Path) -> None:
    """Its weights are rounded to fp16, and it loads without other files."""
    loaded = load_model(checkpoint, CPU)
    save_fp16(tmp_path / "half", loaded, {"licence": "MIT"})
    assert {path.name for path in (tmp_path / "half").iterdir()} == {*FILES[:3], "manifest.json"}
    found = load_model(tmp_path / "half", CPU)
    assert found.metadata == {**loaded.metadata, "licence": "MIT"}
    assert found.vocab.is_same(loaded.vocab)
    for name, tensor in loaded.model.state_dict().items():
        assert torch.equal(found.model.state_dict()[name], tensor.half().float()), name
    stored = load_file(tmp_path / "half" / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}


def test_equal_models_are_saved_as_equal_bytes(tmp_path: Path, model: LanguageModel) -> None:
    first, second = save(tmp_path / "a", model), save(tmp_path / "b", model)
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in (*FILES, "manifest.json"))


def test_a_loaded_model_owns_its_weights(checkpoint: Path) -> None:
    """They are not mapped from a file that may be removed, and they can be trained."""
    loaded = load_model(checkpoint, CPU).model
    other = load_model(checkpoint, CPU).model
    for path in checkpoint.iterdir():
        path.unlink()
    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter.zero_()
    assert any(bool(parameter.any()) for parameter in other.parameters())


def test_an_incomplete_checkpoint_of_the_same_step_is_replaced(tmp_path: Path, model: LanguageModel) -> None:
    storage.make_directory(tmp_path / "c")
    (tmp_path / "c" / "model.safetensors").write_bytes(b"torn")
    (tmp_path / "c" / "stale.bin").write_bytes(b"old")
    load_model(save(tmp_path / "c", model), CPU)
    assert not (tmp_path / "c" / "stale.bin").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_failed_write_leaves_a_checkpoint_complete_or_absent(
    tmp_path: Path, model: LanguageModel, number: int
) -> None:
    for attempt, failed in enumerate(every_fault(number, lambda: save(tmp_path / "c", model))):
        directory = tmp_path / "c"
        assert failed is None or attempt < 100
        assert storage.has_manifest(directory) or failed is not None
        if storage.has_manifest(directory):
            load_model(directory, CPU)
        storage.remove_tree(directory)


# ---- damaged


@given(data=st.data(), name=st.sampled_from(FILES))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_a_flipped_bit_is_found(checkpoint: Path, data: st.DataObject, name: str) -> None:
    path = checkpoint / name
    before = path.read_bytes()
    damaged = bytearray(before)
    damaged[data.draw(st.integers(0, len(before) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(damaged)
    with pytest.raises(CheckpointError, match="SHA-256"):
        load_model(checkpoint, CPU)
    path.write_bytes(before)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_missing_or_truncated_file_is_found(checkpoint: Path, name: str) -> None:
    content = (checkpoint / name).read_bytes()
    for damaged in (content[:-1], b""):
        (checkpoint / name).write_bytes(damaged)
        if name != "manifest.json" or damaged != content.rstrip():  # its last byte is the end of a line
            refused(checkpoint, name)
    (checkpoint / name).unlink()
    refused(checkpoint, name)
    assert storage.has_manifest(checkpoint) == (name != "manifest.json")


@given(data=st.data(), name=st.sampled_from(["model.safetensors", "training.safetensors"]))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_any_bytes_with_a_fitting_manifest_are_refused_or_sound(
    checkpoint: Path, data: st.DataObject, name: str
) -> None:
    """Headers with wrong sizes, shapes, types and offsets; safetensors checks what charlm does not."""
    path = checkpoint / name
    before = path.read_bytes()
    damaged = bytearray(before)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, min(len(before) - 1, 400)))
        damaged[position] = data.draw(st.sampled_from(list(b'0123456789[]{},:"FIBU')) | st.integers(0, 255))
    path.write_bytes(bytes(damaged))
    sign(checkpoint)
    try:
        model = load(checkpoint)
    except CheckpointError:
        return
    finally:
        path.write_bytes(before)
        sign(checkpoint)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    model(torch.zeros(1, 2, dtype=torch.int64), model.initial_state(1))


# ---- hostile


class Canary:
    """A pickle that creates a file when it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self._path),))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_a_pickle_is_never_executed(checkpoint: Path, tmp_path: Path, name: str, writer: str) -> None:
    canary = tmp_path / "canary"
    if writer == "pickle":
        (checkpoint / name).write_bytes(pickle.dumps(Canary(canary)))
    else:
        torch.save(Canary(canary), checkpoint / name)
    sign(checkpoint)
    refused(checkpoint, name)
    assert not canary.exists()


def change_weights(checkpoint: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    weights = load_file(checkpoint / "model.safetensors")
    change(weights)
    save_file(weights, checkpoint / "model.safetensors")
    sign(checkpoint)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["embedding.weight_VD", "body.layers.0.cell.bias_G", "head.bias_V"])
def test_weights_that_are_not_finite_are_refused(checkpoint: Path, name: str, value: float) -> None:
    change_weights(checkpoint, lambda weights: weights[name].view(-1).__setitem__(1, value))
    refused(checkpoint, name, "not finite")


@pytest.mark.parametrize(
    "change",
    [
        lambda weights: weights.pop("head.bias_V"),
        lambda weights: weights.update(extra=torch.zeros(1)),
        lambda weights: weights.update({"head.bias_V": torch.zeros(VOCAB.size + 1)}),
        lambda weights: weights.update({"head.weight_VH": torch.zeros(4, VOCAB.size)}),
        lambda weights: weights.update({"head.bias_V": torch.zeros(VOCAB.size, 1)}),
        lambda weights: weights.update({"head.bias_V": torch.zeros(VOCAB.size, dtype=torch.int64)}),
        lambda weights: weights.update({"head.bias_V": torch.zeros(VOCAB.size, dtype=torch.float16)}),
        lambda weights: weights.update({"head.bias_V": torch.zeros(VOCAB.size, dtype=torch.complex64)}),
        lambda weights: weights.clear(),
    ],
    ids=["missing", "extra", "longer", "transposed", "more axes", "integers", "half", "complex", "none"],
)
def test_weights_that_do_not_fit_the_model_are_refused(checkpoint: Path, change: Any) -> None:
    change_weights(checkpoint, change)
    refused(checkpoint, "model.safetensors")


def header_of(size: int, header: bytes) -> bytes:
    return struct.pack("<Q", size) + header


@pytest.mark.parametrize(
    "content",
    [
        header_of(2**62, b"{"),
        header_of(99_000_000, b"{}"),
        header_of(2, b"{}"),
        header_of(100_000, b"[" * 100_000),
        header_of(63, b'{"a":{"dtype":"F32","shape":[99999999999],"data_offsets":[0,4]}}'[:63]),
    ],
    ids=["huge header", "long header", "nothing", "deep header", "torn header"],
)
def test_hostile_headers_are_refused(checkpoint: Path, content: bytes) -> None:
    (checkpoint / "model.safetensors").write_bytes(content)
    sign(checkpoint)
    refused(checkpoint, "model.safetensors")


@pytest.mark.parametrize("size", [10**6, 10**9, 10**12, 10**18, 10**19, 10**30])
@pytest.mark.parametrize(
    "place",
    [
        lambda metadata, size: metadata["settings"]["body"].update(hidden_size=size),
        lambda metadata, size: metadata["settings"]["embedding"].update(size=size),
        lambda metadata, size: metadata.update(vocab_size=size),
        lambda metadata, size: metadata["settings"]["body"].update(num_layers=size),
    ],
    ids=["hidden_size", "embedding", "vocab_size", "num_layers"],
)
def test_huge_sizes_are_refused_before_they_are_allocated(checkpoint: Path, size: int, place: Any) -> None:
    """The largest would not fit into any memory; the smallest would take 16 TB."""
    edit(checkpoint, "model.json", lambda metadata: place(metadata, size))
    refused(checkpoint)


@pytest.mark.parametrize("name", ["model.safetensors", "training.safetensors"])
def test_a_header_of_a_huge_tensor_is_refused_before_it_is_allocated(checkpoint: Path, name: str) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}).encode()
    (checkpoint / name).write_bytes(header_of(len(header), header))
    sign(checkpoint)
    refused(checkpoint, name)


@pytest.mark.parametrize(
    "change",
    [
        lambda metadata: metadata.pop("settings"),
        lambda metadata: metadata.pop("vocab_size"),
        lambda metadata: metadata.pop("direction"),
        lambda metadata: metadata.pop("trained_on"),
        lambda metadata: metadata["trained_on"].pop("fingerprint"),
        lambda metadata: metadata.pop("format"),
        lambda metadata: metadata.update(settings=[]),
        lambda metadata: metadata.update(vocab_size=math.inf),
        lambda metadata: metadata.update(vocab_size=-1),
        lambda metadata: metadata.update(vocab_size=VOCAB.size + 1),
        lambda metadata: metadata.update(direction="sideways"),
        lambda metadata: metadata.update(direction="backward"),
        lambda metadata: metadata["settings"].update(direction="backward"),
        lambda metadata: metadata.update(format="1"),
        lambda metadata: metadata["settings"]["body"]["cell"].update(type="transformer"),
        lambda metadata: metadata["settings"]["body"].update(hidden_size=0),
        lambda metadata: metadata["settings"]["body"].update(unknown=1),
    ],
)
def test_an_invalid_description_of_a_model_is_refused(checkpoint: Path, change: Any) -> None:
    edit(checkpoint, "model.json", change)
    refused(checkpoint)


@pytest.mark.parametrize("name", ["model.json", "training.json", "vocab.json"])
@pytest.mark.parametrize("content", ["", "[]", "null", "[" * 100_000, '{"a": NaN}', "\udcff"])
def test_json_files_that_are_not_objects_are_refused(checkpoint: Path, name: str, content: str) -> None:
    (checkpoint / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    sign(checkpoint)
    refused(checkpoint, name)


# ---- foreign


@pytest.mark.parametrize("name", ["model.json", "manifest.json", "vocab.json"])
def test_a_newer_format_asks_for_an_upgrade(checkpoint: Path, name: str) -> None:
    edit(checkpoint, name, lambda content: content.update(format=formats.TASK_CHECKPOINT + 1, charlm="9.9"))
    refused(checkpoint, "upgrade")


def test_another_vocabulary_is_refused(checkpoint: Path) -> None:
    CharVocab("abcd☃", byte_fallback=False).save(checkpoint)
    sign(checkpoint)
    refused(checkpoint, "vocabulary has 6 ids, the model 5")


def test_a_directory_without_a_manifest_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "not a complete checkpoint")
    refused(tmp_path / "missing", "not a complete checkpoint")
