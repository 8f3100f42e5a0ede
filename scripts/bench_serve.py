"""Measure `charlm serve` under load: many clients that stream texts, beside one client, and beside the model alone.

An untrained LSTM over 200 characters. Each request has a prompt of its own and a seed; a client sends its next request
when the text is complete. The server and its clients share the machine: the CPU time of both is told, as shares of one
core.

A part of the texts is asked for again: one at a time, from a server with --deterministic. There they must be equal to
those of 64 streams. Texts of the usual server may differ from some character on, by rounding.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from bench_sample import build_charlm_step

from charlm.checkpoint import ResumeData, save_checkpoint
from charlm.nn.build import build_model
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.settings import Layer, validate
from charlm.vocab.char import CharVocab

CHARACTERS = "".join(chr(code) for code in (*range(32, 127), *range(0x410, 0x410 + 105)))
EMBEDDING = 128
WARM_UP_SECONDS, ALONE_SECONDS = 2.0, 10.0
FIRST_CHARACTER_TARGET = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="2x512", help="layers x hidden size")
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--prompt", type=int, default=40, help="characters of a prompt")
    parser.add_argument("--length", type=int, default=200, help="characters of a text")
    parser.add_argument("--checked", type=int, default=64, help="texts that are asked for again")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = write_model(Path(folder) / "model", options.size)
        result = measure(Path(folder) / "model", Load(options.streams, options.prompt, options.length), options)
        result["model alone"] = {str(rows): steps_per_second(model, rows) * rows for rows in (1, options.streams)}
    print(json.dumps(result) if options.json else table(result))


@dataclass(frozen=True)
class Load:
    """What the clients ask for."""

    streams: int
    prompt_length: int
    text_length: int

    def request(self, number: int) -> dict[str, Any]:
        prompt = "".join(random.Random(number).choices(CHARACTERS, k=self.prompt_length))  # noqa: S311 - not a secret
        own = {"max_tokens": self.text_length, "seed": number, "ignore_eos": True}
        return {"prompt": prompt, "temperature": 0.9, "stream": True, "stream_options": {"include_usage": True}, **own}


@dataclass
class Figures:
    """What the clients have seen."""

    texts: dict[int, str] = field(default_factory=dict[int, str])
    first_seconds: list[float] = field(default_factory=list[float])
    characters: int = 0
    """Within the measured time, also of texts that were not complete."""
    lost: int = 0
    """Texts that ended before their length."""
    seconds: float = 0.0
    client_cpu: float = 0.0
    server_cpu: float = 0.0
    memory: list[float] = field(default_factory=list[float])
    """MiB of the server, each second."""

    @property
    def rate(self) -> float:
        return self.characters / self.seconds


def write_model(directory: Path, size: str) -> LanguageModel:
    """Write an untrained model, with a head ten times as large, so that its distributions are not flat."""
    torch.manual_seed(0)
    num_layers, hidden_size = map(int, size.split("x"))
    body = {"num_layers": num_layers, "hidden_size": hidden_size}
    settings = validate(ModelSettings, Layer({"embedding": {"size": EMBEDDING}, "body": body}))
    vocab = CharVocab(CHARACTERS, byte_fallback=False)
    model = build_model(settings, vocab.size).eval()
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.mul_(10)
    directory.mkdir()
    nothing = {"corpus": "none", "fingerprint": "none"}
    save_checkpoint(directory, model=model, settings=settings, vocab=vocab, trained_on=nothing, training=ResumeData({}))
    return model


def measure(model: Path, load: Load, options: argparse.Namespace) -> dict[str, Any]:
    one = Load(1, load.prompt_length, load.text_length)
    with server(model) as (url, pid):
        asyncio.run(run_clients(url, pid, one, WARM_UP_SECONDS, first=0))
        alone = asyncio.run(run_clients(url, pid, one, ALONE_SECONDS, first=10_000))
        many = asyncio.run(run_clients(url, pid, load, options.minutes * 60, first=20_000))
    numbers = sorted(many.texts)[: options.checked]
    with server(model, "--deterministic") as (url, pid):
        asyncio.run(run_clients(url, pid, one, WARM_UP_SECONDS, first=0))
        exact_alone = asyncio.run(run_clients(url, pid, one, 0, numbers=numbers))
        exact_many = asyncio.run(run_clients(url, pid, load, 0, numbers=numbers))
    expected = exact_alone.texts
    return {
        "one stream": summary(alone),
        f"{load.streams} streams": summary(many),
        "times one stream": many.rate / alone.rate,
        "one stream, --deterministic": summary(exact_alone),
        f"{min(load.streams, len(numbers))} streams, --deterministic": summary(exact_many),
        "checked": {
            "texts": len(numbers),
            "equal to one stream, both --deterministic": equal(exact_many.texts, expected),
            "equal to one stream with --deterministic": equal(many.texts, expected),
            "first difference": min((common(many.texts[n], expected[n]) for n in numbers), default=0),
        },
    }


def equal(texts: dict[int, str], expected: dict[int, str]) -> int:
    return sum(texts.get(number) == text for number, text in expected.items())


def common(one: str, other: str) -> int:
    """The characters at the beginning of both texts."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (own, its) in pairs if own != its), min(len(one), len(other)))


@contextlib.contextmanager
def server(model: Path, *more: str) -> Generator[tuple[str, int], None, None]:
    """A server and its process id."""
    command = [sys.executable, "-m", "charlm", "serve", str(model), "--port", "0", *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process.pid
        process.terminate()


async def run_clients(
    url: str, pid: int, load: Load, seconds: float, *, first: int = 0, numbers: Sequence[int] | None = None
) -> Figures:
    """Send requests, a number of clients at a time: for a time, or those of the given numbers."""
    figures = Figures()
    waiting = iter(numbers if numbers is not None else range(first, first + 10**9))
    began, cpu, server_cpu = time.monotonic(), time.process_time(), cpu_seconds(pid)
    end = began + seconds if numbers is None else None

    async def client() -> None:
        for number in waiting:
            if end is not None and time.monotonic() >= end:
                return
            await ask(url, load, number, figures, end)

    async def watch() -> None:
        while True:
            figures.memory.append(memory(pid))
            await asyncio.sleep(1)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(client() for _ in range(load.streams)))
    watching.cancel()
    figures.seconds = seconds or time.monotonic() - began
    wall = time.monotonic() - began
    figures.client_cpu = (time.process_time() - cpu) / wall
    figures.server_cpu = (cpu_seconds(pid) - server_cpu) / wall
    return figures


async def ask(url: str, load: Load, number: int, figures: Figures, end: float | None) -> None:
    """Read one stream to its end."""
    address = urlsplit(url)
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    body = json.dumps(load.request(number)).encode()
    head = f"Host: {address.netloc}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    writer.write(f"POST /v1/completions HTTP/1.1\r\n{head}\r\nConnection: close\r\n\r\n".encode() + body)
    text, num_tokens = "", 0
    async for line in reader:
        if not line.startswith(b"data: {"):
            continue
        chunk = json.loads(line[6:])
        num_tokens = chunk["usage"]["completion_tokens"] if chunk.get("usage") else 0
        piece = chunk["choices"][0]["text"] if chunk["choices"] else ""
        now = time.monotonic()
        if piece and not text:
            figures.first_seconds.append(now - began)
        text += piece
        figures.characters += len(piece) if end is None or now <= end else 0
    writer.close()
    figures.texts[number] = text
    figures.lost += num_tokens != load.text_length


def steps_per_second(model: LanguageModel, rows: int) -> float:
    """Steps of the model with a draw, in this process alone."""
    with torch.inference_mode():
        step = build_charlm_step(model, rows, "fp32")
        counts: list[float] = []
        for _ in range(5):
            count, began = 0, time.perf_counter()
            while (elapsed := time.perf_counter() - began) < 1:
                step()
                count += 1
            counts.append(count / elapsed)
    return statistics.median(counts)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def summary(figures: Figures) -> dict[str, float]:
    first = sorted(figures.first_seconds)
    return {
        "characters per second": figures.rate,
        "texts": len(figures.texts),
        "lost": figures.lost,
        **{
            f"first character, {share} %": first[min(len(first) - 1, len(first) * share // 100)]
            for share in (50, 95, 99)
        },
        "first characters in time": sum(each <= FIRST_CHARACTER_TARGET for each in first) / len(first),
        "characters per second of the server's CPU": figures.rate / figures.server_cpu,
        "CPU of the clients": figures.client_cpu,
        "CPU of the server": figures.server_cpu,
        "MiB at the start": figures.memory[0],
        "MiB after half of the time": figures.memory[len(figures.memory) // 2],
        "MiB at the end": figures.memory[-1],
    }


def table(result: dict[str, Any]) -> str:
    lines: list[str] = []
    for name, value in result.items():
        if isinstance(value, dict):
            lines += [name, *(f"    {key:<46} {shown(number)}" for key, number in value.items())]
        else:
            lines.append(f"{name:<50} {shown(value)}")
    return "\n".join(lines)


def shown(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:,.2f}"


if __name__ == "__main__":
    main()
