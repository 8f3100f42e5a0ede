"""The training documents -> a vocabulary; the documents of each split -> its tokens. By several processes.

    documents/train-*.parquet ──stretches──> worker: count ──Learner──> merged in order ──finish──> Vocab ──> vocab.json
    documents/SPLIT-*.parquet ──stretches──> worker: encode ──ids──> written in order ──> SPLIT.npy, SPLIT.documents.npy

A stretch has some 4 million characters, which bounds the memory of a worker. It is counted and encoded alone, also
where there is but one process, so the number of workers changes no byte.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from charlm.data.documents import Stretch, stretches
from charlm.data.store import Encoded, encode_parts, write_stream
from charlm.data.worker_processes import spawned
from charlm.vocab.base import Learner, Vocab
from charlm.vocab.settings import AnyVocabSettings, load_vocab

T = TypeVar("T")
OnCharacters = Callable[[int], None]

_WORTHWHILE = 4  # stretches; with fewer, other processes would not have started before the work was done


def learn(settings: AnyVocabSettings, documents: Path, workers: int, on_progress: OnCharacters) -> Vocab:
    """The vocabulary of the training split.

    Args:
        documents: the folder of the parquet files.
        on_progress: called with how many characters are counted.

    Raises:
        DataError: a shard is damaged, or holds too little text.
        OutOfMemoryError: a worker was killed.
    """
    learner = settings.learner()
    done = 0
    if learner.reads:
        found = stretches(documents, "train")
        for counted, characters in _each(_count, ((settings, stretch) for stretch in found), len(found), workers):
            learner.merge(counted)
            done += characters
            on_progress(done)
    return learner.finish()


def _count(settings: AnyVocabSettings, stretch: Stretch) -> tuple[Learner, int]:
    learner = settings.learner()
    characters = 0
    for part in stretch.parts():
        learner.add(part.document.text)
        characters += len(part.document.text)
    return learner, characters


def encode(directory: Path, splits: Iterable[str], vocab: Vocab, workers: int, on_progress: OnCharacters) -> None:
    """Write the tokens of each split beside the saved vocabulary in `directory`.

    Raises:
        DataError: a shard is damaged, or holds what the vocabulary cannot spell.
        OutOfMemoryError: a worker was killed.
        StorageError: the disk is full or cannot be written.
    """
    done = 0

    def noted(blocks: Iterable[Encoded]) -> Iterator[Encoded]:
        nonlocal done
        for block in blocks:
            yield block
            done += int(block.documents["characters"].sum())
            on_progress(done)

    for split in splits:
        found = stretches(directory / "documents", split)
        alone = workers <= 1 or len(found) < _WORTHWHILE
        calls = ((vocab if alone else directory, stretch) for stretch in found)
        write_stream(directory, split, noted(_each(_encode, calls, len(found), workers)), vocab)


def _encode(vocab: Vocab | Path, stretch: Stretch) -> Encoded:
    return encode_parts(stretch.parts(), _loaded(vocab) if isinstance(vocab, Path) else vocab)


@lru_cache(maxsize=1)
def _loaded(directory: Path) -> Vocab:
    """Read once by each worker, which lives for one split."""
    return load_vocab(directory)


def _each(function: Callable[..., T], calls: Iterable[tuple[Any, ...]], number: int, workers: int) -> Iterator[T]:
    if workers <= 1 or number < _WORTHWHILE:
        for arguments in calls:
            yield function(*arguments)
        return
    with spawned(min(workers, number)) as processes:
        yield from processes.in_order(function, calls)
