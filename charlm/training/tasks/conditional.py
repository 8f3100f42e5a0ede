"""The tasks of conditional language models: the next token of a document, given the condition of the document.

documents, their conditions ──DocumentBatches──> training      ──score_documents──> validation
"""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch

from charlm.checkpoint import make_interface
from charlm.data.conditions import DocumentConditions
from charlm.data.corpus import Corpus
from charlm.data.document_batches import DocumentBatches, make_document_batches
from charlm.data.document_cursor import DocumentCursor
from charlm.data.examples import next_token_examples
from charlm.data.store import TokenStream, count_ids
from charlm.errors import DataError
from charlm.evaluation.score import NOT_SCORED, Score
from charlm.evaluation.score_documents import score_documents
from charlm.evaluation.uniform_guessing import uniform_bits
from charlm.nn.build import build_model
from charlm.nn.embeddings.frozen import NO_FROZEN_MODELS, FrozenModels
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.training.settings import TrainingSettings
from charlm.training.tasks.base import ScoringOptions, Task, Validation
from charlm.training.tasks.language import check_language_model
from charlm.training.tasks.whole_documents import check_document_settings


class ConditionalTask(Task):
    """Predict every token of a document from those before it (or after it), and from its condition."""

    unit = "character"

    def __init__(self, corpus: Corpus) -> None:
        super().__init__(corpus)
        self.interface = make_interface(corpus.task, None, corpus.conditions, corpus.vocab)

    def check_settings(self, model_settings: ModelSettings, settings: TrainingSettings) -> None:
        check_language_model(model_settings, settings)
        check_document_settings(model_settings, settings)

    def open_batches(
        self, settings: TrainingSettings, model_settings: ModelSettings, num_ranks: int
    ) -> DocumentBatches:
        stream, conditions = open_conditioned(self.corpus, "train", model_settings)
        if not len(stream.documents):
            raise DataError("the training split has no document", "prepare a corpus with more examples")
        return make_document_batches(
            next_token_examples(stream),
            settings.batch_size,
            settings.seq_len,
            settings.max_document_tokens,
            settings.seed,
            num_ranks=num_ranks,
            conditions=conditions,
        )

    def parse_cursor(self, content: Mapping[str, Any]) -> DocumentCursor:
        return DocumentCursor.from_json(content)

    def new_model(self, settings: ModelSettings, frozen: FrozenModels = NO_FROZEN_MODELS) -> LanguageModel:
        vocab = self.corpus.vocab
        model = build_model(settings, vocab.size, vocab.bags(), self.interface, frozen)
        model.head.set_frequencies(torch.from_numpy(count_ids(self._train, vocab.size)))
        return model

    @abstractmethod
    def open_validation(self, settings: TrainingSettings, model_settings: ModelSettings) -> "ConditionalValidation": ...

    @property
    def targets_per_character(self) -> float:
        return self._train.tokens_per_character

    @property
    def targets_per_unit(self) -> float:
        return self.targets_per_character

    @cached_property
    def _train(self) -> TokenStream:
        return self.corpus.open("train")


class ConditionalValidation(Validation):
    """Documents from all over the validation split."""

    def __init__(self, corpus: Corpus, settings: TrainingSettings, model_settings: ModelSettings) -> None:
        self.stream, self.conditions = open_conditioned(
            corpus, "valid", model_settings, max_tokens=settings.validation_tokens
        )
        self.uniform_bits = uniform_bits(
            corpus.vocab.size, self.stream.num_predictions, self.stream.count("characters")
        )

    def score_likelihood(self, model: LanguageModel, options: ScoringOptions) -> Score:
        """Return the likelihood of a shard of the documents."""
        nats_P = score_documents(
            model,
            self.stream,
            self.conditions,
            device=options.device,
            precision=options.precision,
            on_progress=options.on_progress,
            shard=options.shard,
        )
        return Score.from_nats(nats_P[nats_P != NOT_SCORED] if options.shard[1] > 1 else nats_P, self.stream)


def open_conditioned(
    corpus: Corpus, split: str, settings: ModelSettings, *, max_tokens: int | None = None
) -> tuple[TokenStream, DocumentConditions]:
    """Return the documents of a split in the order in which the model reads them, and their conditions.

    Args:
        max_tokens: only documents with at most so many tokens together, from all over the split.
    """
    stream, conditions = corpus.open(split), corpus.open_conditions(split)
    assert conditions is not None, "the corpus has conditions"
    if max_tokens is not None:
        documents = stream.choose_documents(max_tokens)
        stream, conditions = stream.take(documents), conditions.take(documents)
    direction = settings.text_direction
    return stream.in_direction(direction), conditions.in_direction(direction)
