"""Compressing and decompressing: every file comes back, whatever its content, blocks, lanes and vocabulary."""

import io
import random
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.archives import range_coder
from charlm.archives.blocks import count_bits, find_intervals
from charlm.archives.compress import compress
from charlm.archives.symbols import SymbolCodec
from charlm.vocab.char import CharVocab
from tests.archives.archives import pack, unpack
from tests.archives.counting import counting_model

SMALL = CharVocab("etaoin é\n")
PIECES = st.sampled_from([b"the tea ", "é".encode(), b"\xff", b"\xc3", bytes(range(256)), b"\n" * 40])
FILES = st.lists(PIECES | st.binary(max_size=5), max_size=12).map(b"".join)


@settings(max_examples=40)
@given(
    content=FILES,
    num_lanes=st.none() | st.integers(1, 5),
    block_bytes=st.integers(5, 200),
    in_characters=st.booleans(),
    verify=st.booleans(),
)
def test_every_file_comes_back(
    content: bytes, num_lanes: int | None, block_bytes: int, in_characters: bool, verify: bool
) -> None:
    model = counting_model(SMALL if in_characters else None)
    archive = pack(content, model, num_lanes=num_lanes, block_bytes=block_bytes, verify=verify)
    assert unpack(archive, model) == content


@pytest.mark.parametrize("content", [b"", b"x", b"\x8fCLM", b"\n" * 2500])
def test_small_and_uniform_files(content: bytes) -> None:
    archive = pack(content, counting_model())
    assert unpack(archive, counting_model()) == content
    assert len(archive) <= max(len(content) + 40, 64)


def test_random_bytes_grow_by_a_few() -> None:
    content = random.Random(0).randbytes(6000)
    assert len(pack(content, counting_model(), block_bytes=2000)) < len(content) + 3 * 8 + 40


def test_text_behind_stored_blocks_is_coded_again() -> None:
    text = b"the tea and the tea " * 40
    content = text + random.Random(0).randbytes(len(text)) + text
    archive = pack(content, counting_model(), block_bytes=len(text))
    assert unpack(archive, counting_model()) == content
    assert len(archive) < len(content) / 2


def test_an_archive_is_as_long_as_its_bits() -> None:
    content = b"it was the best of times, it was the worst of times\n" * 30
    model = counting_model()
    model.predictor.start(4)
    symbols_N = SymbolCodec(model.vocab).encode(content)
    bits = count_bits(find_intervals(model.predictor, symbols_N, 4, lambda _: None)[1])
    assert bits / 8 <= len(pack(content, model, num_lanes=4)) <= bits / 8 * 1.0002 + 64


def test_archives_are_equal_with_and_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    content = "the tea éé ".encode() * 60 + b"\xff\x00" * 20
    model = counting_model(SMALL)
    archive = pack(content, model, num_lanes=3, block_bytes=300)
    monkeypatch.setattr(range_coder, "load_coder_library", lambda: None)
    assert pack(content, model, num_lanes=3, block_bytes=300) == archive
    assert unpack(archive, model) == content


def test_memory_does_not_depend_on_the_length() -> None:
    class Endless:
        """Random bytes, which are stored."""

        def __init__(self, size: int) -> None:
            self.left = size

        def read(self, size: int, /) -> bytes:
            size = min(size, self.left)
            self.left -= size
            return np.random.default_rng(self.left).bytes(size)

    class Nowhere:
        def write(self, content: bytes, /) -> int:
            return len(content)

    peaks: list[int] = []
    for size in (1000, 6000):
        tracemalloc.start()
        compress(Endless(size), Nowhere(), counting_model(), lambda _: None, verify=False, block_bytes=500)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_progress_adds_up_to_the_file() -> None:
    content = b"the tea " * 300
    for verify in (False, True):
        done: list[float] = []
        compress(io.BytesIO(content), io.BytesIO(), counting_model(), done.append, verify=verify, block_bytes=900)
        assert sum(done) == pytest.approx(len(content))
        assert len(done) > 3
