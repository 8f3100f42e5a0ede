"""Turn a source of examples into a corpus of labels or tags, or of texts with a given label or source.

    source ──read──> staged rows ──repeats out, split──> documents/SPLIT-*.parquet, with a label, tags or a target
                                 ──count──> labels.json or conditions.json, of the training examples
                                 ──learn, encode──> vocab.json, SPLIT.npy, SPLIT.documents.npy, and SPLIT.targets.npy
                                                    or SPLIT.conditions.npy or source/
                                 ──describe──> corpus.json (last), with the ceiling that ambiguous texts set

The corpus appears by one rename, and equal inputs give equal bytes, as for corpora of text. A killed attempt is made
again from the beginning. Memory: 17 bytes for each example, the longest example, and the tags of repeated texts.
"""

from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from charlm import storage, workspace
from charlm.data.ambiguity import AmbiguityCounter
from charlm.data.conditions import LabelConditions
from charlm.data.corpus import Corpus, open_corpus
from charlm.data.documents import DocumentWriter
from charlm.data.encoding import Names
from charlm.data.example_lengths import LengthCounter
from charlm.data.example_selection import ExampleOptions, StagedExamples, stage_examples
from charlm.data.example_sources import open_example_source
from charlm.data.labels import Labels
from charlm.data.settings import CorpusSettings
from charlm.data.tag_vocab import check_tag_vocab
from charlm.data.task_settings import TagTaskSettings, TaskSettings, TransduceTaskSettings
from charlm.errors import DataError, SettingsError
from charlm.text.examples.example import ExampleSource
from charlm.text.examples.reversible_changes import CHANGES
from charlm.text.examples.settings import ConlluSettings, DerivedSettings, TableSettings
from charlm.text.split import SPLITS, parse_percentages
from charlm.vocab.char import CodePointCounts
from charlm.workflows.corpus_directory import (
    STAGED,
    OnProgress,
    finish_corpus,
    ignore_progress,
    locked_working_directory,
)

DEFAULT_SPLIT = "80/10/10"
_NUM_FREQUENT = 20
_NUM_SHOWN = 5  # tags in a message


def open_source(settings: CorpusSettings) -> ExampleSource:
    """Return the source of examples; a prepared corpus is found by its name.

    Raises:
        UsageError: an input does not exist.
        SettingsError: settings that contradict each other.
    """
    source = settings.source
    if isinstance(source, DerivedSettings) and source.input:
        found = source.model_copy(update={"input": (str(workspace.find_data(source.input[0])),)})
        settings = settings.model_copy(update={"source": found})
    return open_example_source(settings)


def prepare_examples(
    settings: CorpusSettings,
    source: ExampleSource,
    out: Path,
    *,
    workers: int = 1,
    overwrite: bool = False,
    on_progress: OnProgress = ignore_progress,
) -> Corpus:
    """Write the corpus of the examples of `source` to `out`, atomically.

    Args:
        workers: processes that encode.

    Raises:
        SettingsError: the vocabulary does not fit, or a split is asked for and another one given.
        DataError: the source is damaged, or has too few examples or labels.
        StorageError: the disk is full or cannot be written.
        BusyError: another process prepares the same corpus.
    """
    check_tag_vocab(settings.task, settings.vocab)
    with locked_working_directory(out, overwrite) as work:
        storage.make_directory(work / STAGED)
        options = _example_options(settings)
        path = work / STAGED / "examples.parquet"
        staged = stage_examples(source, path, options, partial(on_progress, "documents"))
        metadata, labels, characters = _write_documents(staged, settings, work, on_progress)
        _check_tags(resolve_task(settings), labels)
        text_metadata = {"origin": source.origin(), "settings": settings.to_record(), **metadata}
        names: Names | TransduceTaskSettings
        if labels is None:
            assert isinstance(settings.task, TransduceTaskSettings), "other tasks have labels"
            names = settings.task
        elif settings.task.has_conditions:
            counts: dict[str, dict[str, int]] = metadata["examples"]["labels"]
            columns = settings.source.label_columns if isinstance(settings.source, TableSettings) else ()
            empty = next((c for c in columns if not any(name.startswith(f"{c}=") for name in labels.names)), None)
            if empty is not None:
                raise DataError(f"no training example has a label in the column {empty!r}", "leave that column out")
            names = LabelConditions.from_counts(
                {name: counts[name]["train"] for name in labels.names}, tuple(map(str, columns))
            )
        else:
            names = labels
        finish_corpus(work, out, settings.vocab, text_metadata, characters, workers, on_progress, names)
    return open_corpus(out)


def _example_options(settings: CorpusSettings) -> ExampleOptions:
    if isinstance(settings.task, TransduceTaskSettings):
        return ExampleOptions(settings.task.source_normalize, settings.min_characters, settings.normalize)
    return ExampleOptions(settings.normalize, settings.min_characters)


def resolve_task(settings: CorpusSettings) -> TaskSettings:
    """Return the task with the scheme of its tags, and where they are asked for."""
    task, source = settings.task, settings.source
    if not isinstance(task, TagTaskSettings):
        return task
    is_words = isinstance(source, ConlluSettings) and source.annotation == "words"
    asks = "words" if isinstance(source, ConlluSettings) and not is_words else "solid"
    if isinstance(source, DerivedSettings):
        asks = source.change
    return task.model_copy(
        update={
            "scheme": ("segments" if is_words else "free") if task.scheme == "auto" else task.scheme,
            "asks": asks if task.asks == "auto" else task.asks,
        }
    )


def _check_tags(task: TaskSettings, labels: Labels | None) -> None:
    """
    Raises:
        SettingsError: `charlm predict` could do nothing with these tags.
    """
    if not isinstance(task, TagTaskSettings) or labels is None:
        return
    if task.scheme == "segments" and not any(name.startswith("B-") for name in labels.names):
        raise SettingsError(
            f"corpus.task.scheme=segments needs tags such as B-word and I-word, and these are {_shown(labels)}",
            "give such tags, or leave corpus.task.scheme out",
        )
    if task.asks in CHANGES:
        for name in labels.names:
            try:
                CHANGES[task.asks].restore("a", [name])
            except ValueError as error:
                raise SettingsError(
                    f"corpus.task.asks={task.asks}: {error}; the tags are {_shown(labels)}",
                    "leave corpus.task.asks out, or choose another value",
                ) from error


def _shown(labels: Labels) -> str:
    return ", ".join(labels.names[:_NUM_SHOWN]) + (" ..." if labels.size > _NUM_SHOWN else "")


def _write_documents(
    staged: StagedExamples, settings: CorpusSettings, work: Path, on_progress: OnProgress
) -> tuple[dict[str, Any], Labels | None, dict[str, Any]]:
    """Write the examples to their splits.

    Returns:
        The entries of corpus.json about text and examples, the labels if there are any, and the entry about characters.
    """
    percentages, split_card = _plan_split(staged, settings)
    repeats = staged.find_repeats()
    counts_repeats = staged.gives_splits or settings.task.target == "target"
    keeps_repeats = settings.repeats == "keep" or (settings.repeats == "auto" and counts_repeats)
    kept = ~repeats | keeps_repeats
    if not keeps_repeats and repeats.any():
        staged.counts.dropped["duplicate"] += int(repeats.sum())
    counts = {name: {"documents": 0, "characters": 0} for name in percentages}
    has_targets = settings.task.target == "target"
    lengths = {name: LengthCounter() for name in percentages}
    ambiguity = {name: AmbiguityCounter() for name in percentages}
    frequencies = CodePointCounts()
    done = 0
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(DocumentWriter(work / "documents", name, settings.target)) for name in percentages
        }
        for example in staged.select(kept, percentages):
            name, part = example.split, example.part
            text = part.document.text
            writers[name].add(part)
            frequencies.add(text if part.target is None else part.target)
            counts[name]["documents"] += 1
            counts[name]["characters"] += len(text)
            lengths[name].add(text, part.target, is_repeated=example.is_repeated)
            if not has_targets:
                targets = part.tags or part.labels or (part.label,)
                ambiguity[name].add(example.text_digest, text, targets, is_repeated=example.is_repeated)
            done += len(text)
            on_progress("split", done)
    _check_splits(staged, counts, settings.task.noun)
    labels = None if has_targets else _make_labels(ambiguity, settings.task.noun)
    documents: dict[str, Any] = {
        "pages": staged.counts.read,
        "kept": int(kept.sum()),
        "dropped": dict(sorted(staged.counts.dropped.items())),
    }
    if keeps_repeats and repeats.any():
        documents["repeats"] = int(repeats.sum())
    if staged.counts.notes:
        documents["notes"] = staged.counts.notes
    metadata = {
        "task": resolve_task(settings).model_dump(mode="json"),
        "documents": documents,
        "split": split_card,
        "splits": counts,
        "examples": _describe_examples(staged.count_texts_in_train(kept), labels, ambiguity, lengths),
    }
    frequent = frequencies.most_frequent()
    characters = {"distinct_characters": len(frequent), "frequent": dict(frequent[:_NUM_FREQUENT])}
    return metadata, labels, characters


def _plan_split(staged: StagedExamples, settings: CorpusSettings) -> tuple[dict[str, int], dict[str, str]]:
    """Return the percentages of the splits, which do not matter where they are given, and the entry of corpus.json."""
    if not staged.gives_splits:
        percentages = parse_percentages(DEFAULT_SPLIT if settings.split == "auto" else settings.split)
        return percentages, {"shares": "/".join(map(str, percentages.values())), "method": "text"}
    if settings.split != "auto":
        raise SettingsError(
            f"corpus.split={settings.split} asks for a split, and the source gives one", "leave corpus.split out"
        )
    given = {name: 0 for index, name in enumerate(SPLITS) if (staged.given == index).any()}
    return dict.fromkeys(["train", "valid", *given], 0), {"shares": "as given", "method": "source"}


def _check_splits(staged: StagedExamples, counts: dict[str, dict[str, int]], noun: str) -> None:
    """
    Raises:
        DataError: a split is empty.
    """
    num_kept = sum(count["documents"] for count in counts.values())
    if not num_kept:
        dropped = ", ".join(f"{reason}: {count:,}" for reason, count in staged.counts.dropped.items())
        raise DataError(
            f"no examples in {staged.counts.read:,} rows or documents{f' ({dropped})' if dropped else ''}",
            f"give an input with texts and {noun}, and check the names of the columns",
        )
    empty = next((name for name, count in counts.items() if not count["documents"]), None)
    if empty is not None:
        raise DataError(
            f"the split {empty!r} is empty: {num_kept:,} examples are too few",
            "give more examples, or another corpus.split, or files of each split",
        )


def _make_labels(ambiguity: dict[str, AmbiguityCounter], noun: str) -> Labels:
    """Return the labels of the training examples.

    Raises:
        DataError: there are fewer than two labels.
    """
    labels = Labels.from_names(ambiguity["train"].names)
    if labels.size < 2:
        only = f" only {labels.names[0]!r}" if labels.names else " none"
        raise DataError(f"of {noun}, the training examples have{only}", f"give examples with at least two {noun}")
    return labels


def _describe_examples(
    texts_in_train: dict[str, int],
    labels: Labels | None,
    ambiguity: dict[str, AmbiguityCounter],
    lengths: dict[str, LengthCounter],
) -> dict[str, Any]:
    """Return the entry of corpus.json about labels, tags or targets."""
    in_train = {split: {"texts_in_train": count} for split, count in texts_in_train.items()}
    if labels is None:
        return {"splits": {split: {**found.describe(), **in_train.get(split, {})} for split, found in lengths.items()}}
    names = sorted({name for counter in ambiguity.values() for name in counter.names})
    shown: list[dict[str, Any]] = []
    splits: dict[str, dict[str, Any]] = {}
    num_right = num_targets = 0
    for split, counter in ambiguity.items():
        described = counter.describe()
        shown += described.pop("shown")
        num_right += described.pop("right")
        num_targets += counter.names.total()
        unseen = Counter({name: count for name, count in counter.names.items() if name not in labels.names})
        splits[split] = {
            **lengths[split].describe(),
            "unseen": sum(unseen.values()),
            **({"unseen_names": dict(sorted(unseen.items()))} if unseen else {}),
            **in_train.get(split, {}),
            **described,
        }
    return {
        "num_labels": labels.size,
        "ceiling": num_right / num_targets,
        "labels": {name: {split: counter.names[name] for split, counter in ambiguity.items()} for name in names},
        "splits": splits,
        "ambiguous": shown[:_NUM_FREQUENT],
    }
