"""With every vocabulary, all allowed ids lead to an accepted text in time, and all ids that do are allowed."""

import random
import re
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from charlm.errors import UsageError
from charlm.sampling.constraints.must_contain import MustContainAutomaton
from charlm.sampling.constraints.regex_automaton import RegexAutomaton
from charlm.sampling.constraints.tokens import SpellingPhase, TokenConstraint, TokenState, token_texts
from charlm.sampling.constraints.utf8_automaton import TextAutomaton
from charlm.vocab.base import ByteAwareDecoder, StreamDecoder, Vocab
from charlm.vocab.byte import ByteVocab
from charlm.vocab.char import CharVocab
from charlm.vocab.ngram import NgramVocab
from charlm.vocab.settings import CharSettings, NgramSettings, SentencePieceSettings, SymbolsSettings, WordSettings
from charlm.vocab.symbols import SymbolsVocab
from charlm.vocab.word import WordVocab
from tests.sampling.constraints.test_regex_parser import PATTERNS
from tests.vocab.learning import learn

TEXT = "Съешь ещё этих булок, да выпей чаю. 春眠不觉晓,处处闻啼鸟。 🙂👍🏽 The quick fox, 12 boxes!\n"
TEXTS = [TEXT * 30, "Съешь чаю! 处处 🙂 the quick 12\n" * 30]
VOCABS: dict[str, Callable[[], Vocab]] = {
    "char": lambda: learn(CharSettings(), TEXTS),
    "char of ten": lambda: learn(CharSettings(max_size=10), TEXTS),
    "char without bytes": lambda: learn(CharSettings(byte_fallback=False), TEXTS),
    "byte": ByteVocab,
    "word": lambda: learn(WordSettings(min_count=1), TEXTS),
    "word of nine": lambda: learn(WordSettings(max_size=9), TEXTS),
    "ngram": lambda: learn(NgramSettings(min_count=1), TEXTS),
    "ngram of nine": lambda: learn(NgramSettings(max_size=9), TEXTS),
    "unigram": lambda: learn(SentencePieceSettings(vocab_size=600), TEXTS),
    "bpe": lambda: learn(SentencePieceSettings(model_type="bpe", vocab_size=600), TEXTS),
    "symbols": lambda: learn(SymbolsSettings(), TEXTS),
    "sentencepiece of char": lambda: learn(SentencePieceSettings(model_type="char", vocab_size=600), TEXTS),
}
WANTED = {
    r"([А-Я][а-яё]+[,.]? ){2,4}🙂?": "Съешь Булок, 🙂",
    r"\d{2}-[^\W\d]{3}|处+。": "12-чаю",
    r"(?i)(the|съешь) .{1,6}": "СЪЕШЬ the🙂👍",
    r"[\u4e00-\u9fff]{3,}[!.]": "处晓鸟!",
    r"(?s)(.{2})*": "\n🙂Съ处e",
    r"\w+|": "",
}


@cache
def vocab_of(kind: str) -> Vocab:
    return VOCABS[kind]()


def walked(constraint: TokenConstraint[Any], vocab: Vocab, remaining: int, chance: random.Random) -> str:
    """A text of allowed ids. Short ids are preferred and <eod> comes late, so that many ids are needed."""
    state, ids = constraint.start, list[int]()
    decoder = vocab.stream_decoder()
    written = ""
    while len(written) < remaining:
        allowed = np.flatnonzero(constraint.mask(state, remaining - len(written))).tolist()
        assert allowed, f"nothing may follow {written!r} with {remaining - len(written)} to go"
        token = chance.choice(
            sorted(allowed, key=lambda token: len(vocab.symbol(token)))[: chance.choice((3, 30, 999))]
        )
        if token == vocab.eod_id and (chance.random() < 0.1 or len(allowed) == 1):
            break
        if token != vocab.eod_id:
            ids.append(token)
            state = constraint.advance(state, token)
            written += decoder.push(token)
        assert len(ids) <= 9 * remaining, "every id makes progress"
    assert decoder.finish() == ""
    assert vocab.decode(ids) == written
    assert len(written) <= remaining
    return written


@pytest.mark.parametrize("kind", VOCABS)
@pytest.mark.parametrize("pattern", WANTED)
def test_all_allowed_ids_lead_to_a_match(kind: str, pattern: str) -> None:
    vocab = vocab_of(kind)
    constraint = TokenConstraint(RegexAutomaton(pattern), vocab)
    least = constraint.automaton.distance(constraint.start)
    for seed in range(4):
        chance = random.Random(seed)
        text = walked(constraint, vocab, least + chance.choice((0, 1, 5, 30)), chance)
        assert re.fullmatch(pattern, text) is not None, text


@given(
    kind=st.sampled_from(["char of ten", "char without bytes", "ngram of nine", "unigram"]),
    pattern=PATTERNS,
    seed=st.integers(0, 999),
)
@hypothesis_settings(max_examples=50)
def test_allowed_ids_lead_to_a_match_of_any_pattern(kind: str, pattern: str, seed: int) -> None:
    vocab = vocab_of(kind)
    chance = random.Random(seed)
    try:
        constraint = TokenConstraint(RegexAutomaton(pattern), vocab)
    except UsageError:
        return
    text = walked(constraint, vocab, constraint.automaton.distance(constraint.start) + chance.randrange(9), chance)
    assert re.fullmatch(pattern, text) is not None, text


@pytest.mark.parametrize("kind", VOCABS)
@pytest.mark.parametrize(
    "texts", [["чаю", "юЫ", "quick"], ["🙂👍", "👍🏽处", "处处"], [f"{n} " for n in range(10)], []]
)
def test_all_allowed_ids_lead_to_a_text_that_contains_all_texts(kind: str, texts: list[str]) -> None:
    vocab = vocab_of(kind)
    if kind == "char without bytes":
        texts = [text for text in texts if set(text) <= set(TEXT)]
    constraint = TokenConstraint(MustContainAutomaton(texts), vocab)
    least = constraint.automaton.distance(constraint.start)
    for seed in range(2):
        chance = random.Random(seed)
        written = walked(constraint, vocab, least + chance.choice((0, 1, 20)), chance)
        assert all(text in written for text in texts), written


@pytest.mark.parametrize("kind", sorted({*VOCABS} - {"char without bytes"}))
@pytest.mark.parametrize("pattern", WANTED)
def test_the_vocabularys_encoding_of_a_match_is_allowed_within_its_length(kind: str, pattern: str) -> None:
    """So a constraint never forbids the spelling that the model has learned."""
    vocab, text = vocab_of(kind), WANTED[pattern]
    assert re.fullmatch(pattern, text) is not None
    constraint = TokenConstraint(RegexAutomaton(pattern), vocab)
    state, decoder, remaining = constraint.start, vocab.stream_decoder(), len(text)
    for token in vocab.encode(text).tolist():
        assert constraint.mask(state, remaining)[token], vocab.symbol(token)
        state = constraint.advance(state, token)
        remaining -= len(decoder.push(token))
    assert remaining == 0
    assert constraint.mask(state, 0)[vocab.eod_id]


@pytest.mark.parametrize("kind", VOCABS)
@pytest.mark.parametrize(
    "make", [lambda: RegexAutomaton(r"(?i)[а-я]*(ь |\w\W)\w{2,9}.?"), lambda: MustContainAutomaton(["чаю", "ю处"])]
)
def test_a_mask_equals_a_check_of_each_id(kind: str, make: Callable[[], TextAutomaton[Any]]) -> None:
    """All ids at once through the trie, and one by one."""
    vocab = vocab_of(kind)
    constraint = TokenConstraint(make(), vocab)
    automaton, texts = constraint.automaton, token_texts(vocab)
    chance = random.Random(5)
    state = constraint.start
    for _ in range(5):
        needs = {token: _need(automaton, state, text) for token, text in enumerate(texts) if text}
        for remaining in (0, 1, 4, 100, 10**30):
            mask = constraint.mask(state, remaining)
            assert {token for token in needs if mask[token]} == {t for t, need in needs.items() if need <= remaining}
            assert mask[vocab.eod_id] == (automaton.distance(state) == 0 and state.spelling is SpellingPhase.NONE)
        allowed = np.flatnonzero(constraint.mask(state, 100)).tolist()
        if token := chance.choice([token for token in allowed if token != vocab.eod_id] or [0]):
            state = constraint.advance(state, token)


def _need(automaton: TextAutomaton[Any], state: TokenState[Any], text: str) -> float:
    after = None if state.spelling is not SpellingPhase.NONE else automaton.step(state, text.encode())
    return float("inf") if after is None else len(text) + automaton.distance(after)


# ---- marks, bytes, and vocabularies without them


def test_a_spelled_word_is_bytes_and_ends_with_a_whole_character() -> None:
    vocab = NgramVocab(["аб", " "], [], 3)
    constraint = TokenConstraint(RegexAutomaton("[аб]{1,3}"), vocab)
    first, second = (vocab.first_byte_id + byte for byte in "а".encode())

    def allowed(state: TokenState[Any], remaining: int) -> set[int]:
        return set(np.flatnonzero(constraint.mask(state, remaining)).tolist())

    word = vocab.first_token_id
    assert allowed(constraint.start, 3) == {word, vocab.spell_id, first}
    assert allowed(constraint.start, 1) == {vocab.spell_id, first}
    opened = constraint.advance(constraint.start, vocab.spell_id)
    assert allowed(opened, 3) == {first}
    begun = constraint.advance(opened, first)
    assert allowed(begun, 3) == {second, second + 1}
    whole = constraint.advance(begun, second)
    assert allowed(whole, 2) == {first, vocab.end_id}
    assert allowed(whole, 0) == {vocab.end_id}
    closed = constraint.advance(whole, vocab.end_id)
    assert allowed(closed, 2) == {vocab.eod_id, word, vocab.spell_id, first}
    assert allowed(closed, 0) == {vocab.eod_id}


class Pieces(CharVocab):
    """Some characters exist only as parts of a token, and there is no byte fallback."""

    def stream_decoder(self) -> StreamDecoder:
        return ByteAwareDecoder({}, ["", "ab", "c"])


def test_tokens_of_several_characters_without_byte_fallback_are_refused() -> None:
    with pytest.raises(UsageError, match=r"'ab' as one token.*byte_fallback"):
        TokenConstraint(RegexAutomaton("a"), Pieces("bc", byte_fallback=False))


def test_symbols_take_the_blank_before_them() -> None:
    """A regular expression sees the blanks that the ids stand for."""
    vocab = SymbolsVocab(["p", "a", "ʁ"])
    constraint = TokenConstraint(RegexAutomaton("(p|a)( [aʁ])+"), vocab)
    state = constraint.start

    def allowed(remaining: int) -> set[str]:
        return {vocab.symbol(token) for token in np.flatnonzero(constraint.mask(state, remaining)).tolist()}

    assert allowed(9) == {"p", "a", "<0x70>", "<0x61>"}
    state = constraint.advance(state, int(vocab.encode("p")[0]))
    assert allowed(9) == {" a", " ʁ", "<0x20>"}
    assert allowed(1) == set()
    state = constraint.advance(state, int(vocab.encode("p ʁ")[1]))
    assert allowed(9) == {" a", " ʁ", "<0x20>", "<eod>"}
    assert allowed(0) == {"<eod>"}
    with pytest.raises(UsageError, match=r"' p' as one token.*byte_fallback"):
        TokenConstraint(RegexAutomaton("p"), SymbolsVocab(["p"], byte_fallback=False))


def test_without_byte_fallback_only_known_characters_count() -> None:
    vocab = CharVocab("abc", byte_fallback=False)
    constraint = TokenConstraint(RegexAutomaton("(☃|aaa|[b-я]b|x)c?"), vocab)
    assert constraint.automaton.distance(constraint.start) == 2
    assert np.flatnonzero(constraint.mask(constraint.start, 2)).tolist() == vocab.encode("bc").tolist()
    assert np.flatnonzero(constraint.mask(constraint.start, 3)).tolist() == vocab.encode("abc").tolist()
    assert not constraint.mask(constraint.start, 1).any(), "no text is that short"
    with pytest.raises(UsageError, match="no text of the characters that the vocabulary can spell"):
        TokenConstraint(RegexAutomaton("a?x"), vocab)


def test_a_mask_of_fifty_thousand_words_is_fast_and_cached() -> None:
    chance = random.Random(0)
    words = {
        "".join(chance.choices("оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё", k=chance.randint(1, 14))) for _ in range(60_000)
    }
    vocab = WordVocab([" ", *sorted(words)[:50_000]])
    constraint = TokenConstraint(RegexAutomaton(r"(\w+ ){3,9}[^\n]{0,100}"), vocab)
    start = time.process_time()
    constraint.mask(constraint.start, 50)
    first = time.process_time() - start
    again = time.process_time()
    for remaining in range(100):
        mask = constraint.mask(constraint.start, remaining)
        mask[:] = False  # the caller may change it
    assert first < 1
    assert time.process_time() - again < 0.5
    assert constraint.mask(constraint.start, 50).sum() > 50_000
