"""Examples as text again: the characters after which something is asked, and what is right there."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.data.corpus import Corpus
from charlm.data.examples import Examples
from charlm.vocab.base import IGNORE_INDEX, Vocab

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text, the characters after which something is asked, and what is right there."""

    text: str
    positions: Ids
    """(N,) the index of the last character before the question; of a label, that of the last character."""
    targets: Ids
    """(N,) the ids of the right labels; -1 for one that training has never seen."""


def read_texts(corpus: Corpus, split: str) -> Iterator[LabelledText]:
    """Yield the texts of a split that ask for something."""
    examples = corpus.open_examples(split)
    for index in range(examples.num_documents):
        text = read_text(examples, corpus.vocab, index)
        if len(text.positions):
            yield text


def read_text(examples: Examples, vocab: Vocab, index: int) -> LabelledText:
    """Return the text of a document."""
    start, end = int(examples.starts[index]), int(examples.ends[index])
    targets = np.asarray(examples.targets[start:end], dtype=np.int64)
    asked = np.flatnonzero(targets != IGNORE_INDEX)
    ids = examples.stream.tokens[start:end]
    has_eod = end > start and int(ids[-1]) == vocab.eod_id
    if has_eod:
        ids = ids[:-1]
    decoder = vocab.stream_decoder()
    ends_T = np.cumsum([len(decoder.push(int(token))) for token in ids], dtype=np.int64)
    text = vocab.decode(ids)
    lengths_T = np.append(ends_T, len(text)) if has_eod else ends_T
    return LabelledText(text, np.maximum(lengths_T[asked] - 1, 0), targets[asked])
