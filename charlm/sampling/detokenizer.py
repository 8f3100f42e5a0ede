"""From ids to text: whole characters, at most `length` of them, ending before the first stop string.

    id ──decoder──> text ──cut to length──> held back while it may begin a stop string ──> text to show

A forward text is shown in pieces, a backward text when it is complete.
"""

from collections.abc import Iterable

from charlm.vocab.base import Vocab

DOCUMENT_BREAK = "\n\n"
"""The text of <eod> in a sample; a new document follows."""
_MAX_CONTINUATION_BYTES = 3


class Detokenizer:
    """Detokenizes one text. `done` is True once the text is complete."""

    def __init__(
        self, vocab: Vocab, length: int, stop_strings: tuple[str, ...] = (), *, ends_at_eod: bool = False
    ) -> None:
        """
        Args:
            length: the most characters.
            stop_strings: the text ends before the first of these.
            ends_at_eod: whether <eod> ends the text, instead of beginning another document.
        """
        self._vocab = vocab
        self._decoder = vocab.stream_decoder()
        self._stop_strings = stop_strings
        self._ends_at_eod = ends_at_eod
        self._buffer = ""
        self.remaining = length
        self.done = length == 0
        self.stopped = False
        """Whether a stop string has ended the text."""

    def push(self, token: int) -> str:
        """Add an id; return the text that can be shown now, often the empty string."""
        return self._add(self._decode(token), ends=self._ends_at_eod and token == self._vocab.eod_id)

    def resume(self, ids: Iterable[int], num_shown: int) -> str:
        """Begin with the rest of a text that was cut; return the part of it that can be shown now.

        Args:
            ids: of that text.
            num_shown: the characters of it that were shown.
        """
        return self._add("".join(map(self._decode, ids))[num_shown:], ends=False)

    def _decode(self, token: int) -> str:
        if token == self._vocab.eod_id:
            return self._decoder.finish() + ("" if self._ends_at_eod else DOCUMENT_BREAK)
        return self._decoder.push(token)

    def _add(self, text: str, *, ends: bool) -> str:
        text = text[: self.remaining]
        self.remaining -= len(text)
        self._buffer += text
        stop_positions = [position for stop in self._stop_strings if (position := self._buffer.find(stop)) >= 0]
        self.stopped = bool(stop_positions)
        self.done = self.stopped or ends or self.remaining == 0
        if stop_positions:
            shown, self._buffer = self._buffer[: min(stop_positions)], ""
            return shown
        num_held = (
            0 if self.done else max((_partial_match_len(self._buffer, stop) for stop in self._stop_strings), default=0)
        )
        shown, self._buffer = self._buffer[: len(self._buffer) - num_held], self._buffer[len(self._buffer) - num_held :]
        return shown


class BackwardDetokenizer(Detokenizer):
    """Detokenizes a text whose ids come in reverse order; the whole text is shown as one piece.

    The bytes of a character come in reverse too: continuation bytes (10xxxxxx) wait for the character's first byte.
    """

    def __init__(
        self, vocab: Vocab, length: int, stop_strings: tuple[str, ...] = (), *, ends_at_eod: bool = False
    ) -> None:
        super().__init__(vocab, length, stop_strings, ends_at_eod=ends_at_eod)
        self._length = length
        self._continuation_ids: list[int] = []
        self._pieces: list[str] = []

    def push(self, token: int) -> str:
        if self._is_continuation_byte(token):
            self._continuation_ids.append(token)
            if len(self._continuation_ids) <= _MAX_CONTINUATION_BYTES:
                return ""
            text = self._vocab.decode([self._continuation_ids.pop(0)])  # no character has so many continuation bytes
        else:
            text = DOCUMENT_BREAK if token == self._vocab.eod_id and not self._ends_at_eod else ""
            text += self._vocab.decode([token, *reversed(self._continuation_ids)])
            self._continuation_ids.clear()
        self._pieces.append(text)
        self.remaining = max(0, self.remaining - len(text))
        full_text = "".join(reversed(self._pieces)) if self._stop_strings or self.remaining == 0 else ""
        stop_positions = [
            position + len(stop) for stop in self._stop_strings if (position := full_text.rfind(stop)) >= 0
        ]
        self.done = bool(stop_positions) or self.remaining == 0 or (self._ends_at_eod and token == self._vocab.eod_id)
        if not self.done:
            return ""
        full_text = "".join(reversed(self._pieces))
        return full_text[max(stop_positions) :] if stop_positions else full_text[-self._length :]

    def _is_continuation_byte(self, token: int) -> bool:
        """Whether an id is a byte that continues a character."""
        return self._vocab.stream_decoder().push(token) == "\ufffd"


def _partial_match_len(text: str, stop: str) -> int:
    """The length of the longest end of `text` that is a proper prefix of `stop`."""
    return next((k for k in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:k])), 0)
