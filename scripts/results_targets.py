"""Train transducers, score them alone and together, and write the table of charlm/docs/results.md.

results_targets.toml ──> prepare, train with each seed, eval, eval --ensemble, baseline (each once, in
runs/results/targets) ──> the table

`scripts/results targets` makes all rows, `scripts/results targets fre kor` some. Run nothing else meanwhile.
"""

import argparse
import os
import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for its neighbour
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

FOLDER = RESULTS / "targets"
G2P = "{shared}/tasks/g2p/{name}_{split}.tsv"
GIVEN_SPLITS = {"train": "train", "valid": "dev", "test": "test"}
NUM_SEEDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="rows of results_targets.toml; all if left out")
    options = parser.parse_args()
    shared = find_shared()
    check_shared(shared)
    os.chdir(ROOT)
    rows = tomllib.loads((ROOT / "scripts" / "results_targets.toml").read_text(encoding="utf-8"))["rows"]
    for row in rows:
        if not options.names or row["name"] in options.names:
            _measure(row, str(shared))
    _write(rows)


def _measure(row: Content, shared: str) -> None:
    """Prepare, train and score what has no result yet."""
    name, config = row["name"], row.get("config", "g2p")
    corpus = Path("data") / "results" / f"{name}-targets"
    if not (corpus / "corpus.json").is_file():
        files: list[str] = []
        for split, ending in GIVEN_SPLITS.items():
            files += [f"--{split}", row.get(split, G2P).format(shared=shared, name=name, split=ending)]
        columns = ["--text-column", "1", "--target-column", "2", "--vocab", "symbols", *row.get("options", ())]
        run_charlm("prepare", "--task", "transduce", *files, *columns, "--out", str(corpus))
    runs = [FOLDER / f"{name}-{seed}" for seed in range(row.get("seeds", NUM_SEEDS))]
    for seed, run in enumerate(runs):
        if not _result(run.name).is_file():
            print(f"--- {run.name}", flush=True)
            settings = (f"training.seed={seed}", *row.get("settings", ()))
            where = ("--data", str(corpus), "--out", str(run))
            run_charlm("train", "--config", config, *where, *as_options(settings))
            score = read_charlm("eval", str(run), "--data", str(corpus))
            save_result(_result(run.name), {**score, **_cost(run)})
    if len(runs) > 1 and not _result(f"{name}-ensemble").is_file():
        together = read_charlm("eval", *map(str, runs), "--data", str(corpus), "--ensemble")
        save_result(_result(f"{name}-ensemble"), together)
    if not _result(f"{name}-baselines").is_file():
        save_result(_result(f"{name}-baselines"), read_charlm("baseline", str(corpus)))


def _cost(run: Path) -> Content:
    seconds = max(entry["seconds"] for entry in read_metrics(run))
    return {"parameters": read_charlm("inspect", str(run))["parameters"], "seconds": seconds}


def _result(name: str) -> Path:
    return FOLDER / f"{name}.json"


def _load(name: str) -> Content | None:
    return load_result(_result(name))


# ---- the table


def _write(rows: list[Content]) -> None:
    lines = table_header(
        [
            "task",
            "parameters",
            "training",
            "wrong, alone",
            "wrong, together",
            "symbol errors",
            "joint 6-gram",
            "published",
        ]
    )
    means: list[tuple[float, float, float, float]] = []
    for row in rows:
        found = [each for seed in range(row.get("seeds", NUM_SEEDS)) if (each := _load(f"{row['name']}-{seed}"))]
        if found:
            line, figures = _line(row, found)
            lines.append(line)
            if figures is not None:
                means.append(figures)
    if means:
        alone, together, counted, published = (sum(column) / len(means) for column in zip(*means, strict=True))
        lines.insert(
            2 + len(means),
            f"| **mean of these {len(means)}** | | | **{alone:.2f}** | **{together:.2f}** | | {counted:.2f} |"
            f" {published:.2f} |",
        )
    write_table(PAGE, "targets", lines)


def _line(row: Content, found: list[Content]) -> tuple[str, tuple[float, float, float, float] | None]:
    """Return the line of a row, and its figures if it belongs to the mean."""
    rates = [100 * each["error_rate"] for each in found]
    alone = sum(rates) / len(rates)
    spread = f" ({min(rates):.1f} to {max(rates):.1f})" if len(rates) > 1 else f" ({_interval(found[0])})"
    together, baselines = _load(f"{row['name']}-ensemble"), _load(f"{row['name']}-baselines")
    shown, figures = "-", None
    if together is not None:
        shown = f"{100 * together['error_rate']:.2f} ({_interval(together)})"
    counted = None if baselines is None else 100 * baselines["rows"][-1]["error_rate"]
    if together is not None and counted is not None and not row.get("small"):
        figures = alone, 100 * together["error_rate"], counted, float(row["published"])
    symbols = (together or found[0])["symbol_error_rate"]
    minutes = sum(each["seconds"] for each in found) / len(found) / 60
    line = (
        f"| {row['task']} | {found[0]['parameters'] / 1e6:.2f}M | {minutes:.1f} min | {alone:.2f}{spread} | {shown} |"
        f" {100 * symbols:.2f} | {'-' if counted is None else f'{counted:.2f}'} | {row.get('published', '-')} |"
    )
    return line, figures


def _interval(found: Content) -> str:
    low, high = found["intervals"]["exact_match"]
    return f"{100 * (1 - high):.1f} to {100 * (1 - low):.1f}"


if __name__ == "__main__":
    main()
