"""The reference sampler and the fast one draw the same texts."""

import pytest
import torch

from charlm.nn.bodies.settings import RecurrentSettings, WindowSettings
from charlm.nn.build import build_model
from charlm.nn.cells.settings import GRUSettings, LSTMSettings
from charlm.nn.embeddings.settings import TokenEmbeddingSettings
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.sampling.filters import Filter, MinP, Temperature, TopK, TopP
from charlm.sampling.generate import prime_generator
from charlm.sampling.plan import SamplingPlan
from charlm.sampling.reference import sample_text
from charlm.vocab.base import Vocab
from charlm.vocab.byte import ByteVocab
from charlm.vocab.char import CharVocab
from charlm.vocab.settings import SymbolsSettings, WordSettings
from tests.vocab.learning import learn

VOCABULARIES: dict[str, Vocab] = {
    "char": CharVocab("abcdé🙂 "),
    "byte": ByteVocab(),
    "word": learn(WordSettings(min_count=1), ["abc cab a b bc "]),
    "symbols": learn(SymbolsSettings(), ["abc cab a b bc "]),
}
BODIES = {
    "lstm": RecurrentSettings(hidden_size=8, cell=LSTMSettings()),
    "gru": RecurrentSettings(hidden_size=8, cell=GRUSettings()),
    "window": WindowSettings(),
}
FILTERS: dict[str, tuple[Filter, ...]] = {
    "own distribution": (Temperature(1.0),),
    "greedy": (Temperature(0),),
    "all": (Temperature(0.8), TopK(6), TopP(0.9), MinP(0.02)),
}


def model_for(vocab: Vocab, body: str) -> LanguageModel:
    """The first weights, three times as large, so that texts differ."""
    torch.manual_seed(0)
    settings = ModelSettings(embedding=TokenEmbeddingSettings(size=6), body=BODIES[body])
    model = build_model(settings, vocab.size)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model.eval()


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_the_same_seed_gives_the_text_of_the_fast_sampler(vocabulary: str, body: str, filters: str) -> None:
    vocab, chosen = VOCABULARIES[vocabulary], FILTERS[filters]
    model = model_for(vocab, body)
    texts: set[str] = set()
    for seed, length in ((0, 60), (1, 300 if body == "lstm" else 60)):
        plan = SamplingPlan(length, chosen, seed)
        generator = prime_generator(model, vocab, "ab ☃", plan, torch.device("cpu"))
        text = sample_text(model, vocab, "ab ☃", length, chosen, seed)
        assert text == "".join(generator.stream_generate())
        assert len(text) == length
        texts.add(text[:60])
    assert len(texts) == (1 if filters == "greedy" else 2)
