"""Turn a source into a corpus that a model can be trained on.

    source ──read, clean (workers)──> staged shards ──duplicates out, split──> documents/SPLIT-*.parquet
                                       ──learn──> vocab.json ──encode──> SPLIT.npy, SPLIT.documents.npy
                                       ──describe──> corpus.json (last)

The corpus is built in a hidden folder beside the final one and appears by one rename, so it exists whole or not at all.
Equal inputs give equal bytes (no times, no paths of this machine), for any number of workers. A killed attempt is
resumed: finished shards stay. Memory is bounded by a shard and about 100 bytes per document.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from charlm import storage
from charlm.data.corpus import Corpus, documents_digest, open_corpus
from charlm.data.documents import DocumentWriter, read_parts, read_rows
from charlm.data.row_builder import RowOptions
from charlm.data.selection import DocumentSelection, select_documents
from charlm.data.settings import CorpusSettings
from charlm.data.staging import Shard, WorkerPool, stage
from charlm.errors import DataError, SettingsError
from charlm.text.document import Document, PageVersion, Source
from charlm.text.settings import MixSettings
from charlm.text.split import CANDIDATE_SPLITS, Cuts, SplitRouter, default_spec, parse_percentages
from charlm.vocab.char import CodePointCounts
from charlm.workflows.corpus_directory import (
    STAGED,
    OnProgress,
    finish_corpus,
    ignore_progress,
    locked_working_directory,
)
from charlm.workflows.corpus_identity import use_split_of

_NUM_FREQUENT = 20
_BYTES_SPLIT = "90/5/5"  # the published split of enwik8 and text8, in millions of bytes


def prepare(
    settings: CorpusSettings,
    source: Source,
    out: Path,
    *,
    split_reference: Corpus | None = None,
    workers: int = 1,
    worker_pool: WorkerPool | None = None,
    overwrite: bool = False,
    on_progress: OnProgress = ignore_progress,
) -> Corpus:
    """Write the corpus of `source` to `out`, atomically.

    Args:
        split_reference: a corpus whose split is used again: its training documents go to train here too.
        workers: processes that read and clean.
        worker_pool: a cluster that reads and cleans instead.

    Raises:
        SettingsError: `split_reference` contradicts `settings.split`, or has none of the documents.
        DataError: the source is damaged, or has too little text.
        StorageError: the disk is full or cannot be written.
        BusyError: another process prepares the same corpus.
    """
    settings = use_split_of(split_reference, settings)
    with locked_working_directory(out, overwrite, resumes=True) as work:
        selection = _stage_documents(source, settings, work / STAGED, workers, worker_pool, on_progress)
        percentages, split_card, router = _plan_split(settings, source, selection, split_reference)
        splits, frequencies = _write_splits(selection, work, router, list(percentages), on_progress)
        by_hash = {"by_hash": router.num_by_hash} if router.num_by_hash and split_card["method"] != "hash" else {}
        text_metadata = {
            "origin": source.origin(),
            "settings": settings.to_record(),
            "documents": selection.describe(),
            "split": {"shares": "/".join(map(str, percentages.values())), **split_card, **by_hash},
            "splits": splits,
        }
        frequent = frequencies.most_frequent()
        characters = {"distinct_characters": len(frequent), "frequent": dict(frequent[:_NUM_FREQUENT])}
        finish_corpus(work, out, settings.vocab, text_metadata, characters, workers, on_progress)
    return open_corpus(out)


def _stage_documents(
    source: Source,
    settings: CorpusSettings,
    directory: Path,
    workers: int,
    worker_pool: WorkerPool | None,
    on_progress: OnProgress,
) -> DocumentSelection:
    row_options = RowOptions(settings.normalize, settings.min_characters)
    shards: list[Shard] = []
    characters = 0
    for shard in stage(source, directory, row_options, workers, worker_pool):
        shards.append(shard)
        characters += shard.num_characters
        on_progress("documents", characters)
    current_names = {shard.path.name for shard in shards} | {shard.path.with_suffix(".json").name for shard in shards}
    for path in directory.iterdir():
        if path.name not in current_names:
            storage.remove_tree(path)  # made from another dump, or with other settings
    weights = settings.source.mixture_weights if isinstance(settings.source, MixSettings) else {}
    splits = CANDIDATE_SPLITS if settings.split == "auto" else (settings.split,)
    selection = select_documents(shards, splits, weights)
    if not selection.num_characters:
        counts = selection.page_counts
        dropped = ", ".join(f"{reason}: {count:,}" for reason, count in counts.dropped.items())
        raise DataError(
            f"no text in {counts.pages:,} pages{f' ({dropped})' if dropped else ''}",
            "give an input that holds text; `charlm inspect PATH` shows what is in it",
        )
    return selection


def _plan_split(
    settings: CorpusSettings, source: Source, selection: DocumentSelection, split_reference: Corpus | None
) -> tuple[dict[str, int], dict[str, str], SplitRouter]:
    """Return the percentages, the method as corpus.json records it, and the router of documents to splits."""
    if split_reference is not None:
        percentages = parse_percentages(settings.split)
        metadata = {
            "method": split_reference.metadata["split"]["method"],
            "like": split_reference.fingerprint,
            "like_documents": documents_digest(split_reference.metadata["files"]),
        }
        cuts = _read_cuts(split_reference)
        if cuts and not any(identifier in cuts for identifier in selection.read_ids()):
            raise SettingsError(
                f"--split-like {split_reference.directory} has none of these documents, and it is not split by the hash"
                " of their ids",
                "name a corpus that has them, or leave --split-like out",
            )
        router = SplitRouter(
            percentages, "hash", selection.num_characters, cuts, repeated_pages=selection.repeated_pages
        )
        return percentages, metadata, router
    if source.split_method == "bytes":
        percentages = parse_percentages(_BYTES_SPLIT if settings.split == "auto" else settings.split)
        return percentages, {"method": "bytes"}, SplitRouter(percentages, "bytes", selection.num_bytes)
    tally = selection.tallies[default_spec(selection.num_bytes) if settings.split == "auto" else settings.split]
    return (
        tally.percentages,
        {"method": tally.method},
        SplitRouter(tally.percentages, tally.method, selection.num_characters, repeated_pages=selection.repeated_pages),
    )


def _write_splits(
    selection: DocumentSelection, work: Path, router: SplitRouter, names: list[str], on_progress: OnProgress
) -> tuple[dict[str, dict[str, int]], CodePointCounts]:
    """Write the staged documents to their splits; return the sizes of each split and the counts of code points."""
    counts = {name: {"documents": 0, "characters": 0} for name in names}
    frequencies = CodePointCounts()
    done = 0
    with ExitStack() as stack:
        writers = {name: stack.enter_context(DocumentWriter(work / "documents", name)) for name in names}
        for row in _make_ids_unique(_read_kept_rows(selection), selection.repeated_ids):
            frequencies.add(row["text"])
            document = Document(
                row["id"], row["title"], row["text"], row["url"], row["ends"], PageVersion(row["page_key"])
            )
            for name, part in router.route(document, row["size"]):
                writers[name].add(part)
                counts[name]["documents"] += part.is_last_part
                counts[name]["characters"] += len(part.document.text)
            done += row["characters"]
            on_progress("split", done)
    for name, count in counts.items():
        if not count["characters"]:
            raise DataError(
                f"the split {name!r} is empty: {done:,} characters are too few",
                "give more text, or another corpus.split",
            )
    return counts, frequencies


def _read_cuts(corpus: Corpus) -> Cuts:
    """Return the splits of each document in a corpus that was cut by position; a split by hash needs no list."""
    cuts: dict[str, list[tuple[str, int]]] = {}
    if corpus.metadata["split"]["method"] != "hash":
        for name in corpus.splits:
            for part in read_parts(corpus.directory / "documents", name):
                cuts.setdefault(part.document.id, []).append((name, len(part.document.text)))
    return cuts


def _make_ids_unique(rows: Iterator[dict[str, Any]], repeated_ids: Collection[str]) -> Iterator[dict[str, Any]]:
    """Append " (2)" to the id of the second document that has it, " (3)" to the third, so that ids are unique."""
    seen: Counter[str] = Counter()
    for row in rows:
        identifier = row["id"]
        if identifier in repeated_ids:
            number = seen[identifier] + 1
            seen[identifier] += row["ends"]
            yield row if number == 1 else row | {"id": f"{identifier} ({number})"}
        else:
            yield row


def _read_kept_rows(selection: DocumentSelection) -> Iterator[dict[str, Any]]:
    for shard, mask, sizes in zip(selection.shards, selection.kept, selection.sizes, strict=True):
        for row, keep, size in zip(read_rows(shard.path), mask, sizes, strict=True):
            if keep:
                yield row | {"size": int(size)}
