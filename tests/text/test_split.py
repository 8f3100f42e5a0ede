"""Splits: a document always goes to the same split; a text cut at a border loses no character."""

import hashlib
import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import accumulate, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from charlm.text import split
from charlm.text.document import Document
from charlm.text.split import (
    MAX_PART_CHARACTERS,
    SPLITS,
    Part,
    SplitCounts,
    SplitRouter,
    default_spec,
    parse_percentages,
    split_by_hash,
)

SPECS = st.sampled_from(["90/5/5", "98/1/1", "1/1/98", "50/30/20", "90/10", "34/33/33"])


def routed(texts: list[str], spec: str, method: str) -> list[tuple[str, Part]]:
    router = SplitRouter(parse_percentages(spec), method, sum(map(len, texts)))
    documents = [Document(str(number), "", text) for number, text in enumerate(texts)]
    return [found for document in documents for found in router.route(document)]


# ---- percentages


def test_two_or_three_percentages_are_shares() -> None:
    assert parse_percentages("90/5/5") == {"train": 90, "valid": 5, "test": 5}
    assert parse_percentages("90/10") == {"train": 90, "valid": 10}


@pytest.mark.parametrize(
    "spec", ["", "100", "90", "90/5", "90/5/6", "90/10/0", "-5/105", "90/5/5/0", "a/b", "90 / 10", "90/5/5\n", "٩٠/١٠"]
)
def test_other_shares_are_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="90/5/5"):
        parse_percentages(spec)


# ---- by hash


@given(identifier=st.text(st.characters(exclude_categories=("Cs",))), spec=SPECS)
def test_the_hash_of_the_id_alone_decides(identifier: str, spec: str) -> None:
    share = int(hashlib.sha256(identifier.encode()).hexdigest()[:16], 16) / 16**16 * 100
    borders = list(accumulate(map(int, spec.split("/"))))
    assert (
        split_by_hash(identifier, parse_percentages(spec))
        == SPLITS[next(i for i, end in enumerate(borders) if share < end)]
    )


def test_these_pages_are_where_they_always_were() -> None:
    """Never change this table: a model trained on an earlier dump must not see its test pages in training."""
    places = {
        "train": ("1", "2", "3", "4"),
        "valid": ("5", "6", "31", "74"),
        "test": ("20", "70", "75", "76"),
    }
    percentages = parse_percentages("90/5/5")
    found = {
        name: tuple(each for each in ids if split_by_hash(each, percentages) == name) for name, ids in places.items()
    }
    assert found == places


def test_shares_are_met_on_many_documents() -> None:
    tally = SplitCounts.of("90/5/5")
    for number in range(20_000):
        tally.add(str(number), 10)
    assert sum(tally.documents.values()) == 20_000
    for name, share in tally.percentages.items():
        expected = 200 * share
        assert abs(tally.documents[name] - expected) < 4 * expected**0.5
        assert tally.characters[name] == 10 * tally.documents[name]


@given(lengths=st.lists(st.integers(1, 40), max_size=20), spec=SPECS)
def test_by_hash_a_document_stays_whole(lengths: list[int], spec: str) -> None:
    texts = ["x" * length for length in lengths]
    found = routed(texts, spec, "hash")
    assert [part.document.text for _, part in found] == texts
    assert all(name == split_by_hash(part.document.id, parse_percentages(spec)) for name, part in found)
    assert all(part.is_last_part and part.part == 0 for _, part in found)


# ---- by position


@given(lengths=st.lists(st.integers(0, 40), max_size=20), spec=SPECS, max_part=st.integers(1, 50))
@example(lengths=[40, 0], spec="90/5/5", max_part=50)
@example(lengths=[0], spec="90/5/5", max_part=50)
def test_by_position_every_character_is_where_its_number_says(lengths: list[int], spec: str, max_part: int) -> None:
    letters = random.Random(0)
    texts = ["".join(letters.choices("abcdef", k=length)) for length in lengths]
    total = sum(lengths)
    percentages = parse_percentages(spec)
    ends = [total * cumulative // 100 for cumulative in accumulate(percentages.values())]
    expected = dict(zip(percentages, (slice(*pair) for pair in zip([0, *ends], ends, strict=False)), strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "MAX_PART_CHARACTERS", max_part)
        found = routed(texts, spec, "position")
    for name, place in expected.items():
        assert "".join(part.document.text for split_name, part in found if split_name == name) == "".join(texts)[place]
    for number, text in enumerate(texts):
        parts = [part for _, part in found if part.document.id == str(number)]
        assert "".join(part.document.text for part in parts) == text
        assert [part.part for part in parts] == list(range(len(parts)))
        assert [part.is_last_part for part in parts] == [False] * (len(parts) - 1) + [True]
        assert all(len(part.document.text) <= max_part for part in parts)


def test_the_first_text_trains_and_the_last_is_the_test() -> None:
    found = routed(["a" * 90, "b" * 5, "c" * 5], "90/5/5", "position")
    assert [(name, part.document.text[:1]) for name, part in found] == [("train", "a"), ("valid", "b"), ("test", "c")]


def test_a_long_text_is_stored_in_parts() -> None:
    found = routed(["x" * (2 * MAX_PART_CHARACTERS + 1)], "90/10", "hash")
    assert [len(part.document.text) for _, part in found] == [MAX_PART_CHARACTERS, MAX_PART_CHARACTERS, 1]
    assert [len(part.document.text) for _, part in routed(["x" * MAX_PART_CHARACTERS], "90/10", "hash")] == [
        MAX_PART_CHARACTERS
    ]


# ---- documents that come in pieces, and borders in bytes


def rechunk_text(document: Document, lengths: list[int]) -> Iterator[Document]:
    """The same document in pieces, as a source gives a long file."""
    cuts = [0, *(cut for cut in accumulate(lengths) if cut < len(document.text)), len(document.text)]
    for start, end in pairwise(cuts):
        yield replace(document, text=document.text[start:end], is_last_piece=end == cuts[-1])


def texts_by_split(found: list[tuple[str, Part]]) -> dict[str, list[str]]:
    """Split -> document id -> its text there, however it is cut into parts."""
    texts: dict[str, dict[str, str]] = {}
    for name, part in found:
        of_split = texts.setdefault(name, {})
        of_split[part.document.id] = of_split.get(part.document.id, "") + part.document.text
    return {name: list(documents.values()) for name, documents in texts.items()}


@given(
    texts=st.lists(st.text("aé🙂", min_size=1, max_size=40), min_size=1, max_size=8),
    lengths=st.lists(st.integers(1, 15), min_size=1, max_size=8),
    spec=SPECS,
    method=st.sampled_from(["hash", "position", "bytes", "like"]),
)
def test_pieces_go_where_the_whole_document_goes(texts: list[str], lengths: list[int], spec: str, method: str) -> None:
    documents = [Document(str(number), "", text) for number, text in enumerate(texts)]
    total = sum(len(text.encode()) if method == "bytes" else len(text) for text in texts)
    cuts = {"0": [("valid", 1), ("train", len(texts[0]) - 1)], "1": [("valid", 1_000)]} if method == "like" else None
    sizes = {document.id: len(document.text) for document in documents}

    def route(pieces: Iterable[Document]) -> list[tuple[str, Part]]:
        router = SplitRouter(parse_percentages(spec), method, total, cuts)
        return [found for piece in pieces for found in router.route(piece, sizes[piece.id])]

    whole = route(documents)
    cut = route(piece for document in documents for piece in rechunk_text(document, lengths))
    assert texts_by_split(cut) == texts_by_split(whole)
    for document in documents:
        parts = [part for _, part in cut if part.document.id == document.id]
        assert [part.part for part in parts] == list(range(len(parts)))
        assert [part.is_last_part for part in parts] == [False] * (len(parts) - 1) + [True]


@given(texts=st.lists(st.text("aé🙂", max_size=40), max_size=8), spec=SPECS)
def test_by_bytes_a_border_inside_a_character_moves_before_it(texts: list[str], spec: str) -> None:
    everything = "".join(texts).encode()
    percentages = parse_percentages(spec)
    router = SplitRouter(percentages, "bytes", len(everything))
    found = [found for number, text in enumerate(texts) for found in router.route(Document(str(number), "", text))]
    end = 0
    for name, cumulative in zip(percentages, accumulate(percentages.values()), strict=True):
        start, end = end, len(everything[: len(everything) * cumulative // 100].decode(errors="ignore").encode())
        assert (
            "".join(part.document.text for split_name, part in found if split_name == name).encode()
            == (everything[start:end])
        )


# ---- hash or position


def tally_with(documents: int, held_out: int, characters: int) -> SplitCounts:
    """Counts of 90/5/5 with these documents in total, and these documents and characters in each held-out split."""
    tally = SplitCounts.of("90/5/5")
    tally.documents = {"train": documents - 2 * held_out, "valid": held_out, "test": held_out}
    tally.characters = {"train": 10**9, "valid": characters, "test": characters}
    return tally


@pytest.mark.parametrize(
    ("documents", "held_out", "characters", "method"),
    [
        (1000, 50, 200_000, "hash"),
        (999, 50, 200_000, "position"),
        (1000, 49, 200_000, "position"),
        (1000, 50, 199_999, "position"),
    ],
)
def test_small_corpora_are_split_by_position(documents: int, held_out: int, characters: int, method: str) -> None:
    tally = tally_with(documents, held_out, characters)
    assert tally.method == method
    if method == "hash":
        tally.characters["test"] -= 1
        assert tally.method == "position", "one held-out split that is too small is enough"


def test_large_corpora_hold_out_less() -> None:
    assert default_spec(100_000_000) == "90/5/5"
    assert default_spec(100_000_001) == "98/1/1"
