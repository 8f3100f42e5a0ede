"""The language models that the settings of a new run name, to be frozen in it.

model.embedding.forward = "RUN" ──its best checkpoint──> FrozenModel: description, weights
                                └──the RUN is gone, and the new one has begun──> what its newest checkpoint says
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from charlm import workspace
from charlm.checkpoint import LoadedModel, describe_model, load_model, weights_hash
from charlm.data.corpus import Corpus
from charlm.data.source_texts import SourceConditions
from charlm.errors import DataError, SettingsError, UsageError
from charlm.nn.conditions.settings import SourceConditionSettings
from charlm.nn.embeddings.frozen import FrozenDescription, FrozenModel, FrozenModels
from charlm.nn.embeddings.settings import ContextualEmbeddingSettings
from charlm.nn.settings import ModelSettings
from charlm.training.run_directory import RunDirectory, find_checkpoint
from charlm.vocab.base import Vocab


class NamedModel(NamedTuple):
    """A language model that a setting names."""

    setting: str
    run: str
    direction: str
    reads_sources: bool


def find_frozen_models(settings: ModelSettings, corpus: Corpus | None, run: RunDirectory) -> FrozenModels:
    """Return the language models that the settings name, by setting.

    Args:
        corpus: the corpus of the new run; None in a dry run without one.
        run: the new run. If it has begun and another run was removed since, it has its weights.

    Raises:
        UsageError: there is no such run.
        SettingsError: it is no language model, or one that reads in the other direction or has frozen models itself.
        DataError: it has another vocabulary than the corpus.
    """
    return {named.setting: _find(named, corpus, run) for named in named_models(settings)}


def named_models(settings: ModelSettings) -> Iterator[NamedModel]:
    """Yield the language models that the settings name."""
    embeddings = {"model.embedding": settings.embedding}
    if isinstance(settings.condition, SourceConditionSettings):
        embeddings["model.condition.encoder.embedding"] = settings.condition.encoder.embedding
    for name, embedding in embeddings.items():
        if isinstance(embedding, ContextualEmbeddingSettings):
            for direction in ("forward", "backward"):
                if given := getattr(embedding, direction):
                    yield NamedModel(f"{name}.{direction}", given, direction, "encoder" in name)


def _find(named: NamedModel, corpus: Corpus | None, run: RunDirectory) -> FrozenModel:
    try:
        checkpoint = find_checkpoint(workspace.find_run(named.run))
    except UsageError:
        steps = run.checkpoint_steps()
        recorded = describe_model(run.checkpoint(steps[-1])).frozen if steps else {}
        if named.setting not in recorded:
            raise
        return recorded[named.setting]
    loaded = load_model(checkpoint, torch.device("cpu"))
    _check_model(named, loaded)
    if corpus is not None:
        _check_vocab(named, loaded.vocab, checkpoint, corpus)
    description = FrozenDescription(
        settings=loaded.settings,
        vocab_size=loaded.vocab.size,
        eod_id=loaded.vocab.eod_id,
        bags=loaded.model.embedding.bag_layout,
        sha256=weights_hash(checkpoint),
    )
    return FrozenModel(description, loaded.model.state_dict())


def _check_model(named: NamedModel, loaded: LoadedModel) -> None:
    given = f'{named.setting} = "{named.run}"'
    if loaded.labels is not None or loaded.conditions is not None:
        does = f"predicts {loaded.task.noun}" if loaded.labels is not None else "is given something for each text"
        raise SettingsError(
            f"{given} {does}, and a language model of plain text is needed",
            "name a run of a corpus that was prepared without --task",
        )
    if loaded.settings.direction != named.direction:
        raise SettingsError(
            f"{given} reads {loaded.settings.direction}",
            f"name it in {named.setting.rpartition('.')[0]}.{loaded.settings.direction}, or train one with"
            f" --set model.direction={named.direction}",
        )
    if isinstance(loaded.settings.embedding, ContextualEmbeddingSettings):
        raise SettingsError(f"{given} reads frozen language models itself", "name a run with another embedding")


def _check_vocab(named: NamedModel, vocab: Vocab, checkpoint: Path, corpus: Corpus) -> None:
    cure = f"re-encode it with the model's: charlm prepare --data {corpus.directory} --vocab-from {named.run}"
    if not named.reads_sources:
        if not corpus.vocab.is_same(vocab):
            raise DataError(f"the vocabulary of {corpus.directory} differs from that of {checkpoint}", cure)
    elif isinstance(corpus.conditions, SourceConditions) and not corpus.conditions.vocab.is_same(vocab):
        if corpus.conditions.vocab is not corpus.vocab and not corpus.conditions.vocab.is_same(corpus.vocab):
            cure = (
                "prepare the corpus again with --set corpus.task.source_vocab=shared and --vocab-from"
                f" {named.run}, so that sources and targets have the model's vocabulary"
            )
        raise DataError(f"the vocabulary of the sources in {corpus.directory} differs from that of {checkpoint}", cure)
