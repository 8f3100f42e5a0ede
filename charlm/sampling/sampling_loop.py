"""The sampling loop: texts grow side by side, one token each at a time.

    PrimedState ──> logits ──draw_next──> tokens ──push──> text of each stream
                       ^                    │
                       └──── stepper <──────┘

B streams, V vocabulary.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from charlm.nn.model import LanguageModel
from charlm.sampling.detokenizer import Detokenizer
from charlm.sampling.fast.base import Stepper
from charlm.sampling.fast.stepper import choose_stepper
from charlm.sampling.growing_text import GrowingText, check_probabilities, draw_next
from charlm.sampling.plan import SamplingPlan
from charlm.sampling.prime import PrimedState
from charlm.vocab.base import IntArray


class SamplingLoop:
    """Draws the texts of some streams of a seed, all from the same primed state."""

    def __init__(
        self,
        model: LanguageModel,
        primed: PrimedState,
        sampling: SamplingPlan,
        streams: range,
        detokenizers: list[Detokenizer],
        prompt_ids: IntArray,
    ) -> None:
        """
        Args:
            streams: the numbers of the streams; each has its own random numbers.
            detokenizers: one for each stream.
            prompt_ids: the ids that the penalties count at first.
        """
        self._model = model
        self._primed = primed
        self._sampling = sampling
        self._texts = [
            GrowingText(sampling, stream, detokenizer, model.head.vocab_size, prompt_ids)
            for stream, detokenizer in zip(streams, detokenizers, strict=True)
        ]
        self._logits_BV = primed.logits_1V.cpu().expand(len(streams), -1)
        self._stepper: Stepper | None = None
        self._unread_B: Tensor | None = None  # drawn, but not read by the model yet
        self.nats_B = torch.zeros(len(streams), dtype=torch.float64)
        """Negative log-likelihood of the drawn tokens before filters; only after `run(with_nats=True)`."""

    @torch.inference_mode()
    def run(self, *, with_nats: bool = False) -> Iterator[list[str]]:
        """After each step, yield the text that each stream can show, until all streams are done.

        Args:
            with_nats: whether to sum up `nats_B`.

        Raises:
            CheckpointError: the model's numbers overflow.
        """
        texts = self._texts
        while not all(text.done for text in texts):
            logits_BV = self._logits_BV
            check_probabilities(logits_BV)
            tokens_B = draw_next(texts, logits_BV, [text.allowed_ids() for text in texts])
            if with_nats:
                nll_B = -logits_BV.double().log_softmax(-1).gather(-1, tokens_B[:, None])[:, 0]
                self.nats_B += nll_B * torch.tensor([not text.done for text in texts])
            shown = [
                "" if text.done else text.push(token) for text, token in zip(texts, tokens_B.tolist(), strict=True)
            ]
            self._unread_B = tokens_B
            yield shown
            if not all(text.done for text in texts):
                self._read()  # the logits after the last token are not needed

    @torch.inference_mode()
    def primed_state(self) -> PrimedState:
        """The model after all tokens that were drawn, the last one included; of a single stream."""
        assert len(self._texts) == 1
        self._read()
        state = self._primed.state if self._stepper is None else self._stepper.state()
        return PrimedState(self._logits_BV.to(self._primed.logits_1V.device, copy=True), state)

    def _read(self) -> None:
        """Let the model read the tokens that were drawn last."""
        if self._unread_B is None:
            return
        device = self._primed.logits_1V.device
        if self._stepper is None:
            state = tuple(tensor.repeat_interleave(len(self._texts), dim=0) for tensor in self._primed.state)
            self._stepper = choose_stepper(self._model, state, self._sampling.precision)
        self._logits_BV = self._stepper.step(self._unread_B.to(device)).cpu()
        self._unread_B = None
