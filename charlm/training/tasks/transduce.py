"""The task of transducers: the next token of a target, given its source."""

from charlm.data.corpus import Corpus
from charlm.data.source_texts import SourceConditions
from charlm.errors import SettingsError
from charlm.evaluation.transduction.answers import collect_questions
from charlm.evaluation.transduction.beam_search import BeamOptions
from charlm.evaluation.transduction.score import AnswerCounts, TransductionScore
from charlm.evaluation.transduction.transduce import TransducerEnsemble
from charlm.nn.model import ConditionalModel, LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.sampling.generate import Direction
from charlm.training.settings import TrainingSettings
from charlm.training.tasks.base import ScoringOptions
from charlm.training.tasks.conditional import ConditionalTask, ConditionalValidation
from charlm.training.tasks.language import check_language_model
from charlm.training.tasks.whole_documents import check_document_settings

_GREEDY = BeamOptions(width=1)
_MAX_WRITTEN = 2000  # sources of a validation for which a text is written


class TransduceTask(ConditionalTask):
    """Predict every token of a target from those before it (or after it), and from its source."""

    def check_settings(self, model_settings: ModelSettings, settings: TrainingSettings) -> None:
        if settings.select == "f1":
            raise SettingsError('training.select = "f1" is for labels and tags', "set it to bits or accuracy")
        check_language_model(model_settings, settings.model_copy(update={"select": "bits"}))
        check_document_settings(model_settings, settings)
        if settings.sample_length > 0:
            raise SettingsError(
                "training.sample_length is for models that write freely: this one writes a text for each source",
                "leave it out; each validation says how many texts are wrong",
            )

    def open_validation(self, settings: TrainingSettings, model_settings: ModelSettings) -> "TransduceValidation":
        return TransduceValidation(self.corpus, settings, model_settings)


class TransduceValidation(ConditionalValidation):
    """Documents from all over the validation split. Texts are written for their first sources, with a beam of 1."""

    def __init__(self, corpus: Corpus, settings: TrainingSettings, model_settings: ModelSettings) -> None:
        super().__init__(corpus, settings, model_settings)
        assert isinstance(corpus.conditions, SourceConditions), "the task has sources"
        self._vocab = corpus.vocab
        self._direction: Direction = model_settings.text_direction
        targets = corpus.open("valid")
        documents = targets.choose_documents(settings.validation_tokens)
        targets, sources = targets.take(documents), corpus.open_sources("valid").take(documents)
        self._questions = collect_questions(targets, sources, None, corpus.vocab)[:_MAX_WRITTEN]
        self._blank_separates = corpus.vocab.type == "symbols"

    def score(self, model: LanguageModel, options: ScoringOptions) -> TransductionScore:
        assert isinstance(model, ConditionalModel), "new_model makes one"
        likelihood = self.score_likelihood(model, options)
        ensemble = TransducerEnsemble([model], self._vocab, self._direction, options.device, options.precision)
        index, num_shards = options.shard
        questions = self._questions[index::num_shards]
        found = ensemble.transduce([each.source for each in questions], _GREEDY)
        texts = [candidates[0].text if candidates else "" for candidates in found]
        counts = AnswerCounts.of_texts(texts, questions, blank_separates=self._blank_separates)
        return TransductionScore.from_counts(likelihood, counts)
