"""An explanation in reading order: what each stretch of text cost, whatever the direction and the vocabulary."""

import json
import math

import pytest

from charlm.evaluation.evaluate import evaluate
from charlm.evaluation.explain.draw_surprisals import SurprisalDrawing
from charlm.evaluation.explain.drawing import MAX_PLACES
from charlm.evaluation.explain.explanation import explain
from charlm.evaluation.explain.visible import display_name, escape_invisible, escape_invisible_lines, format_percent
from charlm.vocab.base import Vocab
from charlm.workflows.evaluate import stream_from_text
from tests.evaluation.explain.models import CPU, VARIANTS, explained, model_of, vocab_of

TEXT = "The quick ☃ fox, e\u0301.\r\n👩\u200d👧 zebra\n"


@pytest.fixture(scope="module", params=VARIANTS)
def vocab(request: pytest.FixtureRequest) -> Vocab:
    return vocab_of(request.param)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_all_that_was_paid_is_in_the_units_and_the_end(vocab: Vocab, direction: str) -> None:
    side = "backward" if direction == "backward" else "forward"
    found = explained(TEXT, vocab, direction=side)
    bits = found.score.nats / math.log(2)
    assert found.bits_U.sum() + found.eod.bits == pytest.approx(bits)
    assert found.eod.token == vocab.eod_id
    assert (found.bits_per_cluster_U * found.units.clusters_U).sum() + found.eod.bits == pytest.approx(bits)
    stream = stream_from_text(TEXT, vocab)
    score = evaluate(model_of(vocab, side), stream.in_direction(side), device=CPU)
    assert found.score.nats == pytest.approx(score.nats, rel=1e-5)
    assert found.score == type(score)(found.score.nats, score.tokens, score.characters, score.words, score.bytes)
    for unit in range(len(found.bits_U)):
        surprisals = found.unit_surprisals(unit)
        assert vocab.decode([surprisal.token for surprisal in surprisals]) == found.unit_text(unit)
        assert sum(surprisal.bits for surprisal in surprisals) == pytest.approx(found.bits_U[unit])


def test_a_backward_model_predicts_each_token_from_those_behind_it() -> None:
    vocab = vocab_of("char")
    short, long = (explained(text, vocab, direction="backward") for text in ("quick fox", "The quick fox"))
    forward = [explained(text, vocab) for text in ("quick fox", "quick fox. The")]
    assert long.bits_U[4:] == pytest.approx(short.bits_U, rel=1e-5), "what stands before makes no difference"
    assert forward[1].bits_U[:9] == pytest.approx(forward[0].bits_U, rel=1e-5), "nor what stands behind"
    assert short.eod.bits != pytest.approx(long.eod.bits)


def test_json_is_in_reading_order(vocab: Vocab) -> None:
    for side in ("forward", "backward"):
        found = explained(TEXT, vocab, direction="backward" if side == "backward" else "forward", top=3)
        content = json.loads(json.dumps(found.to_json(), allow_nan=False))
        rows = content["surprisals"]
        end = rows.pop(0 if side == "backward" else -1)
        assert content["direction"] == side
        assert (end["token"], len(set(end["characters"]))) == ("<eod>", 1)
        assert [row["token"] for row in rows] == [vocab.symbol(token) for token in vocab.encode(TEXT).tolist()]
        assert len(rows) + 1 == content["tokens"] == found.score.tokens
        spans = [tuple(row["characters"]) for row in rows]
        assert spans == sorted(spans)
        assert "".join(TEXT[start:end] for start, end in dict.fromkeys(spans)) == TEXT
        for row in [end, *rows]:
            assert row["probability"] == pytest.approx(2 ** -row["bits"])
            shares = [each["probability"] for each in row["alternatives"]]
            assert len(shares) == 3
            assert shares == sorted(shares, reverse=True)
            if row["rank"] <= 3:
                assert row["alternatives"][row["rank"] - 1]["probability"] == pytest.approx(
                    row["probability"], rel=1e-4
                )


def test_the_most_surprising_places_come_first() -> None:
    found = explained("The quick fox\nbrown ☃ fox", vocab_of("char"))
    places = SurprisalDrawing(found).places()[0].places
    assert [place.bits for place in places] == [
        f"{bits:.2f}" for bits in sorted(found.bits_U, reverse=True)[:MAX_PLACES]
    ]
    assert places[0].text == "☃", "three bytes"
    assert (places[0].before, places[0].after) == ("The quick fox⏎brown ", " fox")
    assert places[0].detail.count(" · ") == 2


def test_a_place_is_a_word_where_tokens_are_words() -> None:
    found = explained("The quick brown fox", vocab_of("words of all sorts"))
    places = SurprisalDrawing(found).places()[0].places
    assert {place.text for place in places} == {"The", "quick", "brown", "fox", "␣"}
    assert len(places) == len(found.bits_U) == 7


def test_bytes_of_ascii_are_named_by_their_character_where_there_is_nothing_else() -> None:
    found = explained("q", vocab_of("byte"))
    assert [found.name(token) for token in (0x71, 0x20, 0x0A, 0xC3, 256)] == ["q", "␣", "⏎", "<0xC3>", "<eod>"]
    assert explained("q", vocab_of("char")).name(1 + 0x71) == "<0x71>", "not to be mistaken for the character"


def test_one_character_is_a_text() -> None:
    vocab = vocab_of("char")
    model = model_of(vocab)
    found = explain(model, vocab, "q", stream_from_text("q", vocab), direction="forward", top=1, device=CPU)
    assert (len(found.bits_U), found.score.tokens, found.unit_span(0)) == (1, 2, (0, 1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b\u0301", "a b\u0301"),
        ("\x1b[2J\x00\x9b\x7f", r"\x1b[2J\x00\x9b\x7f"),
        ("\u202ex\u2066\u200e\ufeff\u2028", r"\u202ex\u2066\u200e\ufeff\u2028"),
        ("👩\u200d👧 می\u200cخواهم", "👩\u200d👧 می\u200cخواهم"),
        ("\t\r\n", "⇥␍⏎"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text: str, expected: str) -> None:
    assert escape_invisible(text) == expected


def test_lines_keep_their_ends() -> None:
    assert escape_invisible_lines("a\r\n\nb") == "a␍⏎\n⏎\nb"
    assert escape_invisible_lines("\n") == "⏎\n"
    assert escape_invisible_lines("") == ""


@pytest.mark.parametrize(
    ("symbol", "name"),
    [(" the", "␣the"), ("\u0301", "◌\u0301"), ("\u200d", r"\u200d"), ("\xa0", r"\xa0"), ("👩\u200d👧", "👩\u200d👧")],
)
def test_names_of_tokens_can_be_seen(symbol: str, name: str) -> None:
    assert display_name(symbol) == name


def test_shares_have_the_digits_that_matter() -> None:
    shares = (1, 0.99987, 0.973, 0.04251, 0.000031, 2.5e-17)
    assert [format_percent(share) for share in shares] == [
        "100 %", "99.987 %", "97.3 %", "4.25 %", "0.0031 %", "2.5e-15 %",
    ]  # fmt: skip
