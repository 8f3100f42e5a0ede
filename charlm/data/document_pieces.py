"""Examples -> pieces: documents longer than max_document_tokens are cut; pieces where nothing is asked are left out."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from charlm.data.examples import Examples
from charlm.data.labels import UNKNOWN_LABEL
from charlm.vocab.base import IGNORE_INDEX, IntArray

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DocumentPieces:
    """The pieces of the documents of a split, in the order of the split."""

    examples: Examples
    max_document_tokens: int

    def __len__(self) -> int:
        return len(self.bounds)

    @property
    def bounds(self) -> Indices:
        """(pieces, 2): the start and end of each piece in the tokens."""
        return self._cut[0]

    @property
    def documents(self) -> Indices:
        """(pieces,): the index of the document of each piece."""
        return self._cut[1]

    @cached_property
    def lengths(self) -> Indices:
        """(pieces,): the number of tokens of each piece."""
        return self.bounds[:, 1] - self.bounds[:, 0]

    @cached_property
    def num_targets(self) -> Indices:
        """(pieces,): the number of targets in each piece."""
        return self._count_targets(self.bounds)

    @cached_property
    def known_targets(self) -> IntArray:
        """(tokens,): the targets of the split without unknown labels, from which nothing can be learned."""
        targets = self.examples.targets
        return targets if (targets != UNKNOWN_LABEL).all() else np.where(targets < 0, IGNORE_INDEX, targets)

    @cached_property
    def _cut(self) -> tuple[Indices, Indices]:
        """Cut the documents; return the pieces in which something is asked, and their documents."""
        starts, ends, limit = self.examples.starts, self.examples.ends, self.max_document_tokens
        counts = np.maximum(1, -(-(ends - starts) // limit))
        documents = np.repeat(np.arange(len(starts)), counts)
        numbers = np.arange(len(documents)) - np.repeat(np.cumsum(counts) - counts, counts)
        # the last piece ends with the document, where the label is asked for; it has the full length
        piece_ends = ends[documents] - (counts[documents] - 1 - numbers) * limit
        piece_starts = np.maximum(starts[documents], piece_ends - limit)
        pieces = np.stack([piece_starts, piece_ends], axis=1)
        has_targets = self._count_targets(pieces) > 0
        return pieces[has_targets], documents[has_targets]

    def _count_targets(self, pieces: Indices) -> Indices:
        totals = np.concatenate([[0], np.cumsum(self.examples.targets >= 0)])
        return totals[pieces[:, 1]] - totals[pieces[:, 0]]
