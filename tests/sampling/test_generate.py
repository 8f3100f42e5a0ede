"""Generation: the same text from the same seed, in whole characters, of exactly the length asked for."""

from typing import Any, Literal, cast

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor, nn

from charlm.errors import DataError
from charlm.nn.bodies.recurrent import RecurrentNetwork
from charlm.nn.bodies.settings import RecurrentSettings
from charlm.nn.build import build_model
from charlm.nn.cells.settings import GRUSettings, LSTMSettings
from charlm.nn.dropout import NoiseRNG
from charlm.nn.embeddings.settings import TokenEmbeddingSettings
from charlm.nn.embeddings.token_embedding import TokenEmbedding
from charlm.nn.heads.softmax import Softmax
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.nn.state import State
from charlm.sampling import prime as prime_module
from charlm.sampling.detokenizer import DOCUMENT_BREAK
from charlm.sampling.filters import (
    Filter,
    FrequencyPenalty,
    LogitBias,
    RepetitionPenalty,
    Temperature,
    TopK,
    sort_filters,
)
from charlm.sampling.generate import TextGenerator, prime_generator
from charlm.sampling.growing_text import GrowingText
from charlm.sampling.plan import SamplingPlan
from charlm.vocab.base import Vocab
from charlm.vocab.byte import ByteVocab
from charlm.vocab.char import CharVocab

CPU = torch.device("cpu")
CHAR = CharVocab("abcdé🙂 ")


def model_for(vocab: Vocab, *, gru: bool = False, seed: int = 0) -> LanguageModel:
    """A model with its initial weights, three times as large, so that its distributions are not flat."""
    torch.manual_seed(seed)
    body = RecurrentSettings(hidden_size=8, cell=GRUSettings() if gru else LSTMSettings())
    model = build_model(ModelSettings(embedding=TokenEmbeddingSettings(size=6), body=body), vocab.size)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model


def sample(
    model: LanguageModel,
    vocab: Vocab,
    *,
    prompt: str = "",
    length: int = 60,
    temperature: float = 1.0,
    seed: int = 0,
    direction: Literal["forward", "backward"] = "forward",
) -> list[str]:
    sampling = SamplingPlan(length, (Temperature(temperature),), seed)
    return list(prime_generator(model, vocab, prompt, sampling, CPU, direction).stream_generate())


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_numbers_that_overflow_are_an_error(temperature: float) -> None:
    """After the prompt, or once a letter was drawn."""
    model = model_for(CHAR)
    (letter,) = CHAR.encode("a").tolist()
    with torch.no_grad():
        next(model.embedding.parameters())[letter] = torch.nan
    sampling = SamplingPlan(60, (LogitBias(torch.tensor([letter]), torch.tensor([100.0])), Temperature(temperature)))
    for prompt, num_shown in (("a", 0), ("b", 1)):
        pieces = prime_generator(model, CHAR, prompt, sampling, CPU).stream_generate()
        assert [next(pieces) for _ in range(num_shown)] == ["a"] * num_shown
        with pytest.raises(DataError, match="overflow"):
            next(pieces)


class Script(nn.Module):
    """A body whose features encode the next id of a script; its state counts the steps."""

    def __init__(self, ids: list[int], prompt_size: int) -> None:
        super().__init__()
        self.ids = ids
        self.prompt_size = prompt_size

    def initial_state(self, batch_size: int) -> State:
        return (torch.zeros(batch_size, dtype=torch.int64),)

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        (start,) = state
        position = int(start[0]) + x_BTD.shape[1] - self.prompt_size
        chosen = torch.zeros_like(x_BTD)
        if position >= 0:
            chosen[:, -1, self.ids[position % len(self.ids)]] = 1000.0
        return chosen, (start + x_BTD.shape[1],)


def scripted(vocab: Vocab, ids: list[int], prompt: str = "") -> LanguageModel:
    """A model that writes `ids` again and again after the prompt."""
    body = Script(ids, 1 + len(vocab.encode(prompt)))
    head = Softmax(vocab.size, vocab.size)
    with torch.no_grad():
        head.weight_VH.copy_(torch.eye(vocab.size))
    return LanguageModel(TokenEmbedding(vocab.size, vocab.size), cast("RecurrentNetwork", body), head, NoiseRNG())


@pytest.mark.parametrize("gru", [False, True], ids=["lstm", "gru"])
@pytest.mark.parametrize("vocab", [CHAR, ByteVocab()])
def test_the_same_seed_gives_the_same_text(vocab: Vocab, gru: bool) -> None:
    model = model_for(vocab, gru=gru)
    first = sample(model, vocab, prompt="ab", seed=5)
    torch.manual_seed(99)
    assert sample(model, vocab, prompt="ab", seed=5) == first
    assert sample(model, vocab, prompt="ab", seed=6) != first
    assert sample(model, vocab, prompt="ba", seed=5) != first


@pytest.mark.parametrize("vocab", [CHAR, ByteVocab()])
@pytest.mark.parametrize("length", [0, 1, 2, 37])
def test_the_length_is_exact_in_characters(vocab: Vocab, length: int) -> None:
    for seed in range(5):
        text = "".join(sample(model_for(vocab, seed=seed), vocab, length=length, seed=seed))
        assert len(text) == length
        text.encode("utf-8")


def test_a_prompt_in_chunks_is_a_prompt_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, prompt = model_for(CHAR), "abcdé🙂 " * 7
    whole = sample(model, CHAR, prompt=prompt)
    for size in (1, 2, 3, 50, 51):
        monkeypatch.setattr(prime_module, "_PROMPT_CHUNK", size)
        assert sample(model, CHAR, prompt=prompt) == whole


def test_a_long_prompt_is_read_in_chunks_and_a_sample_in_steps() -> None:
    widths: list[int] = []
    model = scripted(CHAR, CHAR.encode("abc").tolist(), "a" * 5000)
    model.register_forward_pre_hook(lambda _, arguments: widths.append(arguments[0].shape[1]))
    assert "".join(sample(model, CHAR, prompt="a" * 5000, length=10)) == "abcabcabca"
    assert sum(widths[:-9]) == 5001
    assert max(widths) <= 1024
    assert widths[-9:] == [1] * 9, "the last character is not read"


def test_the_prompt_matters_to_its_first_character() -> None:
    model = model_for(CHAR)
    endings = {"".join(sample(model, CHAR, prompt=f"{first}bcd", length=30, seed=1)) for first in "abcd"}
    assert len(endings) > 1


def test_greedy_is_the_most_probable_character_each_time() -> None:
    model = model_for(CHAR)
    text = "".join(sample(model, CHAR, temperature=0, length=20, prompt="ab"))
    ids = [CHAR.eod_id, *CHAR.encode("ab").tolist()]
    expected = ""
    with torch.no_grad():
        while len(expected) < 20:
            features, _ = model(torch.tensor([ids]), model.initial_state(1))
            ids.append(int(model.head.logits(features[0, -1]).argmax()))
            expected = CHAR.decode(ids)[2:] if CHAR.eod_id not in ids[1:] else pytest.fail("choose another seed")
    assert text == expected[:20]


def test_an_end_of_document_is_a_blank_line() -> None:
    ids = [*CHAR.encode("ab").tolist(), CHAR.eod_id]
    assert DOCUMENT_BREAK == "\n\n"
    assert sample(scripted(CHAR, ids), CHAR, length=9) == ["a", "b", "\n\n", "a", "b", "\n\n", "a"]
    assert "".join(sample(scripted(CHAR, ids), CHAR, length=3)) == "ab\n"


@pytest.mark.parametrize("vocab", [CharVocab("ab"), ByteVocab()])
def test_the_bytes_of_a_character_are_held_back_until_it_is_whole(vocab: Vocab) -> None:
    text = "a€🙂b"
    ids = vocab.encode(text).tolist()
    assert len(ids) == 9
    assert sample(scripted(vocab, ids, "€"), vocab, prompt="€", length=6) == ["a", "€", "🙂", "b", "a", "€"]


@pytest.mark.parametrize("vocab", [CharVocab("ab"), ByteVocab()])
def test_bytes_that_make_no_character_are_replaced_and_end(vocab: Vocab) -> None:
    euro = vocab.encode("€").tolist()
    for ids, expected in (
        (euro[:1], "\ufffd\ufffd\ufffd"),
        (euro[1:], "\ufffd\ufffd\ufffd"),
        ([*euro[:2], vocab.eod_id], "\ufffd\n\n"),
        ([*euro[:2], *vocab.encode("a").tolist()], "\ufffda\ufffd"),
    ):
        assert "".join(sample(scripted(vocab, ids), vocab, length=3)) == expected


def test_a_prompt_that_cannot_be_spelled_is_refused() -> None:
    model = model_for(CHAR)
    with pytest.raises(DataError, match="surrogate"):
        sample(model, CHAR, prompt="a\udc80")
    strict = CharVocab("abc", byte_fallback=False)
    with pytest.raises(DataError, match="☃"):
        sample(model_for(strict), strict, prompt="☃")


def test_dropout_is_off() -> None:
    torch.manual_seed(0)
    body = RecurrentSettings(hidden_size=8, output_dropout=0.5)
    model = build_model(ModelSettings(embedding=TokenEmbeddingSettings(size=4), body=body), CHAR.size).train()
    model.rng.seed(1, 1)
    assert sample(model, CHAR) == sample(model, CHAR)


# ---- backward


def read_backward(vocab: Vocab, ids: list[int], length: int) -> str:
    """The last `length` characters of a text whose reversed ids are a script, again and again."""
    decoder = vocab.stream_decoder()
    said = [*ids * (1 + (4 * length + 8) // len(ids))]
    pieces = [
        decoder.finish() + DOCUMENT_BREAK if token == vocab.eod_id else decoder.push(token) for token in said[::-1]
    ]
    text = "".join([*pieces, decoder.finish()])
    return text[len(text) - length :]


SPELLING = CharVocab("ab\ufffd")


@given(
    vocab=st.sampled_from([SPELLING, ByteVocab()]),
    ids=st.lists(
        st.sampled_from([0x61, 0x80, 0x81, 0xA5, 0xC0, 0xC4, 0xE3, 0xF1]) | st.integers(0, SPELLING.size - 1),
        min_size=1,
        max_size=12,
    ),
    length=st.integers(0, 30),
)
@example(vocab=ByteVocab(), ids=list("🙂€é".encode())[::-1], length=7)
@example(vocab=ByteVocab(), ids=[0x80], length=7)
@example(vocab=ByteVocab(), ids=[0x80, 0x80, 0x80, 0x80, 0xF0], length=7)
def test_a_backward_text_is_that_of_its_reversed_ids(vocab: Vocab, ids: list[int], length: int) -> None:
    said = [token for token in ids if token < vocab.size] or [vocab.eod_id]
    pieces = sample(scripted(vocab, said), vocab, length=length, direction="backward")
    assert "".join(pieces) == read_backward(vocab, said, length)
    assert len(pieces) == min(1, length), "complete or not at all"


def test_a_backward_model_reads_the_prompt_from_its_end() -> None:
    read: list[int] = []
    model = scripted(CHAR, CHAR.encode("cb").tolist(), "dé☃")
    model.register_forward_pre_hook(lambda _, arguments: read.extend(arguments[0][0].tolist()))
    assert sample(model, CHAR, prompt="dé☃", length=4, direction="backward") == ["bcbc"]
    assert read[: 1 + len(CHAR.encode("dé☃"))] == [CHAR.eod_id, *CHAR.encode("dé☃").tolist()[::-1]]
    assert read[-1] == CHAR.encode("c")[0], "and no further than the text goes"


def test_a_document_that_begins_is_a_blank_line_before_it() -> None:
    ids = [*CHAR.encode("ba").tolist(), CHAR.eod_id]
    assert sample(scripted(CHAR, ids), CHAR, length=7, direction="backward") == ["\nab\n\nab"]


# ---- several at once


def generator(model: LanguageModel, vocab: Vocab, *filters: Filter, prompt: str = "", **sampling: Any) -> TextGenerator:
    chosen = sort_filters(filters or (Temperature(1.0),))
    return prime_generator(model, vocab, prompt, SamplingPlan(filters=chosen, **sampling), CPU)


@pytest.mark.parametrize("unbatched", [False, True])
def test_the_first_of_many_is_the_one(unbatched: bool) -> None:
    made = generator(model_for(CHAR), CHAR, length=40, seed=3)
    texts = made.generate_batch(5, unbatched=unbatched)
    assert texts[0] == "".join(made.stream_generate())
    assert len(set(texts)) == 5
    assert {len(text) for text in texts} == {40}
    assert made.generate_batch(2, first=3, unbatched=unbatched) == texts[3:], (
        "a text does not depend on which others are drawn"
    )


def test_the_best_text_has_the_least_nats() -> None:
    model = model_for(CHAR)
    made = generator(model, CHAR, length=30, prompt="ab")
    best, nats = made.generate_best(8)
    texts = made.generate_batch(8)

    def cost(text: str) -> float:
        ids = torch.tensor([[CHAR.eod_id, *CHAR.encode("ab").tolist(), *CHAR.encode(text).tolist()]])
        with torch.no_grad():
            features, _ = model(ids, model.initial_state(1))
            log_p = model.head.logits(features).double().log_softmax(-1)
        return -float(log_p[0, 2:-1].gather(-1, ids[0, 3:, None]).sum()) / len(text)

    plain = [text for text in texts if DOCUMENT_BREAK not in text and "\ufffd" not in text]
    assert best in texts
    if best in plain:
        assert nats == pytest.approx(cost(best), rel=1e-5)
    assert all(cost(text) >= nats - 1e-6 for text in plain)


def test_a_finished_text_does_not_change_the_others() -> None:
    made = generator(model_for(CHAR), CHAR, length=60, stop_strings=("a",), seed=1)
    texts = made.generate_batch(6)
    assert len({len(text) for text in texts}) > 1
    assert texts == made.generate_batch(6, unbatched=True)
    assert not any("a" in text for text in texts)


# ---- stops


@given(st.text("ab", max_size=30), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3), st.integers(0, 30))
def test_a_text_ends_before_the_first_stop(script: str, stop_strings: list[str], length: int) -> None:
    ids = [*CHAR.encode(script).tolist(), CHAR.encode("c")[0]]
    made = generator(scripted(CHAR, ids), CHAR, length=length, stop_strings=tuple(stop_strings))
    whole = ((script + "c") * 31)[:length]
    # the stop string whose end comes first; of several that end there, the longest
    ends = [(place + len(stop), place) for stop in stop_strings if (place := whole.find(stop)) >= 0]
    expected = whole[: min(ends)[1]] if ends else whole
    assert "".join(made.stream_generate()) == expected


def test_a_possible_beginning_of_a_stop_is_held_back() -> None:
    ids = CHAR.encode("aabd").tolist()
    made = generator(scripted(CHAR, ids), CHAR, length=9, stop_strings=("abc",))
    assert list(made.stream_generate()) == ["a", "abd", "a", "abd", "a"]


def test_a_backward_text_begins_behind_a_stop() -> None:
    ids = CHAR.encode("dcbab").tolist()
    model = scripted(CHAR, ids)
    sampling = SamplingPlan(40, stop_strings=("ba",))
    assert list(prime_generator(model, CHAR, "", sampling, CPU, "backward").stream_generate()) == ["bcd"]


# ---- filters that look back, and schedules


def test_penalties_look_back_on_a_window_and_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Greedy decoding with a strong penalty and a window of all ids but one goes through all ids in turn."""
    model = model_for(CHAR)
    size = CHAR.size - 1
    made = generator(
        model, CHAR, Temperature(0), FrequencyPenalty(100.0), length=3 * size, penalty_window=size, prompt="ab"
    )
    counted: list[int] = []

    def spy(self: GrowingText, token: int) -> str:
        counted.append(token)
        return push(self, token)

    push = GrowingText.push
    monkeypatch.setattr(GrowingText, "push", spy)
    "".join(made.stream_generate())
    assert len(counted) > 2 * size
    history = [*CHAR.encode("ab").tolist(), *counted]
    for place in range(2, len(history)):
        assert history[place] not in history[max(0, place - size) : place]


def test_a_repetition_penalty_changes_what_is_drawn() -> None:
    model = model_for(CHAR)
    plain = "".join(generator(model, CHAR, Temperature(0), length=30).stream_generate())
    penalised = "".join(generator(model, CHAR, Temperature(0), RepetitionPenalty(3.0), length=30).stream_generate())
    assert plain != penalised


def test_a_schedule_goes_from_greedy_to_free() -> None:
    model = model_for(CHAR)
    greedy = "".join(generator(model, CHAR, Temperature(0), length=40).stream_generate())
    texts = generator(model, CHAR, Temperature(0, 3.0), length=40).generate_batch(6)
    assert all(text[:2] == greedy[:2] for text in texts)
    assert len({text[20:] for text in texts}) == 6
    down = generator(model, CHAR, Temperature(3.0, 0), TopK(3), length=40).generate_batch(6)
    assert len({text[:20] for text in down}) == 6
