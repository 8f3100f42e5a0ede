"""Bytes and symbols: every file has symbols in every vocabulary, and they say its bytes."""

import random
from typing import get_args

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from charlm.archives.symbols import MAX_SYMBOLS_PER_BYTE, SymbolCodec, split_at_character
from charlm.errors import UsageError
from charlm.settings import Settings
from charlm.vocab.settings import CharSettings, SymbolsSettings, VocabSettings
from tests.vocab.learning import learn

TEXTS = ["The quick brown fox\r\n", "Съешь ещё 🙂 e\u0301 \x00\ufeff", "quick quick"]
MEMBERS: tuple[type[Settings], ...] = get_args(get_args(VocabSettings)[0])
PIECES = st.sampled_from(
    [b"The quick ", "ещё 🙂".encode(), b"<eod>", b"\xff\xfe", b"\xed\xa0\x80", b"\xc3", b"z", b"\0"]
)
FILES = st.lists(PIECES | st.binary(max_size=4), max_size=30).map(b"".join)


@pytest.fixture(params=MEMBERS, ids=lambda member: member.model_fields["type"].default, scope="module")
def codec(request: pytest.FixtureRequest) -> SymbolCodec:
    return SymbolCodec(learn(request.param(), TEXTS))


@given(data=FILES)
@example(data=b"caf\xe9 " + b"text " * 50)
def test_every_file_comes_back(codec: SymbolCodec, data: bytes) -> None:
    symbols_N = codec.encode(data)
    assert codec.decode(symbols_N) == data
    assert codec.count_bytes(symbols_N) == len(data)
    assert symbols_N.dtype == np.int64
    assert len(symbols_N) <= MAX_SYMBOLS_PER_BYTE * len(data)
    assert codec.vocab.eod_id not in symbols_N


def test_text_with_few_other_bytes_stays_text(codec: SymbolCodec) -> None:
    """A file in UTF-8 with a byte of Latin-1 costs that byte, and not its whole text."""
    text = "The quick brown fox\r\n" * 20
    broken = text.encode() + b"\xe9" + text.encode()
    assert len(codec.encode(broken)) <= 2 * len(codec.vocab.encode(text)) + 1


def test_random_bytes_are_spelled(codec: SymbolCodec) -> None:
    data = random.Random(0).randbytes(3000)
    assert len(codec.encode(data)) == len(data)


@pytest.mark.parametrize("settings", [CharSettings(byte_fallback=False), SymbolsSettings(byte_fallback=False)])
def test_a_vocabulary_without_bytes_is_refused(settings: CharSettings | SymbolsSettings) -> None:
    with pytest.raises(UsageError, match=f"type {settings.type} without byte fallback cannot spell every file"):
        SymbolCodec(learn(settings, TEXTS))


@given(text=st.text("aé€🙂", max_size=8), data=st.binary(max_size=5))
def test_a_block_ends_behind_a_character(text: str, data: bytes) -> None:
    whole = text.encode("utf-8")
    for end in range(len(whole) + 1):
        length = split_at_character(whole[:end])
        assert end - 3 <= length <= end
        whole[:length].decode("utf-8")
    assert 0 <= split_at_character(data) <= len(data)
