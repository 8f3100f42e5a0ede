"""A vocabulary as JSON, for vocabulary.js of the page of `charlm serve`."""

from typing import Any

from charlm.vocab.base import Vocab


def describe_vocabulary(vocab: Vocab) -> dict[str, Any]:
    """Return the names of all ids, and which of them are special."""
    return {
        "names": [vocab.symbol(token) for token in range(vocab.size)],
        "eod_id": vocab.eod_id,
        "first_byte_id": 0 if vocab.type == "byte" else vocab.first_byte_id,
        "mark_ids": [],
    }
