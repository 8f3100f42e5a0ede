"""No option is silently ignored: each changes what charlm prints or writes, or is refused.

A new option must be placed in TABLE. Only what a reader is told to have no effect may have none: at most one entry in
twenty. The pairs of options of a command are tried too.
"""

import hashlib
import json
import re
import shlex
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import typer.main

from charlm.cli import app
from tests.fault_server import FaultServer
from tests.mirror import DATE, serve_wiki, small_dump
from tests.processes import Commands, Ended, until
from tests.workspaces import snapshot, tour_targets

GROUP: Any = typer.main.get_command(app)
MAX_SHARE = 0.05
"""Of the entries that may have no effect."""


@dataclass(frozen=True)
class Changes:
    """Two command lines, with the option and without it or with another value, that charlm answers differently."""

    line: str
    other: str


@dataclass(frozen=True)
class Refused:
    """A command line in which the option cannot have an effect; it ends with exit code 2 and names the option."""

    line: str


@dataclass(frozen=True)
class NoEffect:
    """The option has no effect, and this sentence of the reference or of the documents says so."""

    said: str


Entry = Changes | Refused | NoEffect

WIKI = "prepare --set corpus.source.mirrors=[] --workers 1 --out data/new"
TEXT = "prepare --source text --input novel.txt --workers 1 --out data/new"
EXAMPLES = "prepare --task classify --input train.tsv --workers 1 --out data/new"
TARGETS = "prepare --task transduce --input pairs.tsv --workers 1 --out data/new"
GIVEN_SPLITS = "prepare --task classify --train train.tsv --valid valid.tsv --workers 1 --out data/new"
PREDICT = "predict labels --input novel.txt"
TRAIN = "train --config tiny --set training.max_steps=2 --out runs/new"
SAMPLE = "sample --length 60 --temperature 1"
NGRAMS = "--set 'baselines=[{type=\"uniform\"}]'"
SERVE = "serve second --port 0"
EXPORT = "export --format hub"
PACK = "compress novel.txt --out x"
UNPACK = "decompress novel.txt.charlm --out x"
SEARCH = "--set max_tokens=200 --set statistics_batches=1 --set lr=[1e-4] --set decay=[0.01]"


def differs(line: str, more: str) -> Changes:
    return Changes(f"{line} {more}", line)


TABLE: dict[str, dict[str, Entry]] = {
    "": {
        "--version": Changes("--version", ""),
        "--debug": Changes("--debug eval nowhere", "eval nowhere"),
        "--install-completion": Changes("--install-completion", ""),
        "--show-completion": Changes("--show-completion", ""),
    },
    "prepare": {
        "--task": Changes(EXAMPLES, EXAMPLES.replace("--task classify ", "")),
        "--train": Changes(GIVEN_SPLITS, GIVEN_SPLITS.replace("train.tsv", "valid2.tsv")),
        "--valid": Changes(GIVEN_SPLITS, GIVEN_SPLITS.replace("--valid valid.tsv", "--valid valid2.tsv")),
        "--test": differs(GIVEN_SPLITS, "--test valid2.tsv"),
        "--text-column": differs(EXAMPLES, "--text-column label"),
        "--label-column": differs(EXAMPLES, "--label-column text"),
        "--tags-column": differs(
            "prepare --task tag --input tags.jsonl --workers 1 --out data/new", "--tags-column no"
        ),
        "--target-column": differs(TARGETS, "--target-column text"),
        "--weight-column": differs(TARGETS, "--weight-column weight"),
        "--source-normalize": differs(TARGETS, "--source-normalize nfd"),
        "--annotation": differs(
            "prepare --task tag --input bank.conllu --workers 1 --out data/new", "--annotation words"
        ),
        "--change": differs(
            "prepare --task tag --source derived --input texts --workers 1 --out data/new", "--change case"
        ),
        "--source": Changes(TEXT, "prepare --input novel.txt --workers 1 --out data/new"),
        "--language": Changes(f"{WIKI} --language simple --dry-run", f"{WIKI} --language ltg --dry-run"),
        "--wiki": Changes(f"{WIKI} --wiki simplewiki --dry-run", f"{WIKI} --wiki ltgwiki --dry-run"),
        "--date": Changes(
            f"{WIKI} --wiki simplewiki --date {DATE} --dry-run", f"{WIKI} --wiki simplewiki --date 20250101 --dry-run"
        ),
        "--input": differs(TEXT, "--input other.txt"),
        "--max-characters": differs(f"{WIKI} --wiki simplewiki", "--max-characters 20000"),
        "--errors": differs(TEXT.replace("novel", "latin1"), "--errors replace"),
        "--vocab": differs(TEXT, "--vocab byte"),
        "--vocab-from": differs(TEXT, "--vocab-from tiny-texts"),
        "--data": Changes("prepare --data texts --vocab byte --out data/new", f"{TEXT} --vocab byte"),
        "--out": Changes(TEXT, TEXT.replace("data/new", "data/other")),
        "--config": Changes(
            "prepare --config tiny --workers 1 --out data/new", "prepare --config nowhere --out data/new"
        ),
        "--set": differs(TEXT, "--set corpus.split=60/20/20"),
        "--dry-run": differs(TEXT, "--dry-run"),
        "--split-like": differs("prepare --config tiny --workers 1 --out data/new", "--split-like nowhere"),
        "--workers": NoEffect("The resulting files are byte-identical whoever did the work"),
        "--dask": differs(TEXT, "--dask nowhere"),
        "--refresh": Refused(f"{TEXT} --refresh"),
        "--discard-dump": differs(f"{WIKI} --wiki simplewiki", "--discard-dump"),
        "--yes": Refused("prepare --data texts --vocab byte --yes"),
        "--overwrite": differs("prepare --config tiny --vocab byte --workers 1 --out data/texts", "--overwrite"),
        "--json": differs(TEXT, "--json"),
    },
    "train": {
        "--config": Changes(TRAIN, TRAIN.replace("tiny", "nowhere")),
        "--data": differs(TRAIN, "--data nowhere"),
        "--out": Changes(TRAIN, TRAIN.replace("runs/new", "runs/other")),
        "--minutes": differs(TRAIN, "--minutes 0.00001"),
        "--set": differs(TRAIN, "--set training.max_steps=3"),
        "--resume": differs("train --config tiny", "--resume never"),
        "--init-from": differs(TRAIN, "--init-from tiny-texts"),
        "--device": differs(TRAIN, "--device tpu"),
        "--dry-run": differs(TRAIN, "--dry-run"),
        "--overwrite": differs("train --config tiny --set training.max_steps=2 --set training.seed=8", "--overwrite"),
        "--json": differs(TRAIN, "--json"),
    },
    "eval": {
        "[RUN]...": Changes("eval second", "eval tiny-texts"),
        "--split": differs("eval", "--split valid"),
        "--data": differs("eval", "--data nowhere"),
        "--text": differs("eval", "--text novel.txt"),
        "--label": differs("eval given", "--label odd"),
        "--classify": differs("eval given", "--classify"),
        "--ensemble": differs("eval tiny-texts second", "--ensemble"),
        "--beams": differs("eval pairs --length-penalty 1", "--beams 1"),
        "--length-penalty": differs("eval pairs", "--length-penalty 1"),
        "--streams": NoEffect("`--streams 1` reads it in one piece, which is the definition"),
        "--precision": differs("eval --json", "--precision bf16"),
        "--dynamic": differs("eval", "--dynamic"),
        "--cache": differs("eval", "--cache"),
        "--calibrated": differs("eval", "--calibrated"),
        "--mix": differs("eval", "--mix"),
        "--mix-online": differs("eval", "--mix-online"),
        "--proved": differs("eval", "--proved"),
        "--lanes": differs("eval --proved --json", "--lanes 3"),
        "--per-document": differs("eval", "--per-document d.csv"),
        "--per-token": differs("eval", "--per-token t.csv"),
        "--confusion": differs("eval labels", "--confusion c.csv"),
        "--checkpoint": differs("eval", "--checkpoint 10"),
        "--device": differs("eval", "--device tpu"),
        "--json": differs("eval", "--json"),
    },
    "predict": {
        "[RUN]": Changes("predict labels one two", "predict tiny-texts one two"),
        "[TEXT]...": differs("predict labels", "one two"),
        "--input": differs("predict labels", "--input novel.txt"),
        "--text-column": differs("predict labels --input train.tsv", "--text-column label"),
        "--out": differs(PREDICT, "--out found.jsonl"),
        "--format": differs(PREDICT, "--format tsv"),
        "--top": differs(PREDICT, "--top 2"),
        "--ensemble": differs("predict pairs ab", "--ensemble pairs2"),
        "--beams": differs("predict pairs ab --length-penalty 1", "--beams 1"),
        "--length-penalty": differs("predict pairs ab", "--length-penalty 1"),
        "--threshold": differs(PREDICT, "--threshold 0.999"),
        "--labels": differs(f"{PREDICT} --top 2", "--labels odd"),
        "--temperature": differs(PREDICT, "--temperature 5"),
        "--checkpoint": differs(PREDICT, "--checkpoint 99"),
        "--device": differs(PREDICT, "--device tpu"),
    },
    "sample": {
        "RUN": Changes(f"{SAMPLE} second", f"{SAMPLE} tiny-texts"),
        "--prompt": differs(SAMPLE, "--prompt 'мы из '"),
        "--label": Changes(
            "sample given --label odd --temperature 3 --json", "sample given --label even --temperature 3 --json"
        ),
        "--source": Changes("sample pairs --source ab --json", "sample pairs --source b --json"),
        "--temperature": differs("sample --length 60", "--temperature 2"),
        "--length": differs("sample", "--length 7"),
        "--top-k": differs(SAMPLE, "--top-k 2"),
        "--top-p": differs(SAMPLE, "--top-p 0.2"),
        "--min-p": differs(SAMPLE, "--min-p 0.5"),
        "--typical-p": differs(SAMPLE, "--typical-p 0.2"),
        "--repetition-penalty": differs(SAMPLE, "--repetition-penalty 3"),
        "--frequency-penalty": differs(SAMPLE, "--frequency-penalty 2"),
        "--penalty-window": differs(f"{SAMPLE} --frequency-penalty 2", "--penalty-window 3"),
        "--stop": differs(SAMPLE, "--stop а --stop о --stop е --stop ' '"),
        "--regex": differs(SAMPLE, "--regex '[а-я ]+'"),
        "--must-contain": differs(SAMPLE, "--must-contain café"),
        "--only": differs(SAMPLE, "--only аоу"),
        "--never": differs(SAMPLE, "--never ' '"),
        "--count": differs(SAMPLE, "--count 2"),
        "--best-of": differs(SAMPLE, "--best-of 3"),
        "--beams": Changes("sample --length 20 --beams 3", "sample --length 20"),
        "--deterministic": NoEffect(
            "Texts that step together can differ from a text that steps alone in the last bits"
        ),
        "--novelty": differs(SAMPLE, "--novelty ''"),
        "--interactive": differs(SAMPLE, "--interactive"),
        "--precision": differs(f"{SAMPLE} --best-of 2 --json", "--precision int8"),
        "--seed": differs(SAMPLE, "--seed 4"),
        "--checkpoint": differs(SAMPLE, "--checkpoint 10"),
        "--device": differs(SAMPLE, "--device tpu"),
        "--json": differs(SAMPLE, "--json"),
    },
    "serve": {
        "[RUN]...": differs("serve --port 0", "second"),
        "--host": differs(SERVE, "--host 0.0.0.0"),
        "--port": Changes(SERVE, "serve second --port 99999"),
        "--api-key": differs(f"{SERVE} --host 0.0.0.0", "--api-key x"),
        "--allow-origin": differs(SERVE, "--allow-origin nowhere"),
        "--open": differs(SERVE, "--open"),
        "--deterministic": NoEffect("Products of many rows may round otherwise than those of one"),
        "--checkpoint": differs(SERVE, "--checkpoint 99"),
        "--device": differs(SERVE, "--device tpu"),
    },
    "explain": {
        "RUN": Changes("explain second 'мы из'", "explain tiny-texts 'мы из'"),
        "[TEXT]": Changes("explain tiny-texts 'мы из'", "explain tiny-texts 'он у'"),
        "--text": Changes("explain tiny-texts --text novel.txt", "explain tiny-texts 'мы из'"),
        "--out": differs("explain tiny-texts 'мы из'", "--out x.html"),
        "--top": differs("explain tiny-texts 'мы из'", "--top 1"),
        "--label": Changes("explain labels one --label odd", "explain labels one --label even"),
        "--target": differs("explain pairs ab", "--target ba"),
        "--checkpoint": differs("explain tiny-texts 'мы из'", "--checkpoint 10"),
        "--device": differs("explain tiny-texts 'мы из'", "--device tpu"),
        "--json": differs("explain tiny-texts 'мы из'", "--json"),
    },
    "export": {
        "RUN": Changes("export second --format hub --json", "export tiny-texts --format hub --json"),
        "--format": Changes(EXPORT, "export"),
        "--out": differs(EXPORT, "--out x"),
        "--licence": differs(EXPORT, "--licence mit"),
        "--figures": differs(EXPORT, "--figures figures.json"),
        "--max-bytes": differs("export --format html", "--max-bytes 100000"),
        "--checkpoint": differs(EXPORT, "--checkpoint 10"),
        "--overwrite": differs(f"{EXPORT} --out exported", "--overwrite"),
        "--json": differs(EXPORT, "--json"),
    },
    "compress": {
        "[RUN]": Changes("compress second novel.txt --out x", "compress tiny-texts novel.txt --out x"),
        "FILE": Changes("compress tiny-texts other.txt --out x", "compress tiny-texts novel.txt --out x"),
        "--out": differs("compress novel.txt --overwrite", "--out x"),
        "--lanes": differs(PACK, "--lanes 2"),
        "--embed": differs(PACK, "--embed"),
        "--no-verify": Refused("compress --prepare --no-verify"),
        "--prepare": Changes("compress --prepare", "compress"),
        "--checkpoint": differs(PACK, "--checkpoint 10"),
        "--overwrite": differs("compress novel.txt", "--overwrite"),
        "--json": differs(PACK, "--json"),
    },
    "decompress": {
        "[RUN]": Changes(UNPACK.replace(" novel", " second novel"), UNPACK.replace(" novel", " tiny-texts novel")),
        "FILE": Changes(UNPACK, UNPACK.replace("novel", "other")),
        "--out": differs("decompress novel.txt.charlm --overwrite", "--out x"),
        "--checkpoint": differs(UNPACK, "--checkpoint 10"),
        "--overwrite": differs("decompress novel.txt.charlm", "--overwrite"),
        "--json": differs(UNPACK, "--json"),
    },
    "inspect": {
        "PATH": Changes("inspect data/texts", "inspect tiny-texts"),
        "--set": differs("inspect tiny", "--set model.body.hidden_size=17"),
        "--data": differs("inspect tiny", "--data nowhere"),
        "--json": differs("inspect tiny", "--json"),
    },
    "runs": {"--json": differs("runs", "--json")},
    "report": {
        "[RUN...]": differs("report --no-png", "tiny-texts second"),
        "--out": differs("report --no-png", "--out page"),
        "--png": differs("report", "--no-png"),
        "--json": differs("report --no-png", "--json"),
    },
    "compare": {
        "RUN...": Changes("compare tiny-texts", "compare tiny-texts second"),
        "--baselines": Changes(f"compare tiny-texts --baselines {NGRAMS}", "compare tiny-texts"),
        "--split": differs("compare tiny-texts", "--split valid"),
        "--data": differs("compare tiny-texts", "--data nowhere"),
        "--config": differs("compare tiny-texts --baselines", "--config baselines.toml"),
        "--set": Changes(
            f"compare tiny-texts --baselines {NGRAMS}",
            f"compare tiny-texts --baselines {NGRAMS.replace('uniform', 'unigram')}",
        ),
        "--checkpoint": differs("compare tiny-texts", "--checkpoint 10"),
        "--csv": differs("compare tiny-texts", "--csv t.csv"),
        "--png": differs("compare tiny-texts", "--png t.png"),
        "--device": differs("compare tiny-texts", "--device tpu"),
        "--json": differs("compare tiny-texts", "--json"),
    },
    "baseline": {
        "[DATA]": differs(f"baseline {NGRAMS}", "nowhere"),
        "--split": differs(f"baseline {NGRAMS.replace('uniform', 'unigram')}", "--split valid"),
        "--config": Changes("baseline --config baselines.toml", f"baseline {NGRAMS}"),
        "--set": Changes(f"baseline {NGRAMS}", f"baseline {NGRAMS.replace('uniform', 'unigram')}"),
        "--csv": differs(f"baseline {NGRAMS}", "--csv t.csv"),
        "--png": differs(f"baseline {NGRAMS}", "--png t.png"),
        "--json": differs(f"baseline {NGRAMS}", "--json"),
    },
    "tune": {
        "RUN": differs(f"tune {SEARCH}", "second"),
        "--data": differs(f"tune {SEARCH}", "--data nowhere"),
        "--config": differs(f"tune {SEARCH}", "--config search.toml"),
        "--set": differs(f"tune {SEARCH}", "--set cache_size=7"),
        "--checkpoint": differs(f"tune {SEARCH}", "--checkpoint 10"),
        "--device": differs(f"tune {SEARCH}", "--device tpu"),
        "--json": differs(f"tune {SEARCH}", "--json"),
    },
    "demo": {
        "--set": Refused("demo --set training.nothing=1"),
        "--overwrite": Changes("demo --set training.max_steps=1 --overwrite", "demo --set training.max_steps=1"),
        "--json": Changes("demo --set training.max_steps=1 --json", "demo --set training.max_steps=1"),
    },
}
"""Command -> option or argument -> how it shows."""

SLOW = {("demo", "--overwrite"), ("demo", "--json")}
"""Entries that are tried with `scripts/test --faults` only."""
REFUSED = [
    "prepare --source text --input novel.txt --discard-dump",
    "prepare --source sample --refresh",
    f"{WIKI} --wiki simplewiki --dry-run --refresh",
    f"{WIKI} --wiki simplewiki --dry-run --discard-dump",
    f"{WIKI} --wiki simplewiki --language ru",
    "prepare --input wiki.xml.bz2 --language ru",
    "prepare --input wiki.xml.bz2 --date latest",
    "prepare --source hub --input rows.jsonl --language ru",
    "prepare --source hub --set corpus.source.dataset=me/mine --language ru",
    "eval --text novel.txt --split test",
    "eval --confusion c.csv",
    "eval labels labels --confusion c.csv",
    "eval --text novel.txt --data texts",
    "sample --penalty-window 9",
    "sample --deterministic",
    *(
        f"sample --length 9 --beams 2 --{option}"
        for option in (
            *("temperature 0.7", "top-k 3", "top-p 0.5", "min-p 0.5", "typical-p 0.5", "seed 0"),
            *("repetition-penalty 2", "frequency-penalty 1"),
        )
    ),
    "sample --beams 2 --deterministic",
    "inspect tiny-texts --set model.body.hidden_size=17",
    "compare tiny-texts --config baselines.toml",
    "explain tiny-texts 'мы из' --label odd",
    "eval --label odd",
    "eval --classify",
    "eval labels --label odd",
    "eval labels --classify",
    "eval given --classify --label odd",
    "eval given --confusion c.csv",
    "eval given --text novel.txt",
    "eval given --streams 2",
    *(f"eval given --{method}" for method in ("dynamic", "cache", "calibrated", "mix", "mix-online")),
    "sample --label odd",
    "sample given",
    "sample given --label none",
    "sample labels --label odd",
    "export --format onnx --licence mit",
    "export --format onnx --figures figures.json",
    "tune given",
    "explain given one",
    "eval pairs --classify",
    "eval pairs --ensemble",
    "eval pairs --label odd",
    "eval pairs --confusion c.csv",
    *(f"eval pairs --{method}" for method in ("dynamic", "cache", "calibrated", "mix", "mix-online")),
    "eval --lanes 2",
    "eval tiny-texts second --proved",
    *(f"eval {run} --proved" for run in ("labels", "given", "pairs")),
    "compress --prepare --embed",
    "compress --prepare --out x",
    "compress novel.txt --out - --json",
    "eval --beams 3",
    "eval labels --length-penalty 1",
    "predict labels one --beams 3",
    "predict labels one --length-penalty 1",
    "predict labels one --length-penalty 0",
    "predict pairs ab --threshold 0.5",
    "predict pairs ab --labels odd",
    "predict pairs ab --temperature 2",
    "sample pairs",
    "sample pairs --source ab --label odd",
    "sample --source ab",
    "sample given --label odd --source ab",
    "explain tiny-texts 'мы из' --target ab",
    "explain pairs ab --label odd",
    "tune pairs",
    "compare pairs --config baselines.toml",
    "baseline data/pairs --config baselines.toml",
    "prepare --task classify --input train.tsv --source-normalize nfd",
    "prepare --task transduce --source sample",
    "prepare --task transduce --input pairs.tsv --annotation words",
    "prepare --task generate --source sample",
    "prepare --task generate --input tags.jsonl --tags-column tags",
    "prepare --task generate --input train.tsv --annotation words",
]
"""Command lines in which an option could have no effect beside another: exit code 2."""


def parameters(command: str) -> list[str]:
    """The options of a command, by their longest spelling, and its arguments, as the reference shows them."""
    chosen = GROUP.commands[command] if command else GROUP
    return [
        parameter.metavar if parameter.param_type_name == "argument" else max(parameter.opts, key=len)
        for parameter in chosen.params
    ]


@dataclass(frozen=True)
class Observed:
    code: int
    stdout: str
    stderr: str
    files: dict[str, str | None]


NEVER_THE_SAME = re.compile(
    r'"seconds[a-z_]*": [\d.e+-]+|(?<=[ |])[\d.,]+(e-\d+)? ?(s|ms|min|seconds)\b|\d+ left|\r[^\n]*'
)
UNCOMPARED = {"metrics.jsonl", "training.json", "manifest.json", "tensorboard"}
"""Files with times in them."""


@dataclass
class Observer:
    """Runs command lines, each in an unchanged copy of one folder; a line is run once."""

    commands: Commands
    scratch: Path
    answers: dict[str, Observed]

    @cached_property
    def _unchanged(self) -> dict[str, bytes | None]:
        return snapshot(self.commands.folder)

    def __call__(self, line: str) -> Observed:
        if line not in self.answers:
            folder = self.scratch / "copy" / "folder"
            if not folder.exists():
                shutil.copytree(self.commands.folder, folder, symlinks=True)
            own = {"CHARLM_CACHE": str(folder / "cache")} if line.startswith("prepare") else {}  # else compiled kernels
            own |= {"HOME": str(folder / "home")} if "completion" in line else {}
            own |= {"BROWSER": "sh -c 'echo opened >&2 #%s'"} if line.startswith("serve") else {}
            moved = Commands(self.commands.address, folder, {**self.commands.environment, **own})
            ended = _serve_shortly(moved, line) if line.startswith("serve") else moved(*shlex.split(line))
            found = snapshot(folder)
            files = {
                name: None if content is None else hashlib.sha256(content).hexdigest()
                for name, content in found.items()
                if not UNCOMPARED & {*Path(name).parts} and ".partial" not in name
            }
            stdout, stderr = (
                NEVER_THE_SAME.sub("", text.replace(str(folder), "FOLDER")) for text in (ended.stdout, ended.stderr)
            )
            self.answers[line] = Observed(ended.code, stdout, stderr, files)
            if found != self._unchanged:
                shutil.rmtree(folder)
        return self.answers[line]


def _serve_shortly(commands: Commands, line: str) -> Ended:
    """Run a server until it has said what it has to say; one that then ends as it is told to has the exit code 0."""
    last_word = "opened" if "--open" in line else "Ctrl-C"
    with commands.start(*shlex.split(line)) as process:
        until(lambda: last_word in process.err.text or "charlm: error: " in process.err.text)
        if "charlm: error: " not in process.err.text:
            process.send(signal.SIGTERM)
        ended = process.wait()
    port = re.compile(r"(http://[\d.]+):\d+")
    code = 0 if ended.code == 128 + signal.SIGTERM else ended.code
    return Ended(code, port.sub(r"\1", ended.stdout), port.sub(r"\1", ended.stderr))


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        serve_wiki(server, "simplewiki", small_dump("simplewiki"))
        yield server


def _add_labels(commands: Commands) -> None:
    """Add files of examples, a run that predicts labels, and one of texts that is given labels; the current corpus and
    run stay those of before."""
    folder = commands.folder
    for name, numbers in (("train", range(60)), ("valid", range(60, 80)), ("valid2", range(80, 110))):
        rows = "".join(f"number {number}\t{'odd' if number % 2 else 'even'}\n" for number in numbers)
        (folder / f"{name}.tsv").write_text(f"text\tlabel\n{rows}", encoding="utf-8")
    (folder / "tags.jsonl").write_text(
        '{"text": "ab", "tags": ["x", "y"]}\n{"text": "cb", "tags": ["x", "z"]}\n' * 1
        + "".join(
            f'{{"text": "a{number}", "tags": ["x", {", ".join(chr(34) + "y" + chr(34) for _ in str(number))}]}}\n'
            for number in range(60)
        ),
        encoding="utf-8",
    )
    words = "".join(
        f"1\tword{number}\t_\tNOUN\t_\t_\t_\t_\t_\t_\n2\t{number}\t_\tNUM\t_\t_\t_\t_\t_\t_\n\n" for number in range(60)
    )
    (folder / "bank.conllu").write_text(words, encoding="utf-8")
    current = {path: path.read_bytes() for path in (folder / "data/current.json", folder / "runs/current.json")}
    small = "--set training.max_steps=2 --set model.body.hidden_size=4 --set training.validation_interval=1".split()
    for task, name in (("classify", "labels"), ("generate", "given")):
        commands.succeed("prepare", "--task", task, "--input", "train.tsv", "--workers", "1", "--out", f"data/{name}")
        commands.succeed("train", "--data", name, "--out", f"runs/{name}", *small)
    for path, content in current.items():
        path.write_bytes(content)


@pytest.fixture(scope="module")
def observe(toured: Commands, server: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Observer:
    """In a folder with a corpus, a tuned run, a second run and files that the lines name."""
    base = tmp_path_factory.mktemp("effects")
    folder = shutil.copytree(toured.folder, base / "folder")
    (folder / "novel.txt").write_text("Call me Ishmael. Some years ago, never mind how long. " * 60, encoding="utf-8")
    (folder / "other.txt").write_text("It was the best of times, it was the worst of times. " * 60, encoding="utf-8")
    (folder / "latin1.txt").write_text("Où est le café? " * 90, encoding="latin-1")
    (folder / "rows.jsonl").write_text('{"text": "Call me Ishmael."}\n' * 90, encoding="utf-8")
    (folder / "wiki.xml.bz2").write_bytes(small_dump("simplewiki"))
    (folder / "baselines.toml").write_text('baselines = [{type = "unigram"}]\n', encoding="utf-8")
    (folder / "search.toml").write_text("segment_len = 7\n", encoding="utf-8")
    commands = Commands(toured.address, folder, {"CHARLM_MIRROR": server.url()})
    second = "--set training.max_steps=3 --set training.seed=5 --out runs/second".split()
    commands.succeed("train", "--config", "tiny", *second)
    commands.succeed("tune", "tiny-texts", *shlex.split(SEARCH))
    _add_labels(commands)
    tour_targets(commands)
    commands.succeed("train", "--config", "tiny")  # the current run again
    commands.succeed("export", "--format", "hub", "--out", "exported")
    commands.succeed("compress", "novel.txt")
    (folder / "figures.json").write_text(json.dumps(commands.json("eval")), encoding="utf-8")
    return Observer(commands, base, {})


def entries() -> Iterator[Any]:
    for command, options in TABLE.items():
        for option in options:
            marks = [pytest.mark.faults] if (command, option) in SLOW else []
            yield pytest.param(command, option, id=f"{command} {option}".strip(), marks=marks)


@pytest.mark.parametrize("command", ["", *GROUP.commands])
def test_every_option_has_its_place_in_the_table(command: str) -> None:
    assert set(TABLE[command]) == set(parameters(command)), "place each option of the command in TABLE"


def test_few_options_have_no_effect() -> None:
    every = [entry for options in TABLE.values() for entry in options.values()]
    without = [entry for entry in every if isinstance(entry, NoEffect)]
    print(f"{len(without)} of {len(every)} options: {len(without) / len(every):.1%}")  # noqa: T201 - the figure, with -s
    assert len(without) <= MAX_SHARE * len(every)
    docs = " ".join(
        " ".join(path.read_text(encoding="utf-8").split())
        for path in (Path(__file__).parents[1] / "charlm" / "docs").glob("*.md")
    )
    assert all(entry.said in docs for entry in without)


@pytest.mark.parametrize(("command", "option"), list(entries()))
def test_each_option_changes_something_or_is_refused(observe: Observer, command: str, option: str) -> None:
    entry = TABLE[command][option]
    match entry:
        case Changes():
            assert entry.line != entry.other
            found, other = observe(entry.line), observe(entry.other)
            assert found != other
            assert 0 in (found.code, other.code) or option == "--debug"
        case Refused():
            assert_refused(observe, entry.line)
            assert option in observe(entry.line).stderr
        case NoEffect():
            pass


@pytest.mark.parametrize("line", REFUSED)
def test_an_option_that_could_have_no_effect_is_refused(observe: Observer, line: str) -> None:
    assert_refused(observe, line)


def assert_refused(observe: Observer, line: str) -> None:
    found = observe(line)
    assert (found.code, found.stdout) == (2, ""), found
    assert found.stderr.startswith("charlm: error: ")
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize("line", ["eval --json", SAMPLE, TEXT, "tune " + SEARCH])
def test_the_same_line_is_answered_in_the_same_way(observe: Observer, line: str) -> None:
    """So that what differs above differs by the option."""
    again = Observer(observe.commands, observe.scratch / "again", {})
    assert again(line) == observe(line)


@pytest.mark.parametrize(
    "line",
    [
        "eval --data=",
        "eval --data ''",
        "train --config ''",
        "train --init-from=",
        "prepare --vocab-from ''",
        "prepare --split-like=",
        "prepare --out ''",
        "sample --checkpoint ''",
        "inspect ''",
        "compare tiny-texts ''",
        "baseline --csv ''",
    ],
)
def test_an_empty_value_is_not_taken_for_one_that_is_left_out(observe: Observer, line: str) -> None:
    """As of a shell variable that is not set."""
    assert_refused(observe, line)
    assert "is empty; give a value, or leave it out" in observe(line).stderr


# ---- pairs of options

PAIRS: dict[str, dict[str, str]] = {
    "sample --length 60": {
        "--prompt": "--prompt 'мы из '",
        "--greedy": "--temperature 0 --frequency-penalty 1 --length 400",
        "--temperature": "--temperature 2",
        "--top-k": "--top-k 2",
        "--top-p": "--top-p 0.2",
        "--min-p": "--min-p 0.5",
        "--typical-p": "--typical-p 0.2",
        "--repetition-penalty": "--repetition-penalty 3",
        "--frequency-penalty": "--frequency-penalty 2",
        "--penalty-window": "--penalty-window 3",
        "--stop": "--stop а --stop о --stop е --stop ' '",
        "--regex": "--regex '[аоу]+'",
        "--must-contain": "--must-contain café",
        "--only": "--only аоу",
        "--never": "--never ' '",
        "--count": "--count 2",
        "--best-of": "--best-of 3",
        "--beams": "--beams 3",
        "--novelty": "--novelty ''",
        "--precision": "--precision bf16",
        "--seed": "--seed 4",
        "--checkpoint": "--checkpoint 10",
        "--json": "--json",
        "--length": "--length 25",
    },
    "eval": {
        "--split": "--split valid",
        "--text": "--text novel.txt",
        "--precision": "--precision bf16",
        "--dynamic": "--dynamic",
        "--cache": "--cache",
        "--calibrated": "--calibrated",
        "--mix": "--mix",
        "--mix-online": "--mix-online",
        "--per-document": "--per-document d.csv",
        "--per-token": "--per-token t.csv",
        "--checkpoint": "--checkpoint 10",
        "--json": "--json",
        "second": "second",
    },
    "explain tiny-texts 'мы из'": {
        "--text": "--text novel.txt",
        "--out": "--out x.html",
        "--top": "--top 1",
        "--checkpoint": "--checkpoint 10",
        "--json": "--json",
    },
    f"compare tiny-texts {NGRAMS}": {
        "--baselines": "--baselines",
        "--split": "--split valid",
        "--checkpoint": "--checkpoint 10",
        "--csv": "--csv t.csv",
        "--json": "--json",
        "second": "second",
    },
}
"""A command line -> options that are tried beside each other."""
NO_EFFECT_BESIDE: dict[tuple[str, str], str] = {
    ("--precision", "--greedy"): "the tiny model's most probable tokens are the same in bf16",
}
"""(option, option beside it) -> why it changes nothing there."""
BY_DEFAULT = {"--greedy", "--beams", "--text", "--baselines"}
"""Options beside which all others are tried without --faults, too."""


def pairs() -> Iterator[Any]:
    for line, options in PAIRS.items():
        for beside in options:
            marks = [] if beside in BY_DEFAULT else [pytest.mark.faults]
            yield pytest.param(line, beside, id=f"{line.split()[0]} {beside}", marks=marks)


@pytest.mark.parametrize(("line", "beside"), list(pairs()))
def test_each_option_has_an_effect_beside_each_other_one(observe: Observer, line: str, beside: str) -> None:
    """Or the two are refused together."""
    options = PAIRS[line]
    alone = f"{line} {options[beside]}"
    if observe(alone).code != 0:
        pytest.skip("it needs another option")
    silent = [
        option
        for option, given in options.items()
        if option != beside and (found := observe(f"{alone} {given}")).code == 0 and found == observe(alone)
    ]
    assert [option for option in silent if (option, beside) not in NO_EFFECT_BESIDE] == []


def test_few_pairs_have_no_effect() -> None:
    num_pairs = sum(len(options) * (len(options) - 1) for options in PAIRS.values())
    print(f"{len(NO_EFFECT_BESIDE)} of {num_pairs} pairs")  # noqa: T201 - the figure, with -s
    assert len(NO_EFFECT_BESIDE) <= MAX_SHARE * num_pairs
