"""The range coder: what it wrote comes back, the C code and the reference agree to the bit, and no bit is wasted."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.archives import range_coder
from charlm.archives.blocks import count_bits
from charlm.archives.predictor import TOTAL, SymbolArray, UInt32Array

needs_compiler = pytest.mark.skipif(range_coder.load_coder_library() is None, reason="no C compiler here")


def frequencies(weights: list[int]) -> UInt32Array:
    """Frequencies in proportion to weights, each at least 1."""
    weights_V = np.array(weights, dtype=np.int64)
    frequency_V = 1 + weights_V * (TOTAL - len(weights)) // max(1, weights_V.sum())
    frequency_V[0] += TOTAL - frequency_V.sum()
    return frequency_V.astype(np.uint32)


def intervals(frequency_V: UInt32Array, symbols_N: SymbolArray) -> tuple[UInt32Array, UInt32Array]:
    ends_V = frequency_V.cumsum(dtype=np.uint32)
    return (ends_V - frequency_V)[symbols_N], frequency_V[symbols_N]


def decode(decoder: range_coder.RangeDecoder, frequency_V: UInt32Array, num_symbols: int, lanes: int) -> list[int]:
    found: list[int] = []
    while len(found) < num_symbols:
        active = min(lanes, num_symbols - len(found))
        found += decoder.step(np.tile(frequency_V, (active, 1))).tolist()
    return found


@st.composite
def coded(draw: st.DrawFn) -> tuple[UInt32Array, SymbolArray]:
    """Frequencies, from even to one that is nearly certain, and symbols that may be the rarest."""
    weights = draw(st.lists(st.sampled_from([0, 1, 5, 1000, 10**9]), min_size=2, max_size=20))
    symbols = draw(st.lists(st.integers(0, len(weights) - 1), max_size=200))
    return frequencies(weights), np.array(symbols, dtype=np.int64)


@given(case=coded(), lanes=st.integers(1, 9))
def test_symbols_come_back_in_python_and_in_c(case: tuple[UInt32Array, SymbolArray], lanes: int) -> None:
    frequency_V, symbols_N = case
    interval_N = intervals(frequency_V, symbols_N)
    code = range_coder.encode_in_python(*interval_N)
    assert range_coder.encode(*interval_N) == code
    for decoder in (range_coder.PythonDecoder(code), range_coder.open_decoder(code)):
        assert decode(decoder, frequency_V, len(symbols_N), lanes) == symbols_N.tolist()


@needs_compiler
@pytest.mark.parametrize("share", [0.5, 0.999, 1 - 2**-20])
def test_carries_run_through_many_words(share: float) -> None:
    """Each interval lies at the upper end of the one before, so that its start comes close to 2**64 again and again."""
    frequency = int(TOTAL * share)
    low_N = np.full(20_000, TOTAL - frequency, dtype=np.uint32)
    chance = np.random.default_rng(0)
    low_N[chance.random(len(low_N)) < 0.001] = 0
    frequency_N = np.where(low_N == 0, TOTAL - frequency, frequency).astype(np.uint32)
    assert range_coder.encode(low_N, frequency_N) == range_coder.encode_in_python(low_N, frequency_N)


@pytest.mark.parametrize("weights", [[1] * 256, [1000, 1, 1, 1], [10**9, 1]])
def test_a_code_is_as_long_as_its_bits(weights: list[int]) -> None:
    frequency_V = frequencies(weights)
    symbols_N = np.random.default_rng(1).choice(len(weights), 50_000, p=frequency_V / TOTAL)
    interval_N = intervals(frequency_V, symbols_N)
    assert len(range_coder.encode(*interval_N)) <= count_bits(interval_N[1]) / 8 * 1.00005 + 4


@given(case=coded(), cut=st.integers(1, 60))
def test_a_code_that_ends_too_early_is_noticed(case: tuple[UInt32Array, SymbolArray], cut: int) -> None:
    """Without its last bytes it says something else, and what follows it is not read."""
    frequency_V, symbols_N = case
    code = range_coder.encode(*intervals(frequency_V, symbols_N))
    for open_decoder in (range_coder.PythonDecoder, range_coder.open_decoder):
        decoder = open_decoder(code)
        decode(decoder, frequency_V, len(symbols_N), 1)
        assert decoder.is_at_end
        longer = open_decoder(code + bytes(8 + cut))
        decode(longer, frequency_V, len(symbols_N), 1)
        assert not longer.is_at_end
        if len(code) > cut + 8:
            with contextlib.suppress(ValueError):
                found = decode(open_decoder(code[: -cut - 8]), frequency_V, len(symbols_N), 1)
                assert found != symbols_N.tolist()


def test_no_symbols_have_no_code() -> None:
    empty = np.empty(0, dtype=np.uint32)
    assert range_coder.encode(empty, empty) == range_coder.encode_in_python(empty, empty) == b""


@given(code=st.binary(max_size=40))
def test_any_bytes_decode_to_symbols_or_are_refused_alike(code: bytes) -> None:
    frequency_V = frequencies([3, 1, 1])
    found: list[list[int] | None] = []
    for decoder in (range_coder.PythonDecoder(code), range_coder.open_decoder(code)):
        try:
            found.append(decode(decoder, frequency_V, 100, 1))
        except ValueError:
            found.append(None)
    assert found[0] == found[1]


def test_bytes_beyond_every_interval_are_refused() -> None:
    """2**64 - 1 is no multiple of 2**24: the last values of a code belong to no symbol."""
    frequency_V = frequencies([1, 1])
    for decoder in (range_coder.PythonDecoder(b"\xff" * 8), range_coder.open_decoder(b"\xff" * 8)):
        with pytest.raises(ValueError, match="no code has these bytes"):
            decode(decoder, frequency_V, 100, 1)
