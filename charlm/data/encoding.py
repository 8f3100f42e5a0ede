"""Training documents -> vocabulary, and documents of each split -> tokens, in several processes.

    documents/train-*.parquet ──row groups──> workers: count ──VocabLearner──> merged in order ──finish──> Vocab
    documents/SPLIT-*.parquet ──row groups──> workers: encode ──> written in order ──> SPLIT.npy, SPLIT.documents.npy

A row group has about 4 million characters, which bounds the memory of a worker. One process also works row group by row
group, so the result does not depend on the number of workers.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from charlm.data.conditions import LabelConditions, encode_conditions, write_conditioned
from charlm.data.documents import RowGroup, list_row_groups
from charlm.data.examples import encode_examples, write_examples
from charlm.data.labels import Labels
from charlm.data.source_texts import SourceConditions, encode_pairs, write_pairs
from charlm.data.store import EncodedParts, encode_parts, write_stream
from charlm.data.worker_processes import spawn_pool
from charlm.vocab.base import Vocab, VocabLearner
from charlm.vocab.build import build_learner, load_vocab
from charlm.vocab.settings import AnyVocabSettings

T = TypeVar("T")
OnCharacters = Callable[[int], None]
Names = Labels | LabelConditions | SourceConditions
"""What a corpus of examples has beside the vocabulary of its texts."""
Column = Literal["text", "target"]

_MIN_PARALLEL_ROW_GROUPS = 4  # with fewer, one process is done before others have started


def learn_vocab(
    settings: AnyVocabSettings,
    documents: Path,
    workers: int,
    on_progress: OnCharacters,
    columns: tuple[Column, ...] = ("text",),
) -> Vocab:
    """Learn the vocabulary of the training split.

    Args:
        documents: the folder of the Parquet files.
        columns: which texts of each document to learn from.
        on_progress: called with the number of characters counted so far.

    Raises:
        DataError: a shard is damaged, or the text is too short.
        OutOfMemoryError: a worker was killed.
    """
    learner = build_learner(settings)
    done = 0
    if learner.needs_text:
        row_groups = list_row_groups(documents, "train")
        for partial_learner, characters in _map_in_order(
            _learn_row_group, ((settings, row_group, columns) for row_group in row_groups), len(row_groups), workers
        ):
            learner.merge(partial_learner)
            done += characters
            on_progress(done)
    return learner.finish()


def _learn_row_group(
    settings: AnyVocabSettings, row_group: RowGroup, columns: tuple[Column, ...]
) -> tuple[VocabLearner, int]:
    learner = build_learner(settings)
    characters = 0
    for part in row_group.parts():
        for column in columns:
            text = part.document.text if column == "text" else part.target or ""
            learner.add(text)
            characters += len(text)
    return learner, characters


def encode_splits(
    directory: Path,
    splits: Iterable[str],
    vocab: Vocab,
    workers: int,
    on_progress: OnCharacters,
    names: Names | None = None,
) -> dict[str, dict[str, int]]:
    """Write the tokens of each split to `directory`, which contains the saved vocabulary.

    Args:
        names: the labels or tags of examples, whose targets are written too; or the labels or sources that are given.

    Returns:
        For each split, the number of characters, words and bytes of its text; of examples also of targets.

    Raises:
        DataError: a shard is damaged, or the vocabulary cannot encode its text.
        OutOfMemoryError: a worker was killed.
        StorageError: the disk is full or cannot be written.
    """
    done = 0

    def with_progress(blocks: Iterable[EncodedParts]) -> Iterator[EncodedParts]:
        nonlocal done
        for block in blocks:
            yield block
            done += int(block.documents["characters"].sum())
            on_progress(done)

    counts: dict[str, dict[str, int]] = {}
    for split in splits:
        row_groups = list_row_groups(directory / "documents", split)
        in_process = workers <= 1 or len(row_groups) < _MIN_PARALLEL_ROW_GROUPS
        calls = ((vocab if in_process else directory, row_group, names) for row_group in row_groups)
        blocks = with_progress(_map_in_order(_encode_row_group, calls, len(row_groups), workers))
        counts[split] = _writer(names)(directory, split, blocks, vocab)
    return counts


def _writer(names: Names | None) -> Callable[..., dict[str, int]]:
    match names:
        case None:
            return write_stream
        case Labels():
            return write_examples
        case LabelConditions():
            return write_conditioned
        case SourceConditions():
            return partial(write_pairs, conditions=names)


def _encode_row_group(vocab: Vocab | Path, row_group: RowGroup, names: Names | None) -> EncodedParts:
    loaded = _load_vocab_cached(vocab) if isinstance(vocab, Path) else vocab
    parts = row_group.parts()
    match names:
        case None:
            return encode_parts(parts, loaded)
        case Labels():
            return encode_examples(parts, loaded, names)
        case LabelConditions():
            return encode_conditions(parts, loaded, names)
        case SourceConditions():
            return encode_pairs(parts, loaded, names)


@lru_cache(maxsize=1)
def _load_vocab_cached(directory: Path) -> Vocab:
    """Read the vocabulary once per worker process, which lives for one split."""
    return load_vocab(directory)


def _map_in_order(
    function: Callable[..., T], calls: Iterable[tuple[Any, ...]], num_calls: int, workers: int
) -> Iterator[T]:
    if workers <= 1 or num_calls < _MIN_PARALLEL_ROW_GROUPS:
        for arguments in calls:
            yield function(*arguments)
        return
    with spawn_pool(min(workers, num_calls)) as processes:
        yield from processes.map_ordered(function, calls)
