"""What a page holds: limits, refusals, and names and vocabularies that try to be markup."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charlm.errors import OptionError, UsageError
from charlm.export.exported_model import ExportedModel, ExportOptions
from charlm.export.figures import parse_figures
from charlm.export.web_page.build_page import build_page
from charlm.export.web_page.facts import describe_model
from charlm.export.web_page.supported import check_supported
from charlm.nn.build import build_model
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.settings import ModelSettings
from charlm.settings import Layer, validate
from charlm.vocab.char import CharVocab
from charlm.vocab.word import WordVocab
from tests.export.web_page.models import LETTERS, loaded, make_model
from tests.export.web_page.node_page import logits_in_node, scripts_of

HOSTILE = "</script><script>alert(1)</script><!--&'\"\u2028\x00\\`${}"


class _Elements(HTMLParser):
    """Collects the elements of a page and its text outside scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += "" if self.names and self.names[-1] in ("script", "style") else data


def elements_of(text: str) -> _Elements:
    parser = _Elements()
    parser.feed(text)
    return parser


def test_names_and_vocabularies_are_data(tmp_path: Path) -> None:
    vocab = CharVocab("".join(dict.fromkeys(HOSTILE)))
    page = build_page(make_model("lstm", vocab), HOSTILE, facts=((HOSTILE, HOSTILE),))
    plain = build_page(make_model("lstm", vocab), "x", facts=(("x", "x"),))
    assert elements_of(page.text).names == elements_of(plain.text).names
    assert HOSTILE.replace("\x00", "\ufffd") in elements_of(page.text).text.replace("\x00", "\ufffd")
    path = tmp_path / "page.html"
    path.write_text(page.text, encoding="utf-8", newline="")
    spec = json.loads(scripts_of(path)["model"])
    assert spec["vocabulary"]["names"] == [vocab.symbol(token) for token in range(vocab.size)]
    assert logits_in_node(path, [0, vocab.size - 1]).shape == (2, vocab.size)


def test_a_policy_forbids_all_requests() -> None:
    text = build_page(make_model("gru"), "x").text
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert policy[1].startswith("default-src 'none'; ")
    assert not re.search(r"(-src|action|uri) [^;]*(\*|'self'|https?:|data:|blob:)", policy[1])
    assert text.index("Content-Security-Policy") < text.index("<style>")
    assert not re.search(r'<[^>]+ (?:src|href)="', text)


def test_a_limit_leaves_out_the_rarest_ngrams() -> None:
    whole = make_model("n-gram component")
    page = build_page(whole, "x")
    assert page.num_ngrams == page.num_ngrams_of_model > 1000
    size = len(page.text.encode())
    limited = make_model("n-gram component")
    smaller = build_page(limited, "x", max_bytes=size - 1000)
    assert len(smaller.text.encode()) <= size - 1000
    assert 0 < smaller.num_ngrams < page.num_ngrams
    assert isinstance(limited.model, NgramLanguageModel)
    assert limited.model.ngram_head.lookup.tables.num_ngrams == smaller.num_ngrams
    assert np.array_equal(
        limited.model.ngram_head.lookup.tables.orders[0].discounts,
        whole.model.ngram_head.lookup.tables.orders[0].discounts,  # type: ignore[union-attr]
    )


def test_a_limit_below_the_network_is_refused() -> None:
    with pytest.raises(
        OptionError, match=r"max_bytes 1000 is too small: the page of x has at least \d+ bytes"
    ) as refused:
        build_page(make_model("lstm"), "x", max_bytes=1000)
    needed = re.search(r"at least (\d+) bytes", str(refused.value))
    assert needed
    assert len(build_page(make_model("lstm"), "x", max_bytes=int(needed[1])).text.encode()) <= int(needed[1])


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"body": {"norm": "batch"}}, "x has batch normalisation, which an HTML page cannot run; name a run with"),
        ({"body": {"type": "tcn"}}, "x has the body tcn"),
        ({"body": {"cell": {"type": "gru", "reset": "before"}}}, "x has a GRU with reset=before"),
        ({"body": {"cell": {"type": "lstm", "mogrifier_rounds": 2}}}, "x has a Mogrifier LSTM"),
        ({"body": {"cell": {"type": "mingru"}}}, "x has the cell mingru"),
        ({"head": {"type": "adaptive", "cutoffs": (20,)}}, "x has the head adaptive"),
        ({"direction": "backward"}, "x writes backward"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value),
)
def test_other_models_are_refused_by_name(settings: dict[str, Any], line: str) -> None:
    chosen = validate(ModelSettings, Layer(settings))
    model = loaded(build_model(chosen, LETTERS.size), chosen, LETTERS)
    with pytest.raises(UsageError, match=re.escape(line)):
        check_supported(model, "x")


def test_a_vocabulary_of_words_is_refused() -> None:
    words = WordVocab(["a", "b"])
    settings = ModelSettings()
    with pytest.raises(UsageError, match=r"x has a vocabulary of the type word.*--vocab char or byte"):
        check_supported(loaded(build_model(settings, words.size), settings, words), "x")


def test_the_page_tells_what_is_known() -> None:
    figures = parse_figures({"run": "x", "split": "test", "interval": [1.5, 1.75], "bits_per_character": 1.625})
    origin = {"source": "wikipedia", "date": "20260101", "licence": "CC BY-SA 4.0"}
    told = dict(describe_model(ExportedModel("x", make_model("gru"), origin, ExportOptions(figures=figures))))
    assert told["network"] == "GRU, 1 x 20"
    assert told["bits per character"] == "1.625 (1.500 to 1.750)"
    assert told["text"] == "letters 20260101"
    assert told["licence"] == "CC BY-SA 4.0"
    assert "authors" in told
    assert "licence" not in dict(describe_model(ExportedModel("x", make_model("gru"), None)))
