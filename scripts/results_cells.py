"""Train recurrent cells for equal seconds, each on one CPU core, and write the table of charlm/docs/results.md.

results_cells.toml ──> prepare
                   ──> a minute with each learning rate ──> the rate with the fewest validation bits
                   ──> the minutes of the table with that rate, lowered for more updates, seed 0
                   ──> the best two cells of a text and size
                   ──> these with the other seeds ──> the table

`scripts/results cells` does it all, `scripts/results cells ukwiki` for one text. Each training has a core of its own,
so as many run at a time as there are cores: run nothing else meanwhile. Results are kept in runs/results/cells, so the
same command continues where it stopped.
"""

import argparse
import concurrent.futures
import math
import os
import queue
import statistics
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # for its neighbours
import torch
from bench_train import gemm_peak
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

from charlm.data.corpus import open_corpus
from charlm.experiment import load_experiment, read_layers
from charlm.nn.build import build_meta_model

FOLDER = RESULTS / "cells"
CONFIG = "lstm"
_UNITS_STEP = 16
_MAX_UNITS = 4096
_NUM_BEST = 2
"""Cells of a text and size that are trained with several seeds."""
_FOR_ONE_CORE = {"OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Training:
    """One training."""

    text: str
    millions: int
    cell: str
    hidden_size: int
    settings: tuple[str, ...]
    learning_rate: float
    minutes: float
    seed: int = 0
    validation_interval: int = 1_000_000
    """Updates between validations; the run ends with one in any case."""

    @property
    def name(self) -> str:
        cell = f"{self.text}-{self.millions}M-{self.cell}"
        return f"{cell}-{self.learning_rate:g}-{self.minutes:g}min-seed{self.seed}"

    @property
    def result(self) -> Path:
        return FOLDER / f"{self.name}.json"

    def load(self) -> Content | None:
        return load_result(self.result)


@dataclass(frozen=True)
class Group:
    """The cells of a text and size, which are compared with each other."""

    text: str
    size: Content
    content: Content
    vocab_size: int

    def search(self) -> list[Training]:
        """Return the trainings of a minute."""
        return [each for cell in self.content["cells"] for each in self._search_of(cell)]

    def _search_of(self, cell: Content) -> list[Training]:
        settings = (*self.content["settings"], *cell["settings"])
        millions, minutes = self.size["millions"], self.content["search_minutes"]
        units = choose_hidden_size(settings, 1_000_000 * millions, self.vocab_size)
        return [
            Training(self.text, millions, cell["name"], units, settings, rate, minutes)
            for rate in self.size["learning_rates"]
        ]

    def chosen(self) -> list[Training]:
        """Return the trainings of seed 0, one for each cell, once the learning rates are known."""
        searches = [[(each, found) for each in self._search_of(cell) if (found := each.load())]
                    for cell in self.content["cells"]]  # fmt: skip
        if not all(len(found) == len(self.size["learning_rates"]) for found in searches):
            return []
        best = [min(found, key=lambda pair: pair[1]["validations"][-1]["bits"]) for found in searches]
        factor = self.content["minutes"] / self.content["search_minutes"]
        interval = max(1, int(factor * min(found["updates"] for _, found in best)))  # where the slowest cell ends
        return [
            replace(
                each,
                minutes=self.content["minutes"],
                learning_rate=lower_learning_rate(each.learning_rate, factor),
                validation_interval=interval,
            )
            for each, _ in best
        ]

    def more_seeds(self) -> list[Training]:
        """Return the trainings of the best two cells with the other seeds, once those of seed 0 are done."""
        pairs = [(each, found) for each in self.chosen() if (found := each.load())]
        if len(pairs) < len(self.content["cells"]):
            return []
        pairs.sort(key=lambda pair: pair[1]["validations"][-1]["bits"])
        seeds = range(1, self.content["num_seeds"])
        return [replace(each, seed=seed) for each, _ in pairs[:_NUM_BEST] for seed in seeds]


def lower_learning_rate(rate: float, factor: float) -> float:
    """Return the rate for `factor` times as many updates: the best rate falls with their root, as the dial's does."""
    return float(f"{rate / math.sqrt(factor):.2g}")


def choose_hidden_size(settings: Sequence[str], parameters: int, vocab_size: int) -> int:
    """Return the multiple of 16 with which a model has the most similar number of parameters."""

    def count(units: int) -> int:
        layers = read_layers(CONFIG, (), (*settings, f"model.body.hidden_size={units}"))
        return build_meta_model(load_experiment(layers).model, vocab_size).num_parameters

    low, high = 1, _MAX_UNITS // _UNITS_STEP
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(_UNITS_STEP * middle) <= parameters else (low, middle)
    return min((_UNITS_STEP * low, _UNITS_STEP * high), key=lambda units: abs(count(units) - parameters))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="texts of results_cells.toml; all if left out")
    parser.add_argument("--tables", action="store_true", help="only write the table of what is done")
    options = parser.parse_args()
    shared = find_shared()
    os.chdir(ROOT)
    content = tomllib.loads((ROOT / "scripts" / "results_cells.toml").read_text(encoding="utf-8"))
    if not options.tables:
        check_shared(shared)
        texts = options.names or list(content["texts"])
        for text in texts:
            _prepare(text, content, shared)
        groups = list(_groups(content, texts))
        for stage in (Group.search, Group.chosen, Group.more_seeds):
            _train(each for group in groups for each in stage(group))
    _write(content)


def _prepare(text: str, content: Content, shared: Path) -> None:
    if not _corpus(text).joinpath("corpus.json").is_file():
        arguments = [argument.format(shared=shared) for argument in content["texts"][text]["prepare"]]
        run_charlm("prepare", *arguments, "--out", str(_corpus(text)))


def _corpus(text: str) -> Path:
    return Path("data") / "results" / f"{text}-cells"


def _groups(content: Content, texts: Iterable[str]) -> Iterator[Group]:
    """Return what can be compared: the sizes of each text that is prepared."""
    for text in texts:
        if _corpus(text).joinpath("corpus.json").is_file():
            vocab_size = open_corpus(_corpus(text)).vocab.size
            yield from (Group(text, size, content, vocab_size) for size in content["sizes"])


def _train(trainings: Iterable[Training]) -> None:
    """Train and score what has no result yet, as many at a time as there are cores."""
    cores: queue.SimpleQueue[int] = queue.SimpleQueue()
    available = sorted(os.sched_getaffinity(0))
    for core in available:
        cores.put(core)
    left = [each for each in trainings if not each.result.is_file()]
    peaks = _peaks() if left else {}

    def run(training: Training) -> None:
        core = cores.get()
        try:
            _train_one(training, core, peaks)
        finally:
            cores.put(core)

    with concurrent.futures.ThreadPoolExecutor(len(available)) as pool:
        for number, _ in enumerate(pool.map(run, left), start=1):
            print(f"--- {number} of {len(left)} are done", flush=True)


def _peaks() -> dict[str, int]:
    """Return the peaks of the matrix product on one core, in GFLOP/s."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    peaks = {precision: round(gemm_peak(torch.device("cpu"), precision)) for precision in ("fp32", "bf16")}
    torch.set_num_threads(threads)
    return peaks


def _train_one(training: Training, core: int, peaks: dict[str, int]) -> None:
    run = FOLDER / training.name
    settings = (
        *training.settings,
        f"model.body.hidden_size={training.hidden_size}",
        f"training.optimizer.lr={training.learning_rate}",
        f"training.max_minutes={training.minutes}",
        f"training.seed={training.seed}",
        f"training.validation_interval={training.validation_interval}",
    )
    on_core = {"prefix": ("taskset", "--cpu-list", str(core)), "environment": _FOR_ONE_CORE}
    where = ("--data", str(_corpus(training.text)), "--out", str(run), "--overwrite")
    read_charlm("train", "--config", CONFIG, *where, *as_options(settings), **on_core)
    found: Content = summarize(read_metrics(run))
    found["parameters"] = read_charlm("inspect", str(run))["parameters"]
    found["gemm_peak_gflops"] = peaks
    if training.validation_interval < Training.validation_interval:  # the search needs no test text
        found["score"] = read_charlm("eval", str(run), "--split", "test", **on_core)
    save_result(training.result, found)


def summarize(entries: Sequence[Content]) -> Content:
    """Return what the table needs of metrics.jsonl: updates, characters, and the bits per token of validations."""
    trained = [entry for entry in entries if entry["kind"] == "train"]
    validations = [entry for entry in entries if entry["kind"] == "valid"]
    return {
        "updates": trained[-1]["step"],
        "characters": trained[-1]["characters_seen"],
        "seconds": trained[-1]["seconds"],
        "validations": [
            {"characters": entry["characters_seen"], "bits": entry["nats"] / entry["tokens"] / math.log(2)}
            for entry in validations
        ],
    }


# ---- the table


def _write(content: Content) -> None:
    lines = [line for group in _groups(content, content["texts"]) for line in _lines(group)]
    if lines:
        minutes = f"{content['minutes']:g} minutes"
        equal, final = "validation bits after equal characters", f"test bits after {minutes}"
        columns = ["text", "parameters", "cell", "units", "learning rate", f"characters in {minutes}", equal, final]
        write_table(PAGE, "cells", [*table_header(columns), *lines])


def _lines(group: Group) -> list[str]:
    """Return the rows of a text and size; none before all cells are done with one seed."""
    trainings = group.chosen()
    found = [training.load() for training in trainings]
    if not trainings or None in found:
        return []
    text = group.content["texts"][group.text]
    seeds = range(1, group.content["num_seeds"])
    rows: list[tuple[Training, Content, list[float]]] = []
    for training, first in zip(trainings, found, strict=True):
        others = [other for seed in seeds if (other := replace(training, seed=seed).load())]
        rows.append((training, first, [each["score"][text["unit"]] for each in (first, *others)]))
    best_equal = min(first["validations"][0]["bits"] for _, first, _ in rows)
    best = min(statistics.median(scores) for _, _, scores in rows)
    titles = {cell["name"]: cell["title"] for cell in group.content["cells"]}
    lines: list[str] = []
    for training, first, scores in rows:
        equal, middle = first["validations"][0], statistics.median(scores)
        spread = f" ({min(scores):.3f} to {max(scores):.3f})" if len(scores) > 1 else ""
        figures: list[Any] = [
            text["title"],
            f"{first['parameters'] / 1e6:.2f}M",
            titles[training.cell],
            f"{training.hidden_size:,}",
            f"{training.learning_rate:g}",
            f"{first['characters'] / 1e6:.2f}M",
            f"{_mark(equal['bits'], best_equal)} ({equal['characters'] / 1e6:.2f}M)",
            f"{_mark(middle, best)}{spread}",
        ]
        lines.append(f"| {' | '.join(figures)} |")
    return lines


def _mark(bits: float, best: float) -> str:
    return f"**{bits:.3f}**" if bits == best else f"{bits:.3f}"


if __name__ == "__main__":
    main()
