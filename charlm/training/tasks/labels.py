"""The tasks of labels and tags: one label for each document, or a tag for each character that has one."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch

from charlm.data.corpus import Corpus
from charlm.data.document_batches import DocumentBatches, make_document_batches
from charlm.data.document_cursor import DocumentCursor
from charlm.data.examples import Examples
from charlm.errors import SettingsError
from charlm.evaluation.evaluate_labels import LabelDecoder, evaluate_labels
from charlm.evaluation.label_score import LabelScore
from charlm.nn.build import Outputs, build_model
from charlm.nn.embeddings.frozen import NO_FROZEN_MODELS, FrozenModels
from charlm.nn.embeddings.settings import ContextualEmbeddingSettings
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.training.settings import TrainingSettings
from charlm.training.tasks.base import ScoringOptions, Task, Validation
from charlm.training.tasks.whole_documents import check_document_settings


class LabelTask(Task):
    """Predict the labels of documents, or the tags of their characters."""

    unit = "label"

    def __init__(self, corpus: Corpus, decoder: LabelDecoder, *, per_document: bool) -> None:
        super().__init__(corpus)
        self.decoder = decoder
        self._outputs = Outputs(len(decoder.names), per_document)
        self.interface = self._outputs

    def check_settings(self, model_settings: ModelSettings, settings: TrainingSettings) -> None:
        if model_settings.pooling != "end" and not self._outputs.per_document:
            raise SettingsError(
                f'model.pooling = "{model_settings.pooling}" is for one label for each document',
                "leave it out for tags",
            )
        check_document_settings(model_settings, settings)
        embedding = model_settings.embedding
        if (
            settings.recompute_len is not None
            and model_settings.direction == "forward"
            and isinstance(embedding, ContextualEmbeddingSettings)
            and embedding.backward
        ):
            raise SettingsError(
                "training.recompute_len cuts a text that is read forward into segments, and model.embedding.backward"
                " reads it from its end",
                "leave it out, or set model.direction=both",
            )
        if settings.sample_length > 0:
            raise SettingsError(
                "training.sample_length is for language models: a model of labels or tags writes no text",
                "leave it out",
            )

    def open_batches(
        self, settings: TrainingSettings, model_settings: ModelSettings, num_ranks: int
    ) -> DocumentBatches:
        del model_settings  # the body reverses the rows
        return make_document_batches(
            self._train,
            settings.batch_size,
            settings.seq_len,
            settings.max_document_tokens,
            settings.seed,
            num_ranks=num_ranks,
        )

    def parse_cursor(self, content: Mapping[str, Any]) -> DocumentCursor:
        return DocumentCursor.from_json(content)

    def new_model(self, settings: ModelSettings, frozen: FrozenModels = NO_FROZEN_MODELS) -> LanguageModel:
        vocab = self.corpus.vocab
        model = build_model(settings, vocab.size, vocab.bags(), self._outputs, frozen)
        model.head.set_frequencies(torch.from_numpy(self._train.count_labels(self._outputs.size)))
        return model

    def open_validation(self, settings: TrainingSettings, model_settings: ModelSettings) -> "LabelValidation":
        del model_settings  # examples are read in the order of the text
        examples = self.corpus.open_examples("valid")
        documents = examples.stream.choose_documents(settings.validation_tokens)
        return LabelValidation(examples.take(documents), self.decoder)

    @property
    def targets_per_character(self) -> float:
        return self._train.num_targets / max(1, self._train.count("characters"))

    @property
    def targets_per_unit(self) -> float:
        return 1.0

    @cached_property
    def _train(self) -> Examples:
        return self.corpus.open_examples("train")


class LabelValidation(Validation):
    """Validation examples from all over the split."""

    def __init__(self, examples: Examples, decoder: LabelDecoder) -> None:
        self._examples = examples
        self._decoder = decoder
        self.uniform_bits = math.log2(len(decoder.names))

    def score(self, model: LanguageModel, options: ScoringOptions) -> LabelScore:
        return evaluate_labels(
            model,
            self._examples,
            self._decoder,
            device=options.device,
            precision=options.precision,
            shard=options.shard,
            on_progress=options.on_progress,
        )
