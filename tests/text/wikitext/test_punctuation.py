"""Gaps are closed near dropped markup only, as if in the whole line."""

import random

import pytest

from charlm.text.wikitext import punctuation
from charlm.text.wikitext.marks import GAP
from charlm.text.wikitext.punctuation import close_gaps

PIECES = [*" ,;:.、，；()（）[]“”«»—–_-", GAP, GAP, GAP, " ", "a", "я", "1", "本", ". "]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (f"a ({GAP}; 1 May) b", "a (1 May) b"),
        (f"a ({GAP}, {GAP}) b.{GAP} C", "a b. C"),
        (f"{GAP}, a {GAP}.", "a."),
        (f"a{GAP} b {GAP}", "a b "),
        (f"a —{GAP}— b", "a — b"),
        (f"a,{GAP}, b;{GAP}, c", "a, b; c"),
        ("a   b  c", "a b c"),
    ],
)
def test_examples(line: str, shown: str) -> None:
    assert close_gaps(line) == shown


def test_signs_around_one_gap_do_not_depend_on_other_words(monkeypatch: pytest.MonkeyPatch) -> None:
    source = random.Random(3)
    lines = ["".join(source.choices(PIECES, k=source.randint(1, 30))) for _ in range(5_000)]
    near = [close_gaps(line) for line in lines]
    monkeypatch.setattr(punctuation, "_close_near_gaps", punctuation._close)  # pyright: ignore[reportPrivateUsage]
    assert near == [close_gaps(line) for line in lines]
