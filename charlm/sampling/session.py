"""A conversation with a model that keeps its state, with undo, branches, and snapshots in files.

    read(text), write(plan) ──> Snapshot (text, model state)        undo() ──> the snapshot before
    save_branch(name) remembers a snapshot        save(path) ──> one safetensors file: state, text, id of the model

B streams (1), V vocabulary.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from charlm import formats, storage
from charlm.device import Precision
from charlm.errors import DataError, UsageError
from charlm.nn.model import LanguageModel
from charlm.nn.state import State
from charlm.sampling.generate import TextGenerator
from charlm.sampling.plan import SamplingPlan
from charlm.sampling.prime import PrimedState, prime
from charlm.vocab.base import IntArray, Vocab


@dataclass(frozen=True)
class Snapshot:
    """The text of a conversation so far, and the model after reading it."""

    text: str
    primed: PrimedState
    recent_ids: IntArray
    """The recent ids, for penalties."""


class Session:
    """A conversation with undo and branches."""

    def __init__(self, model: LanguageModel, vocab: Vocab, device: torch.device, model_id: str) -> None:
        """
        Args:
            model_id: identifies the weights; only they can load a saved conversation.
        """
        self._model = model
        self._vocab = vocab
        self._device = device
        self._model_id = model_id
        self._history: list[Snapshot] = []
        self._branches: dict[str, Snapshot] = {}
        self.snapshot = Snapshot("", self._prime(np.array([vocab.eod_id]), None, "fp32"), np.zeros(0, dtype=np.int64))

    def read(self, text: str) -> None:
        """Let the model read what the person says.

        Raises:
            DataError: the text has a character that the vocabulary cannot spell.
        """
        ids = self._vocab.encode(text).astype(np.int64)
        self._history.append(self.snapshot)
        self.snapshot = self._snapshot_after(ids, text)

    def write(self, sampling: SamplingPlan) -> Iterator[str]:
        """Let the model write; yield the text in pieces.

        The seed is increased by the number of earlier turns, so that every turn gives another text.
        """
        varied = replace(sampling, seed=sampling.seed + len(self._history))
        self._history.append(self.snapshot)
        generator = TextGenerator(
            self._model, self._vocab, self.snapshot.primed, self.snapshot.recent_ids, "forward", varied
        )
        written = ""
        try:
            for piece in generator.stream_generate():
                written += piece
                yield piece
        finally:
            self.snapshot = self._snapshot_after(self._vocab.encode(written).astype(np.int64), written)

    def undo(self) -> None:
        """Go back to the snapshot before the last turn.

        Raises:
            UsageError: there is no turn to undo.
        """
        if not self._history:
            raise UsageError("there is nothing to go back to", "say something first")
        self.snapshot = self._history.pop()

    def save_branch(self, name: str) -> None:
        """Remember the current snapshot under a name."""
        self._branches[name] = self.snapshot

    def switch_to_branch(self, name: str) -> None:
        """Go to the snapshot that was saved under a name.

        Raises:
            UsageError: there is no such branch.
        """
        if name not in self._branches:
            known = ", ".join(sorted(self._branches)) or "(no branches yet)"
            raise UsageError(f"there is no branch {name!r}", f"branches: {known}; /branch NAME makes one")
        self._history.append(self.snapshot)
        self.snapshot = self._branches[name]

    def save(self, path: Path) -> None:
        """Save the current snapshot to a file.

        Raises:
            StorageError: the file could not be written.
        """
        header = {
            "format": formats.CONVERSATION,
            "model": self._model_id,
            "text": self.snapshot.text,
            "recent": self.snapshot.recent_ids.tolist(),
        }
        state = {f"state.{number}": tensor.contiguous() for number, tensor in enumerate(self.snapshot.primed.state)}
        tensors = {"logits": self.snapshot.primed.logits_1V.contiguous(), **state}
        content = safetensors.torch.save(tensors, {"session": json.dumps(header)})
        storage.write_bytes(path, content)

    def load(self, path: Path) -> None:
        """Go to the snapshot in a file.

        Raises:
            UsageError: there is no such file.
            DataError: the file is damaged, belongs to another model, or was written by a newer charlm.
        """
        try:
            with safetensors.safe_open(path, framework="pt", device=str(self._device)) as file:
                header = storage.from_json((file.metadata() or {})["session"])
                found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            if header["format"] > formats.CONVERSATION:
                what = f"{path} has format {header['format']}; this charlm reads up to {formats.CONVERSATION}"
                raise DataError(what, "upgrade charlm")
            if header["model"] != self._model_id:
                raise DataError(f"{path} belongs to another model", "load it with the run that saved it")
            snapshot = Snapshot(
                self._validate_text(header["text"]), self._validate_state(found), self._validate_ids(header["recent"])
            )
        except FileNotFoundError as error:
            raise UsageError(f"there is no file {path}", "/save makes one") from error
        except (OSError, KeyError, TypeError, ValueError, OverflowError, safetensors.SafetensorError) as error:
            raise DataError(
                f"{path} is not a saved conversation: {error}", "load a file that /save has written"
            ) from error
        self._history.append(self.snapshot)
        self.snapshot = snapshot

    def _validate_state(self, found: dict[str, Tensor]) -> PrimedState:
        """
        Raises:
            ValueError: the tensors are not a state of this model.
        """
        expected = self._model.initial_state(1)
        state: State = tuple(found[f"state.{number}"] for number in range(len(expected)))
        logits = found["logits"]
        matches = all(
            own.shape == other.shape and own.dtype == other.dtype
            for own, other in zip((*expected, self.snapshot.primed.logits_1V), (*state, logits), strict=True)
        )
        if not matches or len(found) != len(expected) + 1:
            raise ValueError("the state has the shapes of another model")
        if not all(bool(torch.isfinite(tensor).all()) for tensor in (*state, logits)):
            raise ValueError("the state has values that are not finite")
        primed = PrimedState(logits, state)
        try:  # counters and bytes may have any value in a file: one step shows whether the model accepts them
            self._prime(np.array([self._vocab.eod_id]), state, "fp32")
        except (IndexError, RuntimeError) as error:
            raise ValueError(f"the model cannot go on from the state: {error}") from error
        return primed

    @staticmethod
    def _validate_text(content: object) -> str:
        if not isinstance(content, str):
            raise TypeError("its text is not a string")
        return content

    def _validate_ids(self, content: object) -> IntArray:
        ids = np.array(content)
        if ids.ndim != 1 or (len(ids) and not np.issubdtype(ids.dtype, np.integer)):
            raise TypeError("its recent ids are not integers")
        if len(ids) and not (ids.min() >= 0 and ids.max() < self._vocab.size):
            raise ValueError("it has an id that the vocabulary does not have")
        return ids.astype(np.int64)

    def _snapshot_after(self, ids: IntArray, text: str) -> Snapshot:
        if not len(ids):
            return replace(self.snapshot, text=self.snapshot.text + text)
        recent_ids = np.concatenate([self.snapshot.recent_ids, ids])[-1024:]
        return Snapshot(self.snapshot.text + text, self._prime(ids, self.snapshot.primed.state, "fp32"), recent_ids)

    def _prime(self, ids: IntArray, state: State | None, precision: Precision) -> PrimedState:
        return prime(self._model, ids, self._device, state=state, precision=precision)
