"""Every format is decompressed exactly; all damage is an error."""

import bz2
import gzip
import lzma
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charlm.errors import DataError, UsageError
from charlm.text.reading.unpacking import detect_format, read_xml

XML = b"<mediawiki>" + bytes(random.Random(7).choices(b"abcdefgh <>", k=6_000)) + b"</mediawiki>"
STEP = len(XML) // 3 + 1
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "bz2": lambda data: bz2.compress(data, 1),
    "xz": lzma.compress,
    "gz": lambda data: gzip.compress(data, mtime=0),
}
STREAMS = {name: [compress(XML[i : i + STEP]) for i in range(0, len(XML), STEP)] for name, compress in COMPRESS.items()}
PACKED = {name: b"".join(streams) for name, streams in STREAMS.items()}


def read(path: Path, content: bytes) -> bytes:
    path.write_bytes(content)
    return b"".join(piece.xml for piece in read_xml(path, detect_format(path)))


@pytest.mark.parametrize("name", ["xml", *PACKED])
def test_every_stream_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "dump"
    content = PACKED.get(name, XML)
    path.write_bytes(content)
    assert detect_format(path) == name
    pieces = list(read_xml(path, name))
    assert b"".join(piece.xml for piece in pieces) == XML
    offsets = [piece.offset for piece in pieces]
    assert offsets == sorted(offsets)
    assert offsets[-1] == len(content)


@pytest.mark.parametrize("name", PACKED)
def test_pieces_are_small(tmp_path: Path, name: str) -> None:
    """The output comes in small pieces, whatever the compression ratio."""
    path = tmp_path / "dump"
    path.write_bytes(COMPRESS[name](b"<" * 30_000_000))
    sizes = [len(piece.xml) for piece in read_xml(path, name)]
    assert sum(sizes) == 30_000_000
    assert max(sizes) <= 1 << 18


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(PACKED)), where=st.floats(0, 1, exclude_max=True))
def test_cut_anywhere(tmp_path: Path, name: str, where: float) -> None:
    """A cut inside a stream is an error with the offset; a cut between two streams is noticed only by the parser."""
    cut = 1 + int(where * (len(PACKED[name]) - 1))
    ends = {sum(map(len, STREAMS[name][:n])): n for n in range(1, 4)}
    if cut in ends:
        assert read(tmp_path / "d", PACKED[name][:cut]) == XML[: STEP * ends[cut]]
        return
    with pytest.raises(DataError, match=rf"ends at byte {cut:,}, inside the {name} stream|in one of the four formats"):
        read(tmp_path / "d", PACKED[name][:cut])


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(PACKED)), where=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
def test_one_flipped_byte(tmp_path: Path, name: str, where: float, mask: int) -> None:
    """An error, or (bits that carry no data: padding, gzip's time and file name) exactly the same bytes.

    What now begins as XML does is read as that, which it is not: the parser says so.
    """
    damaged = bytearray(PACKED[name])
    damaged[int(where * len(damaged))] ^= mask
    if damaged[0] == ord("<"):
        return
    try:
        found = read(tmp_path / "d", bytes(damaged))
    except DataError as error:
        assert "byte " in str(error) or "in one of the four formats" in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert found == XML


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("junk", [b"junk", b"\0" * 10, b"BZ", b"BZh9junk", b"<mediawiki>", b"\x1f\x8b\x08"])
def test_trailing_junk(tmp_path: Path, name: str, junk: bytes) -> None:
    with pytest.raises(DataError, match=f"{len(PACKED[name]):,}"):
        read(tmp_path / "d", PACKED[name] + junk)


@pytest.mark.parametrize("name", PACKED)
def test_ranges_of_whole_streams(tmp_path: Path, name: str) -> None:
    path = tmp_path / "d"
    path.write_bytes(PACKED[name])
    first, second, third = map(len, STREAMS[name])
    middle = b"".join(piece.xml for piece in read_xml(path, name, first, first + second))
    assert middle == XML[STEP : 2 * STEP]
    with pytest.raises(DataError, match=f"seems to start a {name} stream at byte {first + 9:,}"):
        list(read_xml(path, name, 0, first + 9))
    with pytest.raises(DataError, match=f"the data at byte {first + 9:,} are not"):
        list(read_xml(path, name, first + 9))
    path.write_bytes(PACKED[name][:-third])
    with pytest.raises(DataError, match=f"ends at byte {first + second:,}"):
        list(read_xml(path, name, first, first + second + third))


def test_missing_empty_and_other_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        detect_format(tmp_path / "absent.bz2")
    for content, what in [
        (b"", "is empty"),
        (b"7z\xbc\xaf\x27\x1c", "in one of the four formats"),
        (b"text", "in one of the four formats"),
        (b'{"text": "a"}', "holds JSON"),
        (b'\n [\n  {"text', "holds JSON"),
        (b"{mediawiki>", "in one of the four formats"),
        (b"[Zh91AY&SY", "in one of the four formats"),
    ]:
        (tmp_path / "d.bz2").write_bytes(content)
        with pytest.raises(DataError, match=what):
            detect_format(tmp_path / "d.bz2")


def test_a_huge_dictionary_is_refused(tmp_path: Path) -> None:
    """An xz header that asks for gigabytes is an error, not an allocation."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 28}]
    content = bytearray(lzma.compress(XML, filters=filters))
    at = content.index(bytes([0x21, 1])) + 2
    content[at] = 40  # 4 GB - 1
    content[20:24] = _crc(content[12:20])
    with pytest.raises(DataError, match="corrupt xz"):
        read(tmp_path / "d", bytes(content))


def _crc(data: bytes | bytearray) -> bytes:
    import zlib

    return zlib.crc32(data).to_bytes(4, "little")
