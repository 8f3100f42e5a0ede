"""Small untrained models of every kind that a page can run."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from charlm import workspace
from charlm.checkpoint import LoadedModel, load_model
from charlm.nn.build import build_model
from charlm.nn.model import LanguageModel
from charlm.nn.ngrams.counting import CountingOptions, count_ngrams
from charlm.nn.ngrams.tables import NgramTables
from charlm.nn.settings import ModelSettings
from charlm.settings import Layer, validate
from charlm.training.run_directory import find_checkpoint
from charlm.vocab.base import Vocab
from charlm.vocab.byte import ByteVocab
from charlm.vocab.char import CharVocab

_WORDS = (
    "Съешь ещё этих мягких французских булок, да выпей же чаю. The quick brown fox jumps over the lazy dog.".split()
)
TEXT = " ".join(random.Random(0).choices(_WORDS, k=600))
LETTERS = CharVocab("".join(sorted(set(TEXT))))

CASES: dict[str, dict[str, Any]] = {
    "lstm": {"body": {"num_layers": 2}},
    "gru": {"body": {"cell": {"type": "gru"}}},
    "layer norm": {"body": {"norm": "layer"}},
    "n-gram embeddings": {"embedding": {"context_ngrams": (2, 3, 5), "context_buckets": 64}},
    "n-gram component": {"ngram": {"order": 6, "min_count": 1}},
    "layer-normalised gru": {"body": {"cell": {"type": "gru"}, "norm": "layer", "num_layers": 2}},
    "rnn": {"body": {"cell": {"type": "rnn"}, "norm": "weight"}},
    "relu": {"body": {"cell": {"type": "rnn", "activation": "relu"}, "norm": "layer"}},
    "coupled": {"body": {"cell": {"type": "lstm", "coupled": True}, "zoneout": 0.1, "zoneout_hidden": 0.05}},
    "residual": {"body": {"num_layers": 3, "skip": "residual", "strides": (1, 2, 1), "dilations": (1, 1, 3)}},
    "heads": {"body": {"num_layers": 2, "num_heads": 2, "norm": "layer"}},
    "heads, weight norm": {"body": {"cell": {"type": "gru"}, "num_heads": 4, "norm": "weight"}},
    "dense": {"body": {"num_layers": 2, "skip": "dense"}, "head": {"tied": True}},
}
"""The first five are those that the documentation names."""


def make_model(case: str, vocab: Vocab = LETTERS) -> LoadedModel:
    """Build a model with weights so large that its predictions differ from place to place."""
    content = {"embedding": {"size": 12}, "body": {"hidden_size": 20}}
    for part, settings in CASES[case].items():
        content[part] = {**content.get(part, {}), **settings}
    settings = validate(ModelSettings, Layer(content))
    torch.manual_seed(0)
    tables = None if settings.ngram is None else count(vocab, settings.ngram.order or 2)
    model = build_model(settings, vocab.size, ngrams=tables).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2).add_(torch.randn_like(parameter), alpha=0.2)
    return loaded(model, settings, vocab)


def load_bundled() -> LoadedModel:
    return load_model(find_checkpoint(workspace.find_run(workspace.BUNDLED), None), torch.device("cpu"))


def loaded(model: LanguageModel, settings: ModelSettings, vocab: Vocab) -> LoadedModel:
    metadata = {"trained_on": {"corpus": "letters", "fingerprint": ""}, "parameters": model.num_parameters}
    return LoadedModel(model, settings, vocab, metadata, Path())


def count(vocab: Vocab, order: int) -> NgramTables:
    """The n-grams of the text, all of them."""
    documents = [np.append(vocab.encode(line), vocab.eod_id) for line in (TEXT[:1500], TEXT[1000:2500])]
    tokens = np.concatenate([[vocab.eod_id], *documents]).astype(np.int64)
    return count_ngrams(tokens, vocab.size, vocab.eod_id, CountingOptions(order, 1, 100, 1 << 30)).tables


BYTES = ByteVocab()
