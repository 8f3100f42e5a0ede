"""Pairs of aligned files, and the pieces that derived sources cut texts into."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.errors import CharlmError, DataError, SettingsError
from charlm.text.examples.aligned import AlignedSource
from charlm.text.examples.example import ExampleCounts
from charlm.text.examples.pieces import cut_into_pieces
from charlm.text.examples.settings import AlignedSettings


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")


def read(folder: Path, counts: ExampleCounts | None = None, **splits: tuple[str, ...]) -> list[tuple[str, str | None]]:
    paths = {split: tuple(str(folder / f"{name}.txt") for name in names) for split, names in splits.items()}
    source = AlignedSource(AlignedSettings.model_validate(paths))
    return [(example.text, example.target) for example in source.read(counts or ExampleCounts())]


def test_lines_belong_together(tmp_path: Path) -> None:
    write(tmp_path, a="one\n\nthree\n four \n", b="eins\nzwei\n\nvier\n")
    counts = ExampleCounts()
    assert read(tmp_path, counts, input=("a", "b")) == [("one", "eins"), (" four ", "vier")]
    assert (counts.read, dict(counts.dropped)) == (4, {"empty": 1, "no target": 1})


def test_splits_have_pairs_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, a="1\n", b="2\n", c="3\n", d="4\n")
    assert read(tmp_path, train=("a", "b"), valid=("d", "c")) == [("1", "2"), ("4", "3")]
    assert read(tmp_path, input=("a", "b", "d", "c")) == [("1", "2"), ("4", "3")]


@pytest.mark.parametrize(
    ("files", "error", "words"),
    [
        (("a",), SettingsError, "--input names 1 files, and --source aligned reads pairs"),
        (("a", "b"), DataError, "b.txt has 1 lines, and .*a.txt has more"),
        (("b", "a"), DataError, "b.txt has 1 lines, and .*a.txt has more"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, files: tuple[str, ...], error: type[CharlmError], words: str
) -> None:
    write(tmp_path, a="1\n2\n", b="1\n")
    with pytest.raises(error, match=words):
        read(tmp_path, input=files)


def test_pieces_end_where_a_reader_would_cut() -> None:
    text = 'First one. "Second!" Third?\nA line.\n\n  Ein Satz ohne Ende, der lang ist. 一句。两句。'
    assert list(cut_into_pieces(text, 20)) == [
        'First one. "Second!"',
        "Third?",
        "A line.",
        "Ein Satz ohne Ende,",
        "der lang ist. 一句。两句。",
    ]
    assert list(cut_into_pieces("abcdefgh", 3)) == ["abc", "def", "gh"]


@given(st.text(st.sampled_from("ab .!\n。")), st.integers(1, 12))
def test_pieces_keep_all_but_white_space(text: str, limit: int) -> None:
    pieces = list(cut_into_pieces(text, limit))
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(0 < len(piece) <= limit and piece == piece.strip() for piece in pieces)
