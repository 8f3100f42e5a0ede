"""Train what the shipped configs describe, score it, and write the tables and the picture of charlm/docs/results.md.

results.toml ──> prepare, train, eval, sample, baseline (each once, in runs/results/NAME)
             ──> tables between marks in charlm/docs/results.md ──> charlm/docs/images/minutes.svg

Recipes are trained with several seeds; the tables show the median. Each idea of the lecture is trained twice: for the
same number of characters and for the same time. Run nothing else meanwhile: budgets are in minutes.
"""

import argparse
import math
import os
import statistics
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # for its neighbours
import torch
from bench_train import gemm_peak
from results_common import (
    PAGE,
    RESULTS,
    ROOT,
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
from results_picture import draw_picture

TEMPERATURES = (0.2, 0.7, 1.0, 1.5)
METHODS = {
    "mix": "mixed with n-grams of the training text",
    "recall": "also with those of the text so far",
    "dynamic": "dynamic evaluation",
}
PICTURE = ROOT / "charlm" / "docs" / "images" / "minutes.svg"
BASELINES, PICTURE_NAME = "baselines", "picture"  # subjects beside the configs


@dataclass(frozen=True)
class Training:
    """A run that the tables need."""

    name: str
    config: str
    corpus: str
    split: str
    settings: tuple[str, ...] = ()
    evaluate: tuple[str, ...] = ()
    tune: tuple[str, ...] | None = None
    """Options of `charlm tune`; None if it is not run."""

    @property
    def directory(self) -> Path:
        return RESULTS / self.name

    @property
    def result(self) -> Path:
        return self.directory / "result.json"


@dataclass(frozen=True)
class Plan:
    """The content of results.toml."""

    corpora: dict[str, dict[str, Any]]
    recipes: list[dict[str, Any]]
    ideas: dict[str, Any]
    picture: dict[str, Any]
    shared: Path
    names: frozenset[str] = field(default_factory=frozenset[str])

    @classmethod
    def read(cls, shared: Path, names: Iterable[str]) -> "Plan":
        content = tomllib.loads((ROOT / "scripts" / "results.toml").read_text(encoding="utf-8"))
        plan = cls(
            content["corpora"], content["recipes"], content["ideas"], content["picture"], shared, frozenset(names)
        )
        unknown = plan.names - set(plan.all_names())
        if unknown:
            sys.exit(
                f"scripts/results: there is no {', '.join(sorted(unknown))}; there are {', '.join(plan.all_names())}"
            )
        return plan

    def all_names(self) -> list[str]:
        return [*self.configs(), BASELINES, PICTURE_NAME]

    def configs(self) -> list[str]:
        return [*(row["config"] for row in self.recipes), *(f"ideas/{row['config']}" for row in self.ideas["rows"])]

    def is_selected(self, name: str) -> bool:
        return not self.names or name in self.names

    def trainings_of(self, recipe: dict[str, Any]) -> list[Training]:
        return [
            self._training(
                f"{recipe['config']}-seed{seed}",
                recipe["config"],
                recipe["corpus"],
                (f"training.seed={seed}",),
                tuple(recipe.get("evaluate", ())),
                tuple(recipe["tune"]) if "tune" in recipe else None,
            )
            for seed in range(recipe["seeds"])
        ]

    def trainings_of_idea(self, row: dict[str, Any]) -> list[Training]:
        """Return the two trainings of an idea: for the same characters, and for the same time."""
        corpus, config = row.get("corpus", self.ideas["corpus"]), f"ideas/{row['config']}"
        minutes = ("training.max_epochs=1_000", f"training.max_minutes={self.ideas['minutes']}")
        return [
            self._training(f"idea-{row['config']}-characters", config, corpus, tuple(row.get("settings", ()))),
            self._training(f"idea-{row['config']}-time", config, corpus, (*row.get("settings", ()), *minutes)),
        ]

    def _training(
        self,
        name: str,
        config: str,
        corpus: str,
        settings: tuple[str, ...],
        evaluate: tuple[str, ...] = (),
        tune: tuple[str, ...] | None = None,
    ) -> Training:
        return Training(name, config, corpus, self.corpora[corpus]["split"], settings, evaluate, tune)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="*", help="configs, such as enwik8 or ideas/gru; baselines; picture; all if left out"
    )
    parser.add_argument("--list", action="store_true", help="list what there is, and what is done")
    parser.add_argument("--tables", action="store_true", help="only write the tables of what is done, and the picture")
    options = parser.parse_args()
    shared = find_shared()
    os.chdir(ROOT)
    plan = Plan.read(shared, options.names)
    if options.list:
        for training in _trainings(plan):
            print(f"{'done' if training.result.is_file() else '-':<6}{training.name}")
        return
    if not options.tables and plan.names != {PICTURE_NAME}:
        check_shared(shared)
        for training in _trainings(plan):
            _run(training, plan)
        _sample(plan)
        if plan.is_selected(BASELINES):
            _baselines(plan)
    _write(plan)
    if plan.is_selected(PICTURE_NAME):
        draw_picture(PAGE.read_text(encoding="utf-8"), plan.picture, PICTURE)


def _trainings(plan: Plan) -> Iterator[Training]:
    for recipe in plan.recipes:
        if plan.is_selected(recipe["config"]):
            yield from plan.trainings_of(recipe)
    for row in plan.ideas["rows"]:
        if plan.is_selected(f"ideas/{row['config']}"):
            yield from plan.trainings_of_idea(row)


def _run(training: Training, plan: Plan) -> None:
    """Prepare, train and score, unless the result exists."""
    if training.result.is_file():
        return
    _prepare(training.corpus, plan)
    print(f"--- {training.name}", flush=True)
    start = time.monotonic()
    peak = gemm_peak(torch.device("cpu"), "fp32")
    where = ("--data", training.corpus, "--out", str(training.directory))
    run_charlm("train", "--config", training.config, *where, *as_options(training.settings))
    seconds = time.monotonic() - start
    if training.tune is not None:
        run_charlm("tune", str(training.directory), *training.tune)
    score = read_charlm("eval", str(training.directory), "--split", training.split, *training.evaluate)
    about = read_charlm("inspect", str(training.directory))
    entries = read_metrics(training.directory)
    seconds_of = {entry["kind"]: entry["seconds"] for entry in entries}
    result = {
        "score": score,
        "parameters": about["parameters"],
        "characters_seen": entries[-1]["characters_seen"],
        "loop_seconds": seconds_of["train"],
        "command_seconds": round(seconds, 1),
        "gemm_peak_gflops": round(peak),
    }
    save_result(training.result, result)


def _prepare(corpus: str, plan: Plan) -> None:
    if (Path("data") / corpus / "corpus.json").is_file():
        return
    arguments = [argument.format(shared=plan.shared) for argument in plan.corpora[corpus]["prepare"]]
    if "--data" in arguments:
        _prepare(arguments[arguments.index("--data") + 1], plan)
    run_charlm("prepare", *arguments, "--out", f"data/{corpus}")


def _sample(plan: Plan) -> None:
    """Sample one prompt at several temperatures, and measure each text."""
    path = RESULTS / "samples.json"
    training = plan.trainings_of(plan.recipes[0])[0]
    if path.is_file() or not training.result.is_file():
        return
    found: list[dict[str, Any]] = []
    for temperature in TEMPERATURES:
        options = ("--prompt", "ROMEO:\n", "--length", "2000", "--temperature", str(temperature), "--novelty", "")
        sampled = read_charlm("sample", str(training.directory), *options)
        text = str(sampled["text"])
        Path(RESULTS / "sample.txt").write_text(text, encoding="utf-8")
        scored = read_charlm("eval", str(training.directory), "--text", str(RESULTS / "sample.txt"))
        found.append(
            {
                "temperature": temperature,
                "text": text,
                "bits_per_character": scored["bits_per_character"],
                "entropy": _entropy(text),
                "novelty": sampled["novelty"],
            }
        )
    save_result(path, found)


def _baselines(plan: Plan) -> None:
    """Every baseline on the corpus of the picture."""
    path, corpus = RESULTS / "baselines.json", plan.picture["corpus"]
    if not path.is_file():
        _prepare(corpus, plan)
        save_result(path, read_charlm("baseline", corpus, "--split", plan.corpora[corpus]["split"]))


def _entropy(text: str, n: int = 3) -> float:
    """Return the entropy of the character n-grams of a text in bits, a measure of its variety."""
    counts: dict[str, int] = {}
    for start in range(len(text) - n + 1):
        counts[text[start : start + n]] = counts.get(text[start : start + n], 0) + 1
    total = sum(counts.values())
    return -sum(count / total * math.log2(count / total) for count in counts.values())


# ---- the tables


def _write(plan: Plan) -> None:
    for name, lines in (
        ("recipes", _recipes(plan)),
        ("ideas", _ideas(plan)),
        ("samples", _samples()),
        (BASELINES, _baseline_table()),
    ):
        write_table(PAGE, name, lines)


def _recipes(plan: Plan) -> list[str]:
    lines = _columns(
        "config, parameters, characters read, loop and command, GEMM peak (fp32 GFLOP/s),"
        " held-out figure: median of seeds, 95 % interval, beside it"
    )
    for recipe in plan.recipes:
        results = _results(plan.trainings_of(recipe))
        if not results:
            continue
        figures = sorted(_score_in_unit(result["score"], recipe["unit"]) for result in results)
        spread = f" ({figures[0]:.3f} to {figures[-1]:.3f})" if len(figures) > 1 else ""
        unit = recipe["unit"].replace("_", " ")
        middle = results[len(results) // 2]
        adapted_figures = "".join(
            f"; {words} **{statistics.median(found):.3f}**"
            for method, words in METHODS.items()
            if (
                found := [
                    _score_in_unit(result["score"][method], recipe["unit"])
                    for result in results
                    if method in result["score"]
                ]
            )
        )
        times = [statistics.median(result[key] for result in results) for key in ("loop_seconds", "command_seconds")]
        lines.append(
            f"| `{recipe['config']}` | {middle['parameters'] / 1e6:.2f}M | {middle['characters_seen'] / 1e6:.1f}M |"
            f" {times[0]:.0f} s, {times[1]:.0f} s | {middle['gemm_peak_gflops']} |"
            f" **{statistics.median(figures):.3f}** {unit}{spread}{adapted_figures} |"
            f" {_interval(middle['score'], recipe['unit'])} | {recipe['literature']} |"
        )
    return lines if len(lines) > 2 else []


def _ideas(plan: Plan) -> list[str]:
    lines = _columns(
        "idea, config, parameters, bits per character after 1.0M characters, seconds,"
        f" characters in {60 * plan.ideas['minutes']:.0f} s, bits per character after them, 95 % interval,"
        " the literature"
    )
    for row in plan.ideas["rows"]:
        found = _results(plan.trainings_of_idea(row))
        if len(found) != 2:
            continue
        characters, in_time = found
        lines.append(
            f"| {row['slide']} | `ideas/{row['config']}` | {characters['parameters'] / 1e6:.2f}M |"
            f" **{characters['score']['bits_per_character']:.3f}** | {characters['loop_seconds']:.0f} |"
            f" {in_time['characters_seen'] / 1e6:.2f}M | **{in_time['score']['bits_per_character']:.3f}** |"
            f" {_interval(in_time['score'], 'bits_per_character')} | {row['literature']} |"
        )
    return lines if len(lines) > 2 else []


def _samples() -> list[str]:
    found = load_result(RESULTS / "samples.json")
    if found is None:
        return []
    lines = _columns(
        "temperature, bits per character under the model, entropy of its trigrams (bits),"
        " fraction of its 10-grams found in the training text, the beginning"
    )
    for sample in found:
        beginning = " / ".join(sample["text"][:90].split("\n")).replace("|", "\\|")
        lines.append(
            f"| {sample['temperature']:g} | {sample['bits_per_character']:.2f} | {sample['entropy']:.2f} |"
            f" {sample['novelty']['share']:.0%} | {beginning} |"
        )
    return lines


def _baseline_table() -> list[str]:
    found = load_result(RESULTS / "baselines.json")
    if found is None:
        return []
    lines = _columns("baseline, what it is, bits per character")
    for row in found["rows"]:
        name, comma, given = row["model"].partition(",")
        lines.append(f"| `{name}`{comma}{given} | {row['description']} | {row['bits_per_character']:.3f} |")
    return lines


def _columns(names: str) -> list[str]:
    return table_header(names.split(", "))


def _results(trainings: list[Training]) -> list[dict[str, Any]]:
    return [found for each in trainings if (found := load_result(each.result))]


def _score_in_unit(score: dict[str, Any], unit: str) -> float:
    return math.log(2) * score["bits_per_character"] if unit == "nats_per_character" else score[unit]


def _interval(score: dict[str, Any], unit: str) -> str:
    """Return the confidence interval in the unit of the score; `eval` gives bits per character."""
    if score["interval"] is None:
        return "-"
    scale = _score_in_unit(score, unit) / score["bits_per_character"]
    low, high = (scale * bound for bound in score["interval"])
    return f"{low:.3f} to {high:.3f}"


if __name__ == "__main__":
    main()
