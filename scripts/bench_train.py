"""Measure a training step (forward, backward, AdamW) against torch.nn and an eager loop, in one process.

Embedding 128, vocabulary 256, on a CPU or a GPU. Candidates take turns. The table shows the median, its spread (the
interquartile range over the median), characters per second, model GFLOP/s (6 x parameters outside the embedding x
characters), their fraction of the measured GEMM peak, and the ratio to each peer, in fp32 and, if it is fast, in bf16.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from charlm.device import Precision, autocast, choose_device, has_fast_bf16, retain_freed_memory
from charlm.nn.build import build_model
from charlm.nn.settings import ModelSettings
from charlm.settings import Layer, validate
from charlm.training.optim.build import build_adamw
from charlm.training.optim.settings import AdamWSettings

VOCABULARY, EMBEDDING = 256, 128
CELLS: dict[str, dict[str, Any]] = {
    "lstm": {},
    "gru": {"cell": {"type": "gru"}},
    "rnn": {"cell": {"type": "rnn"}},
    "lstm layer": {"norm": "layer"},
    "lstm batch": {"norm": "batch"},
    "lstm weight": {"norm": "weight"},
    "lstm coupled": {"cell": {"type": "lstm", "coupled": True}, "norm": "layer"},
    "lstm zoneout": {"norm": "layer", "zoneout": 0.1, "zoneout_hidden": 0.1},
    "lstm mogrifier": {"cell": {"type": "lstm", "mogrifier_rounds": 5}},
    "gru layer": {"cell": {"type": "gru"}, "norm": "layer"},
    "gru batch": {"cell": {"type": "gru"}, "norm": "batch"},
    "gru before": {"cell": {"type": "gru", "reset": "before"}},
    "lstm dilated": {"dilations": "powers"},
    "lstm heads": {"num_heads": 4},
    "gru heads": {"cell": {"type": "gru"}, "num_heads": 4},
}
PEERS: dict[str, type[nn.RNNBase]] = {"nn.LSTM": nn.LSTM, "nn.GRU": nn.GRU, "nn.RNN": nn.RNN}


class Peer(nn.Module):
    """The network as a user of torch.nn writes it."""

    def __init__(self, kind: Callable[..., nn.Module], hidden_size: int, num_layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, EMBEDDING)
        self.body = kind(EMBEDDING, hidden_size, num_layers, batch_first=True)
        self.head = nn.Linear(hidden_size, VOCABULARY)

    def forward(self, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        logits = self.head(self.body(self.embedding(inputs_BT))[0])
        return nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets_BT.flatten())


class EagerLayerNormLSTM(nn.Module):
    """A layer-normalised LSTM as a loop over time steps of torch operators."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int, *, batch_first: bool) -> None:
        super().__init__()
        assert batch_first
        sizes = [input_size, *[hidden_size] * (num_layers - 1)]
        self.hidden_size = hidden_size
        self.inputs = nn.ModuleList(nn.Linear(size, 4 * hidden_size) for size in sizes)
        self.recurrent = nn.ModuleList(nn.Linear(hidden_size, 4 * hidden_size, bias=False) for _ in sizes)
        self.norms = nn.ModuleList(
            nn.ModuleList(nn.LayerNorm(size) for size in (4 * hidden_size, 4 * hidden_size, hidden_size)) for _ in sizes
        )

    def forward(self, x_BTD: Tensor) -> tuple[Tensor, None]:
        for inputs, recurrent, norms in zip(self.inputs, self.recurrent, self.norms, strict=True):
            input_norm, recurrent_norm, cell_norm = norms
            h = c = x_BTD.new_zeros(len(x_BTD), self.hidden_size)
            outputs: list[Tensor] = []
            for x in x_BTD.unbind(1):
                i, f, g, o = (input_norm(inputs(x)) + recurrent_norm(recurrent(h))).chunk(4, 1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(cell_norm(c))
                outputs.append(h)
            x_BTD = torch.stack(outputs, 1)
        return x_BTD, None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="2x512", help="layers x hidden size")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=64, help="time steps")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--only", help="cells to measure, comma-separated")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    num_layers, hidden_size = map(int, options.size.split("x"))
    cells = options.only.split(",") if options.only else list(CELLS)
    size = Size(num_layers, hidden_size, options.batch, options.steps)
    result = measure(cells, size, choose_device(options.device), options.repetitions)
    print(json.dumps(result) if options.json else table(result))


@dataclass(frozen=True)
class Size:
    layers: int
    hidden: int
    batch: int
    steps: int


def measure(cells: list[str], size: Size, device: torch.device, repetitions: int) -> dict[str, Any]:
    torch.manual_seed(0)
    retain_freed_memory(device)
    inputs_BT, targets_BT = torch.randint(VOCABULARY, (2, size.batch, size.steps)).to(device)
    precisions: list[Precision] = ["fp32", "bf16"] if has_fast_bf16(device) else ["fp32"]
    steps: dict[str, Callable[[], None]] = {}
    sizes: dict[str, int] = {}
    charlm_cells: dict[str, tuple[str, Precision]] = {}
    for precision in precisions:
        suffix = "" if precision == "fp32" else f" {precision}"
        for name in cells:
            model, step = build_charlm_step(name, size, inputs_BT, targets_BT, precision)
            steps[name + suffix], sizes[name + suffix] = step, outside_embedding(model)
            charlm_cells[name + suffix] = (name, precision)
        eager = {"eager layer": EagerLayerNormLSTM} if any("layer" in name for name in cells) else {}
        for name, kind in (PEERS | eager).items():
            peer = Peer(kind, size.hidden, size.layers).to(device)
            sizes[name + suffix] = outside_embedding(peer)
            steps[name + suffix] = peer_step(peer, inputs_BT, targets_BT, precision)
    times: dict[str, list[float]] = {name: [] for name in steps}
    peaks: dict[Precision, list[float]] = {precision: [] for precision in precisions}
    for repetition in range(repetitions + 2):
        for name, step in steps.items():
            seconds = timed(step, device)
            if repetition >= 2:  # the first ones warm up
                times[name].append(seconds)
        for precision, found in peaks.items():
            found.append(gemm_peak(device, precision))
    peak = {precision: max(found) for precision, found in peaks.items()}
    characters = size.batch * size.steps
    rows = {
        name: row(values, sizes[name], characters, peak["bf16" if name.endswith("bf16") else "fp32"])
        for name, values in times.items()
    }
    for name, (cell, precision) in charlm_cells.items():
        seconds = statistics.median(times[name])
        rows[name]["against"] = {
            peer: statistics.median(times[peer]) / seconds
            for peer in steps
            if peer not in charlm_cells and related(cell, peer) and peer.endswith("bf16") == (precision == "bf16")
        }
    bf16 = "measured" if "bf16" in precisions else "this device does not multiply bf16"
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return {"setting": asdict(size) | {"bf16": bf16}, "device": machine, "gemm_peak_gflops": peak, "rows": rows}


def timed(step: Callable[[], None], device: torch.device) -> float:
    """Return the seconds until the device has finished a step."""
    wait: Callable[[], None] = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    step()
    wait()
    return time.perf_counter() - start


def build_charlm_step(
    name: str, size: Size, inputs_BT: Tensor, targets_BT: Tensor, precision: Precision
) -> tuple[nn.Module, Callable[[], None]]:
    body = dict(CELLS[name])
    if body.get("dilations") == "powers":
        body["dilations"] = tuple(2**layer for layer in range(size.layers))
    tree = {
        "embedding": {"size": EMBEDDING},
        "body": {**body, "num_layers": size.layers, "hidden_size": size.hidden},
    }
    model = build_model(validate(ModelSettings, Layer(tree)), VOCABULARY).to(inputs_BT.device)
    optimizer = build_adamw(AdamWSettings(), model)

    def step() -> None:
        with autocast(precision, inputs_BT.device):
            features_BTH, _ = model(inputs_BT, model.initial_state(len(inputs_BT)))
            loss = model.head.nll(features_BTH, targets_BT).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return model, step


def peer_step(peer: Peer, inputs_BT: Tensor, targets_BT: Tensor, precision: Precision) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(peer.parameters(), fused=True)

    def step() -> None:
        with autocast(precision, inputs_BT.device):
            loss = peer(inputs_BT, targets_BT)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def outside_embedding(model: nn.Module) -> int:
    named = model.named_parameters()
    return sum(parameter.numel() for name, parameter in named if not name.startswith("embedding"))


def related(name: str, peer: str) -> bool:
    """Whether a peer is of the cell's kind, or nn.LSTM, or the eager loop for the normalised LSTM."""
    kind = name.split(maxsplit=1)[0].upper()
    return peer.startswith(("nn.LSTM", f"nn.{kind}")) or (peer.startswith("eager") and name.startswith("lstm l"))


def gemm_peak(device: torch.device, precision: Precision) -> float:
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = torch.randn(2, 2048, 2048, device=device).to(dtype)

    def product() -> None:
        torch.mm(a, b)

    seconds = min(timed(product, device) for _ in range(3))
    return 2 * 2048**3 / seconds / 1e9


def row(times: list[float], parameters: int, characters: int, peak: float) -> dict[str, Any]:
    seconds = statistics.median(times)
    quartiles = statistics.quantiles(times, n=4)
    gflops = 6 * parameters * characters / seconds / 1e9
    return {
        "milliseconds": 1000 * seconds,
        "spread": (quartiles[2] - quartiles[0]) / seconds,
        "characters_per_second": characters / seconds,
        "gflops": gflops,
        "share_of_peak": gflops / peak,
    }


def table(result: dict[str, Any]) -> str:
    setting = ", ".join(f"{key} {value}" for key, value in result["setting"].items())
    peaks = ", ".join(f"{precision} {peak:.0f}" for precision, peak in result["gemm_peak_gflops"].items())
    lines = [f"{setting}; {result['device']}, GEMM peak in GFLOP/s: {peaks}"]
    for name, figures in result["rows"].items():
        against = ", ".join(f"{ratio:.2f}x {peer}" for peer, ratio in figures.get("against", {}).items())
        lines.append(
            f"  {name:<17} {figures['milliseconds']:8.1f} ms (spread {figures['spread']:4.0%})"
            f" {figures['characters_per_second'] / 1000:7.1f}k chars/s {figures['gflops']:5.0f} GFLOP/s"
            f" {figures['share_of_peak']:4.0%} of peak  {against}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
