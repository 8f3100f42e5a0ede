"""CoNLL-U: where tags stand in the raw text, words and sentences as tags of characters, and broken files."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.errors import DataError
from charlm.evaluation.segments import find_segments, find_sentences
from charlm.text.examples.conllu import ConlluSource
from charlm.text.examples.conllu_file import read_sentences
from charlm.text.examples.example import Example, ExampleCounts
from charlm.text.examples.settings import ConlluSettings


def word(number: int | str, form: str, upos: str = "X", xpos: str = "_", feats: str = "_", misc: str = "_") -> str:
    return f"{number}\t{form}\t_\t{upos}\t{xpos}\t{feats}\t_\t_\t_\t{misc}\n"


def read(folder: Path, content: str, counts: ExampleCounts | None = None, **settings: object) -> list[Example]:
    path = folder / "bank.conllu"
    path.write_bytes(content.encode())
    source = ConlluSource(ConlluSettings.model_validate({"input": (str(path),), **settings}))
    return list(source.read(counts or ExampleCounts()))


def tagged(example: Example) -> list[tuple[int, str]]:
    """The tags and the indices of their characters."""
    assert example.tags is not None
    return [(index, tag) for index, tag in enumerate(example.tags) if tag is not None]


def words_of(example: Example) -> list[str]:
    """The words that the tags mark, with blanks inside them."""
    asked = tagged(example)
    return [
        example.text[asked[start][0] : asked[end - 1][0] + 1]
        for start, end, _ in find_segments([tag for _, tag in asked])
    ]


HELLO = word(1, "Hello", "INTJ", "UH", "A=B", "SpaceAfter=No") + word(2, ",", "PUNCT", ",") + word(3, "you", "PRON")


@pytest.mark.parametrize("comment", ["# text = Hello, you\n", "# text =Hello, you\n", "#text=Hello, you \n", ""])
def test_tags_stand_at_the_last_characters_of_words(comment: str, tmp_path: Path) -> None:
    (example,) = read(tmp_path, comment + HELLO + "\n")
    assert example.text == "Hello, you"
    assert tagged(example) == [(4, "INTJ"), (5, "PUNCT"), (9, "PRON")]
    assert example.id == "bank.conllu:1"


def test_other_columns(tmp_path: Path) -> None:
    assert tagged(read(tmp_path, HELLO, annotation="xpos")[0]) == [(4, "UH"), (5, ",")]
    assert tagged(read(tmp_path, HELLO, annotation="feats")[0]) == [(4, "A=B"), (5, "_"), (9, "_")]


def test_comments_that_are_not_the_text(tmp_path: Path) -> None:
    comments = "# text_en = Bye\n# sent_id = 1\n# newdoc = no\n# text = Hello, you\n# a text = b\n"
    (example,) = read(tmp_path, "\n\n" + comments + HELLO.replace("\n", "\r\n"))
    assert example.text == "Hello, you"


def test_words_with_blanks_ranges_and_empty_nodes(tmp_path: Path) -> None:
    content = (
        "# text = Ông  Bùi Văn Luyến vámonos.\n"
        + word(1, "Ông", "NOUN")
        + word(2, "Bùi Văn Luyến", "PROPN")
        + word("2.1", "hidden", "VERB")
        + word("3-4", "vámonos", "_", misc="SpaceAfter=No")
        + word(3, "vamos", "VERB", misc="SpaceAfter=No")
        + word(4, "nos", "PRON")
        + word(5, ".", "PUNCT")
    )
    (example,) = read(tmp_path, content)
    assert [(example.text[: place + 1].split()[-1], tag) for place, tag in tagged(example)] == [
        ("Ông", "NOUN"), ("Luyến", "PROPN"), ("vámonos", "VERB+PRON"), ("vámonos.", "PUNCT"),
    ]  # fmt: skip
    (words,) = read(tmp_path, content, annotation="words")
    assert words_of(words) == ["Ông", "Bùi Văn Luyến", "vámonos", "."]
    assert words.text == "Ông  Bùi Văn Luyến vámonos."


def test_raw_text_of_words(tmp_path: Path) -> None:
    """Sentences are joined by a blank, unless SpaceAfter=No; paragraphs by an empty line; documents stay apart."""
    content = (
        "# newdoc id = 1\n# newpar\n# text = Oh no\n" + word(1, "Oh") + word(2, "no") + "\n"
        + "# text = Ja.\n" + word(1, "Ja", misc="SpaceAfter=No") + word(2, ".", misc="SpaceAfter=No") + "\n"
        + word(1, "Ne") + "\n# newpar\n" + word(1, "So") + "\n# newdoc\n" + word(1, "End") + "\n"
    )  # fmt: skip
    found = read(tmp_path, content, annotation="words")
    assert [example.text for example in found] == ["Oh no Ja.Ne\n\nSo", "End"]
    assert words_of(found[0]) == ["Oh", "no", "Ja", ".", "Ne", "So"]
    tags = [tag for _, tag in tagged(found[0])]
    assert tags == "B-sent I-sent B-word I-word B-sent I-sent B-word B-sent I-sent B-sent I-sent".split()
    assert find_sentences(find_segments(tags)) == [(0, 4), (4, 7), (7, 9), (9, 11)]


@given(
    lengths=st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=6), min_size=1, max_size=8),
    limit=st.integers(0, 12),
)
def test_documents_of_words_are_the_raw_text(
    lengths: list[list[int]], limit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Cutting loses nothing but blanks, and the ends of documents say nothing about sentences."""
    folder = tmp_path_factory.mktemp("bank")
    sentences = [["w" * length for length in own] for own in lengths]
    content = "\n".join("".join(word(n, form) for n, form in enumerate(own, 1)) for own in sentences)
    found = read(folder, content, annotation="words", document_characters=limit)
    assert [form for example in found for form in words_of(example)] == [form for own in sentences for form in own]
    assert " ".join(example.text for example in found) == " ".join(form for own in sentences for form in own)
    tags = Counter(tag for example in found for _, tag in tagged(example))
    assert tags["B-sent"] == len(sentences)
    for example in found[:-1] if limit else []:
        last_word = words_of(example)[-1]
        assert len(example.text) >= limit > len(example.text) - len(last_word) - 1


def test_sentences_without_tags_are_counted(tmp_path: Path) -> None:
    counts = ExampleCounts()
    assert not read(tmp_path, word(1, "a", "_") + "\n# only a comment\n\n", counts)
    assert (counts.read, counts.dropped) == (1, {"no tags": 1})


BAD = {
    "columns": ("1\tHello\t_\n", "bank.conllu:1 is not CoNLL-U: 3 columns instead of 10; separate"),
    "blanks": (word(1, "a").replace("\t", " "), "bank.conllu:1 is not CoNLL-U: 1 columns"),
    "order": (word(1, "a") + word(3, "b"), "bank.conllu:2 is not CoNLL-U: the id '3' is not in order; word 2"),
    "twice": (word(1, "a") + word(1, "b"), "bank.conllu:2 .* word 2 should follow"),
    "no number": (word("x", "a"), "bank.conllu:1 .* the id 'x'"),
    "a number beyond Python's limit": (word("1" * 5000, "a"), "bank.conllu:1 .* is not in order"),
    "range backwards": (word("1-0", "a"), "bank.conllu:1 .* the id '1-0'"),
    "range too long": (word("1-3", "ab") + word(1, "a") + word(2, "b"), "the range ends with word 3"),
    "range in a range": (word("1-2", "ab") + word(1, "a") + word("2-3", "b"), "bank.conllu:3"),
    "no form": (word(1, " "), "bank.conllu:1 .* a word has no form"),
    "late comment": (word(1, "a") + "# text = b\n" + word(2, "b"), "bank.conllu:2 .* a comment follows words"),
    "other text": ("# text = ax\n" + word(1, "a") + word(2, "b"), "bank.conllu:3 .* the word 'b' is not next .* 'x'"),
    "short text": ("# text = a\n" + word(1, "a") + word(2, "b"), "bank.conllu:3 .* 'b' is not next"),
    "long text": ("\n# text = a b\n" + word(1, "a"), "bank.conllu:2 .* the end of the text, 'b'"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("annotation", ["upos", "words"])
def test_broken_files(case: str, annotation: str, tmp_path: Path) -> None:
    content, message = BAD[case]
    with pytest.raises(DataError, match=message):
        read(tmp_path, content, annotation=annotation)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "sentences", "words"),
    [("af_afribooms-test", 425, 10_063), ("mt_mudt-test", 518, 11_073), ("vi_vtb-test", 800, 11_692)],
)
def test_treebanks(name: str, sentences: int, words: int, shared_data: Path) -> None:
    path = shared_data / "tasks/treebanks" / f"{name}.conllu"
    with path.open(encoding="utf-8", newline="") as file:
        found = list(read_sentences(name, file))
    assert len(found) == sentences
    assert sum(len(sentence.tokens) for sentence in found) == words
    assert all(sentence.text[token.start : token.end] == token.form for sentence in found for token in sentence.tokens)
    settings = ConlluSettings(input=(str(path),), annotation="words")
    examples = list(ConlluSource(settings).read(ExampleCounts()))
    assert sum(len(words_of(example)) for example in examples) == words
    assert sum(tag == "B-sent" for example in examples for _, tag in tagged(example)) == sentences
