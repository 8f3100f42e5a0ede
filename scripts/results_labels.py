"""Train the configs of labels and tags, score them beside simple models, and write the table of charlm/docs/results.md.

results_labels.toml ──> prepare, train, eval, baseline (each once, in runs/results/labels) ──> the table

`scripts/results labels` makes all rows, `scripts/results labels names tagger-af` some. Run nothing else meanwhile.
"""

import argparse
import os
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for its neighbours
from results_common import (
    PAGE,
    RESULTS,
    ROOT,
    Content,
    as_options,
    check_shared,
    find_shared,
    load_result,
    read_charlm,
    read_metrics,
    run_charlm,
    save_result,
    table_header,
    write_table,
)
from results_label_data import make_languages, make_names

FOLDER = RESULTS / "labels"
MAKERS = {"names": make_names, "languages": make_languages}
"""What makes the tables of examples that a row names with `made`."""
FIGURES = {"words": "restored words", "segments": "words F1", "accuracy": "accuracy"}
"""The figure of a row is the first of these that its score has."""


@dataclass(frozen=True)
class Fold:
    """One training of a row."""

    row: Content
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
        return FOLDER / self.row.get("run", self.name)

    @property
    def result(self) -> Path:
        return FOLDER / f"{self.name}.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="rows of results_labels.toml; all if left out")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the trainings")
    options = parser.parse_args()
    shared = find_shared()
    check_shared(shared)
    os.chdir(ROOT)
    rows = tomllib.loads((ROOT / "scripts" / "results_labels.toml").read_text(encoding="utf-8"))["rows"]
    made = FOLDER / "examples"
    selected = [row for row in rows if not options.names or row["name"] in options.names]
    for kind in {row["made"] for row in selected if "made" in row}:
        MAKERS[kind](shared, made)
    for row in selected:
        for fold in _folds(row):
            _measure(fold, rows, {"shared": str(shared), "made": str(made)}, options.seed)
    _write(rows)


def _folds(row: Content) -> Iterator[Fold]:
    for number in range(row.get("folds", 1)):
        yield Fold(row, number)


def _measure(fold: Fold, rows: list[Content], places: dict[str, str], seed: int) -> None:
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
                run_charlm("prepare", *filled, "--out", str(out))
    if "config" in row:
        settings = (*row.get("settings", ()), f"training.seed={seed}")
        where = ("--data", str(fold.corpus), "--out", str(fold.run))
        run_charlm("train", "--config", row["config"], *where, *as_options(settings))
    score = read_charlm("eval", str(fold.run), "--data", str(fold.corpus))
    baselines = [] if "corpus" in row else read_charlm("baseline", str(fold.corpus))["rows"]
    parameters = read_charlm("inspect", str(fold.run))["parameters"]
    seconds = max(entry["seconds"] for entry in read_metrics(fold.run))
    found = {"score": score, "baselines": baselines, "parameters": parameters, "seconds": seconds}
    save_result(fold.result, found)


# ---- the table


def _write(rows: list[Content]) -> None:
    lines = table_header(["task, config", "parameters", "training", "figure", "macro-F1", "simple models"])
    for row in rows:
        found = [each for fold in _folds(row) if (each := load_result(fold.result))]
        if found:
            lines.append(_line(row, found))
    write_table(PAGE, "labels", lines)


def _line(row: Content, found: list[Content]) -> str:
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


def _figure(score: Content, figure: str) -> float:
    found = score[figure]
    return float(found if figure == "accuracy" else found["accuracy" if figure == "words" else "f1"])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
