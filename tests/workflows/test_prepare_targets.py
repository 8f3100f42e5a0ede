"""`charlm prepare --task transduce`: pairs of a source and a target, with weights; whole or not at all."""

import errno
import json
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from charlm import storage
from charlm.checkpoint import make_interface
from charlm.data.corpus import Corpus, open_corpus
from charlm.data.documents import read_parts
from charlm.data.settings import CorpusSettings
from charlm.data.source_texts import SourceConditions, read_document_sources, read_weights
from charlm.data.task_settings import ClassifyTaskSettings, TransduceTaskSettings
from charlm.errors import DataError, SettingsError
from charlm.nn.build import SourceInputs
from charlm.text.examples.settings import ClassesSettings, TableSettings
from charlm.text.split import split_by_hash
from charlm.vocab.settings import AnyVocabSettings, ByteSettings, CharSettings, SymbolsSettings, WordSettings
from charlm.workflows.reencode import reencode
from tests.faulty_disk import every_fault
from tests.processes import Commands
from tests.text.examples.example_cases import TARGET_CASES, TRANSDUCE, put
from tests.workflows.test_prepare_examples import make, tree

ROOT = Path(__file__).parents[2]
PAIRS = [(f"number {number}", " ".join(str(number))) for number in range(100)]

Row = tuple[Any, ...]


def table(folder: Path, rows: Sequence[Row], **settings: Any) -> CorpusSettings:
    """Return the settings of a corpus of rows: source, target, and a weight if they have three cells."""
    columns = ["text", "target", "weight"][: len(rows[0])]
    lines = ["\t".join(map(str, row)) for row in (columns, *rows)]
    path = put(folder / "pairs.tsv", "".join(f"{line}\n" for line in lines))
    source = TableSettings(input=(path,), weight_column="weight" if "weight" in columns else "")
    content: dict[str, Any] = {"task": TRANSDUCE, **settings}
    return CorpusSettings(source=source, **content)


def pairs_of(corpus: Corpus, split: str) -> list[Row]:
    """Return source, target and weight of each document, as the arrays have them."""
    conditions = corpus.conditions
    assert isinstance(conditions, SourceConditions)
    targets = corpus.open(split)
    ends = targets.ends
    assert (targets.tokens[ends - 1] == corpus.vocab.eod_id).all()
    texts = [
        corpus.vocab.decode(targets.tokens[start : end - 1])
        for start, end in zip(targets.documents["start"], ends, strict=True)
    ]
    sources = [conditions.vocab.decode(ids) for ids in corpus.open_sources(split).split_ids()]
    return list(zip(sources, texts, corpus.open_weights(split).tolist(), strict=True))


def all_pairs(corpus: Corpus) -> list[Row]:
    return [pair for split in corpus.splits for pair in pairs_of(corpus, split)]


@pytest.mark.parametrize("case", TARGET_CASES)
@pytest.mark.parametrize("vocab", [CharSettings(), ByteSettings(), SymbolsSettings(min_count=1)], ids=lambda v: v.type)
@pytest.mark.parametrize("source_vocab", ["char", "byte", "shared"])
def test_the_arrays_hold_the_documents(case: str, vocab: AnyVocabSettings, source_vocab: str, tmp_path: Path) -> None:
    task = TransduceTaskSettings.model_validate({"source_vocab": source_vocab})
    settings = TARGET_CASES[case](tmp_path, "fluß").model_copy(update={"vocab": vocab, "task": task})
    corpus = make(settings, tmp_path / "corpus")
    assert corpus.task == task
    assert isinstance(corpus.conditions, SourceConditions)
    assert corpus.conditions.vocab.type == (vocab.type if source_vocab == "shared" else source_vocab)
    assert source_vocab != "shared" or corpus.conditions.vocab.is_same(corpus.vocab)
    for split in corpus.splits:
        parts = list(read_parts(corpus.directory / "documents", split))
        expected = [(part.document.text, part.target, part.weight) for part in parts]
        assert pairs_of(corpus, split) == expected
        counts = corpus.metadata["splits"][split]
        assert counts["documents"] == len(parts)
        assert counts["characters"] == sum(len(part.target or "") for part in parts)


def write_tsv(path: Path) -> None:
    path.write_text("".join(f"{source}\t{target}\n" for source, target in PAIRS), encoding="utf-8")


def write_named_tsv(path: Path) -> None:
    lines = [f"{target}\tignored\t{source}\n" for source, target in PAIRS]
    path.write_text("".join(["spoken\tother\tword\n", *lines]), encoding="utf-8")


def write_json_lines(path: Path) -> None:
    path.write_text("".join(json.dumps({"word": a, "spoken": b}) + "\n" for a, b in PAIRS), encoding="utf-8")


def write_parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{"word": a, "spoken": b} for a, b in PAIRS]), path)


NAMED = {"text_column": "word", "target_column": "spoken"}
FORMATS: dict[str, tuple[str, Callable[[Path], None], dict[str, Any]]] = {
    "by number": ("a.tsv", write_tsv, {"text_column": 1, "target_column": 2}),
    "by name": ("a.tsv", write_named_tsv, NAMED),
    "by number past a header": ("a.tsv", write_named_tsv, {"text_column": 3, "target_column": 1, "header": "yes"}),
    "JSON lines": ("a.jsonl", write_json_lines, NAMED),
    "parquet": ("a.parquet", write_parquet, NAMED),
}


@pytest.mark.parametrize("case", FORMATS)
def test_every_format_gives_the_same_pairs(case: str, tmp_path: Path) -> None:
    name, write, columns = FORMATS[case]
    write(tmp_path / name)
    source = TableSettings.model_validate({"input": (str(tmp_path / name),), **columns})
    corpus = make(CorpusSettings(task=TRANSDUCE, source=source), tmp_path / "corpus")
    assert sorted(all_pairs(corpus)) == sorted((*pair, 1.0) for pair in PAIRS)


def test_no_source_is_in_two_splits(tmp_path: Path) -> None:
    rows = [(source, f"{target} {variant}") for source, target in PAIRS for variant in range(3)]
    corpus = make(table(tmp_path, rows), tmp_path / "corpus")
    percentages = {"train": 80, "valid": 10, "test": 10}
    for split in corpus.splits:
        assert {split_by_hash(source, percentages) for source, _, _ in pairs_of(corpus, split)} == {split}
    assert len(all_pairs(corpus)) == 300
    described = corpus.metadata["examples"]["splits"]
    assert [described[split]["repeated_texts"] for split in corpus.splits] == [
        corpus.metadata["splits"][split]["documents"] for split in corpus.splits
    ]


def test_given_splits_are_kept_as_they_are(tmp_path: Path) -> None:
    parts = {"train": [*PAIRS[:20], PAIRS[0]], "valid": PAIRS[18:25], "test": PAIRS[30:40]}
    paths = {
        split: (put(tmp_path / f"{split}.tsv", "".join(f"{a}\t{b}\n" for a, b in rows)),)
        for split, rows in parts.items()
    }
    source = TableSettings.model_validate({"text_column": 1, "target_column": 2, **paths})
    corpus = make(CorpusSettings(task=TRANSDUCE, source=source), tmp_path / "corpus")
    for split, rows in parts.items():
        assert pairs_of(corpus, split) == [(*pair, 1.0) for pair in rows]
    described = corpus.metadata["examples"]["splits"]
    assert (described["valid"]["texts_in_train"], described["test"]["texts_in_train"]) == (2, 0)
    assert described["train"]["repeated_texts"] == 2
    dropping = CorpusSettings(task=TRANSDUCE, source=source, repeats="drop")
    assert make(dropping, tmp_path / "dropped").metadata["documents"]["dropped"] == {"duplicate": 1}


def test_what_is_empty_is_dropped_and_repeats_are_counted(tmp_path: Path) -> None:
    rows = [*PAIRS, ("", "a"), ("a", ""), ("", ""), ("b", " "), PAIRS[3], ("number 3", "drei")]
    documents = make(table(tmp_path, rows), tmp_path / "corpus").metadata["documents"]
    assert documents == {"pages": 106, "kept": 103, "dropped": {"empty": 2, "no target": 1}, "repeats": 1}


def test_weights_are_kept(tmp_path: Path) -> None:
    rows = [(*pair, weight) for pair, weight in zip(PAIRS, [0, 0.25, 1e9, 7] * 25, strict=True)]
    corpus = make(table(tmp_path, rows), tmp_path / "corpus")
    assert sorted(all_pairs(corpus)) == sorted(rows)
    found = json.loads(json.dumps(corpus.metadata["settings"]["source"]))
    assert found["weight_column"] == "weight"


@pytest.mark.parametrize("weight", ["", "x", "-1", "nan", "inf", "1e999", "0,5"])
def test_weights_that_are_none_are_refused(tmp_path: Path, weight: str) -> None:
    with pytest.raises(
        DataError, match=r"pairs.tsv:3 has '.*' in the column 'weight', which is not a weight"
    ) as caught:
        make(table(tmp_path, [("a", "b", 1), ("c", "d", weight)]), tmp_path / "corpus")
    assert caught.value.cure == "give numbers from 0 up"
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize("weight", [None, True, [1]])
def test_cells_that_are_no_numbers_are_no_weights(tmp_path: Path, weight: object) -> None:
    rows = [{"text": "a", "target": "b", "weight": 1}, {"text": "a", "target": "b", "weight": weight}]
    path = put(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    settings = CorpusSettings(task=TRANSDUCE, source=TableSettings(input=(path,), weight_column="weight"))
    with pytest.raises(DataError, match=r"a\.jsonl:2 has .* which is not a weight"):
        make(settings, tmp_path / "corpus")


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = put(tmp_path / "a.tsv", "text\ttarge\na\tb\n")
    source = TableSettings(input=(path,))
    with pytest.raises(SettingsError, match=r"no column 'target' \(corpus.source.target_column\).*--target-column"):
        make(CorpusSettings(task=TRANSDUCE, source=source), tmp_path / "corpus")
    named = source.model_copy(update={"target_column": "targe", "weight_column": "w"})
    with pytest.raises(SettingsError, match=r"a.tsv:2 has no column 'w' \(corpus.source.weight_column\)"):
        make(CorpusSettings(task=TRANSDUCE, source=named), tmp_path / "corpus")


# ---- what is read


KOREAN = [(word, " ".join(word)) for word in ("강", "물", "강물", "바다", "호수", "한강", "냇물", "샘", "못", "늪")]


def test_syllables_are_taken_apart(tmp_path: Path) -> None:
    rows = [(unicodedata.normalize("NFC", f"{a}{b}"), b) for a, _ in KOREAN for b, _ in KOREAN]
    task = TransduceTaskSettings(source_normalize="nfd")
    corpus = make(table(tmp_path, rows, task=task, normalize="nfc"), tmp_path / "corpus")
    whole = make(table(tmp_path, rows), tmp_path / "whole")
    assert isinstance(corpus.conditions, SourceConditions)
    assert isinstance(whole.conditions, SourceConditions)
    assert all(len(letter) == 1 for letter in map(corpus.conditions.vocab.symbol, range(257, corpus.conditions.size)))
    assert "강" not in map(corpus.conditions.vocab.symbol, range(corpus.conditions.size))
    assert "강" in map(whole.conditions.vocab.symbol, range(whole.conditions.size))
    for source, target, _ in all_pairs(corpus):
        assert source == unicodedata.normalize("NFD", source)
        assert target == unicodedata.normalize("NFC", target)
    np.testing.assert_array_equal(corpus.conditions.encode("강물"), corpus.conditions.encode("\u1100\u1161\u11bc물"))
    assert len(corpus.conditions.encode("강물")) == 6
    assert open_corpus(corpus.directory).task == task


def test_what_is_equal_after_the_normalisation_is_one_source(tmp_path: Path) -> None:
    rows = [*PAIRS, ("é", "e"), ("e\u0301", "e"), ("e\u0301", "i")]
    task = TransduceTaskSettings(source_normalize="nfd")
    documents = make(table(tmp_path, rows, task=task), tmp_path / "corpus").metadata["documents"]
    assert documents == {"pages": 103, "kept": 103, "dropped": {}, "repeats": 1}


def test_a_character_that_only_targets_have_is_unknown_to_sources(tmp_path: Path) -> None:
    rows = [(a, b.replace("1", "ñ")) for a, b in PAIRS]
    for kind, copies in (("char", {" ", *"023456789"}), ("shared", {*"number ", *"0123456789", "ñ"})):
        task = TransduceTaskSettings.model_validate({"source_vocab": kind})
        vocab = CharSettings(byte_fallback=False)
        corpus = make(table(tmp_path, rows, task=task, vocab=vocab), tmp_path / kind)
        found = make_interface(corpus.task, None, corpus.conditions, corpus.vocab)
        assert isinstance(found, SourceInputs)
        assert isinstance(corpus.conditions, SourceConditions)
        assert found.copy_ids is not None
        texts = {
            corpus.conditions.vocab.symbol(own): target for own, target in enumerate(found.copy_ids) if target >= 0
        }
        assert {text for text in texts if len(text) == 1} == copies
        assert all(corpus.vocab.symbol(target) == text for text, target in texts.items())


# ---- whole or damaged


def test_another_vocabulary_keeps_the_sources(tmp_path: Path) -> None:
    settings = table(tmp_path, [(*pair, 2) for pair in PAIRS])
    one = make(settings, tmp_path / "chars")
    two = reencode(one, SymbolsSettings(min_count=1), tmp_path / "symbols")
    direct = make(settings.model_copy(update={"vocab": SymbolsSettings(min_count=1)}), tmp_path / "direct")
    assert two.fingerprint == direct.fingerprint
    assert two.metadata["examples"] == one.metadata["examples"]
    assert sorted(all_pairs(two)) == sorted(all_pairs(one))
    assert reencode(two, CharSettings(), tmp_path / "back").fingerprint == one.fingerprint
    words = reencode(one, WordSettings(min_count=1), tmp_path / "words")
    assert sorted(all_pairs(words)) == sorted(all_pairs(one))


def test_a_shared_vocabulary_stays_shared(tmp_path: Path) -> None:
    task = TransduceTaskSettings(source_vocab="shared")
    two = reencode(make(table(tmp_path, PAIRS, task=task), tmp_path / "a"), WordSettings(min_count=1), tmp_path / "b")
    assert isinstance(two.conditions, SourceConditions)
    assert two.conditions.vocab.is_same(two.vocab)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
@pytest.mark.parametrize("name", ["vocab.json", "valid.npy", "valid.documents.npy", "valid.weights.npy"])
def test_damaged_sources_are_refused(tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    directory = make(table(tmp_path, [(*pair, 2) for pair in PAIRS]), tmp_path / "corpus").directory
    damage(directory / "source" / name)
    with pytest.raises(DataError, match=rf"source/{name}") as caught:
        all_pairs(open_corpus(directory))
    assert "prepare the corpus again" in caught.value.cure


def test_sources_of_another_split_are_refused(tmp_path: Path) -> None:
    """Even where the hashes are right."""
    corpus = make(table(tmp_path, PAIRS), tmp_path / "corpus")
    assert isinstance(corpus.conditions, SourceConditions)
    number = len(corpus.open("valid").documents)
    with pytest.raises(DataError, match=r"the sources of .*train do not match its documents"):
        read_document_sources(corpus.directory, "train", number, corpus.conditions)
    with pytest.raises(DataError, match=r"the weights of .*train do not match its documents"):
        read_weights(corpus.directory, "train", number)


@pytest.mark.faults
def test_a_disk_that_fails_leaves_a_whole_corpus_or_none(tmp_path: Path) -> None:
    settings = table(tmp_path, [(*pair, 2) for pair in PAIRS[:40]])
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
from tests.workflows.test_prepare_targets import PAIRS, make, table

left = int(sys.argv[2])

def told(stage, characters):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

make(table(Path(sys.argv[1]), PAIRS), Path(sys.argv[1]) / "corpus", on_progress=told)
"""


@pytest.mark.parametrize("calls", [pytest.param(150, marks=pytest.mark.faults), 203])
def test_a_killed_attempt_is_made_again(calls: int, tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", _KILL, str(tmp_path), str(calls)], cwd=ROOT, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "corpus").exists()
    settings = table(tmp_path, PAIRS)
    assert tree(make(settings, tmp_path / "corpus").directory) == tree(make(settings, tmp_path / "whole").directory)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")], "nothing is left of it"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "text": ({"task": TRANSDUCE, "source": {"type": "text"}}, "gives no target texts"),
    "classes": ({"task": TRANSDUCE, "source": ClassesSettings()}, "--source classes gives no target texts"),
    "source_vocab": (
        {"task": {"type": "transduce", "source_vocab": "word"}, "source": TableSettings()},
        "source_vocab",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_settings_that_do_not_fit_each_other(case: str) -> None:
    settings, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        CorpusSettings.model_validate(settings)


def test_too_few_examples(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no examples in 1 rows or documents \(no target: 1\); give an input with texts and target"
    ):
        make(table(tmp_path, [("a", "")]), tmp_path / "corpus")
    with pytest.raises(DataError, match=r"the split '.*' is empty: 2 examples are too few"):
        make(table(tmp_path, PAIRS[:2]), tmp_path / "corpus")


# ---- the command


def test_the_command(commands: Commands, tmp_path: Path) -> None:
    put(tmp_path / "pairs.tsv", "".join(f"{a}\t{b}\t{n}\n" for n, (a, b) in enumerate(PAIRS)))
    columns = ("--text-column", "1", "--target-column", "2", "--weight-column", "3")
    prepare = ("prepare", "--task", "transduce", "--input", "pairs.tsv", *columns, "--source-normalize", "nfd")
    made = commands.succeed(*prepare)
    assert "data/pairs: 100 examples, split 80/10/10 by the hash of the text, vocabulary of" in made.stdout
    assert "for targets, of" in made.stdout
    assert "characters of targets" in made.stdout
    assert commands.succeed(*prepare).stderr.startswith("data/pairs is already prepared")
    assert "task.source_normalize" in commands.fail(2, *prepare, "--set", "corpus.task.source_normalize=none")
    shown = commands.succeed("inspect", "pairs").stdout
    assert "Sources and targets" in shown
    assert "longest source 9 characters, longest target 3; 0 examples share their source" in shown
    assert "'number 0' -> '0'" in shown
    found = commands.json("inspect", "pairs")
    assert found["first_examples"][0] == {
        "id": "pairs.tsv:1", "text": "number 0", "target": "0", "weight": 0.0
    }  # fmt: skip
    symbols = commands.succeed("prepare", "--data", "pairs", "--vocab", "symbols").stdout
    assert "data/pairs-symbols: 100 examples" in symbols
    assert commands.json("inspect", "pairs-symbols")["vocabulary"]["type"] == "symbols"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--task transduce --input a.tsv --split-like x", "--split-like is for corpora of"),
        ("--task transduce --source hub --input a.jsonl", "name it with --target-column"),
        ("--task transduce --source text --input a.txt", "--source text gives no target texts"),
        ("--task classify --input a.tsv --source-normalize nfd", "source_normalize"),
        ("--task transduce --input a.tsv --source-normalize nfkc", "source_normalize"),
        ("--task transduce --input a.conllu", "--source conllu gives no target texts"),
    ],
)
def test_what_the_command_refuses(commands: Commands, tmp_path: Path, arguments: str, message: str) -> None:
    for name in ("a.conllu", "a.txt", "a.tsv", "a.jsonl"):
        put(tmp_path / name, "")
    assert message in commands.fail(2, "prepare", *arguments.split())


def test_a_folder_of_the_users_own_survives(tmp_path: Path) -> None:
    settings = table(tmp_path, PAIRS)
    corpus = make(settings, tmp_path / "corpus")
    own = corpus.directory / "source" / "notes.txt"
    own.write_text("mine", encoding="utf-8")
    with pytest.raises(SettingsError, match="holds files of your own"):
        make(settings, tmp_path / "corpus", overwrite=True)
    assert open_corpus(corpus.directory).fingerprint == corpus.fingerprint
    assert own.read_text(encoding="utf-8") == "mine"


def test_weights_are_for_targets() -> None:
    source = TableSettings(input=("a.tsv",), weight_column="weight")
    with pytest.raises(ValueError, match="weight_column is for --task transduce"):
        CorpusSettings(task=ClassifyTaskSettings(), source=source)


def test_symbols_cannot_be_copied(tmp_path: Path) -> None:
    corpus = make(table(tmp_path, PAIRS, vocab=SymbolsSettings()), tmp_path / "corpus")
    assert isinstance(corpus.conditions, SourceConditions)
    assert corpus.conditions.copy_ids(corpus.vocab) is None
