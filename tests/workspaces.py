"""A folder as a user has one after a first tour: Russian texts, a config, a prepared corpus, a trained run."""

import hashlib
import json
import random
import shutil
import sysconfig
from pathlib import Path
from typing import Any

from charlm import storage
from tests.processes import Commands

CONFIG = """\
[corpus.source]
type = "text"
input = ["texts"]

[model.embedding]
size = 8

[model.body]
hidden_size = 16

[training]
batch_size = 4
seq_len = 32
max_steps = 20
validation_interval = 10
log_interval = 5

[training.schedule]
type = "constant"
warmup_steps = 5
"""
RUN = Path("runs/tiny-texts")
DATA = Path("data/texts")
_WORDS = "в и не на я что он с как это по но они мы из у за ещё так же от всё она был съешь мягких café 東京 🙂".split()


def texts(num_files: int = 6, words: int = 700) -> dict[str, str]:
    """File name -> Russian of a kind; the same every time."""
    chosen = random.Random(7)

    def sentence() -> str:
        return " ".join(chosen.choices(_WORDS, k=chosen.randint(3, 12))).capitalize() + chosen.choice(".!?…")

    return {f"{number:02d}.txt": "\n".join(sentence() for _ in range(words // 8)) + "\n" for number in range(num_files)}


def write_texts(folder: Path, content: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, text in content.items():
        (folder / name).write_bytes(text.encode("utf-8"))


def small_library(folder: Path) -> Path:
    """Copy some modules of Python's standard library; return the folder."""
    folder.mkdir()
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("[a-d]*.py")):
        shutil.copy(path, folder)
    return folder


def furnish(commands: Commands) -> None:
    """Texts and configs alone."""
    write_texts(commands.folder / "texts", texts())
    (commands.folder / "configs").mkdir()
    (commands.folder / "configs" / "tiny.toml").write_text(CONFIG, encoding="utf-8")


def tour(commands: Commands) -> None:
    """All of it."""
    furnish(commands)
    commands.succeed("prepare", "--config", "tiny")
    commands.succeed("train", "--config", "tiny")


def tour_labels(commands: Commands) -> None:
    """A table of two labels, a corpus and a run of them, and `given`, a run of texts with a given label.

    The current corpus and run stay what they were.
    """
    rows = "".join(f"number {number}\t{('even', 'odd')[number % 2]}\n" for number in range(60))
    (commands.folder / "numbers.tsv").write_text(f"text\tlabel\n{rows}", encoding="utf-8")
    current = {path: path.read_bytes() for path in commands.folder.glob("*/current.json")}
    small = ("--set", "model.body.hidden_size=4", "--set", "training.max_steps=2")
    for task, name in (("classify", "numbers"), ("generate", "given")):
        prepare = ("prepare", "--task", task, "--workers", "1", "--input", "numbers.tsv")
        commands.succeed(*prepare, "--out", f"data/{name}")
        commands.succeed("train", "--data", name, "--out", f"runs/{name}", *small)
    for path, content in current.items():
        path.write_bytes(content)


def tour_targets(commands: Commands) -> None:
    """A table of texts for texts, and a corpus and two runs of them, `pairs` and `pairs2`.

    The current corpus and run stay what they were.
    """
    rows = "".join(f"number {number}\t{number} rebmun\t{number}\n" for number in range(60))
    (commands.folder / "pairs.tsv").write_text(f"text\ttarget\tweight\n{rows}", encoding="utf-8")
    current = {path: path.read_bytes() for path in commands.folder.glob("*/current.json")}
    small = "model.body.hidden_size=8 training.max_steps=40 training.batch_size=8 training.optimizer.lr=0.01".split()
    small += ["model.condition.type=source", "model.condition.encoder.body.hidden_size=8"]
    small += ["model.condition.attention.size=8", "training.validation_interval=40"]
    commands.succeed(*"prepare --task transduce --workers 1 --input pairs.tsv --out data/pairs".split())
    for name, seed in (("pairs", 1), ("pairs2", 2)):
        options = [word for each in (*small, f"training.seed={seed}") for word in ("--set", each)]
        commands.succeed("train", "--data", "pairs", "--out", f"runs/{name}", *options)
    for path, content in current.items():
        path.write_bytes(content)


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every path below `folder` (but locks, which hold a pid), with the content of files."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if path.name != ".lock"
    }


def weights(run: Path) -> str:
    """The hash of the newest weights."""
    last = storage.read_json(run / "last.json")["checkpoint"]
    return hashlib.sha256((run / "checkpoints" / last / "model.safetensors").read_bytes()).hexdigest()


def steps(run: Path) -> list[int]:
    """Steps of the checkpoints that are there, each of which must be whole."""
    checkpoints = [path.parent for path in sorted((run / "checkpoints").glob("step-*/manifest.json"))]
    for checkpoint in checkpoints:
        storage.verify_manifest(checkpoint, "")
    return [int(checkpoint.name.removeprefix("step-")) for checkpoint in checkpoints]


def metrics(run: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what a clock wrote."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if "second" not in key} for line in lines]
