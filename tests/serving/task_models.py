"""Small models of tasks with random weights, as a server loads them."""

from pathlib import Path
from typing import Any

import torch

from charlm.checkpoint import LoadedModel, make_interface
from charlm.data.conditions import LabelConditions
from charlm.data.labels import Labels
from charlm.data.source_texts import SourceConditions
from charlm.data.task_settings import (
    ClassifyTaskSettings,
    GenerateTaskSettings,
    TagTaskSettings,
    TaskSettings,
    TransduceTaskSettings,
)
from charlm.nn.build import build_model
from charlm.nn.settings import ModelSettings
from charlm.settings import Layer, validate
from charlm.vocab.base import Vocab
from charlm.vocab.char import CharVocab

LETTERS = "abcdefghijklmnopqrstuvwxyz "
VOCAB = CharVocab(LETTERS)


def classifier(*labels: str, vocab: Vocab = VOCAB) -> LoadedModel:
    """A model that predicts one of these labels for a text."""
    settings = _settings(direction="both")
    return _load(ClassifyTaskSettings(), settings, vocab, labels=Labels(labels))


def tagger(*tags: str, vocab: Vocab = VOCAB, asks: Any = "solid", scheme: Any = "free") -> LoadedModel:
    """A model that predicts one of these tags for each character that is no blank."""
    settings = _settings(direction="both")
    return _load(TagTaskSettings(asks=asks, scheme=scheme), settings, vocab, labels=Labels(tags))


def labelled_writer(*labels: str, columns: tuple[str, ...] = (), into: str = "input", **model: Any) -> LoadedModel:
    """A model that writes for labels."""
    settings = _settings(condition={"type": "label", "into": into}, **model)
    conditions = LabelConditions(Labels(labels), tuple(range(1, len(labels) + 1)), columns)
    return _load(GenerateTaskSettings(), settings, VOCAB, conditions=conditions)


def transducer(attention: str = "monotonic", vocab: Vocab = VOCAB, seed: int = 0, **model: Any) -> LoadedModel:
    """A model that writes a text for another."""
    condition = {
        "type": "source",
        "encoder": {"embedding": {"size": 6}, "body": {"hidden_size": 8}},
        "attention": {"type": attention, "size": 6},
    }
    settings = _settings(condition={"type": "none"} if attention == "none" else condition, **model)
    return _load(TransduceTaskSettings(), settings, vocab, seed, conditions=SourceConditions(VOCAB, "none"))


def _settings(**model: Any) -> ModelSettings:
    return validate(ModelSettings, Layer({"embedding": {"size": 6}, "body": {"hidden_size": 8}, **model}))


def _load(
    task: TaskSettings,
    settings: ModelSettings,
    vocab: Vocab,
    seed: int = 0,
    *,
    labels: Labels | None = None,
    conditions: LabelConditions | SourceConditions | None = None,
) -> LoadedModel:
    """The weights are three times as large as usual, so that distributions are not flat; labels have some as well."""
    interface = make_interface(task, labels, conditions, vocab)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        model = build_model(settings, vocab.size, None, interface).eval()
        for name, parameter in model.named_parameters():
            parameter.mul_(3)
            if name.startswith("label_"):
                parameter.normal_()
    return LoadedModel(model, settings, vocab, {}, Path(), task, labels, conditions)
