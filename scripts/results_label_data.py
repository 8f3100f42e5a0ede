"""Make the tables of examples that `scripts/results labels` needs and that no file has.

tasks/names/*.txt                        ──unique (name, label), folds by the name──> names0-train.jsonl ...
mediawiki/minidumps, multilingual/udhr2  ──pieces of 40 languages──> languages-train.jsonl, languages-test10.jsonl ...
"""

import hashlib
import json
import random
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

Rows = list[tuple[str, str]]
NUM_FOLDS = 5
LANGUAGES = dict(
    pair.split(":")
    for pair in (
        "af:afr ar:arb be:bel bg:bul br:bre ca:cat cs:ces da:dan el:ell_monotonic en:eng eo:epo es:spa eu:eus fi:fin"
        " fr:fra fy:fri gl:glg he:heb hu:hun hy:hye id:ind it:ita ja:jpn la:lat mk:mkd ms:mly_latn nl:nld no:nob pl:pol"
        " pt:por_PT ru:rus sk:slk sr:srp_cyrl sv:swe th:tha tr:tur tt:tat uk:ukr ur:urd vi:vie"
    ).split()
)
"""The wiki and the name of the declaration's file: the 40 languages with the longest minidumps that have both."""
_MAX_CHARACTERS = 80_000
_LENGTHS = (10, 15, 20, 30, 50)
_TEST_LENGTHS = (10, 20, 50)
_TEST_PIECES = 100
_HEADER_LINES = 5


def make_names(shared: Path, made: Path) -> None:
    """Write the folds of the names."""
    if (made / f"names{NUM_FOLDS - 1}-test.jsonl").is_file():
        return
    files = sorted((shared / "tasks" / "names").glob("*.txt"))
    lines = [(line.strip(), file.stem) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    pairs = sorted({pair for pair in lines if pair[0]})
    for fold in range(NUM_FOLDS):
        splits: dict[str, Rows] = {"train": [], "valid": [], "test": []}
        for name, label in pairs:
            held_out = "valid" if _hash("valid", name) % 20 == 0 else "train"
            splits["test" if _hash("fold", name) % NUM_FOLDS == fold else held_out].append((name, label))
        for split, rows in splits.items():
            _write(made / f"names{fold}-{split}.jsonl", rows)


def make_languages(shared: Path, made: Path) -> None:
    """Write pieces of articles for training and validation, and pieces of the declaration for tests."""
    if (made / f"languages-test{_TEST_LENGTHS[-1]}.jsonl").is_file():
        return
    drawn = random.Random(1)  # noqa: S311 - no secret
    train: Rows = []
    valid: Rows = []
    tests: dict[int, Rows] = {length: [] for length in _TEST_LENGTHS}
    with zipfile.ZipFile(shared / "multilingual" / "udhr2.zip") as archive:
        for language, name in LANGUAGES.items():
            text = _squeeze(_article(shared, made, language))[:_MAX_CHARACTERS]
            cut = int(0.93 * len(text))
            train += _pieces(text[:cut], language, drawn)
            valid += _pieces(text[cut:], language, drawn)
            lines = archive.read(f"udhr2/{name}.txt").decode("utf-8-sig").splitlines()
            declaration = _squeeze(" ".join(lines[_HEADER_LINES:]))
            for length, rows in tests.items():
                starts = [drawn.randrange(len(declaration) - length) for _ in range(_TEST_PIECES)]
                rows += [(declaration[start : start + length], language) for start in starts]
    _write(made / "languages-train.jsonl", train)
    _write(made / "languages-valid.jsonl", valid)
    for length, rows in tests.items():
        _write(made / f"languages-test{length}.jsonl", rows)


def _article(shared: Path, made: Path, language: str) -> str:
    """Return the text of a minidump, cleaned by charlm."""
    folder = made / "minidumps" / language
    if not (folder / "corpus.json").is_file():
        dump = shared / "mediawiki" / "minidumps" / f"{language}.xml.bz2"
        arguments = ("--source", "wikipedia", "--input", str(dump), "--out", str(folder), "--workers", "1", "--json")
        subprocess.run([sys.executable, "-m", "charlm", "prepare", *arguments], check=True, stdout=subprocess.DEVNULL)
    columns: list[Any] = [pq.read_table(path)["text"].to_pylist() for path in sorted(folder.glob("documents/*"))]
    return "\n".join(text for column in columns for text in column)


def _pieces(text: str, label: str, drawn: random.Random) -> Rows:
    found: Rows = []
    start = 0
    while start + _LENGTHS[0] < len(text):
        length = drawn.choice(_LENGTHS)
        found.append((text[start : start + length].strip(), label))
        start += length
    return [(piece, label) for piece, label in found if len(piece) >= _LENGTHS[0] - 2]


def _squeeze(text: str) -> str:
    return " ".join(text.split())


def _hash(salt: str, name: str) -> int:
    return int(hashlib.sha256(f"{salt}{name}".encode()).hexdigest()[:12], 16)


def _write(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{json.dumps({'text': text, 'label': label}, ensure_ascii=False)}\n" for text, label in rows]
    path.write_text("".join(lines), encoding="utf-8")
