"""Small untrained models and every kind of vocabulary, and explanations of texts by them."""

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch

from charlm.evaluation.explain.draw_surprisals import SurprisalDrawing
from charlm.evaluation.explain.explanation import Explanation, explain
from charlm.nn.bodies.settings import RecurrentSettings
from charlm.nn.build import Outputs, build_model
from charlm.nn.embeddings.settings import NgramEmbeddingSettings, TokenEmbeddingSettings
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.settings import Settings
from charlm.vocab.base import Vocab
from charlm.vocab.settings import CharSettings, NgramSettings, VocabSettings, WordSettings
from charlm.workflows.evaluate import stream_from_text
from tests.vocab.learning import learn

CPU = torch.device("cpu")
TRAINING_TEXTS = ["The quick brown fox\r\n", "Съешь ещё 🙂 e\u0301 \x00\ufeff", "quick quick"]
MEMBERS: tuple[type[Settings], ...] = get_args(get_args(VocabSettings)[0])
VARIANTS: dict[str, Callable[[], Any]] = {
    **{member.model_fields["type"].default: member for member in MEMBERS},
    "char of two": lambda: CharSettings(max_size=2),
    "words of all sorts": lambda: WordSettings(min_count=1),
    "n-grams of two": lambda: NgramSettings(min_count=1, n=2),
}
"""Every kind of vocabulary, and some with little in them."""


def vocab_of(name: str) -> Vocab:
    return learn(VARIANTS[name](), iter(TRAINING_TEXTS))


def model_of(vocab: Vocab, direction: Literal["forward", "backward"] = "forward", seed: int = 0) -> LanguageModel:
    """A tiny LSTM with large weights, so that its probabilities differ."""
    torch.manual_seed(seed)
    bags = vocab.bags()
    embedding = TokenEmbeddingSettings(size=8) if bags is None else NgramEmbeddingSettings(size=8)
    if direction == "backward":
        embedding = TokenEmbeddingSettings(size=8)
    settings = ModelSettings(embedding=embedding, body=RecurrentSettings(hidden_size=12), direction=direction)
    model = build_model(settings, vocab.size, bags)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    return model


def explained(
    text: str, vocab: Vocab, *, direction: Literal["forward", "backward"] = "forward", top: int = 5, seed: int = 0
) -> Explanation:
    model = model_of(vocab, direction, seed)
    return explain(model, vocab, text, stream_from_text(text, vocab), direction=direction, top=top, device=CPU)


def drawn(
    text: str, vocab: Vocab, *, direction: Literal["forward", "backward"] = "forward", top: int = 5
) -> SurprisalDrawing:
    return SurprisalDrawing(explained(text, vocab, direction=direction, top=top))


def label_model_of(vocab: Vocab, num_labels: int, *, per_document: bool = True, seed: int = 0) -> LanguageModel:
    """A tiny model of labels or tags that reads both ways, with large weights."""
    torch.manual_seed(seed)
    settings = ModelSettings(
        embedding=TokenEmbeddingSettings(size=8), body=RecurrentSettings(hidden_size=6), direction="both"
    )
    model = build_model(settings, vocab.size, None, Outputs(num_labels, per_document))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    return model.eval()
