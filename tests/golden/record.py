"""Write what a version of charlm computes, for later versions to be compared with.

    python -m tests.golden.record FOLDER          all of it
    python -m tests.golden.record FOLDER --dumps  only `dumps.json`, after a change of the cleaner that is meant

FOLDER gets: `data/char` and `runs/lstm` (files as that version writes them), `losses.json` (what every training of
`experiments.py` logged, and the hash of its final weights), `results.json` (scores, texts and the resumed training of
`runs/lstm`), `dumps.json` (the hash of every file of the corpora of real dumps, where the real data are at hand). Only
the command line is used, so any version can be recorded.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.golden.experiments import DUMPS, EXPERIMENTS, TWO_RANKS, VOCABULARIES, arguments
from tests.golden.machine import describe_machine
from tests.workspaces import texts, write_texts

LOGGED = ("kind", "step", "nats_per_token", "gradient_norm", "nats", "tokens", "characters_seen", "lr")
RESUME = ("train", "--data", "data/char", "--out", "runs/lstm", *arguments("lstm"), "--set", "training.max_steps=12")
EVAL = ("eval", "runs/lstm", "--data", "data/char", "--json")
PAIR = ("train", "--data", "data/char", "--out", "runs/pair", *arguments(TWO_RANKS))
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
SAMPLE = ("sample", "runs/lstm", "--prompt", "Не ", "--length", "80", "--seed", "3", "--json")


def logged(run: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what a clock wrote."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [{key: line[key] for key in LOGGED if key in line} for line in lines]


def weights_hash(run: Path) -> str:
    """SHA-256 of the newest weights."""
    newest = max((run / "checkpoints").glob("step-*"))
    return hashlib.sha256((newest / "model.safetensors").read_bytes()).hexdigest()


def corpus_hashes(directory: Path) -> dict[str, str]:
    """SHA-256 of each file of a corpus."""
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def prepare_dump(folder: Path, dump: Path) -> tuple[str, ...]:
    """Copy a dump into `folder`; the arguments that make a corpus of it in data/dump."""
    shutil.copy(dump, folder / dump.name)
    return ("prepare", "--source", "wikipedia", "--input", dump.name, "--out", "data/dump", "--overwrite")


def main() -> None:
    target = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_texts(folder / "texts", texts())

        def charlm(*given: str, launcher: tuple[str, ...] = ()) -> str:
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())}
            command = [sys.executable, *launcher, "-m", "charlm", *given]
            return subprocess.run(
                command, cwd=folder, env=environment, check=True, text=True, stdout=subprocess.PIPE
            ).stdout

        target.mkdir(parents=True, exist_ok=True)
        real = Path(os.environ.get("CHARLM_SHARED", Path.cwd().parent / "shared" / "data")) / "mediawiki"
        dumps: dict[str, dict[str, str]] = {}
        for dump in DUMPS if real.is_dir() else ():
            charlm(*prepare_dump(folder, real / dump))
            dumps[dump] = corpus_hashes(folder / "data/dump")
        _write(target / "dumps.json", dumps)
        if sys.argv[2:] == ["--dumps"]:
            return
        charlm("prepare", "--source", "text", "--input", "texts", "--out", "data/char")
        for vocabulary in VOCABULARIES:
            if vocabulary != "char":
                charlm("prepare", "--data", "data/char", "--vocab", vocabulary, "--out", f"data/{vocabulary}")
        losses: dict[str, Any] = {}
        for experiment, (corpus, _) in EXPERIMENTS.items():
            run = f"runs/{experiment}"
            charlm("train", "--data", f"data/{corpus}", "--out", run, *arguments(experiment))
            losses[experiment] = {"log": logged(folder / run), "weights": weights_hash(folder / run)}
        charlm(*PAIR, launcher=LAUNCHER)
        losses["pair"] = {"log": logged(folder / "runs/pair"), "weights": weights_hash(folder / "runs/pair")}
        for kept in ("data/char", "runs/lstm"):
            shutil.copytree(folder / kept, target / kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".lock"))
        results = {
            "eval": json.loads(charlm(*EVAL)),
            "sample": json.loads(charlm(*SAMPLE)),
        }
        charlm(*RESUME)
        results |= {"resumed_log": logged(folder / "runs/lstm"), "resumed_weights": weights_hash(folder / "runs/lstm")}
        _write(target / "losses.json", losses)
        _write(target / "results.json", results)


def _write(path: Path, content: dict[str, Any]) -> None:
    written = json.dumps({"machine": describe_machine(), **content}, ensure_ascii=False, indent=1)
    path.write_text(written + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
