"""Examples: documents with a target beside their tokens, memory-mapped.

    SPLIT.npy, SPLIT.documents.npy   as in a corpus of text: `<eod> doc1 <eod> doc2 ... <eod>`
    SPLIT.targets.npy                for each token, the id of the label or tag that is asked for after it, or -100

A document's label is asked for after its <eod>; the tag of a character after the last token of the character. A name
that no training example has is -1.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from charlm.data.array_files import ArrayWriter, open_memmap
from charlm.data.labels import UNKNOWN_LABEL, Labels
from charlm.data.store import EncodedParts, TokenStream, encode_parts, read_stream, write_stream
from charlm.errors import DataError
from charlm.text.split import Part
from charlm.vocab.base import IGNORE_INDEX, IntArray, Vocab

TARGET_DTYPE = np.dtype("<i4")


@dataclass(frozen=True)
class Examples:
    """The examples of a split."""

    stream: TokenStream
    targets: IntArray
    """(tokens,): what is asked for after each token of `stream.tokens`."""

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """The index of the first token of each document."""
        return self.stream.documents["start"]

    @property
    def ends(self) -> npt.NDArray[np.int64]:
        """The index after the last token of each document, its <eod>."""
        return self.stream.ends

    @property
    def num_documents(self) -> int:
        return len(self.stream.documents)

    @property
    def num_targets(self) -> int:
        """The number of labels or tags that are asked for, known ones and others."""
        return int((self.targets != IGNORE_INDEX).sum())

    def count(self, unit: str) -> int:
        """Return the number of `characters`, `words` or `bytes` of the split's text."""
        return self.stream.count(unit)

    def count_labels(self, num_labels: int) -> npt.NDArray[np.int64]:
        """Return how often each label or tag is asked for, (num_labels,)."""
        return np.bincount(self.targets[self.targets >= 0], minlength=num_labels)

    def take(self, documents: npt.NDArray[np.int64]) -> "Examples":
        """Return some whole documents, in memory unless they are all."""
        if len(documents) == self.num_documents:
            return self
        starts, ends = self.starts, self.ends
        targets = [self.targets[:1], *(self.targets[starts[index] : ends[index]] for index in documents)]
        return Examples(self.stream.take(documents), np.concatenate(targets))


def next_token_examples(stream: TokenStream) -> Examples:
    """Return a view of a text as examples: a document begins with the <eod> before it, and after each token the next
    one is asked for, its own <eod> too."""
    documents = stream.documents.copy()
    documents["start"] -= 1
    return Examples(TokenStream(stream.inputs, documents), stream.targets)


def encode_examples(parts: Iterable[Part], vocab: Vocab, labels: Labels) -> EncodedParts:
    """Encode examples with their targets: a label stands at its <eod>, a tag at the last token of its character."""
    examples = list(parts)
    encoded = encode_parts(examples, vocab)
    targets = np.full(len(encoded.ids), IGNORE_INDEX, dtype=TARGET_DTYPE)
    for part, start, end in zip(examples, encoded.documents["start"], encoded.ends, strict=True):
        if part.label is not None:
            targets[end - 1] = labels.get_id(part.label)
        if part.tags is not None:
            last_tokens = start + np.cumsum(vocab.tokens_per_character(part.document.text)) - 1
            asked = [index for index, tag in enumerate(part.tags) if tag is not None]
            targets[last_tokens[asked]] = [labels.get_id(tag) for tag in part.tags if tag is not None]
    return replace(encoded, targets=targets)


def write_targets(directory: Path, split: str, blocks: Iterable[IntArray]) -> None:
    """Write the targets of the documents of a split, in the order of its tokens; the first <eod> has none."""
    with ArrayWriter(directory / f"{split}.targets.npy", TARGET_DTYPE) as writer:
        writer.append(np.full(1, IGNORE_INDEX, dtype=TARGET_DTYPE))
        for block in blocks:
            writer.append(block.astype(TARGET_DTYPE))


def write_examples(directory: Path, split: str, blocks: Iterable[EncodedParts], vocab: Vocab) -> dict[str, int]:
    """Write the arrays of a split of examples, block by block.

    Returns:
        The number of characters, words and bytes of its texts, and of its targets.
    """
    num_targets = 0
    with ArrayWriter(directory / f"{split}.targets.npy", TARGET_DTYPE) as writer:
        writer.append(np.full(1, IGNORE_INDEX, dtype=TARGET_DTYPE))

        def with_targets_written() -> Iterator[EncodedParts]:
            nonlocal num_targets
            for block in blocks:
                assert block.targets is not None, "encode_examples has made them"
                writer.append(block.targets)
                num_targets += int((block.targets != IGNORE_INDEX).sum())
                yield block

        counts = write_stream(directory, split, with_targets_written(), vocab)
    return {**counts, "targets": num_targets}


def read_examples(directory: Path, split: str, vocab: Vocab, num_labels: int) -> Examples:
    """Open a split.

    Raises:
        DataError: an array is missing, truncated or invalid.
    """
    stream = read_stream(directory, split, vocab)
    targets = open_memmap(directory / f"{split}.targets.npy")
    allowed = (targets == IGNORE_INDEX) | ((targets >= UNKNOWN_LABEL) & (targets < num_labels))
    if targets.dtype != TARGET_DTYPE or targets.shape != stream.tokens.shape or not allowed.all():
        raise DataError(
            f"the targets of {directory / split} do not match its tokens and labels", "prepare the corpus again"
        )
    return Examples(stream, targets)
