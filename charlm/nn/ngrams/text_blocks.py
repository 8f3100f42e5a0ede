"""What is counted once, and what is left out of the counts that predict it: blocks and documents of the text."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.vocab.base import IntArray

Numbers = npt.NDArray[np.int32]

_MAX_DOCUMENT_FRACTION = 0.05
"""Of the text, in one document: what is left must resemble the whole text."""
_BLOCK_FRACTION = 0.02
_MIN_BLOCK_TOKENS = 100


@dataclass(frozen=True, slots=True)
class TextBlocks:
    """The block and the document of each token."""

    block_T: Numbers
    document_T: Numbers

    @classmethod
    def cut(cls, tokens: IntArray, eod_id: int, block_tokens: int) -> "TextBlocks":
        """Cut a stream at <eod>, and long documents into blocks.

        If a document holds too much of the text, little would be left without it. Then shorter blocks take the place of
        the documents, so that the text of one document has others too.
        """
        is_end_T = tokens == eod_id
        document_T = np.cumsum(is_end_T, dtype=np.int32) - is_end_T  # an <eod> belongs to the document that it ends
        longest = int(np.bincount(document_T).max(initial=0))
        is_whole = longest <= len(tokens) * _MAX_DOCUMENT_FRACTION
        if not is_whole:
            block_tokens = min(block_tokens, max(_MIN_BLOCK_TOKENS, int(len(tokens) * _BLOCK_FRACTION)))
        start_T = np.searchsorted(document_T, document_T)
        in_document_T = (np.arange(len(tokens)) - start_T) // block_tokens
        starts_block_T = np.append(True, (np.diff(document_T) != 0) | (np.diff(in_document_T) != 0))
        block_T = np.cumsum(starts_block_T, dtype=np.int32) - 1
        return cls(block_T, document_T if is_whole else block_T)
