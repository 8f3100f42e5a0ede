"""Train what `charlm train --minutes` chooses and three candidates, and write the table of charlm/docs/results.md.

results_dial.toml ──> prepare, train for each time, eval on the validation and the test split (each once, in
runs/results/dial) ──> the table: the candidate that is best on the validation split, and both on the test split

`scripts/results dial` makes all rows, `scripts/results dial ukwiki` or `scripts/results dial --minutes 0.5` some; the
rows of the page that were not measured here stay. Run nothing else meanwhile: budgets are in minutes. GFLOP/s is the
peak of the machine's matrix product in fp32, which says how much fits into a minute.
"""

import argparse
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).parent))  # for its neighbours
import torch
from bench_train import gemm_peak

ROOT = Path(__file__).parents[1]
RESULTS = Path("runs") / "results" / "dial"
PAGE = ROOT / "charlm" / "docs" / "results.md"
BEGIN, END = "<!-- dial: written by scripts/results -->", "<!-- end of dial: written by scripts/results -->"
CHOSEN = "auto"

Content = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="corpora of results_dial.toml; all if left out")
    parser.add_argument("--minutes", type=float, action="append", help="only these times (repeatable)")
    parser.add_argument("--tables", action="store_true", help="only write the table of what is done")
    options = parser.parse_args()
    shared = Path(os.environ.get("CHARLM_SHARED", ROOT.parent / "shared" / "data")).resolve()
    os.chdir(ROOT)
    content = tomllib.loads((ROOT / "scripts" / "results_dial.toml").read_text(encoding="utf-8"))
    if not options.tables:
        if not shared.is_dir():
            sys.exit(f"scripts/results: there are no data at {shared}; set CHARLM_SHARED to their folder")
        for minutes in options.minutes or content["minutes"]:
            for corpus in options.names or content["corpora"]:
                _measure(corpus, minutes, content, shared)
    _write(content)


def _measure(corpus: str, minutes: float, content: Content, shared: Path) -> None:
    """Prepare, train and score what has no result yet."""
    if not (Path("data") / corpus / "corpus.json").is_file():
        source = content["corpora"][corpus]["input"].format(shared=shared)
        _charlm("prepare", "--source", "wikipedia", "--input", source, "--out", f"data/{corpus}")
    for name in (CHOSEN, *content["candidates"]):
        result = _result(corpus, minutes, name)
        if result.is_file():
            continue
        print(f"--- {result.stem}", flush=True)
        run = RESULTS / result.stem
        settings = content["candidates"][name]["settings"] if name != CHOSEN else []
        sets = [part for setting in settings for part in ("--set", setting)]
        where = ("--data", corpus, "--out", str(run), "--overwrite")
        peak = gemm_peak(torch.device("cpu"), "fp32")
        _charlm("train", "--config", CHOSEN, "--minutes", str(minutes), *where, *sets)
        scores = {split: _json("eval", str(run), "--split", split) for split in ("valid", "test")}
        body = tomllib.loads((run / "experiment.toml").read_text(encoding="utf-8"))
        found = {"scores": scores, "experiment": body, "gemm_peak_gflops": round(peak)}
        result.parent.mkdir(parents=True, exist_ok=True)
        result.write_text(json.dumps(found, indent=2), encoding="utf-8")


def _result(corpus: str, minutes: float, name: str) -> Path:
    return RESULTS / f"{corpus}-{minutes:g}-{name}.json"


def _load(corpus: str, minutes: float, name: str) -> Content | None:
    path = _result(corpus, minutes, name)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _charlm(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "charlm", *arguments], check=True)


def _json(*arguments: str) -> Content:
    command = [sys.executable, "-m", "charlm", *arguments, "--json"]
    return cast("Content", json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


# ---- the table


def _write(content: Content) -> None:
    """Write the rows that were measured here into the page; others, of other machines and days, stay."""
    text = PAGE.read_text(encoding="utf-8")
    if BEGIN not in text:
        return
    before, (table, after) = text.split(BEGIN, 1)[0], text.split(BEGIN, 1)[1].split(END, 1)
    earlier = {_key(line): line for line in table.strip().splitlines()}
    rows: list[str] = []
    for corpus, row in content["corpora"].items():
        for minutes in content["minutes"]:
            found = {name: _load(corpus, minutes, name) for name in (CHOSEN, *content["candidates"])}
            key = (row["language"], f"{minutes:g}")
            if all(found.values()):
                rows.append(_line(row["language"], minutes, cast("dict[str, Content]", found)))
            elif key in earlier:
                rows.append(earlier[key])
    if rows:
        titles = [row["title"] for row in content["candidates"].values()]
        figures = ["test bits", "of the network", *titles, "against the best candidate", "GFLOP/s"]
        head = ["corpus", "minutes", "chosen", *figures]
        lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows]
        PAGE.write_text("\n".join([before + BEGIN, *lines, END]) + after, encoding="utf-8")


def _key(line: str) -> tuple[str, ...]:
    """Return the corpus and the minutes of a row."""
    return tuple(cell.strip() for cell in line.split("|")[1:3])


def _line(language: str, minutes: float, found: dict[str, Content]) -> str:
    """Return a row. The best candidate is the one of the lowest bits on the validation split."""
    chosen = found.pop(CHOSEN)
    best = min(found, key=lambda name: _bits(found[name], "valid"))
    marked = [f"**{_bits(each, 'test'):.3f}**" if name == best else f"{_bits(each, 'test'):.3f}"
              for name, each in found.items()]  # fmt: skip
    change = _bits(chosen, "test") / _bits(found[best], "test") - 1
    model, training = chosen["experiment"]["model"]["body"], chosen["experiment"]["training"]
    size = f"{model['hidden_size']:,}, {training['batch_size']} x {training['seq_len']}"
    network = chosen["scores"]["test"]["parts"]["network"]
    figures = [f"**{_bits(chosen, 'test'):.3f}**", f"{network:.3f}", *marked, f"{change:+.1%}"]
    figures.append(f"{chosen['gemm_peak_gflops']}")
    return f"| {language} | {minutes:g} | {size} | {' | '.join(figures)} |"


def _bits(found: Content, split: str) -> float:
    return float(found["scores"][split]["bits_per_character"])


if __name__ == "__main__":
    main()
