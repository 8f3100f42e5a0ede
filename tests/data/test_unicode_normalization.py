"""NFC in linear time: equal to Python's but for absurd runs of combining marks, and the same for any pieces."""

import random
import time
import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.data.row_builder import RowBuilder, RowOptions
from charlm.data.unicode_normalization import MAX_MARKS, find_boundary, normalize_nfc
from charlm.text.document import Document, PageCounts
from charlm.text.split import MAX_PART_CHARACTERS

# combining classes 230, 220, 202 and 9; characters that decompose into marks alone; starters that compose as seconds
PIECES = "ae\u0301\u0316\u0327\u094d\u0344\u0f73\u0f81\u09c7\u09be\u09d7\u1112\u1161\u11ab한गç東\n"
HOSTILE = {
    "alternating classes": "\u0301\u0316",
    "marks that decompose into two": "\u0f73",
    "falling classes": "\u0345\u0301\u0316\u0327",
    "one class": "\u0301",
}


@given(text=st.text(PIECES, max_size=60))
def test_it_is_nfc(text: str) -> None:
    assert normalize_nfc(text) == (unicodedata.normalize("NFC", text), 0)


@given(text=st.text(PIECES, max_size=40))
def test_a_boundary_cuts_a_text_into_sides_that_are_normalised_apart(text: str) -> None:
    place = find_boundary(text)
    sides = (unicodedata.normalize("NFC", text[:place]), unicodedata.normalize("NFC", text[place:]))
    assert "".join(sides) == unicodedata.normalize("NFC", text)


def test_boundaries_of_every_character() -> None:
    """Whatever stands before it, a character that begins a piece does not change, nor what is before it."""
    befores = [chr(code) for code in (*range(0x41, 0x5B), 0x09C7, 0x0B47, 0x1025, 0x1100, 0x1112, 0xAC00, 0x110A5)]
    for code in (*range(0x300, 0xD800), *range(0xE000, 0x12000)):
        character = chr(code)
        if find_boundary(f"x{character}") != 1:
            continue
        alone = unicodedata.normalize("NFC", character)
        assert all(unicodedata.normalize("NFC", before + character) == before + alone for before in befores), hex(code)


@pytest.mark.parametrize("name", HOSTILE)
def test_long_runs_take_linear_time_and_are_counted(name: str) -> None:
    run = (HOSTILE[name] * 300_000)[:300_000]
    text = f"a{run}b東{run}"
    start = time.perf_counter()
    normalized, num_runs = normalize_nfc(text)
    assert time.perf_counter() - start < 5, "the square takes minutes"
    assert num_runs == 2
    assert letters_and_marks(normalized) == letters_and_marks(text)


def letters_and_marks(text: str) -> Counter[str]:
    return Counter(part for character in text for part in unicodedata.normalize("NFD", character))


def test_the_longest_run_that_is_sorted_whole() -> None:
    marks = random.Random(3).choices("\u0301\u0316\u0327", k=MAX_MARKS)
    text = f"a{''.join(marks)}b"
    assert normalize_nfc(text) == (unicodedata.normalize("NFC", text), 0)
    assert normalize_nfc(f"a\u0316{''.join(marks)}b")[1] == 1
    chinese = "東" * (3 * MAX_MARKS) + "e\u0301"
    assert normalize_nfc(chinese) == (unicodedata.normalize("NFC", chinese), 0)


# ---- a document in pieces


def rows_of(pieces: list[str]) -> tuple[list[str], PageCounts]:
    counts = PageCounts()
    builder = RowBuilder(RowOptions("nfc"), counts)
    last = len(pieces) - 1
    rows = [builder.build_row(Document("id", "Title", text, is_last_piece=i == last)) for i, text in enumerate(pieces)]
    return [row["text"] for row in rows if row is not None], counts


def test_a_text_without_ascii_does_not_pile_up() -> None:
    """It is given out as it comes; otherwise each piece would be joined to all before it."""
    piece = "東京한" * (MAX_PART_CHARACTERS // 3)
    pieces = [piece] * 4 + ["\u11ab京"]
    texts, counts = rows_of(pieces)
    assert max(map(len, texts)) <= 2 * MAX_PART_CHARACTERS
    assert "".join(texts) == unicodedata.normalize("NFC", "".join(pieces))
    assert not counts.cut


def test_marks_without_end_are_given_out_and_counted() -> None:
    piece = "\u0316\u0301" * (MAX_PART_CHARACTERS // 2)
    texts, counts = rows_of([f"東{piece}", piece, piece, "b"])
    assert sum(map(len, texts)) == 3 * MAX_PART_CHARACTERS + 2
    assert max(map(len, texts)) <= 2 * MAX_PART_CHARACTERS + 1
    assert counts.cut["limit"] == len(counts.notes) > 0
    assert counts.notes[0].startswith("document id (Title): a run of more than 256 combining marks")
