"""A conversation: its state is the state after its text; every snapshot can be undone, kept, saved and loaded."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from charlm import formats
from charlm.errors import DataError, UsageError
from charlm.nn.bodies.settings import RecurrentSettings
from charlm.nn.build import build_model
from charlm.nn.heads.softmax import Softmax
from charlm.nn.model import LanguageModel
from charlm.nn.quantize import quantize_cells
from charlm.nn.settings import ModelSettings
from charlm.sampling.constraints.build import build_constraint
from charlm.sampling.detokenizer import DOCUMENT_BREAK
from charlm.sampling.filters import FrequencyPenalty, Temperature
from charlm.sampling.generate import prime_generator
from charlm.sampling.options import SamplingOptions, StepPrecision
from charlm.sampling.plan import SamplingPlan
from charlm.sampling.session import Session
from charlm.vocab.base import Vocab
from tests.sampling.test_generate import CHAR, CPU, model_for, scripted
from tests.vocab.learning import learn
from tests.vocab.test_vocab_contract import TRAINING_TEXTS, VARIANTS

SAMPLING = SamplingPlan(12, (Temperature(1.0),), seed=4)


GREEDY = Temperature(0)


@pytest.fixture(scope="module", params=VARIANTS)
def vocab(request: pytest.FixtureRequest) -> Vocab:
    return learn(VARIANTS[request.param](), iter(TRAINING_TEXTS))


def session(identity: str = "a", model: LanguageModel | None = None) -> Session:
    return Session(model or model_for(CHAR), CHAR, CPU, identity)


def ids_of(text: str) -> list[int]:
    """The ids of a text of CHAR, which has no line feed of its own: each comes from an <eod>, whole or cut."""
    documents = [CHAR.encode(document).tolist() for document in re.split("\n\n?", text)]
    return documents[0] + [token for document in documents[1:] for token in (CHAR.eod_id, *document)]


def say(talk: Session) -> str:
    return "".join(talk.write(SAMPLING))


def assert_is_after(talk: Session, text: str, model: LanguageModel | None = None) -> None:
    """The state equals that of a model that has read this text; where it was cut, once the person says more."""
    assert talk.snapshot.text == text
    model = model or model_for(CHAR)
    if talk.snapshot.cut is not None:
        talk.read("a")
        assert_is_after(talk, text + "a", model)
        talk.undo()
        return
    ids = torch.tensor([[CHAR.eod_id, *ids_of(text)]])
    with torch.no_grad():
        features, state = model(ids, model.initial_state(1))
        logits = model.head.logits(features[:, -1])
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


@pytest.mark.parametrize("regex", [None, "[a-d]*"])
def test_a_single_document_ends_once(regex: str | None, tmp_path: Path) -> None:
    """Nothing is written after its end, but it can be changed, or gone on with."""
    ids = [*CHAR.encode("ab").tolist(), CHAR.eod_id]
    constraint = None if regex is None else build_constraint(SamplingOptions(length=12, regex=regex), CHAR)
    plan = SamplingPlan(12, (GREEDY,), constraint=constraint, single_document=True)
    talk = session(model=scripted(CHAR, ids))
    assert "".join(talk.write(plan)) == "ab"
    with pytest.raises(UsageError, match="the text has ended"):
        list(talk.write(plan))
    assert talk.snapshot.text == "ab"
    talk.save(tmp_path / "talk")
    talk.undo()
    assert "".join(talk.write(plan)) == "ab"
    talk.load(tmp_path / "talk")
    with pytest.raises(UsageError, match="the text has ended"):
        list(talk.write(plan))
    talk.read("d")
    assert talk.snapshot.text == "abd"
    assert_is_after(talk, "abd", scripted(CHAR, ids))
    assert "".join(talk.write(plan)).startswith("ab")


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


# ---- turns join


def write_turns(talk: Session, lengths: list[int], **plan: Any) -> str:
    """What a talk shows in turns without input."""
    return "".join(piece for length in lengths for piece in talk.write(SamplingPlan(length, **plan)))


def write_at_once(model: LanguageModel, vocab: Vocab, prompt: str, lengths: list[int], **plan: Any) -> str:
    sampling = SamplingPlan(sum(lengths), **plan)
    return "".join(prime_generator(model, vocab, prompt, sampling, CPU).stream_generate())


@given(data=st.data(), lengths=st.lists(st.integers(0, 7), max_size=8))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
def test_turns_of_any_tokens_join_to_the_uninterrupted_text(
    vocab: Vocab, data: st.DataObject, lengths: list[int]
) -> None:
    """Also where a turn ends inside a token, inside a character, or inside the blank line of an <eod>."""
    ids = data.draw(st.lists(st.integers(0, vocab.size - 1) | st.just(vocab.eod_id), max_size=9))
    model = scripted(vocab, [*ids, vocab.eod_id])
    talk = Session(model, vocab, CPU, "a")
    expected = write_at_once(model, vocab, "", lengths, filters=(GREEDY,))
    assert write_turns(talk, lengths, filters=(GREEDY,)) == talk.snapshot.text == expected
    assert len(expected) == sum(lengths)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_greedy_turns_of_a_network_join_to_the_uninterrupted_text(vocab: Vocab, precision: StepPrecision) -> None:
    """The penalties keep it from repeating itself, and look back beyond the turn."""
    lengths = [1, 2, 3, 0, 5, 13]
    plan: dict[str, Any] = {
        "filters": (FrequencyPenalty(3.0), GREEDY),
        "penalty_window": 40,
        "precision": precision,
    }
    for gru in (False, True):
        model = model_for(vocab, gru=gru)
        if precision == "int8":
            quantize_cells(model)
        talk = Session(model, vocab, CPU, "a", "bf16" if precision == "bf16" else "fp32")
        talk.read("The quick ")
        shown = write_turns(talk, lengths, **plan)
        assert shown == write_at_once(model, vocab, "The quick ", lengths, **plan)


def test_turns_join_after_a_file_too(vocab: Vocab, tmp_path: Path) -> None:
    model = model_for(vocab)
    talk, other = Session(model, vocab, CPU, "a"), Session(model, vocab, CPU, "a")
    plan: dict[str, Any] = {"filters": (FrequencyPenalty(3.0), GREEDY)}
    for length in (1, 2, 4, 7):
        write_turns(talk, [length], **plan)
        talk.save(tmp_path / "talk")
        other.load(tmp_path / "talk")
        assert write_turns(other, [20], **plan) == write_turns(talk, [20], **plan)


def writes_documents() -> LanguageModel:
    """A network that often ends a document, and never writes a byte alone."""
    model = model_for(CHAR)
    assert isinstance(model.head, Softmax)
    with torch.no_grad():
        model.head.bias_V[CHAR.eod_id] += 3
        model.head.bias_V[1:257] -= 1000
    return model


def test_the_end_of_a_document_is_remembered_as_such() -> None:
    """And what the person says next is read after what was shown, not after what was drawn."""
    model = writes_documents()
    num_cut = num_breaks = 0
    for seed in range(12):
        talk = session(model=model)
        shown = write_turns(talk, [5, seed + 1], seed=seed)
        num_cut += talk.snapshot.cut is not None
        num_breaks += shown.count(DOCUMENT_BREAK)
        talk.read("dé")
        assert_is_after(talk, shown + "dé", model)
    assert num_cut > 2
    assert num_breaks > 5


def test_what_was_cut_is_read_as_it_was_shown() -> None:
    """A word that was drawn whole and shown in part is read in part, if the person goes on."""
    words = learn(VARIANTS["words of all sorts"](), iter(TRAINING_TEXTS))
    model = scripted(words, words.encode("quick fox").tolist())
    talk = Session(model, words, CPU, "a")
    assert write_turns(talk, [3], filters=(GREEDY,)) == "qui"
    talk.read("et")
    assert talk.snapshot.text == "quiet"
    (num_read,) = talk.snapshot.primed.state
    assert num_read.tolist() == [1 + len(words.encode("quiet"))]


def test_a_stop_takes_back_what_was_drawn_behind_the_text() -> None:
    model = scripted(CHAR, [*CHAR.encode("abcd").tolist(), CHAR.eod_id])
    talk = session(model=model)
    assert write_turns(talk, [30], filters=(GREEDY,), stop_strings=("cd",)) == "ab"
    (num_read,) = talk.snapshot.primed.state
    assert num_read.tolist() == [3]


def test_a_conversation_of_the_first_format_can_be_loaded(tmp_path: Path) -> None:
    talk = session()
    talk.read("ab")
    talk.save(tmp_path / "talk")
    content = (tmp_path / "talk").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    old = {name: value for name, value in json.loads(header["session"]).items() if name != "cut"} | {"format": 1}
    tensors = safetensors.torch.load(content)
    (tmp_path / "old").write_bytes(safetensors.torch.save(tensors, {"session": json.dumps(old)}))
    other = session()
    other.load(tmp_path / "old")
    assert_is_after(other, "ab")
