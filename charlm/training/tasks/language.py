"""The task of a language model: the next token."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from charlm.data.batches import Batches, Cursor, make_batches
from charlm.data.corpus import Corpus
from charlm.data.store import TokenStream, count_ids
from charlm.errors import SettingsError
from charlm.evaluation.evaluate import evaluate
from charlm.evaluation.score import Score
from charlm.evaluation.uniform_guessing import uniform_bits
from charlm.nn.build import build_model
from charlm.nn.embeddings.build import check_language_embedding
from charlm.nn.embeddings.frozen import NO_FROZEN_MODELS, FrozenModels
from charlm.nn.model import LanguageModel
from charlm.nn.ngrams.build import check_ngram, usual_order
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.ngrams.tables import NgramTables
from charlm.nn.ngrams.training_counts import TrainingCounts, TrainingEvidence, count_training_text
from charlm.nn.settings import ModelSettings
from charlm.sampling.filters import Temperature
from charlm.sampling.generate import Direction, prime_generator
from charlm.sampling.plan import SamplingPlan
from charlm.training.mixture_refit import refit_on_text
from charlm.training.settings import TrainingSettings
from charlm.training.tasks.base import ScoringOptions, Task, Validation

SAMPLE_TEMPERATURE = 0.7
_CURE = "name a corpus of labels or tags with --data"


class LanguageTask(Task):
    """Predict every token from those before it, or with the direction backward from those after it."""

    unit = "character"

    def __init__(self, corpus: Corpus) -> None:
        super().__init__(corpus)
        self._ngrams: tuple[ModelSettings, TrainingCounts] | None = None

    def check_settings(self, model_settings: ModelSettings, settings: TrainingSettings) -> None:
        check_language_model(model_settings, settings)
        check_ngram(model_settings, is_language_model=True)

    def open_batches(self, settings: TrainingSettings, model_settings: ModelSettings, num_ranks: int) -> Batches:
        changes_chunks = settings.recompute_len is not None or settings.seq_len_varies
        assert not (model_settings.depends_on_step_count and changes_chunks), "Experiment refuses this"
        reset_tokens = settings.reset_tokens or (settings.seq_len if model_settings.depends_on_step_count else None)
        return make_batches(
            self._train_stream(model_settings),
            settings.batch_size * num_ranks,
            settings.seq_len,
            settings.seed,
            reset_tokens,
            seq_len_varies=settings.seq_len_varies,
            multiple_of=num_ranks,
            evidence=None if model_settings.ngram is None else partial(self._evidence, model_settings),
        )

    def parse_cursor(self, content: Mapping[str, Any]) -> Cursor:
        return Cursor.from_json(content)

    def new_model(self, settings: ModelSettings, frozen: FrozenModels = NO_FROZEN_MODELS) -> LanguageModel:
        vocab = self.corpus.vocab
        model = build_model(settings, vocab.size, vocab.bags(), None, frozen, self.ngram_tables(settings))
        counts_V = count_ids(self._train_stream(settings), vocab.size)
        model.head.set_frequencies(torch.from_numpy(counts_V))
        return model

    def adapt_model(self, model: LanguageModel, settings: ModelSettings) -> LanguageModel:
        """Replace the n-grams of another training text by those of this one."""
        if isinstance(model, NgramLanguageModel):
            parameter = next(model.parameters())
            model.ngram_head.lookup.set_tables(self._count_ngrams(settings).tables, parameter.device, parameter.dtype)
        return model

    def open_validation(self, settings: TrainingSettings, model_settings: ModelSettings) -> "LanguageValidation":
        epochs = 0 if model_settings.ngram is None else model_settings.ngram.refit_epochs
        return LanguageValidation(self.corpus, settings, model_settings.text_direction, epochs)

    @property
    def targets_per_character(self) -> float:
        return self.corpus.open("train").tokens_per_character

    @property
    def targets_per_unit(self) -> float:
        return self.targets_per_character

    def ngram_order(self, settings: ModelSettings) -> int | None:
        if settings.ngram is None:
            return None
        return settings.ngram.order or usual_order(self.corpus.vocab.size, self.targets_per_character)

    def ngram_tables(self, settings: ModelSettings) -> NgramTables | None:
        return None if settings.ngram is None else self._count_ngrams(settings).tables

    def _evidence(self, settings: ModelSettings) -> TrainingEvidence:
        return self._count_ngrams(settings).evidence

    def _count_ngrams(self, settings: ModelSettings) -> TrainingCounts:
        """Return the n-grams of the training text, counted once."""
        assert settings.ngram is not None, "only a model with n-grams has counts"
        if self._ngrams is None or self._ngrams[0] != settings:
            vocab = self.corpus.vocab
            order = self.ngram_order(settings)
            assert order is not None, "settings have an n-gram component"
            tokens = self._train_stream(settings).tokens
            counted = min(len(tokens), settings.ngram.max_tokens)
            of = f"{len(tokens):,}" if counted == len(tokens) else f"the first {counted:,} of {len(tokens):,}"
            self.on_note(f"counting n-grams of up to {order} tokens in {of} tokens")
            self._ngrams = settings, count_training_text(settings.ngram, tokens, vocab.size, vocab.eod_id, order)
        return self._ngrams[1]

    def _train_stream(self, settings: ModelSettings) -> TokenStream:
        return self.corpus.open("train").in_direction(settings.text_direction)


class LanguageValidation(Validation):
    """The start of the validation split, and a sample of text.

    The weights of a mixture are fitted on the first half of that text, and scored on the second. If no document ends
    near its middle, they are not.
    """

    def __init__(self, corpus: Corpus, settings: TrainingSettings, direction: Direction, refit_epochs: int) -> None:
        text = corpus.open("valid").head(settings.validation_tokens)
        halves = text.halves() if refit_epochs else None
        fitted, scored = (None, text) if halves is None else halves
        self._fitted = None if fitted is None else fitted.in_direction(direction)
        self._stream = scored.in_direction(direction)
        self._refit_epochs = refit_epochs
        self.fits_weights = self._fitted is not None
        self._vocab = corpus.vocab
        self._sample_length, self._seed = settings.sample_length, settings.seed
        self._direction: Direction = direction
        self.uniform_bits = uniform_bits(
            self._vocab.size, self._stream.num_predictions, self._stream.count("characters")
        )

    def fit(self, model: LanguageModel, options: ScoringOptions) -> None:
        assert self._fitted is not None, "otherwise it fits no weights"
        assert isinstance(model, NgramLanguageModel), "only its settings have epochs to fit"
        refit_on_text(model, self._fitted, self._stream, self._refit_epochs, options)

    def score(self, model: LanguageModel, options: ScoringOptions) -> Score:
        return evaluate(
            model,
            self._stream,
            device=options.device,
            precision=options.precision,
            shard=options.shard,
            on_progress=options.on_progress,
        )

    def sample(self, model: LanguageModel, device: torch.device) -> str:
        if self._sample_length == 0:
            return ""
        plan = SamplingPlan(self._sample_length, (Temperature(SAMPLE_TEMPERATURE),), self._seed)
        return "".join(prime_generator(model, self._vocab, "", plan, device, self._direction).stream_generate())


def check_language_model(settings: ModelSettings, training: TrainingSettings) -> None:
    """
    Raises:
        SettingsError: the model reads both ways, or pools features; or its checkpoints are chosen by something else
            than bits; or its embedding shows what is to be predicted.
    """
    if training.select != "bits":
        raise SettingsError(
            f'training.select = "{training.select}" is for labels and tags', f"{_CURE}, or leave it out"
        )
    if settings.direction == "both":
        raise SettingsError(
            'model.direction = "both" is for labels and tags: a language model reads one way, since a layer that reads'
            " backward has seen the token that is to be predicted",
            f"{_CURE}, or set model.direction to forward or backward",
        )
    if settings.pooling != "end":
        raise SettingsError(
            f'model.pooling = "{settings.pooling}" is for one label for each document',
            f"{_CURE}, or leave it out",
        )
    check_language_embedding(settings.embedding, settings.text_direction)
