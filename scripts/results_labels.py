"""Train the configs of labels and tags, score them beside simple models, and write the table of charlm/docs/results.md.

results_labels.toml ──> prepare, train, eval, baseline (each once, in runs/results/labels) ──> the table

`scripts/results labels` makes all rows, `scripts/results labels names tagger-af` some. Run nothing else meanwhile.
"""

import argparse
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).parent))  # for its neighbours
from results_label_data import make_languages, make_names

ROOT = Path(__file__).parents[1]
RESULTS = Path("runs") / "results" / "labels"
PAGE = ROOT / "charlm" / "docs" / "results.md"
BEGIN, END = "<!-- labels: written by scripts/results -->", "<!-- end of labels: written by scripts/results -->"
MAKERS = {"names": make_names, "languages": make_languages}
"""What makes the tables of examples that a row names with `made`."""
FIGURES = {"words": "restored words", "segments": "words F1", "accuracy": "accuracy"}
"""The figure of a row is the first of these that its score has."""


@dataclass(frozen=True)
class Fold:
    """One training of a row."""

    row: dict[str, Any]
    number: int

    @property
    def name(self) -> str:
        return f"{self.row['name']}{self.number if self.row.get('folds') else ''}"

    @property
    def corpus(self) -> Path:
        name = self.row.get("corpus", self.row["name"])
        return Path("data") / "results" / f"{name}{self.number if self.row.get('folds') else ''}"

    @property
    def run(self) -> Path:
        return RESULTS / self.row.get("run", self.name)

    @property
    def result(self) -> Path:
        return RESULTS / f"{self.name}.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="rows of results_labels.toml; all if left out")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the trainings")
    options = parser.parse_args()
    shared = Path(os.environ.get("CHARLM_SHARED", ROOT.parent / "shared" / "data")).resolve()
    if not shared.is_dir():
        sys.exit(f"scripts/results: there are no data at {shared}; set CHARLM_SHARED to their folder")
    os.chdir(ROOT)
    rows = tomllib.loads((ROOT / "scripts" / "results_labels.toml").read_text(encoding="utf-8"))["rows"]
    made = RESULTS / "examples"
    selected = [row for row in rows if not options.names or row["name"] in options.names]
    for kind in {row["made"] for row in selected if "made" in row}:
        MAKERS[kind](shared, made)
    for row in selected:
        for fold in _folds(row):
            _measure(fold, rows, {"shared": str(shared), "made": str(made)}, options.seed)
    _write(rows)


def _folds(row: dict[str, Any]) -> Iterator[Fold]:
    for number in range(row.get("folds", 1)):
        yield Fold(row, number)


def _measure(fold: Fold, rows: list[dict[str, Any]], places: dict[str, str], seed: int) -> None:
    """Prepare, train and score, unless the result exists."""
    if fold.result.is_file():
        return
    print(f"--- {fold.name}", flush=True)
    row = fold.row
    own = row if "prepare" in row else next(each for each in rows if each["name"] == row["corpus"])
    source = fold.corpus.with_name(f"{fold.corpus.name}-source")
    if not (fold.corpus / "corpus.json").is_file():
        for arguments, out in ((own.get("source", ()), source), (own["prepare"], fold.corpus)):
            filled = [each.format(**places, fold=fold.number, source=source) for each in arguments]
            if filled:
                _charlm("prepare", *filled, "--out", str(out))
    if "config" in row:
        sets = [part for setting in (*row.get("settings", ()), f"training.seed={seed}") for part in ("--set", setting)]
        _charlm("train", "--config", row["config"], "--data", str(fold.corpus), "--out", str(fold.run), *sets)
    score = _json("eval", str(fold.run), "--data", str(fold.corpus))
    baselines = [] if "corpus" in row else _json("baseline", str(fold.corpus))["rows"]
    about = _json("inspect", str(fold.run))
    entries = [json.loads(line) for line in (fold.run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    seconds = max(entry["seconds"] for entry in entries)
    found = {"score": score, "baselines": baselines, "parameters": about["parameters"], "seconds": seconds}
    fold.result.write_text(json.dumps(found, indent=2), encoding="utf-8")


def _charlm(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "charlm", *arguments], check=True)


def _json(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "charlm", *arguments, "--json"]
    return cast("dict[str, Any]", json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


# ---- the table


def _write(rows: list[dict[str, Any]]) -> None:
    lines = [
        "| task, config | parameters | training | figure | macro-F1 | simple models |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        found = [json.loads(fold.result.read_text(encoding="utf-8")) for fold in _folds(row) if fold.result.is_file()]
        if found:
            lines.append(_line(row, found))
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN, 1)
    PAGE.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + rest.split(END, 1)[1], encoding="utf-8")


def _line(row: dict[str, Any], found: list[dict[str, Any]]) -> str:
    figure = next(name for name in FIGURES if name in found[0]["score"])
    scores = [each["score"] for each in found]
    value = f"{FIGURES[figure]} **{100 * _mean([_figure(score, figure) for score in scores]):.2f} %**"
    if len(found) == 1:
        low, high = scores[0]["intervals"][figure]
        value += f" ({100 * low:.2f} to {100 * high:.2f})"
    key = {"words": "words_accuracy", "segments": "segments_f1", "accuracy": "accuracy"}[figure]
    models: dict[str, list[float]] = {}
    for baseline in (each for fold in found for each in fold["baselines"]):
        if baseline[key] is not None:
            models.setdefault(baseline["model"], []).append(baseline[key])
    others = ", ".join(f"{name} {100 * _mean(values):.2f}" for name, values in models.items())
    minutes = _mean([each["seconds"] for each in found]) / 60
    config = f", `{row['config']}`" if "config" in row else ""
    return (
        f"| {row['task']}{config} | {found[0]['parameters'] / 1e6:.2f}M | {minutes:.1f} min |"
        f" {value} | {100 * _mean([score['macro_f1'] for score in scores]):.1f} % | {others or '-'} |"
    )


def _figure(score: dict[str, Any], figure: str) -> float:
    found = score[figure]
    return float(found if figure == "accuracy" else found["accuracy" if figure == "words" else "f1"])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
