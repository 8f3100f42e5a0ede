"""Everything charlm loads, with one file of it mutated: python -m tests.loaders FOLDER FIRST COUNT

    seed ──> which file, whose copy is mutated ──> the manifest made to fit, or not ──> what the commands load of it

FOLDER is a workspace as `tests.workspaces.tour` leaves it. A line of JSON for each seed, written before it is loaded
({"seed", "what"}) and after it ({"verdict"}), says how that went, so that a crash has a seed too; the same seed alone
(COUNT 1) does it again. A verdict is `refused`, `valid`, or else what is wrong.
"""

import contextlib
import json
import random
import resource
import signal
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from charlm import storage
from charlm.checkpoint import load_model
from charlm.data.corpus import Corpus, compute_fingerprint, describe_file, open_corpus
from charlm.data.store import count_ids
from charlm.errors import CharlmError
from charlm.evaluation.evaluate import CHUNK, WARM_UP, cut_lanes, lane_batches
from charlm.experiment import load_experiment, read_layers
from charlm.sampling.filters import Temperature
from charlm.sampling.generate import prime_generator
from charlm.sampling.plan import SamplingPlan
from charlm.training.logs.console import Console
from charlm.training.run_directory import RunDirectory
from charlm.training.trainer import Trainer
from charlm.vocab.base import Vocab
from charlm.workflows.inspect_path import inspect_path
from tests.mutations import mutate
from tests.workspaces import DATA, RUN

CPU = torch.device("cpu")
SECONDS = 2.0
"""Of the processor, since the machine may be busy."""
MEMORY = 512 << 20
"""Bytes of address space beyond what the process has."""
_HANGS = 60  # seconds until the process is killed
_PROBE = "Съешь café, 東京 🙂\x00\r\n\t <eod> ▁"
_ARRAYS = [f"{split}{kind}" for split in ("train", "valid", "test") for kind in (".npy", ".documents.npy")]
_CHECKPOINT = ("model.safetensors", "model.json", "vocab.json", "training.safetensors", "training.json")


@dataclass(frozen=True)
class Place:
    """A directory whose files are mutated, and how what is in it is loaded."""

    directory: Path
    names: tuple[str, ...]
    index: str
    """The file that holds the hashes of the others."""


def _places(folder: Path) -> list[Place]:
    newest = sorted((folder / RUN / "checkpoints").iterdir())[-1]
    checkpoint = Place(newest, (*_CHECKPOINT, *_CHECKPOINT, storage.MANIFEST), storage.MANIFEST)
    store = Place(folder / DATA, (*_ARRAYS, "vocab.json", "corpus.json"), "corpus.json")
    others = [
        Place(corpus.parent, tuple(path.name for path in sorted(corpus.parent.glob("vocab.*"))), "corpus.json")
        for corpus in sorted((folder / "data").glob("*/corpus.json"))
    ]
    return [checkpoint, checkpoint, store, store, *others]


def _sign(place: Place, changed: str) -> None:
    """Make the hashes fit, as whoever means harm would."""
    if place.index == storage.MANIFEST:
        storage.write_manifest(place.directory, {"format": 1})
        return
    vocab = storage.read_json(place.directory / "vocab.json") if changed == "vocab.model" else None
    if vocab is not None:
        storage.write_json(place.directory / "vocab.json", vocab | {"model": describe_file(place.directory / changed)})
    metadata = storage.read_json(place.directory / place.index)
    for name in metadata["files"]:
        if (place.directory / name).is_file() and "/" not in name:
            metadata["files"][name] = describe_file(place.directory / name)
    metadata["fingerprint"] = compute_fingerprint(metadata["files"])
    storage.write_json(place.directory / place.index, metadata)


# ---- what the commands load


def _load(folder: Path, place: Place) -> None:
    """Whatever `inspect`, `eval`, `sample` and `train` do with it, and what the result must be to be valid."""
    if place.index == storage.MANIFEST:
        _load_checkpoint(folder, place.directory)
    else:
        _load_corpus(open_corpus(place.directory))
        inspect_path(place.directory, readable=False)


def _load_checkpoint(folder: Path, directory: Path) -> None:
    inspect_path(directory, readable=False)
    loaded = load_model(directory, CPU)
    _use(loaded.vocab)
    sampling = SamplingPlan(3, (Temperature(1.0),), 0)
    list(prime_generator(loaded.model, loaded.vocab, "", sampling, CPU).stream_generate())
    run = RunDirectory(folder / RUN)
    experiment = load_experiment(read_layers(str(run.experiment_path), (), ()))
    steps = {"max_steps": run.checkpoint_steps()[-1] + 1, "validation_interval": 10**6, "checkpoint_minutes": 1e6}
    trainer = Trainer(
        experiment.model,
        experiment.training.model_copy(update=steps),
        open_corpus(folder / DATA),
        run,
        device=CPU,
        console=Console(quiet=True),
        start_time=time.monotonic(),
    )
    trainer.run()


def _load_corpus(corpus: Corpus) -> None:
    _use(corpus.vocab)
    for split in corpus.splits:
        stream = corpus.open(split)
        beginning = stream.head(10_000)
        for _, batch in lane_batches(beginning, cut_lanes(beginning.num_predictions, 2, WARM_UP, CHUNK)):
            assert int(batch.inputs_BT.max()) < corpus.vocab.size, "an id beyond the vocabulary"
        count_ids(stream, corpus.vocab.size)
        for unit in ("characters", "words", "bytes"):
            assert stream.documents[unit].min(initial=0) >= 0, f"a negative number of {unit}"
        borders = np.append(0, stream.ends)
        assert (borders == np.sort(borders)).all(), "documents in disorder, or beyond the text"
        assert len(stream.in_direction("backward").tokens) == len(stream.tokens)


def _use(vocab: Vocab) -> None:
    """It must be lossless, or say what it does not know."""
    with contextlib.suppress(CharlmError):
        ids = vocab.encode(_PROBE)
        assert vocab.decode(ids.tolist()) == _PROBE, "not lossless"
        assert int(ids.max()) < vocab.size, "an id beyond the vocabulary"
    for token in range(vocab.size):
        vocab.symbol(token)
    vocab.bags()


# ---- one after the other, within limits


@contextlib.contextmanager
def _put_back(folder: Path) -> Generator[None, None, None]:
    """The folder after the block is what it was before."""
    saved = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    try:
        yield
    finally:
        for path in [path for path in folder.rglob("*") if path.is_file() and path not in saved]:
            path.unlink()
        for path, content in saved.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_file() or path.read_bytes() != content:
                path.write_bytes(content)
        for path in (folder / RUN / "checkpoints").iterdir():
            if not any(path.iterdir()):
                path.rmdir()


def _verdict(folder: Path, place: Place, *, must_be_refused: bool) -> str:
    start = time.process_time()
    try:
        _load(folder, place)
        verdict = "silently wrong" if must_be_refused else "valid"
    except CharlmError as error:
        verdict = "refused" if error.exit_code in (2, 3) else f"exit code {error.exit_code}: {error}"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the verdict
        verdict = f"{type(error).__name__}: {error}"[:500]
    seconds = time.process_time() - start
    return verdict if seconds < SECONDS else f"{seconds:.1f} s, {verdict}"


def _limit_memory() -> None:
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, resource.RLIM_INFINITY))


def _run(folder: Path, first: int, count: int) -> None:
    torch.set_num_threads(1)
    canary = folder / "canary"
    places = _places(folder)
    for place in places:  # imports what it needs before anything is counted
        with _put_back(folder):
            _load(folder, place)
    for seed in range(first, first + count):
        chance = random.Random(seed)
        place = chance.choice(places)
        name = chance.choice(place.names)
        is_signed = name != place.index and chance.random() < 0.7
        with _put_back(folder):
            path = place.directory / name
            what, content = mutate(name, path.read_bytes(), chance, canary)
            path.write_bytes(content)
            if is_signed:
                _sign(place, name)
            told: dict[str, Any] = {
                "seed": seed,
                "what": f"{what} in {place.directory.name}/{name}",
                "signed": is_signed,
            }
            print(json.dumps(told), flush=True)  # noqa: T201 - the protocol
            _limit_memory()
            signal.alarm(_HANGS)
            verdict = _verdict(folder, place, must_be_refused=not is_signed and name != place.index)
            signal.alarm(0)
        if canary.exists():
            verdict = f"executed, {verdict}"
            canary.unlink()
        print(json.dumps({"verdict": verdict}), flush=True)  # noqa: T201


if __name__ == "__main__":
    _run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
