"""text8: the published rules, byte for byte, and the check of the published file."""

import hashlib
import io
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.errors import DataError, UsageError
from charlm.text.download.retry import RetryPolicy
from charlm.text.settings import Text8Settings
from charlm.text.sources.published_file import BenchmarkFile, BenchmarkSource
from charlm.text.sources.text8 import TEXT8, Text8Task
from charlm.text.sources.text8_filter import text8_words
from tests.fault_server import FaultServer

OPEN, CLOSE = b'<text xml:space="preserve">', b"</text>"


def cleaned(wikitext: bytes) -> bytes:
    return b"".join(text8_words([OPEN + wikitext + CLOSE]))


def source(path: Path, benchmark: BenchmarkFile = TEXT8) -> BenchmarkSource:
    return BenchmarkSource(Text8Settings(input=(str(path),)), benchmark, Text8Task)


def text_of(reader: BenchmarkSource) -> str:
    return "".join(document.text for document in reader.documents())


@pytest.mark.real_data
def test_text8_is_reproduced_byte_for_byte(shared_data: Path) -> None:
    expected = (shared_data / "enwik8/text8-regenerated.first-2900000-bytes").read_bytes()
    reader = source(shared_data / "enwik8/enwik8.first-4000000-bytes")
    documents = list(reader.documents())
    text = "".join(document.text for document in documents).encode()
    assert text[: len(expected)] == expected
    assert len(text) - len(expected) < 10_000  # the 2.9 MB file is cut where a round number is
    assert [document.is_last_piece for document in documents] == [False, False, True]
    assert {document.id for document in documents} == {"text8"}
    assert reader.page_counts.notes == [
        "made from enwik8.first-4000000-bytes by the published rules",
        f"the first {len(text):,} of text8's 100,000,000 bytes",
    ]
    again = source(shared_data / "enwik8/text8-regenerated.first-2900000-bytes")
    assert text_of(again).encode() == expected
    assert again.page_counts.notes == ["the first 2,900,000 of text8's 100,000,000 bytes"]
    assert again.split_method == "bytes"


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        (b"'''A''' [[link]], [[target|seen]].", b" a link seen"),
        (b"In 1905, 3rd", b" in one nine zero five three rd"),
        ("Café – naïve".encode(), b" caf na ve"),
        (b"x&amp;nbsp;y &amp;lt;b&amp;gt; &amp;amp;", b" x y"),
        (b"a&lt;ref name=b&gt;note&lt;/ref&gt;c &lt;REF&gt;kept&lt;/REF&gt;", b" ac kept"),
        (b"a &lt;!-- gone --&gt; b&lt;br/&gt;c", b" a bc"),
        (b"[http://x.org the site] [http://y.org]", b" the site"),
        (b"[[Image:P.jpg|thumb|left|200px|A [[deep|caption]] here]]", b" a caption here"),
        (b"[[image:p.jpg]]", b""),
        (b"[[Category:Old things|key]]", b" old things"),
        (b"[[fr:Chat]] [[zh-min-nan:Niau]] [[Wikipedia:Help]]", b" wikipedia help"),
        (b"{{template|with=x}}a{| table |}b{c", b" ab c"),
        (b"{{outer {{inner}} left}} over}", b" left over"),
        (b"A[]B ] [", b" ab"),
        (b"[[Category:a]b]] [[a-b:c]d]] [[e]f|g]] {{h}i}} {j &amp;k", b" category ab a b cd ef g i j k"),
        (b"", b""),
    ],
)
def test_every_rule(wikitext: bytes, text: bytes) -> None:
    """The last cases are markup that is not closed."""
    assert cleaned(wikitext) == text


def test_only_the_text_of_pages_that_are_no_redirects() -> None:
    page = b"<page><title>T</title><text xml:space='preserve'>one</text></page>\n"
    redirect = page.replace(b"one", b"#REDIRECT [[Two]]")
    assert b"".join(text8_words([b"<mediawiki>before", page, redirect, page])) == b" one one"
    # an element without content does not close for these rules: what follows counts, to the next end of a text
    empty = page.replace(b">one</text>", b" />")
    assert b"".join(text8_words([empty, page])) == b" t one"
    assert b"".join(text8_words([OPEN, b"cut off in the mid"])) == b" cut off in the mid"


MARKUP = [
    *b"[[ ]] [ ] {{ }} { } | &lt; &gt; &amp; ; a B 7 ref [[image: [[Category: [[fr: |thumb |20px".split(),
    b" ", b"\n", b"<text >", b"</text>",
]  # fmt: skip


@given(st.lists(st.sampled_from(MARKUP)), st.integers(1, 40))
def test_any_markup_gives_single_spaces_between_words_however_it_comes(markup: list[bytes], size: int) -> None:
    content = OPEN + b"".join(markup)
    text = b"".join(text8_words([content]))
    assert text == b"".join(b" " + word for word in text.split())
    assert not text.translate(None, b" abcdefghijklmnopqrstuvwxyz")
    assert text == b"".join(text8_words(content[start : start + size] for start in range(0, len(content), size)))


@pytest.mark.parametrize(
    "repeated", [*MARKUP[:12], *MARKUP[17:20], b"[[category:a", b"{{a}", b"[[a]", b"&amp;#", b"|9"]
)
def test_hostile_markup_takes_linear_time(repeated: bytes) -> None:
    size = 1_000_000
    started = time.process_time()
    cleaned(repeated * (size // len(repeated)))
    assert time.process_time() - started < 5  # quadratic: minutes


def test_no_xml_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(DataError, match="without an XML tag"):
        list(text8_words([OPEN, *[b"x" * (1 << 20)] * 65]))


# --- the file --------------------------------------------------------------------------------------------------------


def small(text: bytes) -> BenchmarkFile:
    return BenchmarkFile("text8", len(text), "md5", hashlib.md5(text).hexdigest(), zip_bytes=100)


def test_other_symbols_are_refused_with_their_offset(tmp_path: Path) -> None:
    path = tmp_path / "text8"
    path.write_bytes(b" anarchism" * 40_000 + b" A\n")
    with pytest.raises(DataError, match="byte 0x41 at offset 400001"):
        text_of(source(path))
    path.write_bytes(b"")
    with pytest.raises(DataError, match="no text"):
        text_of(source(path))
    with pytest.raises(UsageError, match="no file"):
        source(tmp_path / "absent")


def test_a_whole_file_must_have_the_published_hash(tmp_path: Path) -> None:
    path = tmp_path / "text8"
    text = b" the whole of it"
    path.write_bytes(text)
    whole = source(path, small(text))
    assert text_of(whole) == text.decode()
    assert whole.page_counts.notes == []
    path.write_bytes(b" the whole of he")
    with pytest.raises(DataError, match="is not text8: its md5"):
        text_of(source(path, small(text)))
    path.write_bytes(text + b" more")
    with pytest.raises(DataError, match="more than the 16 bytes of text8"):
        text_of(source(path, small(text)))


def test_more_of_enwik9_than_needed_is_left_unread(tmp_path: Path) -> None:
    path = tmp_path / "enwik9"
    path.write_bytes(b"<mediawiki>" + (OPEN + b"some words" + CLOSE) * 100_000)
    expected = (b" some words" * 100_000)[:30_001]
    reader = source(path, small(expected))
    assert text_of(reader).encode() == expected
    assert reader.page_counts.notes == ["made from enwik9 by the published rules"]


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_download_unpack_verify(tmp_path: Path) -> None:
    text = b" the whole of it" * 9
    quick = RetryPolicy(delays=(0,), sleep=lambda _: None)
    with FaultServer() as server:

        def reader() -> BenchmarkSource:
            settings = Text8Settings(url=server.url("/text8.zip"))
            return BenchmarkSource(settings, small(text), Text8Task, cache=tmp_path, retry_policy=quick)

        for wrong, message in (
            (zipped(text8=text[:-1]), "instead of 144 bytes"),
            (zipped(text8=text[:-1] + b"x"), "is not text8"),
            (zipped(text8=text * 100_000), "more than the 144 bytes"),
            (zipped(a=text, b=text), "archive of 2 files"),
            (zipped(text8=text)[:-30], "corrupt zip"),
        ):
            server.files["/text8.zip"] = wrong
            with pytest.raises(DataError, match=message):
                text_of(reader())
            assert [path.name for path in (tmp_path / "text8").iterdir()] == [".lock"]
        server.files["/text8.zip"] = zipped(text8=text)
        online = reader()
        plan = online.download_plan()
        assert plan is not None
        assert (plan.description, plan.directory) == ("text8", tmp_path / "text8")
        assert text_of(online) == text.decode()
        assert sorted(path.name for path in (tmp_path / "text8").iterdir()) == [".lock", "text8"]
        server.files.clear()
        server.requests.clear()
        offline = reader()
        assert offline.download_plan() is None
        assert text_of(offline) == text.decode()
        assert server.requests == []
        assert offline.origin() == online.origin()
        origin = online.origin()
        offline.refresh()
        assert offline.download_plan() is None
        for damaged in (text[:-1] + b"x", text[:-1], b""):
            (tmp_path / "text8/text8").write_bytes(damaged)
            offline.refresh()
            assert offline.download_plan() is not None
        assert origin["fingerprint"] == online.fingerprint()
        assert origin["files"] == [{"name": "text8", "bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}]
