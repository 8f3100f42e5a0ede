"""Vocabularies for tests, learned from texts in memory."""

from collections.abc import Iterable

from charlm.vocab.base import Vocab
from charlm.vocab.build import build_learner
from charlm.vocab.settings import AnyVocabSettings


def learn(settings: AnyVocabSettings, texts: Iterable[str]) -> Vocab:
    learner = build_learner(settings)
    for text in texts if learner.needs_text else ():
        learner.add(text)
    return learner.finish()
