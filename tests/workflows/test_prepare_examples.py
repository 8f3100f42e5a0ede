"""`charlm prepare --task classify` and tag: splits, repeats, labels, counts, ceilings; whole or not at all."""

import errno
import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charlm import storage
from charlm.data.corpus import Corpus, open_corpus
from charlm.data.documents import read_parts
from charlm.data.example_sources import open_example_source
from charlm.data.settings import CorpusSettings
from charlm.errors import DataError, SettingsError
from charlm.text.examples.reversible_changes import CHANGES
from charlm.text.examples.settings import ClassesSettings, ConlluSettings, DerivedSettings, TableSettings
from charlm.text.split import split_by_hash
from charlm.vocab.base import IGNORE_INDEX
from charlm.vocab.settings import ByteSettings, CharSettings, WordSettings
from charlm.workflows.corpus_identity import find_prepared_examples
from charlm.workflows.inspect_path import inspect_path, summarize
from charlm.workflows.prepare_examples import prepare_examples
from charlm.workflows.reencode import reencode
from tests.faulty_disk import every_fault
from tests.processes import Commands
from tests.text.examples.example_cases import ALL_CASES, CASES, CLASSIFY, TAG, put, sentence

ROOT = Path(__file__).parents[2]


def make(settings: CorpusSettings, out: Path, **options: Any) -> Corpus:
    return prepare_examples(settings, open_example_source(settings), out, **options)


def table(folder: Path, rows: Sequence[tuple[str, str]], **settings: Any) -> CorpusSettings:
    path = put(folder / "rows.tsv", "".join(f"{text}\t{label}\n" for text, label in [("text", "label"), *rows]))
    return CorpusSettings(task=CLASSIFY, source=TableSettings(input=(path,)), **settings)


def given_table(folder: Path, **splits: Sequence[tuple[str, str]]) -> CorpusSettings:
    paths = {
        split: (put(folder / f"{split}.tsv", "".join(f"{text}\t{label}\n" for text, label in rows)),)
        for split, rows in splits.items()
    }
    source = TableSettings.model_validate({"text_column": 1, "label_column": 2, **paths})
    return CorpusSettings(task=CLASSIFY, source=source)


def tree(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def examples_of(corpus: Corpus, split: str) -> list[tuple[str, str | None]]:
    return [(part.document.text, part.label) for part in read_parts(corpus.directory / "documents", split)]


NUMBERS = [(f"number {number}", "odd" if number % 2 else "even") for number in range(100)]


@pytest.mark.parametrize("case", CASES)
def test_the_arrays_hold_the_documents(case: str, tmp_path: Path) -> None:
    corpus = make(CASES[case](tmp_path, "river"), tmp_path / "corpus")
    assert corpus.labels is not None
    assert corpus.task.type == corpus.metadata["settings"]["task"]["type"]
    for split in corpus.splits:
        examples = corpus.open_examples(split)
        parts = list(read_parts(corpus.directory / "documents", split))
        assert examples.num_documents == len(parts) == corpus.metadata["splits"][split]["documents"]
        names: list[str] = []
        for part, start, end in zip(parts, examples.starts, examples.ends, strict=True):
            assert corpus.vocab.decode(examples.stream.tokens[start:end]) == part.document.text
            targets = examples.targets[start:end]
            asked = [part.label] if part.tags is None else [tag for tag in part.tags if tag is not None]
            assert [corpus.labels.names[target] for target in targets[targets != IGNORE_INDEX]] == asked
            names += [name for name in asked if name is not None]
        counts = {name: own[split] for name, own in corpus.metadata["examples"]["labels"].items() if own[split]}
        assert Counter(names) == counts
        assert corpus.metadata["splits"][split]["targets"] == len(names) == examples.num_targets


@pytest.mark.parametrize("case", ALL_CASES)
def test_equal_inputs_give_equal_bytes(case: str, tmp_path: Path) -> None:
    one = make(ALL_CASES[case](tmp_path / "one", "river"), tmp_path / "a")
    two = make(ALL_CASES[case](tmp_path / "two", "river"), tmp_path / "b", workers=2)
    assert tree(one.directory) == tree(two.directory)


def test_workers_that_encode_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlm.data.documents._ROW_GROUP_CHARACTERS", 2_000)
    settings = table(tmp_path, NUMBERS)
    one, two = (make(settings, tmp_path / f"with {workers}", workers=workers) for workers in (1, 2))
    assert tree(one.directory) == tree(two.directory)


def test_the_text_alone_decides_the_split(tmp_path: Path) -> None:
    rows = [*NUMBERS, *((text, "other") for text, _ in NUMBERS[::3])]
    corpus = make(table(tmp_path, rows), tmp_path / "corpus")
    assert corpus.metadata["split"] == {"shares": "80/10/10", "method": "text"}
    percentages = {"train": 80, "valid": 10, "test": 10}
    for split in corpus.splits:
        for text, _ in examples_of(corpus, split):
            assert split_by_hash(text, percentages) == split
    assert sum(len(examples_of(corpus, split)) for split in corpus.splits) == len(rows)


def test_repeats_are_dropped_and_counted(tmp_path: Path) -> None:
    rows = [*NUMBERS, *NUMBERS[:7], ("number 1", "even")]
    corpus = make(table(tmp_path, rows), tmp_path / "corpus")
    assert corpus.metadata["documents"] == {"pages": 108, "kept": 101, "dropped": {"duplicate": 7}}
    kept = make(table(tmp_path, rows, repeats="keep"), tmp_path / "kept")
    assert kept.metadata["documents"] == {"pages": 108, "kept": 108, "dropped": {}, "repeats": 7}


def test_given_splits_are_kept_as_they_are(tmp_path: Path) -> None:
    settings = given_table(
        tmp_path, train=[*NUMBERS[:20], *NUMBERS[:2]], valid=[*NUMBERS[18:25], ("new", "rare")], test=NUMBERS[30:40]
    )
    corpus = make(settings, tmp_path / "corpus")
    assert corpus.metadata["split"] == {"shares": "as given", "method": "source"}
    assert examples_of(corpus, "train") == [*NUMBERS[:20], *NUMBERS[:2]]
    assert corpus.metadata["documents"] == {"pages": 40, "kept": 40, "dropped": {}, "repeats": 2}
    valid = corpus.metadata["examples"]["splits"]["valid"]
    assert (valid["texts_in_train"], valid["unseen"], valid["unseen_names"]) == (2, 1, {"rare": 1})
    assert corpus.labels is not None
    assert corpus.labels.names == ("even", "odd")
    assert (np.asarray(corpus.open_examples("valid").targets) == -1).sum() == 1
    summary = "\n".join(summarize(corpus))
    assert "1 labels of valid are in no training example: rare" in summary
    assert "2 examples of valid have a text of a training example" in summary
    dropping = settings.model_copy(update={"repeats": "drop"})
    corpus = make(dropping, tmp_path / "dropped")
    assert corpus.metadata["documents"]["dropped"] == {"duplicate": 2}, "within each split"
    with pytest.raises(SettingsError, match=r"corpus.split=80/20 asks for a split, and the source gives one"):
        make(settings.model_copy(update={"split": "80/20"}), tmp_path / "split")


def test_a_test_split_is_not_needed(tmp_path: Path) -> None:
    corpus = make(given_table(tmp_path, train=NUMBERS[:20], valid=NUMBERS[20:30]), tmp_path / "corpus")
    assert corpus.splits == ["train", "valid"]
    corpus = make(table(tmp_path, NUMBERS, split="70/30"), tmp_path / "two")
    assert corpus.splits == ["train", "valid"]


def test_ambiguous_texts_set_a_ceiling(tmp_path: Path) -> None:
    rows = [*NUMBERS, *((text, "other") for text, _ in NUMBERS[:20])]
    examples = make(table(tmp_path, rows), tmp_path / "corpus").metadata["examples"]
    assert examples["ceiling"] == 100 / 120
    assert sum(split["ambiguous_texts"] for split in examples["splits"].values()) == 20
    assert examples["splits"]["train"]["ceilings"]["other"] == 0.5
    assert examples["ambiguous"][0] == {"text": "number 0", "names": ["even", "other"]}


def test_text_settings_hold_for_examples(tmp_path: Path) -> None:
    rows = [*NUMBERS, ("e\u0301", "odd"), ("é", "odd")]
    corpus = make(table(tmp_path, rows, normalize="nfc", min_characters=2), tmp_path / "corpus")
    assert corpus.metadata["documents"]["dropped"] == {"short": 2}, "two characters become one"
    corpus = make(table(tmp_path, rows, normalize="nfc"), tmp_path / "all")
    assert corpus.metadata["documents"]["dropped"] == {"duplicate": 1}


FEW: dict[str, tuple[list[tuple[str, str]], str]] = {
    "nothing": ([], "no examples in 0 rows"),
    "only empty texts": ([("", "odd")], r"no examples in 1 rows or documents \(empty: 1\)"),
    "no labels": ([("a", ""), ("b", "")], r"\(no label: 2\); give an input with texts and labels"),
    "one label": ([(text, "same") for text, _ in NUMBERS], "of labels, the training examples have only 'same'"),
    "too few": (NUMBERS[:2], "the split '.*' is empty: 2 examples are too few"),
}


@pytest.mark.parametrize("case", FEW)
def test_too_few_examples(case: str, tmp_path: Path) -> None:
    rows, message = FEW[case]
    with pytest.raises(DataError, match=message):
        make(table(tmp_path, rows), tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "examples, language": ({"source": TableSettings()}, "--source table gives examples.*add --task classify or --task"),
    "conllu, language": ({"source": ConlluSettings()}, "the task is language; add --task tag"),
    "text, classify": ({"task": {"type": "classify"}, "source": {"type": "text"}}, "gives no labels for documents"),
    "wikipedia, tag": ({"task": {"type": "tag"}}, "--source wikipedia gives no tags, which --task tag needs"),
    "classes, tag": ({"task": TAG, "source": ClassesSettings()}, "--source classes gives no tags"),
    "conllu, classify": ({"task": CLASSIFY, "source": ConlluSettings()}, "--source conllu gives no labels"),
    "derived, classify": ({"task": CLASSIFY, "source": DerivedSettings()}, "--source derived gives no labels"),
    "words": ({"task": TAG, "source": ConlluSettings(), "vocab": WordSettings()}, "the vocabulary word joins"),
    "nfc": ({"task": TAG, "source": ConlluSettings(), "normalize": "nfc"}, "normalize changes the characters"),
    "column": ({"source": {"type": "hub", "label_column": "a"}}, "source.label_column is for labels and tags"),
    "repeats": ({"repeats": "keep"}, "repeats is for examples with labels or tags"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_settings_that_do_not_fit_each_other(case: str) -> None:
    settings, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        CorpusSettings.model_validate(settings)


def test_a_copied_vocabulary_that_joins_characters_is_refused(tmp_path: Path) -> None:
    words = reencode(make(table(tmp_path, NUMBERS), tmp_path / "corpus"), WordSettings(min_count=1), tmp_path / "words")
    copied = {"type": "copied", "directory": str(words.directory)}
    content = CASES["conllu"](tmp_path, "river").model_dump() | {"vocab": copied}
    with pytest.raises(SettingsError, match="--task tag needs ids for each character"):
        make(CorpusSettings.model_validate(content), tmp_path / "tags")
    assert not (tmp_path / "tags").exists()


def test_tags_of_words_are_segments(tmp_path: Path) -> None:
    path = put(tmp_path / "a.conllu", "".join(sentence((f"w{n}", "X"), ("b", "Y")) for n in range(40)))
    source = ConlluSettings(input=(path,), annotation="words", document_characters=4)
    words = make(CorpusSettings(task=TAG, source=source), tmp_path / "words")
    assert words.metadata["task"] == {"type": "tag", "scheme": "segments", "asks": "solid"}
    tags = make(CorpusSettings(task=TAG, source=ConlluSettings(input=(path,))), tmp_path / "upos")
    assert tags.metadata["task"] == {"type": "tag", "scheme": "free", "asks": "words"}


def test_the_texts_of_a_derived_corpus_come_back(tmp_path: Path) -> None:
    settings = CASES["derived"](tmp_path, "rivière")
    assert isinstance(settings.source, DerivedSettings)
    original = open_corpus(Path(settings.source.input[0]))
    for name, change in CHANGES.items():
        source = settings.source.model_copy(update={"change": name})
        corpus = make(settings.model_copy(update={"source": source}), tmp_path / name)
        for split in original.splits:
            parts = read_parts(corpus.directory / "documents", split)
            restored = [change.restore(part.document.text, part.tags or ()) for part in parts]
            assert restored == [part.document.text for part in read_parts(original.directory / "documents", split)]
    (original.directory / "documents" / "valid-00000.parquet").write_bytes(b"")
    with pytest.raises(DataError, match="is missing or has been changed"):
        make(settings, tmp_path / "again")


@pytest.mark.parametrize("case", ALL_CASES)
def test_the_corpus_that_is_there_is_found_again_or_refused(case: str, tmp_path: Path) -> None:
    settings = ALL_CASES[case](tmp_path / "one", "river")
    out = tmp_path / "corpus"
    assert find_prepared_examples(settings, out, open_example_source(settings)) is None
    made = make(settings, out)
    found = find_prepared_examples(settings, out, open_example_source(settings))
    assert found is not None
    assert found.metadata == made.metadata
    in_bytes = settings.model_copy(update={"vocab": ByteSettings()})
    with pytest.raises(SettingsError, match="vocab"):
        find_prepared_examples(in_bytes, out, open_example_source(settings))
    shutil.rmtree(tmp_path / "one")
    changed = ALL_CASES[case](tmp_path / "one", "brook")
    with pytest.raises(SettingsError, match="the input has changed"):
        find_prepared_examples(changed, out, open_example_source(changed))
    with pytest.raises(SettingsError, match="not empty"):
        make(changed, out)
    assert make(changed, out, overwrite=True).fingerprint != made.fingerprint


@pytest.mark.parametrize("case", ["table", "conllu"])
def test_another_vocabulary_keeps_labels_and_targets(case: str, tmp_path: Path) -> None:
    settings = CASES[case](tmp_path, "ríver")
    one = make(settings, tmp_path / "chars")
    two = reencode(one, ByteSettings(), tmp_path / "bytes")
    direct = make(settings.model_copy(update={"vocab": ByteSettings()}), tmp_path / "direct")
    assert two.fingerprint == direct.fingerprint
    assert two.metadata["examples"] == one.metadata["examples"]
    assert reencode(two, CharSettings(), tmp_path / "back").fingerprint == one.fingerprint
    if case == "conllu":
        with pytest.raises(SettingsError, match="the vocabulary word joins characters"):
            reencode(one, WordSettings(), tmp_path / "words")


@pytest.mark.parametrize("case", CASES)
def test_inspect_shows_labels_and_examples(case: str, tmp_path: Path) -> None:
    corpus = make(CASES[case](tmp_path, "river"), tmp_path / "corpus")
    found = inspect_path(corpus.directory, readable=False)
    json.dumps(found)
    assert found["examples"] == corpus.metadata["examples"]
    assert len(found["first_examples"]) == 5
    readable = inspect_path(corpus.directory, readable=True)["example_sections"]
    assert [heading.partition(" ")[0] for heading in readable][:2] in (["Labels", "Ceilings"], ["Tags", "Ceilings"])
    assert "First examples" in readable


def test_a_disk_that_fails_leaves_a_whole_corpus_or_none(tmp_path: Path) -> None:
    settings = table(tmp_path, NUMBERS)
    out = tmp_path / "corpus"
    whole = tree(make(settings, tmp_path / "whole").directory)

    def attempt() -> None:
        storage.remove_tree(out)
        make(settings, out)

    for failed in every_fault(errno.ENOSPC, attempt):
        assert failed is None or not out.exists() or tree(out) == whole
    assert tree(out) == whole


_KILL = """
import os, signal, sys
from pathlib import Path
from tests.workflows.test_prepare_examples import NUMBERS, make, table

left = int(sys.argv[2])

def told(stage, characters):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

make(table(Path(sys.argv[1]), NUMBERS), Path(sys.argv[1]) / "corpus", on_progress=told)
"""


@pytest.mark.parametrize("calls", [0, *(pytest.param(calls, marks=pytest.mark.faults) for calls in (99, 150)), 201])
def test_a_killed_attempt_is_made_again(calls: int, tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", _KILL, str(tmp_path), str(calls)], cwd=ROOT, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "corpus").exists()
    settings = table(tmp_path, NUMBERS)
    assert tree(make(settings, tmp_path / "corpus").directory) == tree(make(settings, tmp_path / "whole").directory)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")], "nothing is left of it"


# ---- the command


def test_the_command_for_files_of_a_class(commands: Commands, tmp_path: Path) -> None:
    CASES["classes"](tmp_path, "river")
    found = commands.succeed("prepare", "--task", "classify", "--input", "numbers")
    assert "data/numbers: 60 examples, split 80/10/10 by the hash of the text, 2 labels" in found.stdout
    assert "ceiling 100.0 %" in found.stdout
    assert commands.succeed("prepare", "--task", "classify", "--input", "numbers").stderr.startswith(
        "data/numbers is already prepared"
    )
    shown = commands.succeed("inspect", "numbers").stdout
    assert "Labels (2 in training" in shown
    assert "even: 'river 0'" in shown
    put(tmp_path / "numbers" / "even.txt", "river 0\n")
    assert "the input has changed" in commands.fail(2, "prepare", "--task", "classify", "--input", "numbers")


def test_the_command_for_treebanks(commands: Commands, tmp_path: Path) -> None:
    for split, start in (("train", 0), ("dev", 50), ("test", 70)):
        put(
            tmp_path / f"xx-ud-{split}.conllu",
            "".join(sentence(("w", "NOUN"), (str(number), "NUM")) for number in range(start, start + 9)),
        )
    files = ("--train", "xx-ud-train.conllu", "--valid", "xx-ud-dev.conllu", "--test", "xx-ud-test.conllu")
    found = commands.succeed("prepare", "--task", "tag", *files)
    assert "data/xx-upos: 27 examples, split by the source, 2 tags" in found.stdout
    found = json.loads(commands.succeed("prepare", "--task", "tag", "--annotation", "words", *files, "--json").stdout)
    assert (found["data"], found["task"]["scheme"]) == ("data/xx-words", "segments")
    assert "First examples\n  w{NOUN} 0{NUM}" in commands.succeed("inspect", "xx-upos").stdout


def test_the_command_for_tables_and_derived_corpora(commands: Commands, tmp_path: Path) -> None:
    rows = "".join(f"{text},{label}\n" for text, label in NUMBERS)
    put(tmp_path / "rows.csv", f"name,kind\n{rows}")
    columns = ("--text-column", "name", "--label-column", "kind")
    commands.succeed("prepare", "--task", "classify", "--input", "rows.csv", *columns)
    error = commands.fail(2, "prepare", "--task", "classify", "--input", "rows.csv", "--out", "other")
    assert "rows.csv has no column 'text' (corpus.source.text_column); its columns are name, kind" in error
    from_hub = (
        "prepare",
        "--task",
        "classify",
        "--source",
        "hub",
        "--input",
        "rows.csv",
        *columns,
        "--out",
        "data/hub",
    )
    assert "100 examples" in commands.succeed(*from_hub).stdout
    put(tmp_path / "novel.txt", "Où ça? Là, à côté. " * 99)
    commands.succeed("prepare", "--source", "text", "--input", "novel.txt")
    found = commands.succeed("prepare", "--task", "tag", "--source", "derived", "--input", "novel", "--change", "case")
    assert "data/novel-case: 3 examples" in found.stdout


WRONG = {
    "no task": (("--input", "a.conllu"), "--source conllu gives examples of another task"),
    "no labels": (("--task", "classify", "--source", "text", "--input", "a.txt"), "--source text gives no labels"),
    "split-like": (("--task", "tag", "--input", "a.conllu", "--split-like", "x"), "--split-like is for corpora of"),
    "refresh": (("--task", "tag", "--input", "a.conllu", "--refresh"), "--refresh asks a server"),
    "wikipedia": (("--task", "tag"), "--source wikipedia gives no tags"),
    "words": (("--task", "tag", "--input", "a.conllu", "--vocab", "word"), "give --vocab char or --vocab byte"),
    "no corpus": (("--task", "tag", "--source", "derived", "--input", "novel"), "there is no prepared corpus"),
    "annotation": (("--task", "classify", "--input", "a.tsv", "--annotation", "upos"), "annotation"),
    "hub": (("--task", "classify", "--source", "hub", "--input", "a.jsonl"), "name it with --label-column"),
    "tags of no change": (
        ("--task", "tag", "--input", "tags.jsonl", "--set", "corpus.task.asks=case"),
        "corpus.task.asks=case: 'X' is no tag of this change; the tags are X, Y",
    ),
    "tags of no segments": (
        ("--task", "tag", "--input", "tags.jsonl", "--set", "corpus.task.scheme=segments"),
        "needs tags such as B-word and I-word, and these are X, Y",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_the_command_refuses(case: str, commands: Commands, tmp_path: Path) -> None:
    for name in ("a.conllu", "a.txt", "a.tsv", "a.jsonl"):
        put(tmp_path / name, "")
    put(tmp_path / "tags.jsonl", "".join(f'{{"text": "{number}", "tags": "X Y"}}\n' for number in range(10, 99)))
    arguments, message = WRONG[case]
    assert message in commands.fail(2, "prepare", *arguments)


# ---- real data


@pytest.mark.real_data
def test_names(shared_data: Path, tmp_path: Path) -> None:
    source = ClassesSettings(input=(str(shared_data / "tasks/names"),))
    corpus = make(CorpusSettings(task=CLASSIFY, source=source), tmp_path / "names")
    assert corpus.metadata["documents"] == {"pages": 20_050, "kept": 18_012, "dropped": {"duplicate": 2_038}}
    assert corpus.metadata["examples"]["ceiling"] == pytest.approx(17_455 / 18_012)
    assert corpus.metadata["examples"]["num_labels"] == 18
    texts = [{text for text, _ in examples_of(corpus, split)} for split in corpus.splits]
    assert sum(map(len, texts)) == len(set.union(*texts)) == 17_455


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "words"), [("af_afribooms", (33_878, 5_317, 10_063)), ("mt_mudt", (22_880, 10_209, 11_073))]
)
def test_parts_of_speech(name: str, words: tuple[int, ...], shared_data: Path, tmp_path: Path) -> None:
    paths = {
        key: (str(shared_data / f"tasks/treebanks/{name}-{split}.conllu"),)
        for key, split in (("train", "train"), ("valid", "dev"), ("test", "test"))
    }
    corpus = make(CorpusSettings(task=TAG, source=ConlluSettings.model_validate(paths)), tmp_path / name)
    assert tuple(corpus.metadata["splits"][split]["targets"] for split in corpus.splits) == words
    assert sum(split["unseen"] for split in corpus.metadata["examples"]["splits"].values()) == 0
