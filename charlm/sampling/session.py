"""A conversation with a model that keeps its state: read a little, write a little, go back, branch, save, load.

    read(text), write(sampling) ──> text and state grow          back() ──> as it was before
    branch(name) keeps a place   save(path) ──> one safetensors file: state, text, and which model it belongs to

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
    """Where a conversation is: all that was said, and the model after it."""

    text: str
    primed: PrimedState
    recent_ids: IntArray
    """The last ids, for penalties."""


class Session:
    """A model, where it is, and where it has been."""

    def __init__(self, model: LanguageModel, vocab: Vocab, device: torch.device, model_id: str) -> None:
        """
        Args:
            model_id: of the model's weights; a saved place belongs to it alone.
        """
        self._model = model
        self._vocab = vocab
        self._device = device
        self._model_id = model_id
        self._history: list[Snapshot] = []
        self._branches: dict[str, Snapshot] = {}
        self.snapshot = Snapshot("", self._prime(np.array([vocab.eod_id]), None, "fp32"), np.zeros(0, dtype=np.int64))

    def read(self, text: str) -> None:
        """What the person says.

        Raises:
            DataError: a character that the vocabulary cannot spell.
        """
        ids = self._vocab.encode(text).astype(np.int64)
        self._history.append(self.snapshot)
        self.snapshot = self._snapshot_after(ids, text)

    def write(self, sampling: SamplingPlan) -> Iterator[str]:
        """What the model says, in pieces; another text each time, for the seed counts what was said before."""
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
        """
        Raises:
            UsageError: this is the beginning.
        """
        if not self._history:
            raise UsageError("there is nothing to go back to", "say something first")
        self.snapshot = self._history.pop()

    def save_branch(self, name: str) -> None:
        """Remember this place."""
        self._branches[name] = self.snapshot

    def switch_to_branch(self, name: str) -> None:
        """
        Raises:
            UsageError: no such branch.
        """
        if name not in self._branches:
            known = ", ".join(sorted(self._branches)) or "none yet"
            raise UsageError(f"there is no branch {name!r}", f"branches: {known}; /branch NAME makes one")
        self._history.append(self.snapshot)
        self.snapshot = self._branches[name]

    @property
    def branches(self) -> list[str]:
        return sorted(self._branches)

    def save(self, path: Path) -> None:
        """
        Raises:
            StorageError: it could not be written.
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
        """
        Raises:
            UsageError: there is no such file.
            DataError: it is damaged, of another model, or written by a newer charlm.
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
            raise DataError(f"{path} is no saved conversation: {error}", "load one that /save has written") from error
        self._history.append(self.snapshot)
        self.snapshot = snapshot

    def _validate_state(self, found: dict[str, Tensor]) -> PrimedState:
        """ValueError where the tensors are not those of a state of this model."""
        expected = self._model.initial_state(1)
        state: State = tuple(found[f"state.{number}"] for number in range(len(expected)))
        logits = found["logits"]
        matches = all(
            own.shape == other.shape and own.dtype == other.dtype
            for own, other in zip((*expected, self.snapshot.primed.logits_1V), (*state, logits), strict=True)
        )
        if not matches or len(found) != len(expected) + 1:
            raise ValueError("the state has other shapes")
        if not all(bool(torch.isfinite(tensor).all()) for tensor in (*state, logits)):
            raise ValueError("the state holds values that are not finite")
        primed = PrimedState(logits, state)
        try:  # counts and bytes in a state may be any number: whether they lead anywhere, a step shows
            self._prime(np.array([self._vocab.eod_id]), state, "fp32")
        except (IndexError, RuntimeError) as error:
            raise ValueError(f"the state leads nowhere: {error}") from error
        return primed

    @staticmethod
    def _validate_text(content: object) -> str:
        if not isinstance(content, str):
            raise TypeError("the text is none")
        return content

    def _validate_ids(self, content: object) -> IntArray:
        ids = np.array(content)
        if ids.ndim != 1 or (len(ids) and not np.issubdtype(ids.dtype, np.integer)):
            raise TypeError("the last ids are none")
        if len(ids) and not (ids.min() >= 0 and ids.max() < self._vocab.size):
            raise ValueError("an id that the vocabulary does not have")
        return ids.astype(np.int64)

    def _snapshot_after(self, ids: IntArray, text: str) -> Snapshot:
        if not len(ids):
            return replace(self.snapshot, text=self.snapshot.text + text)
        recent_ids = np.concatenate([self.snapshot.recent_ids, ids])[-1024:]
        return Snapshot(self.snapshot.text + text, self._prime(ids, self.snapshot.primed.state, "fp32"), recent_ids)

    def _prime(self, ids: IntArray, state: State | None, precision: Precision) -> PrimedState:
        return prime(self._model, ids, self._device, state=state, precision=precision)
