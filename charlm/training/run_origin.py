"""What a run was made from besides its settings: where its corpus lay, and the weights that it began with.

train ──write_origin──> RUN/origin.json ──read_origin──> train again: did it begin with these weights?
                                                    └──> eval, tune, sample: where is the corpus?

A run of charlm 0.1.0 has no such file, and nothing is known of it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlm import storage
from charlm.errors import CheckpointError
from charlm.training.run_directory import RunDirectory


@dataclass(frozen=True)
class InitialWeights:
    """The weights that a run began with: drawn from the seed, or those of a checkpoint."""

    sha256: str | None = None
    """The hash of the checkpoint's weights, which copies have too; None if they were drawn from the seed."""
    checkpoint: str | None = None
    """Where the checkpoint lay."""
    init_from: str | None = None
    """The --init-from that named it."""

    def __str__(self) -> str:
        return "weights drawn from the seed" if self.sha256 is None else f"{self.checkpoint} ({self.sha256[:12]})"


WEIGHTS_FROM_SEED = InitialWeights()


@dataclass(frozen=True)
class RunOrigin:
    """What origin.json says."""

    corpus: str
    """The directory of the corpus: relative to that of the run, or absolute."""
    initial: InitialWeights | None = None
    """None if it is unknown: charlm 0.1.0 began the run."""


def describe_path(corpus: Path, run: Path) -> str:
    """Return how origin.json names the directory of a corpus.

    The path is relative to the run if both are below the working directory, so that the whole folder can be moved.
    """
    here, there = (Path(os.path.abspath(path)) for path in (".", corpus))  # noqa: PTH100 - links keep their names
    root = run.resolve()
    if root.is_relative_to(here) and there.is_relative_to(here):
        relative = os.path.relpath(there, root)
        if os.path.realpath(root / relative) == os.path.realpath(corpus):  # not so if `..` follows a link
            return relative
    return os.path.realpath(corpus)


def corpus_path(origin: RunOrigin, run: Path) -> Path:
    """Return the directory that origin.json names."""
    return Path(os.path.normpath(run.resolve() / origin.corpus))


def write_origin(run: RunDirectory, origin: RunOrigin) -> None:
    """Write origin.json, if it says something else so far."""
    content: dict[str, Any] = {"corpus": origin.corpus}
    if (initial := origin.initial) is not None:
        weights = {"sha256": initial.sha256, "checkpoint": initial.checkpoint, "init_from": initial.init_from}
        content["initial_weights"] = weights if initial.sha256 else "drawn"
    text = storage.to_json(content) + "\n"
    with storage.storage_errors(run.origin_path, "read"):
        is_same = run.origin_path.is_file() and run.origin_path.read_bytes() == text.encode()
    if not is_same:
        storage.write_text(run.origin_path, text)


def read_origin(run: RunDirectory) -> RunOrigin | None:
    """Return what origin.json says; None if there is none.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        content = storage.read_json(run.origin_path)
        corpus, weights = content["corpus"], content.get("initial_weights")
        if not isinstance(corpus, str) or not corpus or "\0" in corpus:
            raise TypeError("corpus")
        return RunOrigin(corpus, None if weights is None else _parse_weights(weights))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{run.origin_path} is damaged", "delete it; charlm then looks for the corpus by its name"
        ) from error


def _parse_weights(weights: str | Mapping[str, Any]) -> InitialWeights:
    if weights == "drawn":
        return WEIGHTS_FROM_SEED
    if not isinstance(weights, Mapping) or not all(isinstance(value, str) for value in weights.values()):
        raise TypeError("initial_weights")
    return InitialWeights(weights["sha256"], weights["checkpoint"], weights["init_from"])
