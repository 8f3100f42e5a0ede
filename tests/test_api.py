"""`charlm.load`: the same scores and texts as the command line; features that depend on the text read so far only."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import charlm
from charlm.api import Model
from charlm.checkpoint import ResumeData, save_checkpoint
from charlm.errors import DataError, UsageError
from charlm.nn.build import build_model
from charlm.nn.settings import ModelSettings
from charlm.vocab.base import Vocab
from charlm.vocab.char import CharVocab
from charlm.vocab.settings import WordSettings
from tests.processes import Commands
from tests.vocab.learning import learn
from tests.workspaces import RUN

TEXT = "Съешь ещё 東京 🙂\x00 не виденное раньше: ☃\n"
KNOWN = "съешь мягких"


@pytest.fixture
def model(toured: Commands) -> Model:
    return charlm.load(str(toured.folder / RUN))


def make(directory: Path, vocab: Vocab, direction: str) -> Model:
    """A small network with its initial weights."""
    settings = ModelSettings.model_validate(
        {"direction": direction, "embedding": {"size": 3}, "body": {"type": "recurrent", "hidden_size": 4}}
    )
    torch.manual_seed(0)
    save_checkpoint(
        directory,
        model=build_model(settings, vocab.size),
        settings=settings,
        vocab=vocab,
        trained_on={"corpus": "none", "fingerprint": "none"},
        training=ResumeData({}),
    )
    return charlm.load(str(directory), device="cpu")


@pytest.fixture(params=["forward", "backward"])
def direction(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["char", "word"])
def small(request: pytest.FixtureRequest, direction: str, tmp_path: Path) -> Model:
    vocab = CharVocab("abc ☃") if request.param == "char" else learn(WordSettings(min_count=1), ["abc cab a b bc "])
    return make(tmp_path / "small", vocab, direction)


def test_the_package_imports_torch_only_when_a_model_is_loaded() -> None:
    code = "import sys, charlm; charlm.load; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE).stdout == b"False\n"


def test_a_score_is_that_of_eval(model: Model, toured: Commands, tmp_path: Path) -> None:
    (tmp_path / "new.txt").write_bytes(TEXT.encode())
    told = toured.json("eval", str(RUN), "--text", str(tmp_path / "new.txt"))
    found = model.score(TEXT)
    assert found.nats == pytest.approx(told["nats"], rel=1e-6)
    assert found.bits_per_character == pytest.approx(told["bits_per_character"], rel=1e-6)
    assert (found + found).nats == 2 * found.nats


def test_text_is_that_of_sample(model: Model, toured: Commands) -> None:
    options = ("--prompt", "Съешь", "--length", "60", "--temperature", "0.9", "--top-k", "20", "--seed", "3")
    told = toured.json("sample", str(RUN), *options)
    found = model.sample("Съешь", length=60, temperature=0.9, top_k=20, seed=3)
    assert found == told["text"]
    assert found == "".join(model.stream("Съешь", length=60, temperature=0.9, top_k=20, seed=3))
    assert isinstance(model.stream(), Iterator)


def test_constraints_hold(model: Model) -> None:
    assert model.sample(regex="[а-я]{5}[.!]", length=10)[-1] in ".!"
    assert "東" in model.sample(must_contain=["東"], length=40)
    assert not set(model.sample(never="аоуи", length=80)) & set("аоуи")


def test_values_out_of_range_are_refused(model: Model) -> None:
    for options in ({"length": -1}, {"seed": -1}, {"penalty_window": 0}, {"top_k": 0}, {"top_p": 2.0}):
        with pytest.raises(UsageError):
            model.sample(**options)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        charlm.load("no-such-run")
    with pytest.raises(DataError):
        model.score("")


def test_every_character_and_every_token_has_features(model: Model) -> None:
    size = model.network.body.features_size
    assert model.hidden(TEXT).shape == (len(TEXT), size)
    assert model.hidden(TEXT, per="token").shape == (len(model.vocab.encode(TEXT)), size)
    assert model.hidden("").shape == (0, size)
    assert model.hidden(TEXT).dtype == torch.float32
    assert not model.hidden(TEXT).requires_grad
    assert not model.network.training
    known = model.hidden(KNOWN)
    assert torch.equal(known, model.hidden(KNOWN, per="token"))  # one token for each character


def test_features_are_the_input_of_the_head(small: Model, direction: str) -> None:
    """Compared with a forward over `<eod>` and all tokens."""
    text = "abc ☃é cab"
    ids = [int(token) for token in small.vocab.encode(text)]
    read = ids[::-1] if direction == "backward" else ids
    state = small.network.initial_state(1)
    with torch.no_grad():
        features, _ = small.network(torch.tensor([[small.vocab.eod_id, *read]]), state)
    expected = features[0, 1:].flip(0) if direction == "backward" else features[0, 1:]
    assert torch.allclose(small.hidden(text, per="token"), expected, atol=1e-6)


def test_features_depend_on_the_text_read_so_far_only(small: Model, direction: str) -> None:
    """If one character changes, only its own features and those of characters read later change."""
    text, place = "abc cab a ☃é bc", 8
    other = text[:place] + "b" + text[place + 1 :]
    before, after = small.hidden(text), small.hidden(other)
    is_same = [bool(torch.allclose(one, two, atol=1e-7)) for one, two in zip(before, after, strict=True)]
    if direction == "backward":
        is_same.reverse()
        place = len(text) - 1 - place
    assert all(is_same[:place])
    assert not any(is_same[place:])


def test_a_spelled_character_has_the_features_of_its_last_byte_read(small: Model, direction: str) -> None:
    """Its row is that of the token read last among those that spell it."""
    text, place = ("éa", 0) if direction == "backward" else ("aé", 1)
    ids = [int(token) for token in small.vocab.encode(text)]
    row, tokens = small.hidden(text)[place], small.hidden(text, per="token")
    (number,) = (number for number, token in enumerate(tokens) if torch.equal(token, row))
    if direction == "backward":
        assert number == 0
    else:
        assert small.vocab.decode(ids[: number + 1]) == text
        assert small.vocab.decode(ids[:number]) != text
