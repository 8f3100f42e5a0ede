"""Where in a text its tokens begin, also those that are a part of a character.

    tokens, and for each the piece of text that the decoder returned: "", "é", "\\ufffdthe" ──> index of a character

A byte begins where its character does. What a token breaks off, a character that is not complete, stands before it.
"""

from charlm.sampling.constraints.tokens import first_byte_id
from charlm.sampling.detokenizer import DOCUMENT_BREAK
from charlm.vocab.base import NUM_BYTES, Vocab

_FIRST_LEAD_BYTE, _LAST_LEAD_BYTE = 0xC2, 0xF4  # of characters of several bytes


class TokenOffsets:
    """The offsets of tokens, one after the other."""

    def __init__(self, vocab: Vocab, open_ids: tuple[int, ...] = ()) -> None:
        """
        Args:
            open_ids: the bytes with which the first character begins before the text.
        """
        self._vocab = vocab
        self._first_byte_id = first_byte_id(vocab)
        self._length = 0
        self.open_ids = list(open_ids)
        """The last ids, if they are the beginning of a character."""

    def add(self, token: int, piece: str) -> int:
        """Return the number of characters before a token.

        Args:
            piece: what the decoder returned for it; of <eod> with its document break, if that is shown.
        """
        byte = self._byte(token)
        begins_character = byte is not None and _FIRST_LEAD_BYTE <= byte <= _LAST_LEAD_BYTE
        offset = self._length
        if self.open_ids:
            offset += len(piece) if begins_character else self._num_broken_off(token, piece)
        self._length += len(piece)
        if begins_character:
            self.open_ids = [token]
        elif self.open_ids and byte is not None and not piece:
            self.open_ids.append(token)
        else:
            self.open_ids = []
        return offset

    def _byte(self, token: int) -> int | None:
        first = self._first_byte_id
        return token - first if first is not None and first <= token < first + NUM_BYTES else None

    def _num_broken_off(self, token: int, piece: str) -> int:
        """The characters of a piece that are not the token's own."""
        if token == self._vocab.eod_id:
            return len(piece.removesuffix(DOCUMENT_BREAK))
        num_own = 1 if self._byte(token) is not None else len(self._vocab.decode([token]))
        return max(0, len(piece) - num_own)
