"""The token store is `<eod> doc <eod> doc <eod>` in NumPy's format, and all damage is noticed."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from charlm.data.corpus import Corpus
from charlm.data.store import DOCUMENT_DTYPE, TokenStream, count_ids, encode_parts, read_stream, write_stream
from charlm.errors import DataError
from charlm.text.document import Document
from charlm.text.split import Part
from charlm.vocab.base import Vocab
from charlm.vocab.byte import ByteVocab
from charlm.vocab.char import CharVocab

CHAR = CharVocab("abc \n☃")
VOCABS: list[Vocab] = [CHAR, ByteVocab(), CharVocab("".join(map(chr, range(0x10000, 0x10000 + 66_000))))]
TEXTS = st.text(st.sampled_from("abc \n☃é🙂"), max_size=12)
SHARED_FOLDER = hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def parts_of(documents: list[list[str]]) -> list[Part]:
    return [
        Part(Document(str(number), "", text), index, index == len(pieces) - 1)
        for number, pieces in enumerate(documents)
        for index, text in enumerate(pieces)
    ]


def store(folder: Path, documents: list[list[str]], vocab: Vocab = CHAR) -> TokenStream:
    write_stream(folder, "train", [encode_parts(parts_of(documents), vocab)], vocab)
    return read_stream(folder, "train", vocab)


@given(documents=st.lists(st.lists(TEXTS, min_size=1, max_size=3), max_size=5), vocab=st.sampled_from(VOCABS))
@example(documents=[], vocab=CHAR)
@SHARED_FOLDER
def test_the_stream_is_eod_document_eod_document_eod(tmp_path: Path, documents: list[list[str]], vocab: Vocab) -> None:
    stream = store(tmp_path, documents, vocab)
    expected = [vocab.eod_id]
    for pieces in documents:
        expected += [token for text in pieces for token in vocab.encode(text).tolist()]
        expected.append(vocab.eod_id)
    assert stream.tokens.tolist() == expected
    assert stream.tokens.dtype == vocab.id_dtype
    assert stream.num_predictions == len(expected) - 1
    assert isinstance(stream.tokens, np.memmap)


@given(documents=st.lists(st.lists(TEXTS, min_size=1, max_size=3), min_size=1, max_size=5))
@SHARED_FOLDER
def test_every_part_is_counted_where_it_starts(tmp_path: Path, documents: list[list[str]]) -> None:
    stream = store(tmp_path, documents)
    texts = [text for pieces in documents for text in pieces]
    ends = [*stream.documents["start"][1:].tolist(), len(stream.tokens)]
    for row, end, text in zip(stream.documents, ends, texts, strict=True):
        assert CHAR.decode(stream.tokens[row["start"] : end].tolist()) == text
        assert (row["characters"], row["words"]) == (len(text), len(text.split()))
        assert row["bytes"] == len(text.encode("utf-8"))
    assert stream.count("characters") == sum(map(len, texts))


def test_the_arrays_are_numpy_s_own(tmp_path: Path) -> None:
    store(tmp_path, [["ab"], ["c"]])
    tokens = np.load(tmp_path / "train.npy")
    assert tokens.tolist() == [0, *CHAR.encode("ab").tolist(), 0, *CHAR.encode("c").tolist(), 0]
    assert np.load(tmp_path / "train.documents.npy")["start"].tolist() == [1, 4]


@given(documents=st.lists(TEXTS, min_size=1, max_size=6), limit=st.integers(1, 60))
@SHARED_FOLDER
def test_chosen_documents_are_whole_and_within_a_limit(tmp_path: Path, documents: list[str], limit: int) -> None:
    stream = store(tmp_path, [[text] for text in documents])
    chosen = stream.choose_documents(limit)
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert len(chosen) >= 1
    taken = stream.take(chosen)
    assert len(taken.tokens) <= limit or len(chosen) == 1
    assert (len(chosen) == len(documents)) == (len(stream.tokens) <= limit or len(documents) == 1)
    again = store(tmp_path, [[documents[index]] for index in chosen])
    assert taken.tokens.tolist() == again.tokens.tolist()
    assert taken.documents.tolist() == again.documents.tolist()


def test_chosen_documents_are_from_all_over_the_split(tmp_path: Path) -> None:
    stream = store(tmp_path, [["abc"]] * 1000)
    chosen = stream.choose_documents(401)
    assert len(chosen) == 100
    assert 30 < (chosen < 500).sum() < 70


@given(documents=st.lists(st.lists(TEXTS, min_size=1, max_size=2), min_size=1, max_size=6), limit=st.integers(1, 60))
@SHARED_FOLDER
def test_a_head_is_whole_documents_up_to_a_limit(tmp_path: Path, documents: list[list[str]], limit: int) -> None:
    stream = store(tmp_path, documents)
    head = stream.head(limit)
    kept = len(head.documents)
    assert kept >= 1
    assert head.tokens.tolist() == stream.tokens[: len(head.tokens)].tolist()
    assert head.documents.tolist() == stream.documents[:kept].tolist()
    starts = [*stream.documents["start"].tolist(), len(stream.tokens)]
    assert len(head.tokens) == starts[kept]
    assert kept == 1 or len(head.tokens) <= limit
    assert kept == len(stream.documents) or starts[kept + 1] > limit


@given(documents=st.lists(st.lists(TEXTS, min_size=1, max_size=2), min_size=1, max_size=8))
@SHARED_FOLDER
def test_halves_are_whole_documents_and_together_the_stream(tmp_path: Path, documents: list[list[str]]) -> None:
    stream = store(tmp_path, documents)
    halves = stream.halves()
    whole_ends = np.flatnonzero(stream.tokens[1:] == 0) + 2  # after each <eod>
    quarter = len(stream.tokens) // 4
    if halves is None:
        assert not ((whole_ends > quarter) & (whole_ends < len(stream.tokens) - quarter)).any()
        return
    first, second = halves
    assert first.num_predictions + second.num_predictions == stream.num_predictions
    assert np.concatenate([first.targets, second.targets]).tolist() == stream.targets.tolist()
    assert second.tokens[0] == first.tokens[-1] == 0
    assert len(first.tokens) == min(whole_ends, key=lambda end: abs(int(end) - len(stream.tokens) // 2))
    assert first.count("bytes") + second.count("bytes") == stream.count("bytes")
    texts = [text for pieces in documents for text in pieces]
    for half in halves:
        for row, end in zip(half.documents, half.ends, strict=True):
            ids = [each for each in half.tokens[row["start"] : end].tolist() if each]
            assert CHAR.decode(ids) == texts.pop(0)


@given(documents=st.lists(st.lists(TEXTS, min_size=1, max_size=3), max_size=5))
@example(documents=[])
@example(documents=[["", "a"], ["b", ""], [""]])
@SHARED_FOLDER
def test_a_reversed_stream_is_a_stream_of_reversed_documents(tmp_path: Path, documents: list[list[str]]) -> None:
    stream = store(tmp_path, documents)
    backward = stream.reversed()
    assert backward.tokens.tolist() == stream.tokens.tolist()[::-1]
    assert np.shares_memory(backward.tokens, stream.tokens), "nothing is copied"
    texts = [text for pieces in reversed(documents) for text in reversed(pieces)]
    for row, end, text in zip(backward.documents, backward.ends, texts, strict=True):
        assert CHAR.decode(backward.tokens[row["start"] : end].tolist()[::-1]) == text
        assert (row["characters"], row["words"]) == (len(text), len(text.split()))
    assert backward.count("bytes") == stream.count("bytes")
    again = backward.reversed()
    assert again.tokens.tolist() == stream.tokens.tolist()
    assert again.documents.tolist() == stream.documents.tolist()


@given(documents=st.lists(st.lists(TEXTS, min_size=1, max_size=2), min_size=1, max_size=6), limit=st.integers(1, 60))
@SHARED_FOLDER
def test_heads_and_reversals_agree(tmp_path: Path, documents: list[list[str]], limit: int) -> None:
    stream = store(tmp_path, documents)
    head = stream.head(limit)
    assert head.reversed().tokens.tolist() == head.tokens.tolist()[::-1], "the same text is scored"
    backward = head.reversed()
    texts = [text for pieces in documents for text in pieces][: len(head.documents)]
    for row, end, text in zip(backward.documents, backward.ends, reversed(texts), strict=True):
        assert CHAR.decode(backward.tokens[row["start"] : end].tolist()[::-1]) == text
    last = stream.reversed().head(limit)
    assert last.tokens.tolist() == stream.tokens.tolist()[::-1][: len(last.tokens)]
    assert len(last.documents) == 1 or len(last.tokens) <= limit
    assert last.documents["bytes"].tolist() == stream.documents["bytes"].tolist()[::-1][: len(last.documents)]


@given(documents=st.lists(st.lists(TEXTS, min_size=1, max_size=2), max_size=4))
@SHARED_FOLDER
def test_every_id_but_the_first_is_counted_as_predicted(tmp_path: Path, documents: list[list[str]]) -> None:
    stream = store(tmp_path, documents)
    counts = count_ids(stream, CHAR.size)
    assert counts.tolist() == [stream.tokens[1:].tolist().count(token) for token in range(CHAR.size)]


# ---- damage


def refused_or_equal(folder: Path, vocab: Vocab, expected: list[int]) -> bool:
    """Return whether the files are refused; if not, check that the stream is within the file and of the right type."""
    try:
        stream = read_stream(folder, "train", vocab)
    except DataError:
        return True
    assert stream.tokens.dtype == vocab.id_dtype
    assert stream.documents.dtype == DOCUMENT_DTYPE
    assert len(stream.tokens.tolist()) <= len(expected) + 128
    return False


@given(data=st.data(), name=st.sampled_from(["train.npy", "train.documents.npy"]))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_a_damaged_header_never_does_more_than_be_refused(tmp_path: Path, data: st.DataObject, name: str) -> None:
    expected = store(tmp_path, [["abc"], ["☃"]]).tokens.tolist()
    path = tmp_path / name
    content = bytearray(path.read_bytes())
    for position in data.draw(st.lists(st.integers(0, 127), min_size=1, max_size=3)):
        content[position] = data.draw(st.sampled_from(list(b"0129<>|uifO(),{}' \x00\xff")) | st.integers(0, 255))
    path.write_bytes(content)
    refused_or_equal(tmp_path, CHAR, expected)


@pytest.mark.parametrize("name", ["train.npy", "train.documents.npy"])
def test_a_truncated_or_missing_array_is_refused(tmp_path: Path, name: str) -> None:
    expected = store(tmp_path, [["abc"], ["☃"]]).tokens.tolist()
    content = (tmp_path / name).read_bytes()
    for size in range(len(content)):
        (tmp_path / name).write_bytes(content[:size])
        assert refused_or_equal(tmp_path, CHAR, expected), size
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match="missing"):
        read_stream(tmp_path, "train", CHAR)


@pytest.mark.parametrize("name", ["train.npy", "train.documents.npy"])
@pytest.mark.parametrize("content", [b"PK\x03\x04" + b"\0" * 100, b"\x80\x04\x95 pickle", b"", b"\x93NUMPY\x01\x00"])
def test_another_kind_of_file_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    store(tmp_path, [["abc"]])
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        read_stream(tmp_path, "train", CHAR)


@pytest.mark.parametrize("name", ["train.npy", "train.documents.npy"])
def test_a_header_of_a_huge_array_is_refused_before_it_is_allocated(tmp_path: Path, name: str) -> None:
    store(tmp_path, [["abc"]])
    content = (tmp_path / name).read_bytes()
    start = content.index(b"'shape'")
    header = content[:start] + b"'shape': (99999999999,), }"
    (tmp_path / name).write_bytes(header.ljust(127) + b"\n" + content[128:])
    with pytest.raises(DataError, match=name):
        read_stream(tmp_path, "train", CHAR)


def test_another_vocabulary_s_arrays_are_refused(tmp_path: Path) -> None:
    store(tmp_path, [["abc"]])
    small = CharVocab("abc", byte_fallback=False)
    assert small.id_dtype != CHAR.id_dtype
    with pytest.raises(DataError, match="do not match its vocabulary"):
        read_stream(tmp_path, "train", small)


def test_documents_follow_each_other(tiny_corpus: Corpus) -> None:
    for split in tiny_corpus.splits:
        stream = tiny_corpus.open(split)
        starts = stream.documents["start"].tolist()
        assert starts[0] == 1
        assert all(before < after for before, after in pairwise(starts))


def test_every_input_has_a_target_in_both_directions(tiny_corpus: Corpus) -> None:
    forward = tiny_corpus.open("test")
    for stream in (forward, forward.reversed()):
        assert len(stream.inputs) == len(stream.targets) == stream.num_predictions
        assert stream.inputs[1:].tolist() == stream.targets[:-1].tolist()
    assert forward.reversed().inputs[::-1].tolist() == forward.targets.tolist()
