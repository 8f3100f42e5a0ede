"""A point of a conversation: the text so far and the model after it; in memory and in a file.

    Snapshot ──save_snapshot──> one safetensors file: states, logits, text, id of the model ──load_snapshot──> Snapshot

V vocabulary.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from charlm import formats, storage
from charlm.errors import DataError, UsageError
from charlm.nn.model import LanguageModel
from charlm.sampling.prime import PrimedState, prime
from charlm.vocab.base import IntArray, Vocab


@dataclass(frozen=True)
class Snapshot:
    """The text of a conversation so far, and the model after it."""

    text: str
    primed: PrimedState
    """The model after the text; of a text that was cut, after all ids that were drawn for it."""
    recent_ids: IntArray
    """The recent ids, for penalties."""
    cut: "Cut | None" = None


@dataclass(frozen=True)
class Cut:
    """A text that the model was writing when its turn ended: inside a token, a character or a document break, or in
    other tokens than the vocabulary would encode it to.

    The next turn goes on from the ids. If the person speaks first, the model reads what was shown instead.
    """

    start: Snapshot
    """The last snapshot without a cut."""
    ids: IntArray
    """The ids drawn since then."""


def save_snapshot(path: Path, snapshot: Snapshot, model_id: str) -> None:
    """Save a snapshot to a file.

    Raises:
        StorageError: the file could not be written.
    """
    header: dict[str, Any] = {
        "format": formats.CONVERSATION,
        "model": model_id,
        "text": snapshot.text,
        "recent": snapshot.recent_ids.tolist(),
        "cut": None,
    }
    tensors = _to_tensors(snapshot.primed, "")
    if snapshot.cut is not None:
        start = snapshot.cut.start
        tensors |= _to_tensors(start.primed, "start.")
        header["cut"] = {
            "characters": len(start.text),
            "recent": start.recent_ids.tolist(),
            "ids": snapshot.cut.ids.tolist(),
        }
    storage.write_bytes(path, safetensors.torch.save(tensors, {"session": json.dumps(header)}))


def load_snapshot(path: Path, model: LanguageModel, vocab: Vocab, device: torch.device, model_id: str) -> Snapshot:
    """Load a snapshot from a file.

    Raises:
        UsageError: there is no such file.
        DataError: the file is damaged, belongs to another model, or was written by a newer charlm.
    """
    try:
        with safetensors.safe_open(path, framework="pt", device=str(device)) as file:
            header = storage.from_json((file.metadata() or {})["session"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        if header["format"] > formats.CONVERSATION:
            what = f"{path} has format {header['format']}; this charlm reads up to {formats.CONVERSATION}"
            raise DataError(what, "upgrade charlm")
        if header["model"] != model_id:
            raise DataError(f"{path} belongs to another model", "load it with the run that saved it")
        snapshot = _read_snapshot(header, tensors, _Checks(model, vocab, device))
        if tensors:
            raise ValueError(f"it has a tensor too many, {min(tensors)}")
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}", "/save makes one") from error
    except (OSError, KeyError, TypeError, ValueError, OverflowError, safetensors.SafetensorError) as error:
        raise DataError(f"{path} is not a saved conversation: {error}", "load a file that /save has written") from error
    return snapshot


def _to_tensors(primed: PrimedState, prefix: str) -> dict[str, Tensor]:
    states = {f"{prefix}state.{number}": tensor.contiguous() for number, tensor in enumerate(primed.state)}
    return {f"{prefix}logits": primed.logits_1V.contiguous(), **states}


def _read_snapshot(header: Any, tensors: dict[str, Tensor], checks: "_Checks") -> Snapshot:
    """Return the snapshot; its tensors are taken out of `tensors`."""
    text, primed = checks.text(header["text"]), checks.primed(tensors, "")
    recent_ids = checks.ids(header["recent"])
    about = header.get("cut")  # not in format 1
    if about is None:
        return Snapshot(text, primed, recent_ids)
    num_characters = about["characters"]
    if type(num_characters) is not int or not 0 <= num_characters <= len(text):
        raise ValueError("its last turn begins outside the text")
    start = Snapshot(text[:num_characters], checks.primed(tensors, "start."), checks.ids(about["recent"]))
    return Snapshot(text, primed, recent_ids, Cut(start, checks.ids(about["ids"])))


@dataclass(frozen=True)
class _Checks:
    """Checks of the content of a file against a model; TypeError or ValueError if it does not fit."""

    model: LanguageModel
    vocab: Vocab
    device: torch.device

    def primed(self, tensors: dict[str, Tensor], prefix: str) -> PrimedState:
        expected = self.model.initial_state(1)
        state = tuple(tensors.pop(f"{prefix}state.{number}") for number in range(len(expected)))
        logits = tensors.pop(f"{prefix}logits")
        matches = logits.shape == (1, self.model.head.vocab_size) and logits.dtype == torch.float32
        if not matches or any(
            own.shape != other.shape or own.dtype != other.dtype for own, other in zip(expected, state, strict=True)
        ):
            raise ValueError("the state has the shapes of another model")
        if not all(bool(torch.isfinite(tensor).all()) for tensor in (*state, logits)):
            raise ValueError("the state has values that are not finite")
        self.model.check_state(state)
        try:  # counters and bytes may have any value in a file: one step shows whether the model accepts them
            prime(self.model, np.array([self.vocab.eod_id]), self.device, state=state, precision="fp32")
        except (IndexError, RuntimeError) as error:
            raise ValueError(f"the model cannot go on from the state: {error}") from error
        return PrimedState(logits, state)

    def text(self, content: object) -> str:
        if not isinstance(content, str):
            raise TypeError("its text is not a string")
        return content

    def ids(self, content: object) -> IntArray:
        ids = np.array(content)
        if ids.ndim != 1 or (len(ids) and not np.issubdtype(ids.dtype, np.integer)):
            raise TypeError("its recent ids are not integers")
        if len(ids) and not (ids.min() >= 0 and ids.max() < self.vocab.size):
            raise ValueError("it has an id that the vocabulary does not have")
        return ids.astype(np.int64)
