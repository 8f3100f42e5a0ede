"""The task of texts with a given label: the next token of a document, given the label of the document."""

import torch

from charlm.data.conditions import LabelConditions
from charlm.data.corpus import Corpus
from charlm.evaluation.score import Score
from charlm.nn.model import ConditionalModel, LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.sampling.filters import Temperature
from charlm.sampling.generate import Direction, prime_generator
from charlm.sampling.plan import SamplingPlan
from charlm.training.settings import TrainingSettings
from charlm.training.tasks.base import ScoringOptions
from charlm.training.tasks.conditional import ConditionalTask, ConditionalValidation
from charlm.training.tasks.language import SAMPLE_TEMPERATURE


class GenerateTask(ConditionalTask):
    """Predict every token of a document from those before it (or after it), and from its label."""

    def open_validation(self, settings: TrainingSettings, model_settings: ModelSettings) -> "GenerateValidation":
        return GenerateValidation(self.corpus, settings, model_settings)


class GenerateValidation(ConditionalValidation):
    """The start of the validation split, and a sample of the most frequent label's text."""

    def __init__(self, corpus: Corpus, settings: TrainingSettings, model_settings: ModelSettings) -> None:
        super().__init__(corpus, settings, model_settings)
        self._vocab = corpus.vocab
        assert isinstance(corpus.conditions, LabelConditions), "the task has labels"
        frequent = corpus.conditions.most_frequent()
        self._most_frequent = torch.tensor([frequent] if corpus.conditions.columns else frequent)
        self._sample_length, self._seed = settings.sample_length, settings.seed
        self._direction: Direction = model_settings.text_direction

    def score(self, model: LanguageModel, options: ScoringOptions) -> Score:
        return self.score_likelihood(model, options)

    @torch.inference_mode()
    def sample(self, model: LanguageModel, device: torch.device) -> str:
        if self._sample_length == 0:
            return ""
        assert isinstance(model, ConditionalModel), "new_model makes one"
        model.eval()
        bound = model.given((self._most_frequent.to(device),))
        plan = SamplingPlan(self._sample_length, (Temperature(SAMPLE_TEMPERATURE),), self._seed)
        return "".join(prime_generator(bound, self._vocab, "", plan, device, self._direction).stream_generate())
