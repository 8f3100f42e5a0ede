"""Sources -> the best targets of each, by one transducer or an ensemble of several.

    sources, sorted by length ──batches──> given ──beam search──> ids ──decode──> texts with probabilities

Two sequences of ids may spell one text; their probabilities are added up, and texts are sorted by these sums.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from charlm.data.source_texts import pad_sources
from charlm.device import Precision, autocast
from charlm.evaluation.transduction.beam_search import BeamOptions, Hypothesis, search_targets
from charlm.nn.model import ConditionalModel, LanguageModel
from charlm.vocab.base import IntArray, Vocab

_MAX_ROWS = 1024
_MAX_TOKENS = 32_768  # of the sources, with padding, for each beam
_LENGTH_FACTOR, _EXTRA_LENGTH = 4, 32


@dataclass(frozen=True, slots=True)
class TextCandidate:
    """A text, and its probability given the source."""

    text: str
    probability: float


@dataclass(frozen=True)
class TransducerEnsemble:
    """Transducers of one target vocabulary and one direction; usually a single one."""

    models: Sequence[ConditionalModel]
    vocab: Vocab
    direction: Literal["forward", "backward"]
    device: torch.device
    precision: Precision = "fp32"

    def transduce(
        self,
        sources: Sequence[IntArray],
        options: BeamOptions,
        on_progress: Callable[[int], None] = lambda num_sources: None,
        check: Callable[[], None] = lambda: None,
    ) -> list[list[TextCandidate]]:
        """Return the best texts for each source, the best first.

        Args:
            sources: the ids of each, as all models read them.
            on_progress: called with the number of sources that each batch read.
            check: called before each step of the search; it may raise to stop.
        """
        found: list[list[TextCandidate]] = [[] for _ in sources]
        was_training = [model.training for model in self.models]
        try:
            for model in self.models:
                model.eval()
            for batch in _batches([len(source) for source in sources], options.width):
                searched = self._search([sources[i] for i in batch], options, check)
                for index, hypotheses in zip(batch, searched, strict=True):
                    found[index] = self._to_texts(hypotheses, options.length_penalty)
                on_progress(len(batch))
        finally:
            for model, mode in zip(self.models, was_training, strict=True):
                model.train(mode)
        return found

    def _search(
        self, sources: Sequence[IntArray], options: BeamOptions, check: Callable[[], None]
    ) -> list[list[Hypothesis]]:
        source_NS, lengths_N = (torch.from_numpy(array).to(self.device) for array in pad_sources(sources))
        max_lengths = [max_target_length(len(source)) for source in sources]
        bound: list[LanguageModel] = []
        with torch.inference_mode(), autocast(self.precision, self.device):
            bound = [model.given((source_NS, lengths_N)) for model in self.models]
        return search_targets(
            bound, max_lengths, self.vocab.eod_id, options, device=self.device, precision=self.precision, check=check
        )

    def _to_texts(self, hypotheses: Sequence[Hypothesis], length_penalty: float) -> list[TextCandidate]:
        log_p_of: dict[str, float] = {}
        length_of: dict[str, int] = {}  # of the best ids that spell a text, with <eod>
        for each in hypotheses:
            ids = each.ids if self.direction == "forward" else each.ids[::-1]
            text = self.vocab.decode(ids)
            log_p_of[text] = float(np.logaddexp(log_p_of.get(text, -np.inf), each.log_p))
            length_of.setdefault(text, len(ids) + 1)
        ordered = sorted(log_p_of, key=lambda text: log_p_of[text] / length_of[text] ** length_penalty, reverse=True)
        return [TextCandidate(text, float(np.exp(log_p_of[text]))) for text in ordered]


def max_target_length(source_length: int) -> int:
    """Return the most tokens that are written for a source of so many tokens."""
    return _LENGTH_FACTOR * source_length + _EXTRA_LENGTH


def _batches(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Return the indices of the sources of each batch, short ones first."""
    batches: list[list[int]] = []
    rows = max(1, _MAX_ROWS // width)
    for index in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        tokens = lengths[index] * width
        if not batches or len(batches[-1]) == rows or (len(batches[-1]) + 1) * tokens > _MAX_TOKENS:
            batches.append([])
        batches[-1].append(index)
    return batches
