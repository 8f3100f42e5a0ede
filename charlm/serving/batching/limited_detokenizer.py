"""From ids to a text of at most so many tokens, with the place of each token and the reason of the end."""

from charlm.sampling.detokenizer import Detokenizer
from charlm.sampling.plan import SamplingPlan
from charlm.serving.text_events import FinishReason
from charlm.serving.token_offsets import TokenOffsets
from charlm.vocab.base import Vocab


class LimitedDetokenizer(Detokenizer):
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
