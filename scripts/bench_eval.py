"""Measure an evaluation against the forward pass of training on the same number of characters and rows.

A run's test split is scored as by `charlm eval`, with warm-ups. In turn, a forward pass of training (dropout on,
gradients recorded, loss computed) reads as many characters in chunks of the same shape. The median of several turns.
"""

import argparse
import json
import statistics
import time
from typing import Any

import torch

from charlm.data.batches import Cursor, make_batches
from charlm.device import Precision, autocast, cpu_has_bf16, retain_freed_memory
from charlm.evaluation.evaluate import default_num_lanes, evaluate
from charlm.evaluation.lane import CHUNK
from charlm.nn.state import detach
from charlm.workflows.load_run import load_run, open_corpus_for


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    precisions: list[Precision] = ["fp32", "bf16"] if cpu_has_bf16() else ["fp32"]
    result = {precision: measure(options.run, precision, options.repetitions) for precision in precisions}
    print(json.dumps(result) if options.json else "\n".join(map(line, result.items())))


def measure(run: str, precision: Precision, repetitions: int) -> dict[str, Any]:
    cpu = torch.device("cpu")
    retain_freed_memory(cpu)
    loaded, _ = load_run(run, "best", "cpu")
    corpus = open_corpus_for(loaded, None)
    test = corpus.open("test").in_direction(loaded.settings.direction)
    train = corpus.open("train").in_direction(loaded.settings.direction)
    rows = default_num_lanes(test.num_predictions)
    batches = make_batches(train, rows, CHUNK, 0)
    scoring: list[float] = []
    training: list[float] = []
    for _ in range(repetitions):
        start = time.perf_counter()
        evaluate(loaded.model, test, device=cpu, precision=precision)
        scoring.append(time.perf_counter() - start)
        loaded.model.train()
        state, cursor, read = loaded.model.initial_state(rows), Cursor(), 0
        start = time.perf_counter()
        while read < test.num_predictions:
            batch = batches.batch(cursor)
            with autocast(precision, cpu):
                features_BTH, state = loaded.model(batch.inputs_BT, detach(state))
                loaded.model.head.nll(features_BTH, batch.targets_BT).mean()
            cursor, read = batches.next_cursor(cursor), read + batch.inputs_BT.numel()
        training.append((time.perf_counter() - start) * test.num_predictions / read)
    seconds, forward = statistics.median(scoring), statistics.median(training)
    return {
        "tokens": test.num_predictions,
        "rows": rows,
        "seconds": seconds,
        "forward": forward,
        "ratio": seconds / forward,
    }


def line(item: tuple[str, dict[str, Any]]) -> str:
    precision, found = item
    return (
        f"{precision}: {found['tokens']:,} tokens in {found['rows']} lanes: {found['seconds']:.2f} s to score,"
        f" {found['forward']:.2f} s for the training forward, ratio {found['ratio']:.2f}"
    )


if __name__ == "__main__":
    main()
