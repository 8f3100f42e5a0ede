"""The score does not depend on the number of lanes, whatever the architecture, on real text: a long test.

Each network is trained for a moment, so that it has something to remember, and its test split is scored in 1, 2, 7 and
64 lanes, and as many as are the default.
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from charlm.data.batches import Cursor, make_batches
from charlm.data.corpus import Corpus
from charlm.data.settings import CorpusSettings
from charlm.evaluation.evaluate import evaluate
from charlm.nn.build import build_model
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.nn.state import detach
from charlm.settings import Layer, validate
from charlm.text.build import build_source
from charlm.workflows.prepare import prepare

CPU = torch.device("cpu")
STREAMS = (1, 2, 7, 64, None)
LIMIT = 0.0005  # bits per character

TEXTS: dict[str, dict[str, Any]] = {
    "tinyshakespeare": {"source": {"type": "text", "input": ("tinyshakespeare/input.txt",)}},
    "enwik8": {
        "source": {"type": "text", "input": ("enwik8/enwik8.first-4000000-bytes",), "errors": "replace"},
    },
    "latgalian": {
        "source": {"type": "wikipedia", "input": ("mediawiki/ltgwiki-2017-09-pages-articles.xml.bz2",)},
    },
}
BODIES: dict[str, dict[str, Any]] = {
    "lstm": {},
    "gru-layer": {"cell": {"type": "gru"}, "norm": "layer"},
    "lstm-batch": {"norm": "batch", "norm_steps": 64},
    "dilated": {"num_layers": 2, "dilations": (1, 4)},
    "strided": {"num_layers": 2, "strides": (1, 4), "skip": "dense"},
    "window": {"type": "window", "window": 16},
    "tcn": {"type": "tcn", "num_blocks": 4},
    "ngram-words": {},
}


@pytest.fixture(scope="session")
def corpora(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Corpus]:
    """Each text as characters, and as words with their n-grams."""
    found: dict[tuple[str, str], Corpus] = {}
    for name, settings in TEXTS.items():
        for vocab in ("char", "ngram"):
            source = dict(settings["source"])
            source["input"] = tuple(str(shared_data / path) for path in source["input"])
            chosen = validate(CorpusSettings, Layer({"source": source, "split": "90/5/5", "vocab": {"type": vocab}}))
            out = tmp_path_factory.mktemp("corpora") / f"{name}-{vocab}"
            found[name, vocab] = prepare(chosen, build_source(chosen.source), out)
    return found


def trained(corpus: Corpus, body: dict[str, Any], *, ngrams: bool, steps: int = 120) -> LanguageModel:
    torch.manual_seed(0)
    embedding = {"type": "ngram", "size": 64} if ngrams else {"size": 32}
    settings = validate(ModelSettings, Layer({"embedding": embedding, "body": {"hidden_size": 96, **body}}))
    model = build_model(settings, corpus.vocab.size, corpus.vocab.bags()).train()
    batches = make_batches(corpus.open("train"), 32, 64, 0, 64 if settings.depends_on_step_count else None)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    state, cursor = model.initial_state(batches.batch_size), Cursor()
    for _ in range(steps):
        batch = batches.batch(cursor)
        fresh = model.initial_state(batches.batch_size)
        state = fresh if settings.depends_on_step_count else detach(state)
        features_BTH, state = model(batch.inputs_BT, state)
        optimizer.zero_grad(set_to_none=True)
        model.head.nll(features_BTH, batch.targets_BT).mean().backward()
        optimizer.step()
        cursor = batches.next_cursor(cursor)
    return model.eval()


@pytest.mark.faults
@pytest.mark.real_data
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("body", BODIES)
def test_the_lanes_do_not_matter(corpora: dict[tuple[str, str], Corpus], text: str, body: str) -> None:
    ngrams = body == "ngram-words"
    corpus = corpora[text, "ngram" if ngrams else "char"]
    model = trained(corpus, BODIES[body], ngrams=ngrams)
    stream = corpus.open("test")
    bits = {streams: evaluate(model, stream, num_lanes=streams, device=CPU).bits_per_character for streams in STREAMS}
    exact = bits[1]
    assert exact is not None
    off = {streams: abs(found - exact) for streams, found in bits.items() if found is not None}
    print(f"{text} {body}: {exact:.4f}, off by at most {max(off.values()):.1e}")  # noqa: T201 - the figure, with -s
    assert len(off) == len(STREAMS)
    assert max(off.values()) <= LIMIT
