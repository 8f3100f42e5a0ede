"""Write the texts of tasks step by step, so that an engine can do something else between two steps.

    WritingTask ──read the prompt, chunk by chunk──> PromptRead ──draw a token of each text──> TextPieces ──> ...

A step is a chunk of a prompt, or one token of each text of a task.

T time, H features, B texts, N scored tokens, K alternatives, V vocabulary.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from charlm.device import Precision
from charlm.sampling.detokenizer import Detokenizer
from charlm.sampling.plan import SamplingPlan
from charlm.sampling.prime import PrimedState, PromptReader
from charlm.sampling.sampling_loop import SamplingLoop
from charlm.serving.api_error import ApiError
from charlm.serving.text_events import FinishReason, PromptRead, ScoredToken, TextEvent, TextPiece, WritingTask
from charlm.serving.token_offsets import TokenOffsets
from charlm.vocab.base import Vocab

_CHUNK = 256  # ids of a prompt: other requests wait as long
_MAX_CHUNK_ELEMENTS = 1 << 22  # log-probabilities held at a time
_PRECISION: Precision = "fp32"
_NO_IDS = np.zeros(0, dtype=np.int64)


def write_texts(tasks: Sequence[WritingTask]) -> Iterator[list[TextEvent]]:
    """Yield the events of each step, task after task.

    Raises:
        ApiError: a model's numbers overflow, so that it gives no probabilities.
    """
    for number, task in enumerate(tasks):
        reader = PromptReader(task.model, task.context_ids, task.device, precision=_PRECISION, chunk=_CHUNK)
        scored: list[ScoredToken] = []
        for features_TH in reader.run():
            if task.scores_prompt:
                scored += _score_chunk(task, features_TH, len(scored))
            yield []
        assert reader.primed is not None, "`run` has ended"
        if bool(reader.primed.logits_1V.isnan().any()):
            raise _overflow()
        yield [PromptRead(number, scored)]
        yield from _draw(number, task, reader.primed)


@torch.inference_mode()
def _score_chunk(task: WritingTask, features_TH: Tensor, num_scored: int) -> list[ScoredToken]:
    """Score the ids after those of a chunk; before all others the first id, which nothing predicts.

    Args:
        num_scored: ids that were scored before.
    """
    first = [ScoredToken(int(task.context_ids[0]), None)] if num_scored == 0 else []
    start = num_scored + len(first)
    targets = task.context_ids[start : start + len(features_TH)]
    rows = max(1, _MAX_CHUNK_ELEMENTS // task.model.head.vocab_size)
    scored = list(first)
    for begin in range(0, len(targets), rows):
        targets_N = torch.from_numpy(targets[begin : begin + rows].astype(np.int64))
        logits_NV = task.model.head.logits(features_TH[begin : begin + len(targets_N)])
        scored += _score(logits_NV, targets_N, task.num_alternatives or 0)
    return scored


def _score(logits_NV: Tensor, ids_N: Tensor, num_alternatives: int) -> list[ScoredToken]:
    """Return the log-probability of one id of each row, and the likeliest ids."""
    log_p_NV = logits_NV.log_softmax(-1)
    log_p_N = log_p_NV.gather(-1, ids_N.to(log_p_NV.device)[:, None])[:, 0]
    if bool(log_p_N.isnan().any()):
        raise _overflow()
    best_NK = log_p_NV.topk(min(num_alternatives, log_p_NV.shape[-1]), dim=-1)
    return [
        ScoredToken(token, log_p, tuple(zip(ids, values, strict=True)))
        for token, log_p, ids, values in zip(
            ids_N.tolist(), log_p_N.tolist(), best_NK.indices.tolist(), best_NK.values.tolist(), strict=True
        )
    ]


def _overflow() -> ApiError:
    return ApiError(500, "the model gives no probabilities: its numbers overflow", "serve another checkpoint")


def _draw(number: int, task: WritingTask, primed: PrimedState) -> Iterator[list[TextEvent]]:
    """Draw all texts of a task side by side, a token of each at a step."""
    texts = [_LimitedDetokenizer(task.vocab, task.plan, task.max_tokens, task.pending_ids) for _ in range(task.count)]
    drawn: list[ScoredToken] = []

    def score(logits_BV: Tensor, tokens_B: Tensor) -> None:
        drawn[:] = _score(logits_BV, tokens_B, task.num_alternatives or 0)

    on_draw = None if task.num_alternatives is None else score
    loop = SamplingLoop(task.model, primed, task.plan, range(task.count), list(texts), _NO_IDS)
    if task.max_tokens == 0:
        yield [TextPiece(number, index, "", None, 0, "length", num_tokens=0) for index in range(task.count)]
        return
    writing = list(range(task.count))
    for pieces in loop.run(on_draw=on_draw):
        yield [
            TextPiece(
                number,
                index,
                pieces[index],
                drawn[index] if drawn else None,
                texts[index].offset,
                texts[index].finish_reason,
            )
            for index in writing
        ]
        writing = [index for index in writing if not texts[index].done]


class _LimitedDetokenizer(Detokenizer):
    """Detokenizes a text of at most so many tokens, and remembers why it ended.

    A character that the limit cuts in two is left out.
    """

    def __init__(self, vocab: Vocab, plan: SamplingPlan, max_tokens: int, pending_ids: tuple[int, ...]) -> None:
        """
        Args:
            pending_ids: the beginning of the first character.
        """
        super().__init__(vocab, plan.length, plan.stop_strings, ends_at_eod=plan.ends_at_eod)
        for token in pending_ids:
            self._decoder.push(token)
        self._tokens_left = max_tokens
        self._offsets = TokenOffsets(vocab, pending_ids)
        self.done = self.done or max_tokens == 0
        self.offset = 0
        """The number of characters before the last token."""
        self.finish_reason: FinishReason | None = None

    def push(self, token: int) -> str:
        text = super().push(token)
        self._tokens_left -= 1
        if not self.done and self._tokens_left == 0:
            self.done = True
            text += self._buffer  # was held back, as it could have begun a stop string
        if self.done:
            is_end = self.stopped or (self._ends_at_eod and token == self._vocab.eod_id)
            self.finish_reason = "stop" if is_end else "length"
        return text

    def _decode(self, token: int) -> str:
        text = super()._decode(token)
        self.offset = self._offsets.add(token, text)
        return text
