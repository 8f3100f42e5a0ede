"""Train what `charlm train --minutes` chooses and three candidates, and write the table of charlm/docs/results.md.

results_dial.toml ──> prepare, train for each time, eval on the validation and the test split (each once, in
runs/results/dial) ──> the table: the candidate that is best on the validation split, and both on the test split

`scripts/results dial` makes all rows, `scripts/results dial ukwiki` or `scripts/results dial --minutes 0.5` some; the
rows of the page that were not measured here stay. Run nothing else meanwhile: budgets are in minutes. GFLOP/s is the
peak of the machine's matrix product in fp32, which says how much fits into a minute.
"""

import argparse
import os
import sys
import tomllib
from pathlib import Path
from typing import cast

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
    read_table,
    run_charlm,
    save_result,
    table_header,
    write_table,
)

FOLDER = RESULTS / "dial"
CHOSEN = "auto"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="corpora of results_dial.toml; all if left out")
    parser.add_argument("--minutes", type=float, action="append", help="only these times (repeatable)")
    parser.add_argument("--tables", action="store_true", help="only write the table of what is done")
    options = parser.parse_args()
    shared = find_shared()
    os.chdir(ROOT)
    content = tomllib.loads((ROOT / "scripts" / "results_dial.toml").read_text(encoding="utf-8"))
    if not options.tables:
        check_shared(shared)
        for minutes in options.minutes or content["minutes"]:
            for corpus in options.names or content["corpora"]:
                _measure(corpus, minutes, content, shared)
    _write(content)


def _measure(corpus: str, minutes: float, content: Content, shared: Path) -> None:
    """Prepare, train and score what has no result yet."""
    if not (Path("data") / corpus / "corpus.json").is_file():
        source = content["corpora"][corpus]["input"].format(shared=shared)
        run_charlm("prepare", "--source", "wikipedia", "--input", source, "--out", f"data/{corpus}")
    for name in (CHOSEN, *content["candidates"]):
        result = _result(corpus, minutes, name)
        if result.is_file():
            continue
        print(f"--- {result.stem}", flush=True)
        run = FOLDER / result.stem
        settings = content["candidates"][name]["settings"] if name != CHOSEN else []
        where = ("--data", corpus, "--out", str(run), "--overwrite")
        peak = gemm_peak(torch.device("cpu"), "fp32")
        run_charlm("train", "--config", CHOSEN, "--minutes", str(minutes), *where, *as_options(settings))
        scores = {split: read_charlm("eval", str(run), "--split", split) for split in ("valid", "test")}
        body = tomllib.loads((run / "experiment.toml").read_text(encoding="utf-8"))
        save_result(result, {"scores": scores, "experiment": body, "gemm_peak_gflops": round(peak)})


def _result(corpus: str, minutes: float, name: str) -> Path:
    return FOLDER / f"{corpus}-{minutes:g}-{name}.json"


# ---- the table


def _write(content: Content) -> None:
    """Write the rows that were measured here into the page; others, of other machines and days, stay."""
    earlier = {_key(line): line for line in read_table(PAGE, "dial")}
    rows: list[str] = []
    for corpus, row in content["corpora"].items():
        for minutes in content["minutes"]:
            found = {name: load_result(_result(corpus, minutes, name)) for name in (CHOSEN, *content["candidates"])}
            key = (row["language"], f"{minutes:g}")
            if all(found.values()):
                rows.append(_line(row["language"], minutes, cast("dict[str, Content]", found)))
            elif key in earlier:
                rows.append(earlier[key])
    if rows:
        titles = [row["title"] for row in content["candidates"].values()]
        figures = ["test bits", "of the network", *titles, "against the best candidate", "GFLOP/s"]
        write_table(PAGE, "dial", [*table_header(["corpus", "minutes", "chosen", *figures]), *rows])


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
