"""Examples on disk: where targets stand, and what is refused when they are read."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.data.examples import encode_examples, read_examples, write_examples, write_targets
from charlm.data.labels import Labels, load_labels
from charlm.errors import DataError
from charlm.text.document import Document
from charlm.text.split import Part
from charlm.vocab.base import IGNORE_INDEX, Vocab
from charlm.vocab.byte import ByteVocab
from charlm.vocab.char import CharVocab

VOCABS: dict[str, Vocab] = {"byte": ByteVocab(), "char": CharVocab("abé"), "bytes of char": CharVocab("a")}
LABELS = Labels.from_names(["noun", "verb"])
TEXTS = st.text("abéя🙂", min_size=1, max_size=8)
TAGS = st.sampled_from(["noun", "verb", "new", None])


def labelled(text: str, label: str) -> Part:
    return Part(Document("1", "", text), label=label)


def tagged(text: str, *tags: str | None) -> Part:
    return Part(Document("1", "", text), tags=tags)


@pytest.mark.parametrize("vocab", VOCABS.values(), ids=VOCABS)
@given(texts=st.lists(st.tuples(TEXTS, TAGS.filter(bool)), max_size=5))
def test_a_label_stands_at_its_end_of_document(texts: list[tuple[str, str]], vocab: Vocab) -> None:
    encoded = encode_examples([labelled(*each) for each in texts], vocab, LABELS)
    assert encoded.targets is not None
    asked = np.flatnonzero(encoded.targets != IGNORE_INDEX)
    assert asked.tolist() == (encoded.ends - 1).tolist()
    assert (encoded.ids[asked] == vocab.eod_id).all()
    assert encoded.targets[asked].tolist() == [LABELS.get_id(label) for _, label in texts]


@pytest.mark.parametrize("vocab", VOCABS.values(), ids=VOCABS)
@given(texts=st.lists(st.lists(st.tuples(st.sampled_from("abéя🙂"), TAGS), min_size=1), max_size=4))
def test_a_tag_stands_at_the_last_token_of_its_character(
    texts: list[list[tuple[str, str | None]]], vocab: Vocab
) -> None:
    parts = [tagged("".join(c for c, _ in text), *(tag for _, tag in text)) for text in texts]
    encoded = encode_examples(parts, vocab, LABELS)
    expected: list[int] = []
    for text in texts:
        for character, tag in text:
            expected += [IGNORE_INDEX] * (len(vocab.encode(character)) - 1)
            expected.append(IGNORE_INDEX if tag is None else LABELS.get_id(tag))
        expected.append(IGNORE_INDEX)
    assert encoded.targets is not None
    assert encoded.targets.tolist() == expected


@pytest.mark.parametrize("vocab", VOCABS.values(), ids=VOCABS)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_tokens_of_characters_add_up_to_the_text(text: str, vocab: Vocab) -> None:
    lengths = vocab.tokens_per_character(text)
    assert lengths.tolist() == [len(vocab.encode(character)) for character in text]
    assert lengths.sum() == len(vocab.encode(text))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    vocab = VOCABS["byte"]
    blocks = [encode_examples([part], vocab, LABELS) for part in (tagged("aé", None, "verb"), tagged("b", "new"))]
    counts = write_examples(tmp_path, "train", blocks, vocab)
    assert counts == {"characters": 3, "words": 2, "bytes": 4, "targets": 2}
    examples = read_examples(tmp_path, "train", vocab, LABELS.size)
    # <eod> a é é <eod> b <eod>
    assert examples.targets.tolist() == [-100, -100, -100, 1, -100, -1, -100]
    assert (examples.num_documents, examples.num_targets) == (2, 2)
    assert examples.count_labels(2).tolist() == [0, 1]


def test_targets_of_blocks_are_one_array(tmp_path: Path) -> None:
    write_targets(tmp_path, "train", [np.array([1, -100]), np.array([], dtype=np.int64), np.array([0])])
    assert np.load(tmp_path / "train.targets.npy").tolist() == [-100, 1, -100, 0]


@pytest.mark.parametrize("targets", [[-100, 0], [-100, 5, -100], [-100, -7, -100]])
def test_targets_that_do_not_fit_are_refused(targets: list[int], tmp_path: Path) -> None:
    vocab = VOCABS["byte"]
    write_examples(tmp_path, "train", [encode_examples([labelled("a", "noun")], vocab, LABELS)], vocab)
    np.save(tmp_path / "train.targets.npy", np.array(targets, dtype=np.int32))
    with pytest.raises(DataError, match="do not match its tokens and labels"):
        read_examples(tmp_path, "train", vocab, LABELS.size)


def test_labels_are_lossless(tmp_path: Path) -> None:
    names = ["", " a", "a", "b\n", "é", "e\u0301"]
    Labels.from_names(names).save(tmp_path)
    assert load_labels(tmp_path).names == tuple(sorted(names))
