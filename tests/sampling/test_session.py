"""A conversation: its state is the state after its text; every snapshot can be undone, kept, saved and loaded."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from charlm import formats
from charlm.errors import DataError, UsageError
from charlm.nn.bodies.settings import RecurrentSettings
from charlm.nn.build import build_model
from charlm.nn.settings import ModelSettings
from charlm.sampling.filters import Temperature
from charlm.sampling.plan import SamplingPlan
from charlm.sampling.session import Session
from tests.sampling.test_generate import CHAR, CPU, model_for

SAMPLING = SamplingPlan(12, (Temperature(1.0),), seed=4)


def session(identity: str = "a") -> Session:
    return Session(model_for(CHAR), CHAR, CPU, identity)


def say(talk: Session) -> str:
    return "".join(talk.write(SAMPLING))


def assert_is_after(talk: Session, text: str) -> None:
    """The state equals that of a model that has read this text."""
    assert talk.snapshot.text == text
    ids = torch.tensor([[CHAR.eod_id, *CHAR.encode(text).tolist()]])
    with torch.no_grad():
        features, state = model_for(CHAR)(ids, model_for(CHAR).initial_state(1))
        logits = model_for(CHAR).head.logits(features[:, -1])
    torch.testing.assert_close(talk.snapshot.primed.logits_1V, logits, rtol=1e-4, atol=1e-5)
    for own, other in zip(talk.snapshot.primed.state, state, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-5)


def test_the_state_is_that_of_the_whole_text() -> None:
    talk = session()
    talk.read("ab")
    first = say(talk)
    talk.read("é🙂")
    second = say(talk)
    assert (len(first), len(second)) == (12, 12)
    assert_is_after(talk, "ab" + first + "é🙂" + second)


def test_each_turn_gives_another_text_and_undo_gives_the_same_one_again() -> None:
    talk = session()
    first = say(talk)
    assert say(talk) != first
    talk.undo()
    talk.undo()
    assert_is_after(talk, "")
    assert say(talk) == first


def test_undo_at_the_beginning_is_refused() -> None:
    talk = session()
    talk.read("a")
    talk.undo()
    with pytest.raises(UsageError, match="nothing to go back to"):
        talk.undo()


def test_branches() -> None:
    talk = session()
    talk.read("ab")
    talk.save_branch("here")
    say(talk)
    talk.switch_to_branch("here")
    assert_is_after(talk, "ab")
    talk.undo()
    assert len(talk.snapshot.text) == 14, "going to a branch can be undone"
    with pytest.raises(UsageError, match=r"no branch .there."):
        talk.switch_to_branch("there")


def test_an_interrupted_text_counts_as_far_as_it_was_shown() -> None:
    talk = session()
    pieces = talk.write(SAMPLING)
    shown = next(pieces) + next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert_is_after(talk, shown)


def test_a_loaded_conversation_continues_like_the_saved_one(tmp_path: Path) -> None:
    talk, other = session(), session()
    talk.read("dé")
    say(talk)
    talk.save(tmp_path / "talk")
    other.load(tmp_path / "talk")
    assert_is_after(other, talk.snapshot.text)
    # the seed depends on the number of turns, so the other conversation needs as many
    other.read("")
    assert say(other) == say(talk)
    other.undo()
    other.undo()
    other.undo()
    assert_is_after(other, "")


def test_a_damaged_file_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    talk = session()
    talk.read("ab")
    talk.save(tmp_path / "talk")
    content = (tmp_path / "talk").read_bytes()
    tensors = safetensors.torch.load(content)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]

    def write(changed: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> Path:
        (tmp_path / "changed").write_bytes(safetensors.torch.save(changed, metadata or header))
        return tmp_path / "changed"

    with pytest.raises(UsageError, match="there is no file"):
        talk.load(tmp_path / "missing")
    newer = json.dumps({**json.loads(header["session"]), "format": formats.CONVERSATION + 1})
    with pytest.raises(DataError, match="upgrade charlm"):
        talk.load(write(tensors, {"session": newer}))
    with pytest.raises(DataError, match="another model"):
        session("b").load(tmp_path / "talk")
    (tmp_path / "junk").write_bytes(b"no talk at all")
    nan = tensors | {"logits": torch.full_like(tensors["logits"], torch.nan)}
    wide = tensors | {"state.0": torch.zeros(2, 8)}
    for path in (
        tmp_path / "junk",
        write(nan),
        write(wide),
        write(tensors | {"state.9": torch.zeros(1)}),
        write({"logits": tensors["logits"]}),
        write(tensors, {"session": "{}"}),
        write(tensors, {"other": ""}),
        write(tensors, {"session": json.dumps({"format": 1, "model": "a", "text": 7, "recent": "x"})}),
        write(tensors, {"session": json.dumps({"format": 1, "model": "a", "text": "ab", "recent": [99999]})}),
    ):
        with pytest.raises(DataError, match="is not a saved conversation"):
            talk.load(path)
        assert_is_after(talk, "ab")


def test_a_state_with_counters_is_checked_too(tmp_path: Path) -> None:
    """A batch-normalised network counts its steps; the next step has statistics for any count in a file."""
    torch.manual_seed(0)
    body = RecurrentSettings(hidden_size=8, norm="batch", norm_steps=4)
    talk = Session(build_model(ModelSettings(body=body), CHAR.size), CHAR, CPU, "a")
    talk.read("abc")
    talk.save(tmp_path / "talk")
    talk.load(tmp_path / "talk")
    assert len(say(talk)) == 12
