"""Measure sampling against torch.nn called step by step and against the matrix products alone, in one process.

LSTM, vocabulary 256, embedding 128. A character of one stream is a step, a softmax at a temperature and a draw. All
candidates take turns several times. The table shows the median, its spread and the ratio to each peer. With a run, the
loss of int8 is measured too: the bits per character of its test split with rounded matrices.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from charlm.device import Precision, autocast, cpu_has_bf16
from charlm.nn.build import build_model
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.sampling.fast.base import Stepper
from charlm.sampling.fast.stepper import choose_stepper
from charlm.sampling.filters import Temperature
from charlm.sampling.options import StepPrecision
from charlm.sampling.random_draw import CategoricalSampler
from charlm.settings import Layer, validate

VOCABULARY, EMBEDDING = 256, 128
CPU = torch.device("cpu")
SECONDS = 0.4  # of each candidate in each turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="2x512", help="layers x hidden size")
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--run", help="a run on which the loss of int8 is measured")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    num_layers, hidden_size = map(int, options.size.split("x"))
    result = measure(num_layers, hidden_size, options.streams, options.repetitions)
    if options.run:
        result["int8_cost"] = cost_of_int8(options.run)
    result["first_character"] = first_character(options.run)
    print(json.dumps(result) if options.json else table(result))


@torch.inference_mode()
def measure(num_layers: int, hidden_size: int, streams: int, repetitions: int) -> dict[str, Any]:
    torch.manual_seed(0)
    body = {"num_layers": num_layers, "hidden_size": hidden_size}
    model = build_model(
        validate(ModelSettings, Layer({"embedding": {"size": EMBEDDING}, "body": body})), VOCABULARY
    ).eval()
    many = f"{streams} streams"
    steps: dict[str, tuple[int, Callable[[], object]]] = {
        "fp32": (1, build_charlm_step(model, 1, "fp32")),
        "int8": (1, build_charlm_step(model, 1, "int8")),
        f"{many} fp32": (streams, build_charlm_step(model, streams, "fp32")),
        "nn.LSTM": (1, build_peer_step(num_layers, hidden_size, onednn=True)),
        "nn.LSTM, oneDNN off": (1, build_peer_step(num_layers, hidden_size, onednn=False)),
        "torch.mv alone": (1, build_product_step(model)),
    }
    if cpu_has_bf16():
        steps |= {
            "bf16": (1, build_charlm_step(model, 1, "bf16")),
            f"{many} bf16": (streams, build_charlm_step(model, streams, "bf16")),
        }
    rates: dict[str, list[float]] = {name: [] for name in steps}
    for repetition in range(repetitions + 1):
        for name, (size, step) in steps.items():
            count, start = 0, time.perf_counter()
            while (elapsed := time.perf_counter() - start) < SECONDS:
                step()
                count += size
            if repetition:  # the first one warms up
                rates[name].append(count / elapsed)
    rows = {name: row(values) for name, values in rates.items()}
    for name, figures in rows.items():
        figures["against"] = {
            peer_name: figures["characters_per_second"] / rows[peer_name]["characters_per_second"]
            for peer_name in ("fp32", "nn.LSTM", "nn.LSTM, oneDNN off", "torch.mv alone")
            if peer_name != name
        }
    bf16 = "measured" if cpu_has_bf16() else "this CPU does not multiply bf16"
    setting = {"layers": num_layers, "hidden": hidden_size, "bf16": bf16}
    return {"setting": setting, "threads": torch.get_num_threads(), "rows": rows}


def build_charlm_step(model: LanguageModel, streams: int, precision: StepPrecision) -> Callable[[], None]:
    return build_draw_step(choose_stepper(model, model.initial_state(streams), precision), streams)


def build_draw_step(stepper: Stepper, streams: int, device: torch.device = CPU) -> Callable[[], None]:
    """Return a function that draws a character of each stream: a step, a softmax at a temperature and a draw."""
    draws, temperature = CategoricalSampler(0, range(streams)), Temperature(0.7)
    tokens_B = torch.zeros(streams, dtype=torch.int64, device=device)

    def step() -> None:
        tokens_B.copy_(draws(temperature(stepper.step(tokens_B))))

    return step


def build_peer_step(
    num_layers: int,
    hidden_size: int,
    *,
    onednn: bool = True,
    streams: int = 1,
    device: torch.device = CPU,
    precision: Precision = "fp32",
) -> Callable[[], None]:
    """Return the step as a user of torch.nn writes it: embedding, nn.LSTM, head, softmax, multinomial."""
    embedding, head = nn.Embedding(VOCABULARY, EMBEDDING).to(device), nn.Linear(hidden_size, VOCABULARY).to(device)
    lstm = nn.LSTM(EMBEDDING, hidden_size, num_layers, batch_first=True).to(device).eval()
    state: tuple[Tensor, Tensor] | None = None
    token_B1 = torch.zeros(streams, 1, dtype=torch.int64, device=device)

    def step() -> None:
        nonlocal state, token_B1
        with torch.backends.mkldnn.flags(enabled=onednn), autocast(precision, device):
            features, state = lstm(embedding(token_B1), state)
            logits_BV = head(features[:, -1])
        token_B1 = torch.multinomial((logits_BV.float() / 0.7).softmax(-1), 1)

    return step


def build_product_step(model: LanguageModel) -> Callable[[], object]:
    """Return the matrix products of one step; the product of the first layer's input is a table look-up."""
    matrices = [weight for layer in model.body.layers for weight in layer.cell.prepare(None)[:2]][1:]  # type: ignore[union-attr]
    matrices.append(model.head.weight_VH)  # type: ignore[union-attr]
    pairs = [(weight, torch.randn(weight.shape[1]), torch.empty(len(weight))) for weight in matrices]

    def step() -> None:
        for weight, x, y in pairs:
            torch.mv(weight, x, out=y)

    return step


def cost_of_int8(run: str) -> dict[str, float]:
    """Return the bits per character of the test split with fp32 and with rounded matrices."""
    from charlm.evaluation.evaluate import evaluate
    from charlm.nn.quantize import quantize_cells
    from charlm.workflows.load_run import load_run, open_corpus_for

    loaded, _ = load_run(run, "best", "cpu")
    stream = open_corpus_for(loaded, None).open("test").in_direction(loaded.settings.direction)
    cpu = torch.device("cpu")
    exact = evaluate(loaded.model, stream, device=cpu).bits_per_character or 0.0
    quantize_cells(loaded.model)
    rounded = evaluate(loaded.model, stream, device=cpu).bits_per_character or 0.0
    return {"fp32": exact, "int8": rounded, "difference": rounded - exact}


def first_character(run: str | None) -> dict[str, float]:
    """Measure seconds of a process: the import of torch, and `charlm sample` until its first character."""
    command = [sys.executable, "-m", "charlm", "sample", *([run] if run else []), "--length", "1000"]
    imports: list[float] = []
    texts: list[float] = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import torch"], check=True)
        imports.append(time.perf_counter() - start)
        if run:
            start = time.perf_counter()
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
                assert process.stdout is not None
                process.stdout.read(1)
                texts.append(time.perf_counter() - start)
                process.kill()
    found = {"import torch": statistics.median(imports)}
    if texts:
        found |= {"first character": statistics.median(texts)}
        found["difference"] = found["first character"] - found["import torch"]
    return found


def row(rates: list[float]) -> dict[str, Any]:
    median = statistics.median(rates)
    quartiles = statistics.quantiles(rates, n=4)
    return {"characters_per_second": median, "spread": (quartiles[2] - quartiles[0]) / median}


def table(result: dict[str, Any]) -> str:
    setting = ", ".join(f"{key} {value}" for key, value in result["setting"].items())
    lines = [f"{setting}; {result['threads']} threads"]
    for name, figures in result["rows"].items():
        against = ", ".join(f"{ratio:.2f}x {peer_name}" for peer_name, ratio in figures["against"].items())
        rate = figures["characters_per_second"]
        lines.append(f"  {name:<20} {rate:10,.0f} chars/s (spread {figures['spread']:4.0%})  {against}")
    for name in ("int8_cost", "first_character"):
        if name in result:
            shown = ", ".join(f"{key} {value:.4f}" for key, value in result[name].items())
            lines.append(f"  {name.replace('_', ' ')}: {shown}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
