"""Where the tokens of a target come from: cells of the source, weights, surprisals, in both directions."""

import unicodedata
from typing import Literal

import numpy as np
import pytest
import torch

from charlm.data.source_texts import SourceConditions
from charlm.data.store import encode_parts, stream_of
from charlm.evaluation.explain.alignment import AlignmentExplanation, explain_alignment, source_cells
from charlm.evaluation.explain.draw_alignment import AlignmentDrawing
from charlm.text.document import Document
from charlm.text.split import Part
from charlm.vocab.base import Vocab
from charlm.vocab.byte import ByteVocab
from charlm.vocab.char import CharVocab
from charlm.vocab.symbols import SymbolsVocab
from tests.evaluation.transduction.test_beam_search import CPU, make
from tests.nn.test_transducer import SOURCES

SOURCE_VOCAB = CharVocab("abcdefg", byte_fallback=False)
TARGETS: dict[str, Vocab] = {
    "char": CharVocab("xyz", byte_fallback=False),
    "symbols": SymbolsVocab(["x", "y"], byte_fallback=False),
}
TEXTS = {"char": "xyzx", "symbols": "x y y"}


def explain(
    kind: str, vocab: str = "char", direction: Literal["forward", "backward"] = "forward", source: str = "gab"
) -> AlignmentExplanation:
    assert SOURCE_VOCAB.size == SOURCES
    targets, text = TARGETS[vocab], TEXTS[vocab]
    stream = stream_of(encode_parts([Part(Document("", "", text))], targets), targets)
    return explain_alignment(
        make(kind, target_size=targets.size),
        targets,
        SourceConditions(SOURCE_VOCAB, "none"),
        source,
        text,
        stream,
        direction=direction,
        top=3,
        device=CPU,
    )


@pytest.mark.parametrize("kind", ["additive", "dot-layers", "monotonic"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_each_token_has_weights_and_a_surprisal(kind: str, direction: Literal["forward", "backward"]) -> None:
    found = explain(kind, direction=direction)
    tokens = [TARGETS["char"].symbol(int(token)) for token in found.surprisals.ids_P]
    end = [TARGETS["char"].symbol(TARGETS["char"].eod_id)]
    assert tokens == [*"xyzx", *end] if direction == "forward" else [*end, *"xyzx"]
    assert found.weights_PC.shape == (5, 3)
    assert (found.weights_PC >= 0).all()
    assert (found.weights_PC.sum(1) <= 1 + 1e-6).all()
    content = found.to_json()
    assert content["probability"] == pytest.approx(np.prod([each["probability"] for each in content["tokens"]]))


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_the_weights_are_those_of_the_model(direction: Literal["forward", "backward"]) -> None:
    found = explain("additive", direction=direction)
    model = make("additive", target_size=4)
    vocab, text = TARGETS["char"], TEXTS["char"]
    ids = [vocab.eod_id, *vocab.encode(text if direction == "forward" else text[::-1]).tolist()]
    source = torch.from_numpy(SOURCE_VOCAB.encode("gab").astype(np.int64))[None]
    with torch.inference_mode():
        bound = model.given((source, torch.tensor([3])))
        weights_PS = bound.alignment(torch.tensor([ids]), bound.initial_state(1))[0].numpy()
    expected = weights_PS if direction == "forward" else weights_PS[::-1]
    np.testing.assert_allclose(found.weights_PC, expected, atol=1e-6)


def test_a_cell_is_a_character_with_its_accents() -> None:
    for vocab in (ByteVocab(), CharVocab("aé한", byte_fallback=True)):
        for text in ("éa한", unicodedata.normalize("NFD", "éa한"), "", "👩‍👩‍👧a"):
            cells = source_cells(text, vocab)
            assert "".join(cell for cell, _ in cells) == text
            assert sum(size for _, size in cells) == len(vocab.encode(text))
            assert len(cells) == len(unicodedata.normalize("NFC", text)) or "👩" in text
    assert len(source_cells("👩‍👩‍👧a", ByteVocab())) == 2
    symbols = SymbolsVocab(["ab", "c"])
    assert [cell.strip() for cell, _ in source_cells("ab c", symbols)] == ["ab", "c"]


def test_an_empty_source_has_no_cells() -> None:
    found = explain("monotonic", source="")
    assert found.weights_PC.shape == (5, 0)
    assert all("no single place" in line for line in list(AlignmentDrawing(found).summary_lines())[1:])


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("vocab", TARGETS)
def test_each_place_stands_in_its_target(vocab: str, direction: Literal["forward", "backward"]) -> None:
    found = explain("dot", vocab, direction)
    drawing = AlignmentDrawing(found)
    (places,) = drawing.places()
    parts = list(drawing.parts())
    assert len(parts) == 4 * len(found.bits_P)
    for place in places.places:
        assert parts[place.part].text.endswith(place.text)
        text = f"{place.before}{place.text}{place.after}".replace("<eod>", "")
        assert text.strip() == TEXTS[vocab]
