"""A vocabulary as JSON from which any program turns ids into text.

"é" ──> "é"      the byte 0xC3 of an unknown character ──> 195      <eod>, and marks around spelled words ──> ""
"""

from typing import Any

from charlm.vocab.base import Vocab


def describe_vocabulary(vocab: Vocab) -> dict[str, Any]:
    """Return type, the id of <eod>, and for each id its text, or the number of its byte.

    The text of ids is the concatenation of their texts, where bytes that stand together are UTF-8.
    """
    return {
        "type": vocab.type,
        "eod": vocab.eod_id,
        "tokens": [vocab.piece(token) for token in range(vocab.size)],
    }
