"""Measure training steps, the whole training loop and sampling on an NVIDIA GPU, each beside its peers.

    cells         a training step of each cell, of cuDNN and of the eager loop: 3 x 1024, batch 256, 256 steps
    loop          `charlm train` with an LSTM and a GRU of that size, against a step of cuDNN
    large         3 x 1280 with layer norm (about 40 million parameters)
    sampling      one stream and 1,024 streams, against the eager step and nn.LSTM

`scripts/results enwik8-gpu` trains for ten minutes. `--device cpu --small` tests this script.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bench_sample import build_draw_step, build_peer_step
from bench_train import Size, measure, table, timed

from charlm.device import Precision, choose_device, has_fast_bf16
from charlm.nn.build import build_model
from charlm.nn.settings import ModelSettings
from charlm.sampling.fast.base import PlainStepper
from charlm.sampling.fast.stepper import choose_stepper
from charlm.settings import Layer, validate

CELLS = ["lstm", "gru", "lstm layer", "lstm batch", "lstm weight", "lstm dilated"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="sizes that a CPU does in seconds")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    device = choose_device(options.device)
    size = Size(1, 64, 8, 32) if options.small else Size(3, 1024, 256, 256)
    large = Size(1, 96, 8, 32) if options.small else Size(3, 1280, 256, 256)
    result = {
        "cells": measure(CELLS, size, device, options.repetitions),
        "large": measure(["lstm layer"], large, device, options.repetitions),
        "loop": {cell: loop(cell, size, device, 0.1 if options.small else 1.0) for cell in ("lstm", "gru")},
        "sampling": sampling(Size(1, 64, 8, 1) if options.small else Size(2, 512, 1024, 1), device),
    }
    print(json.dumps(result) if options.json else format_result(result))


def loop(cell: str, size: Size, device: torch.device, minutes: float) -> dict[str, float]:
    """Return the characters per second of `charlm train`: the median of its log after the first fifth."""
    settings = {
        "model.embedding.size": 128,
        "model.body.type": '"recurrent"',
        "model.body.cell.type": f'"{cell}"',
        "model.body.num_layers": size.layers,
        "model.body.hidden_size": size.hidden,
        "training.batch_size": size.batch,
        "training.seq_len": size.steps,
        "training.max_minutes": minutes,
        "training.log_interval": 5,
        "training.validation_interval": 1_000_000,
    }
    command = [sys.executable, "-m", "charlm"]
    sets = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    with tempfile.TemporaryDirectory() as folder:
        for arguments in (
            ["prepare", "--source", "sample", "--vocab", "byte", "--out", "corpus"],
            ["train", "--data", "corpus", "--out", "run", "--device", device.type, *sets],
        ):
            subprocess.run([*command, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        lines = (Path(folder) / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rates = [line["characters_per_second"] for line in map(json.loads, lines) if line["kind"] == "train"]
    late = rates[len(rates) // 5 :]
    return {"characters_per_second": statistics.median(late), "steps_logged": len(late)}


@torch.inference_mode()
def sampling(size: Size, device: torch.device) -> dict[str, dict[str, float]]:
    """Return the characters per second of one stream and of many, against a step of torch.nn."""
    body = {"num_layers": size.layers, "hidden_size": size.hidden}
    tree = {"embedding": {"size": 128}, "body": body}
    model = build_model(validate(ModelSettings, Layer(tree)), 256).eval().to(device)
    found: dict[str, dict[str, float]] = {}
    for streams in (1, size.batch):
        state = model.initial_state(streams)
        precision: Precision = "bf16" if streams > 1 and has_fast_bf16(device) else "fp32"
        steps = {
            "ours": build_draw_step(choose_stepper(model, state, precision), streams, device),
            "plain": build_draw_step(PlainStepper(model, state, "fp32"), streams, device),
            "nn.LSTM": build_peer_step(size.layers, size.hidden, streams=streams, device=device, precision=precision),
        }
        rates = {name: rate(step, streams, device) for name, step in steps.items()}
        found[f"{streams} streams"] = rates | {"of nn.LSTM": rates["ours"] / rates["nn.LSTM"]}
    return found


def rate(step: Callable[[], None], streams: int, device: torch.device) -> float:
    """Return the characters per second: the median of nine times 0.3 seconds."""

    def run_twenty() -> None:
        for _ in range(20):
            step()

    rates: list[float] = []
    timed(step, device)  # the first call compiles and records
    for _ in range(9):
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < 0.3:
            timed(run_twenty, device)
            count += 20 * streams
        rates.append(count / (time.perf_counter() - start))
    return statistics.median(rates)


def format_result(result: dict[str, Any]) -> str:
    rows = result["cells"]["rows"]
    suffix = " bf16" if "nn.LSTM bf16" in rows else ""
    lines = ["cells", table(result["cells"]), "large", table(result["large"]), "loop"]
    for cell, figures in result["loop"].items():
        bare = rows[f"nn.{cell.upper()}{suffix}"]["characters_per_second"]
        own = figures["characters_per_second"]
        lines.append(f"  {cell:<17} {own / 1000:9.1f}k chars/s, {own / bare:.2f}x the bare nn.{cell.upper()}{suffix}")
    lines.append("sampling")
    for name, figures in result["sampling"].items():
        lines.append(f"  {name:<17} " + ", ".join(f"{key} {value:,.4g}" for key, value in figures.items()))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
