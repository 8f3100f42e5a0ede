"""enwik8: every byte is kept, the published file is checked, a beginning of it gets a note."""

import gzip
import hashlib
import pickle
from pathlib import Path

import pytest

from charlm.errors import DataError, NetworkError, SettingsError
from charlm.settings import single_value_layer, validate
from charlm.text.document import PageCounts
from charlm.text.download.retry import RetryPolicy
from charlm.text.settings import Enwik8Settings, Text8Settings
from charlm.text.sources.enwik8 import ENWIK8, FILE_START, Enwik8Task
from charlm.text.sources.published_file import BenchmarkFile, BenchmarkSource
from tests.fault_server import FaultServer, answer
from tests.text.sources.test_text8 import zipped

CONTENT = FILE_START + b" ...>\r\n\0\xe2\x80\xa8 " + "Ünï".encode()


def source(path: Path, benchmark: BenchmarkFile = ENWIK8) -> BenchmarkSource:
    return BenchmarkSource(Enwik8Settings(input=(str(path),)), benchmark, Enwik8Task)


def text_of(reader: BenchmarkSource) -> str:
    return "".join(document.text for document in reader.documents())


def whole(content: bytes) -> BenchmarkFile:
    return BenchmarkFile("enwik8", len(content), "sha1", hashlib.sha1(content).hexdigest(), zip_bytes=len(content))


@pytest.mark.real_data
def test_a_beginning_is_one_document_in_pieces(shared_data: Path) -> None:
    path = shared_data / "enwik8/enwik8.first-4000000-bytes"
    reader = source(path)
    documents = list(reader.documents())
    assert [document.is_last_piece for document in documents] == [False] * 3 + [True]
    assert {document.id for document in documents} == {"enwik8"}
    assert "".join(document.text for document in documents).encode() == path.read_bytes()
    assert reader.page_counts == PageCounts(pages=1, notes=["the first 4,000,000 of enwik8's 100,000,000 bytes"])
    assert reader.split_method == "bytes"
    assert reader.origin()["files"][0]["sha256"] == reader.fingerprint()


def test_a_character_cut_at_the_end_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "enwik8"
    path.write_bytes(CONTENT[:-1])
    reader = source(path)
    assert text_of(reader) == CONTENT.decode()[:-1]
    assert reader.page_counts.notes[1:] == ["1 bytes of an incomplete character at the end were left out"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<mediawiki>another dump", "does not begin as enwik8 does"),
        (b" anarchism originated", "does not begin as enwik8 does"),
        (b"", "there is no text in"),
        (CONTENT + b"\xff", f"byte 0xff at offset {len(CONTENT)}"),
        (gzip.compress(b"x", mtime=0), "does not begin"),
        (gzip.compress(CONTENT, mtime=0)[:-9], "ends at byte"),
    ],
)
def test_what_is_not_enwik8_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "enwik8").write_bytes(content)
    with pytest.raises(DataError, match=message):
        text_of(source(tmp_path / "enwik8"))


def test_a_whole_file_must_have_the_published_hash(tmp_path: Path) -> None:
    path = tmp_path / "enwik8"
    for packed in (CONTENT, gzip.compress(CONTENT), zipped(enwik8=CONTENT)):
        path.write_bytes(packed)
        reader = source(path, whole(CONTENT))
        assert text_of(reader) == CONTENT.decode()
        assert reader.page_counts.notes == []
    path.write_bytes(CONTENT.replace(b"\r", b"\n"))
    with pytest.raises(DataError, match="is not enwik8: its sha1"):
        text_of(source(path, whole(CONTENT)))
    path.write_bytes(CONTENT + b"more")
    with pytest.raises(DataError, match="more than"):
        text_of(source(path, whole(CONTENT)))


def test_the_task_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "enwik8"
    path.write_bytes(CONTENT)
    (task,) = source(path).tasks()
    assert list(pickle.loads(pickle.dumps(task)).documents(PageCounts())) == list(source(path).documents())
    path.write_bytes(CONTENT + b".")
    (edited,) = source(path).tasks()
    assert edited.key != task.key


def test_download(tmp_path: Path) -> None:
    with FaultServer() as server:
        settings = Enwik8Settings(url=server.url("/enwik8.zip"))
        reader = BenchmarkSource(
            settings,
            whole(CONTENT),
            Enwik8Task,
            cache=tmp_path,
            retry_policy=RetryPolicy(delays=()),
        )
        with pytest.raises(NetworkError, match="--input"):
            reader.fetch()
        server.script.append(answer(200, b"<html>log in</html>", Content_Type="text/html"))
        with pytest.raises(NetworkError, match="--input"):
            reader.fetch()
        server.files["/enwik8.zip"] = zipped(enwik8=CONTENT)
        progress: list[int] = []
        reader.fetch(progress.append)
        assert progress[-1] == len(server.files["/enwik8.zip"])
        assert text_of(reader) == CONTENT.decode()
        assert reader.fingerprint() == hashlib.sha1(CONTENT).hexdigest()
        assert reader.origin()["urls"] == [server.url("/enwik8.zip")]
        assert str(tmp_path) not in str(reader.origin())


@pytest.mark.parametrize("kind", [Enwik8Settings, Text8Settings])
def test_it_is_one_file(kind: type[Enwik8Settings | Text8Settings]) -> None:
    with pytest.raises(SettingsError, match="input"):
        validate(kind, single_value_layer("input", ("a", "b"), "--input"))
