"""Damaged and hostile archives: an error that names the place, never other bytes, no memory for what is announced."""

import contextlib
import hashlib
import io
import random
import tracemalloc
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from charlm import formats
from charlm.archives.archive import MAX_BLOCK_BYTES, Header
from charlm.archives.archive_reader import ArchiveReader
from charlm.archives.archive_writer import ArchiveWriter
from charlm.archives.lanes import MAX_LANES
from charlm.errors import DataError
from charlm.vocab.char import CharVocab
from tests.archives.archives import pack, unpack
from tests.archives.counting import counting_model
from tests.mutations import mutate

MODEL = counting_model(CharVocab("etaoin \n"))
BLOCK = 60
CONTENT = b"the tea and the tea \n" * 3 + random.Random(0).randbytes(BLOCK) + b"tea in tin\n" * 9
ARCHIVE = pack(CONTENT, MODEL, num_lanes=2, block_bytes=BLOCK)
HEADER_BYTES = 4 + 1 + 1 + 1 + 8 + 1 + len("counting") + 4


def parts(archive: bytes) -> list[bytes]:
    """The header, each block, and the end."""
    source = io.BytesIO(archive)
    reader = ArchiveReader(source, "it")
    ends = [source.tell()]
    decoded = iter(range(0, len(CONTENT), BLOCK))
    for _ in reader.blocks():
        start = next(decoded)
        reader.check(CONTENT[start : start + BLOCK])
        ends.append(source.tell())
    return [archive[a:b] for a, b in zip([0, *ends], [*ends, len(archive)], strict=True)]


def test_the_example_has_coded_and_stored_blocks() -> None:
    header, *blocks, _ = parts(ARCHIVE)
    assert len(header) == HEADER_BYTES
    assert {block[0] for block in blocks} == {1, 2}


def test_the_format_is_the_one_that_archives_have() -> None:
    """Another format needs another version, so that archives stay readable."""
    assert formats.ARCHIVE == 1
    assert hashlib.sha256(ARCHIVE).hexdigest() == "f730da6674309b77a02178a164304ef6ed2d36f4015e8f203facb087d4a52d8d"


def test_every_cut_is_noticed() -> None:
    for size in range(len(ARCHIVE)):
        with pytest.raises(DataError) as found:
            unpack(ARCHIVE[:size], MODEL)
        places = ["its header"] if size < HEADER_BYTES else ["block ", "its end"]
        expected = ["is empty", "is no archive"] if size < 4 else [f"it breaks off in {place}" for place in places]
        assert any(words in found.value.what for words in expected)


def test_every_flipped_bit_is_refused_or_harmless() -> None:
    for place in range(len(ARCHIVE)):
        changed = bytearray(ARCHIVE)
        changed[place] ^= 1 << (place % 8)
        with contextlib.suppress(DataError):
            assert unpack(bytes(changed), MODEL) == CONTENT


def test_blocks_in_another_place_are_noticed() -> None:
    header, *blocks, end = parts(ARCHIVE)
    other_header, *_ = parts(pack(CONTENT, replace(MODEL, name="other"), num_lanes=2, block_bytes=BLOCK))
    stored = next(block for block in blocks if block[0] == 2)
    spliced = {
        "without the first": [header, *blocks[1:], end],
        "without the last": [header, *blocks[:-1], end],
        "one twice": [header, *blocks[:2], *blocks[1:], end],
        "swapped": [header, blocks[1], blocks[0], *blocks[2:], end],
        "only a stored one": [header, stored, end],
        "behind another header": [other_header, *blocks, end],
        "two archives": [header, *blocks, end, header, *blocks, end],
    }
    for name, pieces in spliced.items():
        with pytest.raises(DataError, match=r"it is damaged in (block [1-5]: its|block [1-5]: noth|its end: )"):
            pytest.fail(f"{name}: {unpack(b''.join(pieces), MODEL)!r}")


@pytest.mark.parametrize(
    ("behind_the_header", "words"),
    [
        (b"\x01" + b"\xff" * 8 + b"\x7f", "block 1: it has the number"),
        (b"\x01" + b"\xff" * 12, "block 1: it has a number without end"),
        (b"\x01\x00", "block 1: it has the number 0"),
        (b"\x01\x80\x80\x80\x06\x80\x80\x80\x02\x80\x80\x80\x02", "it breaks off in block 1"),
        (b"\x01\x0a\x01", "block 1: it has the number 1, which must be 4 to"),
        (b"\x02\x80\x80\x80\x02" + bytes(100), "it breaks off in block 1"),
        (b"\x02\x81\x80\x80\x02", "block 1: it has the number 4,194,305"),
        (b"\x03", "block 1: its kind is 3"),
        (b"\x00\x01", "its end: blocks are missing"),
        (b"\x00\x00more", "its end: more data follow it"),
        (b"\x01\xac\x02\xac\x02\x00", "block 1: nothing has this code"),
    ],
)
def test_announced_sizes_are_checked_before_memory_is_taken(behind_the_header: bytes, words: str) -> None:
    assert MAX_BLOCK_BYTES == 1 << 22
    archive = ARCHIVE[:HEADER_BYTES] + behind_the_header
    tracemalloc.start()
    with pytest.raises(DataError, match=words):
        unpack(archive, MODEL)
    assert tracemalloc.get_traced_memory()[1] < 3 * MAX_BLOCK_BYTES
    tracemalloc.stop()


def test_headers() -> None:
    def headed(*, version: int = formats.ARCHIVE, flags: int = 0, lanes: int = 1) -> bytes:
        content = b"\x8fCLM" + bytes([version, flags, lanes % 128 + 128, lanes // 128]) + bytes(8) + b"\0"
        return content + zlib.crc32(content).to_bytes(4, "little")

    assert ArchiveReader(io.BytesIO(headed()), "it").header == Header(1, bytes(8), "")
    assert ArchiveReader(io.BytesIO(headed(lanes=MAX_LANES)), "it").header.num_lanes == MAX_LANES
    for content, words in {
        b"": "it is empty, and no archive; give a file that",
        b"\x1f\x8b\x08\x00": "it is no archive of `charlm compress`",
        headed(version=2): "it has format 2.0; this charlm reads up to 1.1; upgrade",
        headed(flags=2): "it has format 1.2; this charlm reads up to 1.1; upgrade",
        headed(lanes=0): "damaged in its header: it has the number 0",
        headed(lanes=MAX_LANES + 1): "damaged in its header: it has the number 257",
        headed()[:-1] + b"x": "damaged in its header: its checksum",
    }.items():
        with pytest.raises(DataError) as found:
            ArchiveReader(io.BytesIO(content), "it")
        assert words in str(found.value)


def test_another_model_is_named() -> None:
    other = replace(counting_model(CharVocab("etaoin ")), name="other")
    with pytest.raises(DataError) as found:
        unpack(ARCHIVE, other)
    said = f"compressed with the model {MODEL.digest.hex()} of 'counting', and other is the model {other.digest.hex()}"
    assert said in found.value.what


def test_embedded_files_come_back(tmp_path: Path) -> None:
    files = [tmp_path / "integer.safetensors", tmp_path / "vocab.json"]
    for size, path in enumerate(files):
        path.write_bytes(random.Random(size).randbytes(3_000_000 * size + 1))
    sink = io.BytesIO()
    header = Header(1, bytes(8), "run", is_embedded=True)
    ArchiveWriter(sink, header, {path.name: path for path in files}).finish()
    folder = tmp_path / "extracted"
    folder.mkdir()
    reader = ArchiveReader(io.BytesIO(sink.getvalue()), "it")
    reader.extract_model(folder)
    assert [*reader.blocks()] == []
    assert reader.header == header
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in files
    }
    for place in (20, 24, 29, 40, 3_000_040):
        changed = bytearray(sink.getvalue())
        changed[place] ^= 1
        with pytest.raises(DataError, match="in its header"):
            ArchiveReader(io.BytesIO(changed), "it").extract_model(folder)


@pytest.mark.parametrize(("first", "count"), [(0, 1000), pytest.param(1000, 10_000, marks=pytest.mark.faults)])
def test_mutations(first: int, count: int, tmp_path: Path) -> None:
    """Never other bytes: a mutated archive is refused, or it still says the same."""
    verdicts = Counter[str]()
    for seed in range(first, first + count):
        kind, changed = mutate("it.charlm", ARCHIVE, random.Random(seed), tmp_path / "canary")
        try:
            assert unpack(changed, MODEL) == CONTENT, (seed, kind)
            verdicts["harmless"] += 1
        except DataError:
            verdicts["refused"] += 1
    print(f"{count} mutations: {dict(verdicts)}")  # noqa: T201 - the figure, with -s
    assert verdicts["refused"] > 0.9 * count
    assert not (tmp_path / "canary").exists()
