"""A small text's n-grams, and a language model that has them."""

from functools import cache

import numpy as np
import torch

from charlm.nn.build import build_model
from charlm.nn.model import LanguageModel
from charlm.nn.ngrams.counting import NUM_FIGURES, CountingOptions, count_ngrams
from charlm.nn.ngrams.tables import NgramTables
from charlm.nn.settings import ModelSettings
from charlm.settings import Layer, validate

V = 20


@cache
def training_tables() -> NgramTables:
    """Return the n-grams of up to 6 tokens of a text that mostly counts from 0 to 5."""
    generator = np.random.default_rng(1)
    tokens = np.where(generator.random(3000) < 0.98, np.arange(3000) % 6, generator.integers(0, V, 3000))
    evidence = np.zeros((2999, 5 * NUM_FIGURES), dtype=np.float16)
    return count_ngrams(tokens, V, V - 1, CountingOptions(6, 1, 100, 10_000_000), evidence).tables


def ngram_model() -> LanguageModel:
    torch.manual_seed(0)
    tree = {"embedding": {"size": 6}, "body": {"hidden_size": 8}, "ngram": {"order": 6}}
    return build_model(validate(ModelSettings, Layer(tree)), V, ngrams=training_tables()).eval()
