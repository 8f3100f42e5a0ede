"""Where in a text its tokens begin, also those that are a part of a character.

token ──stream decoder──> piece of text: "", "é", "\\ufffdthe" ──> the characters of the piece before the token
"""

from charlm.sampling.constraints.tokens import first_byte_id
from charlm.sampling.detokenizer import DOCUMENT_BREAK
from charlm.vocab.base import NUM_BYTES, Vocab

_FIRST_LEAD_BYTE, _LAST_LEAD_BYTE = 0xC2, 0xF4  # of characters of several bytes


def characters_before(token: int, piece: str, vocab: Vocab) -> int:
    """Return how many characters of a piece stand before the token that completed it.

    These are the remains of a character that the token broke off. A byte begins where its character does.

    Args:
        piece: what the decoder returned for the token; of <eod> with its document break, if that is shown.
    """
    if token == vocab.eod_id:
        return len(piece.removesuffix(DOCUMENT_BREAK))
    first = first_byte_id(vocab)
    if first is None or not first <= token < first + NUM_BYTES:
        return max(0, len(piece) - len(vocab.decode([token])))
    if _FIRST_LEAD_BYTE <= token - first <= _LAST_LEAD_BYTE:
        return len(piece)
    return max(0, len(piece) - 1)
