"""A dump read in ranges gives the pages of the whole dump; no damage loses text silently."""

import bz2
import itertools
import pickle
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charlm.errors import DataError, UsageError
from charlm.text.dump.pages import DumpReader, Page
from charlm.text.dump.plan import TASK_BYTES, plan_dump, read_range
from charlm.text.dump.ranges import DumpRange, find_ranges
from tests.text.dump.test_pages import export, page

MULTISTREAM = "mediawiki/ltgwiki-2017-09-repacked-pages-articles-multistream.xml.bz2"
INDEX = "mediawiki/ltgwiki-2017-09-repacked-pages-articles-multistream-index.txt.bz2"
HEAD = re.compile(rb"BZh[1-9]\x31\x41\x59\x26\x53\x59")


def text_of(number: int, length: int = 300) -> str:
    return "".join(random.Random(number).choices("abcdefgh ", k=length))


XML = export(*(page(n, text_of(n)) for n in range(40)))


def read_in_parts(path: Path, task_bytes: int) -> tuple[list[Page], bool]:
    """All pages, range by range, of a plan that was pickled; and whether the dump is an excerpt."""
    dump = pickle.loads(pickle.dumps(plan_dump(path, task_bytes)))
    assert [range_.start for range_ in dump.ranges] == [0, *(range_.end for range_ in dump.ranges[:-1])]
    assert dump.ranges[-1].end == path.stat().st_size
    found: list[Page] = []
    excerpt = False
    for range_ in dump.ranges:
        pages = read_range(dump, range_)
        found += pages
        excerpt = pages.excerpt
        assert not excerpt or range_ == dump.ranges[-1]
    return found, excerpt


# Every way of cutting and compressing gives the same pages.


@pytest.mark.real_data
def test_single_and_multistream_are_one(shared_data: Path, tmp_path: Path) -> None:
    """With an index and by scanning, in ranges of one stream, of several, and of all."""
    single = list(DumpReader(shared_data / "mediawiki/ltgwiki-2017-09-pages-articles.xml.bz2"))
    indexed = shared_data / MULTISTREAM
    scanned = tmp_path / "d.xml.bz2"
    shutil.copyfile(indexed, scanned)
    for task_bytes, num_tasks in [(1, 22), (100_000, 7), (TASK_BYTES, 1)]:
        assert plan_dump(indexed, task_bytes).ranges == plan_dump(scanned, task_bytes).ranges
        ranges = plan_dump(scanned, task_bytes).ranges
        assert abs(len(ranges) - num_tasks) <= 1
        assert all(range_.skip_bytes == range_.tail_bytes == 0 for range_ in ranges)
        assert read_in_parts(scanned, task_bytes) == (single, False)
    assert plan_dump(scanned).multistream
    assert plan_dump(scanned).siteinfo.dbname == "ltgwiki"


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.sets(st.integers(1, len(XML) - 1), max_size=30), task_bytes=st.integers(1, 3_000))
def test_streams_may_begin_anywhere(tmp_path: Path, cuts: set[int], task_bytes: int) -> None:
    """Streams cut as by pbzip2: pages span one boundary or several, tags are cut in two, and no page is lost."""
    edges = [0, *sorted(cuts), len(XML)]
    path = tmp_path / "d.bz2"
    streams = [bz2.compress(XML[a:b], 1) for a, b in itertools.pairwise(edges)]
    path.write_bytes(b"".join(streams))
    assert read_in_parts(path, task_bytes) == (list(DumpReader(path)), False)
    assert plan_dump(path, task_bytes).multistream is (len(streams) > 1)


def test_pages_longer_than_streams(tmp_path: Path) -> None:
    path = tmp_path / "d.bz2"
    xml = export(*(page(n, text_of(n, 5_000)) for n in range(6)))
    path.write_bytes(b"".join(bz2.compress(xml[i : i + 400], 1) for i in range(0, len(xml), 400)))
    ranges = plan_dump(path, 1).ranges
    assert len(ranges) > 20
    assert any(range_.tail_bytes > 400 for range_ in ranges)
    found, _ = read_in_parts(path, 1)
    assert [page.text for page in found] == [text_of(n, 5_000) for n in range(6)]


@pytest.mark.parametrize("codec", ["utf-16", "utf-8-sig"])
def test_other_encodings_in_many_streams(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "d.bz2"
    xml = XML.decode().encode(codec)
    path.write_bytes(b"".join(bz2.compress(xml[i : i + 800], 1) for i in range(0, len(xml), 800)))
    assert (len(plan_dump(path, 1).ranges) == 1) is (codec == "utf-16")
    assert read_in_parts(path, 1) == (list(DumpReader(path)), False)


def test_other_formats_are_one_task(tmp_path: Path) -> None:
    (tmp_path / "d.xml").write_bytes(XML)
    dump = plan_dump(tmp_path / "d.xml", 1)
    assert (dump.format, dump.multistream, dump.ranges) == ("xml", False, (DumpRange(0, len(XML)),))
    assert len(read_in_parts(tmp_path / "d.xml", 1)[0]) == 40
    with pytest.raises(UsageError):
        plan_dump(tmp_path / "absent")


def test_bytes_read_are_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "d.bz2"
    path.write_bytes(b"".join(bz2.compress(XML[i : i + 700], 1) for i in range(0, len(XML), 700)))
    dump = plan_dump(path, 1)
    read_bytes: list[int] = []
    for range_ in dump.ranges:
        list(read_range(dump, range_, read_bytes.append))
    assert sum(read_bytes) == dump.size


# Bytes that only look like heads.


def with_false_head(xml: bytes) -> bytes:
    """A bz2 stream of `xml` with the ten bytes of a stream's head inside it, valid in every checksum.

    A block says which of its Huffman tables serves each 50 symbols, one unary number (1...10) each. What there is
    beyond the last symbol is not used: room for any bits without six ones in a row.
    """
    bits = "".join(f"{byte:08b}" for byte in bz2.compress(xml, 1))
    at = 32 + 48 + 32 + 1 + 24  # stream header, block magic, checksum, randomised, origin
    used = bits[at : at + 16]
    at += 16 + 16 * used.count("1")
    num_tables, num_selectors = int(bits[at : at + 3], 2), int(bits[at + 3 : at + 18], 2)
    assert num_tables >= 4
    end = at + 18
    for _ in range(num_selectors):
        end = bits.index("0", end) + 1
    head = "".join(f"{byte:08b}" for byte in b"BZh9\x31\x41\x59\x26\x53\x59")
    extra = "0" * (-end % 8) + head
    extra += "0" * 8
    count = num_selectors + extra.count("0")
    # The stream's last bits are its checksum and up to seven of padding, which moves.
    trailer = bits.rindex(f"{0x177245385090:048b}")
    body = bits[:at] + bits[at : at + 3] + f"{count:015b}" + bits[at + 18 : end] + extra + bits[end : trailer + 80]
    body += "0" * (-len(body) % 8)
    return int(body, 2).to_bytes(len(body) // 8, "big")


def test_a_false_head_is_not_taken_for_one(tmp_path: Path) -> None:
    xml = export(*(page(n, text_of(n, 2_000)) for n in range(6)))
    middle = xml.index(b"<page>", len(xml) // 2)
    first = with_false_head(xml[:middle])
    assert bz2.decompress(first) == xml[:middle]
    false, true = (found.start() for found in HEAD.finditer(first + b"BZh1\x31\x41\x59\x26\x53\x59", 1))
    assert true == len(first)
    path = tmp_path / "d.bz2"
    path.write_bytes(first + bz2.compress(xml[middle:], 1))
    assert [range_.start for range_ in plan_dump(path, 1).ranges] == [0, true]
    assert [page.id for page in read_in_parts(path, 1)[0]] == list("012345")
    dump = plan_dump(path, 1)
    with pytest.raises(DataError, match=f"seems to start a bz2 stream at byte {false:,}"):
        list(read_range(dump, DumpRange(0, false)))
    path.write_bytes(first)
    assert plan_dump(path).multistream is False


@pytest.mark.parametrize("damage", ["stale", "cut", "words", "empty"])
def test_a_wrong_index_changes_nothing(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "xwiki-20240801-pages-articles-multistream2.xml-p5p9.bz2"
    edges = [0, *(found.start() for found in re.finditer(b"<page>", XML)), len(XML)]
    streams = [bz2.compress(XML[a:b], 1) for a, b in itertools.pairwise(edges)]
    path.write_bytes(b"".join(streams))
    expected = plan_dump(path, 1).ranges
    assert len(expected) == 41
    lines = "".join(f"{sum(map(len, streams[: n + 1]))}:{n}:T{n}\n" for n in range(40))
    index = path.with_name("xwiki-20240801-pages-articles-multistream-index2.txt-p5p9.bz2")
    content = {
        "stale": bz2.compress(lines.replace(":", "1:", 1).encode().replace(b"0:", b"7:")),
        "cut": bz2.compress(lines.encode())[:-20],
        "words": bz2.compress(b"no index\n"),
        "empty": b"",
    }[damage]
    index.write_bytes(bz2.compress(lines.encode()))
    assert plan_dump(path, 1).ranges == expected
    index.write_bytes(content)
    assert [found.id for found in read_in_parts(path, 1)[0]] == [str(n) for n in range(40)]
    if damage != "stale":
        assert plan_dump(path, 1).ranges == expected


# Damage.


def test_what_is_not_whole_pages_is_an_error(tmp_path: Path) -> None:
    """No range skips text, whatever is at its start or end."""
    pages = [page(n, text_of(n)) for n in range(4)]
    start, end = export(end="").decode(), "</mediawiki>"
    path = tmp_path / "d.bz2"
    for xml, what in [
        ([start + pages[0], pages[1] + end, pages[2] + end], "malformed XML"),  # two ends
        ([start + pages[0], pages[1] + "<page>", pages[2] + end], "malformed XML"),
        ([start + pages[0], pages[1][:-7], pages[2] + end], "malformed XML"),
        ([start, pages[0] + "<!DOCTYPE a>", pages[1] + end], "malformed XML"),
        ([start, pages[0], "<page a='" + "x" * 1_100_000 + "'></page>" + end], "1,100,000 characters"),
    ]:
        path.write_bytes(b"".join(bz2.compress(part.encode(), 1) for part in xml))
        assert len(plan_dump(path, 1).ranges) > 1
        with pytest.raises(DataError, match=what):
            read_in_parts(path, 1)
        with pytest.raises(DataError, match=what):
            list(DumpReader(path))
    # In the whole dump, this is a page in a comment. In ranges it is an error; in both cases it is not taken for text.
    hidden = [start + pages[0] + "<!--", pages[1], "-->" + pages[2] + end]
    path.write_bytes(b"".join(bz2.compress(part.encode(), 1) for part in hidden))
    with pytest.raises(DataError, match="malformed XML"):
        read_in_parts(path, 1)
    assert [found.id for found in DumpReader(path)] == ["0", "2"]


def test_a_file_that_shrinks_after_the_plan(tmp_path: Path) -> None:
    path = tmp_path / "d.bz2"
    streams = [bz2.compress(XML[i : i + 3_000], 1) for i in range(0, len(XML), 3_000)]
    path.write_bytes(b"".join(streams))
    dump = plan_dump(path, 1)
    path.write_bytes(b"".join(streams[:-1]))
    with pytest.raises(DataError, match="ends at byte"):
        list(itertools.chain.from_iterable(read_range(dump, range_) for range_ in dump.ranges))


Damage = Callable[[random.Random, bytes], tuple[bytes, int]]


def flip_bit(rng: random.Random, content: bytes) -> tuple[bytes, int]:
    damaged = bytearray(content)
    position = rng.randrange(len(damaged))
    damaged[position] ^= 1 << rng.randrange(8)
    return bytes(damaged), position


def flip_head(rng: random.Random, content: bytes) -> tuple[bytes, int]:
    """Damage in the bytes of a stream head."""
    damaged = bytearray(content)
    position = rng.choice([found.start() for found in HEAD.finditer(content)]) + rng.randrange(14)
    damaged[position] ^= 1 << rng.randrange(8)
    return bytes(damaged), position


def cut(rng: random.Random, content: bytes) -> tuple[bytes, int]:
    position = rng.randrange(1, len(content))
    return content[:position], position


def cut_between(rng: random.Random, content: bytes) -> tuple[bytes, int]:
    position = rng.choice([found.start() for found in HEAD.finditer(content)][1:])
    return content[:position], position


def zeros(rng: random.Random, content: bytes) -> tuple[bytes, int]:
    """A block that was never written to the disk."""
    position = rng.randrange(len(content) - 600)
    return content[:position] + bytes(512) + content[position + 512 :], position


def outcome(path: Path, content: bytes, whole: list[Page], rng: random.Random, damage: Damage) -> str:
    """The result of one damage; fails if text was lost silently."""
    damaged, position = damage(rng, content)
    boundaries = {found.start() for found in HEAD.finditer(content)}
    path.write_bytes(damaged)
    try:
        found, excerpt = read_in_parts(path, rng.choice([1, 60_000, TASK_BYTES]))
    except DataError as error:
        message = str(error)
        if "in one of the four formats" in message:
            assert position < 10
            return "another format"
        places = [int(place.replace(",", "")) for place in re.findall(r"byte ([\d,]*\d)", message)]
        assert places, message
        assert min(places) <= position <= max(places) + (1 << 16), message
        return "located"
    if excerpt:
        assert position in boundaries
        assert len(damaged) == position
        assert found == whole[: len(found)]
        return "excerpt"
    assert found == whole
    assert len(damaged) == len(content)
    return "the same"


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("num_streams", "num_damages"),
    [(4, 100), pytest.param(23, 1_000, marks=pytest.mark.faults)],
    ids=["quick", "thorough"],
)
def test_damages_of_a_multistream_dump(shared_data: Path, tmp_path: Path, num_streams: int, num_damages: int) -> None:
    """Bit flips, cuts and holes anywhere: a DataError with the offset, exactly the same pages, or a noted excerpt."""
    content = (shared_data / MULTISTREAM).read_bytes()
    starts = [found.start() for found in HEAD.finditer(content)]
    assert len(starts) == 23
    if num_streams < len(starts):
        content = content[: starts[num_streams - 1]] + content[starts[-1] :]
    path = tmp_path / "d.xml.bz2"
    path.write_bytes(content)
    whole = list(DumpReader(path))
    assert len(whole) == (2004 if num_streams == 23 else 100 * (num_streams - 2))
    rng = random.Random(2017)
    found: dict[str, int] = {}
    damages = (flip_bit, flip_bit, flip_head, cut, cut, cut_between, zeros)
    for number in range(num_damages):
        result = outcome(path, content, whole, rng, damages[number % len(damages)])
        found[result] = found.get(result, 0) + 1
    assert found["located"] > num_damages * 0.6
    assert found["excerpt"] >= num_damages // len(damages)


def test_ranges_of_a_file_that_is_no_bz2(tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.write_bytes(b"BZh9\x31\x41\x59\x26\x53\x59" * 100)
    assert find_ranges(path, 1_000, 1) == (DumpRange(0, 1_000),)
