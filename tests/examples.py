"""Small corpora of examples for tests: texts with labels, tags or targets, written as `charlm prepare` writes them.

Example = (text, label), or (text, tags) with a tag or None for each character
Pair = (source, target)

A model predicts the label. With the task generate, it is given the label; with the task transduce, the source.
"""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from charlm import formats, storage
from charlm.data.conditions import LabelConditions, encode_conditions, write_conditioned
from charlm.data.corpus import Corpus, compute_fingerprint, describe_file, open_corpus
from charlm.data.example_sources import open_example_source
from charlm.data.examples import write_targets
from charlm.data.labels import Labels
from charlm.data.settings import CorpusSettings
from charlm.data.store import encode_parts, write_stream
from charlm.data.task_settings import ClassifyTaskSettings, TagTaskSettings, TaskSettings, TransduceTaskSettings
from charlm.text.document import Document
from charlm.text.examples.settings import TableSettings
from charlm.text.split import Part
from charlm.vocab.base import IGNORE_INDEX
from charlm.vocab.char import CharVocab
from charlm.workflows.prepare_examples import prepare_examples

Example = tuple[str, str | Sequence[str | None]]
Splits = dict[str, list[Example]]
Pair = tuple[str, str]
TRANSDUCE = TransduceTaskSettings()


def write_examples(directory: Path, splits: Splits, task: TaskSettings | None = None) -> Corpus:
    """Write a corpus; the vocabulary and the labels are those of the training examples."""
    storage.make_directory(directory)
    train = splits["train"]
    is_labelled = isinstance(train[0][1], str)
    task = task or (ClassifyTaskSettings() if is_labelled else TagTaskSettings())
    vocab = CharVocab("".join(sorted({character for text, _ in train for character in text})), byte_fallback=False)
    frequencies = Counter(name for _, asked in train for name in _names(asked) if name is not None)
    vocab.save(directory)
    labels, conditions = Labels.from_names(frequencies), LabelConditions.from_counts(frequencies)
    (conditions if task.has_conditions else labels).save(directory)
    counts: dict[str, dict[str, int]] = {}
    for split, examples in splits.items():
        parts = [
            Part(Document(str(index), "", text), label=asked if isinstance(asked, str) else None)
            for index, (text, asked) in enumerate(examples)
        ]
        if task.has_conditions:
            units = write_conditioned(directory, split, [encode_conditions(parts, vocab, conditions)], vocab)
        else:
            units = write_stream(directory, split, [encode_parts(parts, vocab)], vocab)
            write_targets(directory, split, [_targets(example, labels) for example in examples])
        counts[split] = {"documents": len(examples), **units}
    own_kind, own_file = (".conditions", "conditions.json") if task.has_conditions else (".targets", "labels.json")
    names = ["vocab.json", own_file]
    names += [f"{split}{kind}.npy" for split in splits for kind in ("", ".documents", own_kind)]
    files = {name: describe_file(directory / name) for name in names}
    source = TableSettings(input=("examples.tsv",))
    total = sum(entry["documents"] for entry in counts.values())
    metadata: dict[str, Any] = {
        "format": formats.CORPUS,
        "origin": {"source": "text"},
        "documents": {"pages": total, "kept": total, "dropped": {}},
        "splits": counts,
        "split": {"shares": "80/10/10", "method": "given"},
        "vocabulary": {"type": "char", "size": vocab.size, "frequent": {}},
        "files": files,
        "fingerprint": compute_fingerprint(files),
        "task": task.model_dump(mode="json"),
        "settings": CorpusSettings(source=source, task=task).to_record(),
    }
    storage.write_json(directory / "corpus.json", metadata)
    return open_corpus(directory)


def write_pairs(
    directory: Path, splits: dict[str, list[Pair]], task: TransduceTaskSettings = TRANSDUCE, **settings: Any
) -> Corpus:
    """Write a corpus of sources and targets, by way of tables beside it.

    Args:
        settings: of the corpus, such as its vocabulary.
    """
    files: dict[str, tuple[str]] = {}
    for split, pairs in splits.items():
        path = directory.parent / f"{directory.name}-{split}.tsv"
        storage.make_directory(path.parent)
        path.write_text("".join(f"{source}\t{target}\n" for source, target in pairs), encoding="utf-8")
        files[split] = (str(path),)
    source = TableSettings.model_validate({"text_column": 1, "target_column": 2, **files})
    content = CorpusSettings(source=source, task=task, **settings)
    return prepare_examples(content, open_example_source(content), directory)


def _names(asked: str | Sequence[str | None]) -> Sequence[str | None]:
    return [asked] if isinstance(asked, str) else asked


def _targets(example: Example, labels: Labels) -> "np.ndarray[Any, np.dtype[np.int64]]":
    text, asked = example
    names = [*[None] * len(text), asked] if isinstance(asked, str) else [*asked, None]
    return np.array([IGNORE_INDEX if name is None else labels.get_id(name) for name in names])


# ---- problems with a known answer


def _texts(count: int, seed: int, alphabet: str = "abcd", longest: int = 9, shortest: int = 1) -> list[str]:
    chance = random.Random(seed)
    return ["".join(chance.choices(alphabet, k=chance.randint(shortest, longest))) for _ in range(count)]


def first_character(count: int, seed: int) -> list[Example]:
    """The label is the first character."""
    return [(text, text[0]) for text in _texts(count, seed)]


def parity(count: int, seed: int) -> list[Example]:
    """The label is whether the number of marks is even or odd."""
    return [(text, "even odd".split()[text.count("!") % 2]) for text in _texts(count, seed, "a!", 7)]


def next_character(count: int, seed: int) -> list[Example]:
    """The tag of a character is the next one; the last has none."""
    return [(text, [*text[1:], None]) for text in _texts(count, seed)]


def previous_character(count: int, seed: int) -> list[Example]:
    """The tag of a character is the one before it; the first has none."""
    return [(text, [None, *text[:-1]]) for text in _texts(count, seed)]


PROBLEMS = {
    "first": first_character,
    "parity": parity,
    "next": next_character,
    "previous": previous_character,
}


def write_problem(directory: Path, problem: str, num_train: int = 300, num_valid: int = 60) -> Corpus:
    make = PROBLEMS[problem]
    return write_examples(directory, {"train": make(num_train, 1), "valid": make(num_valid, 2), "test": make(9, 3)})


def spelled_label(count: int, seed: int) -> list[Example]:
    """Four characters, each of which is the label or a hyphen: 1 bit per character given the label. The fifth is a
    full stop."""
    chance = random.Random(seed)
    labels = [chance.choice("abcd") for _ in range(count)]
    return [("".join(chance.choice((label, "-")) for _ in range(4)) + ".", label) for label in labels]


def doubled(count: int, seed: int) -> list[Pair]:
    """Three letters; each is written twice, in capitals."""
    return [
        (text, "".join(letter.upper() * 2 for letter in text)) for text in _texts(count, seed, longest=3, shortest=3)
    ]
