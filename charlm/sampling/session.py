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
from charlm.sampling.decode import Primed, Sampling, prime
from charlm.sampling.generate import Generator
from charlm.vocab.base import IntArray, Vocab


@dataclass(frozen=True)
class Place:
    """Where a conversation is: all that was said, and the model after it."""

    text: str
    primed: Primed
    recent: IntArray
    """The last ids, for penalties."""


class Session:
    """A model, where it is, and where it has been."""

    def __init__(self, model: LanguageModel, vocab: Vocab, device: torch.device, identity: str) -> None:
        """
        Args:
            identity: of the model's weights; a saved place belongs to it alone.
        """
        self._model = model
        self._vocab = vocab
        self._device = device
        self._identity = identity
        self._earlier: list[Place] = []
        self._branches: dict[str, Place] = {}
        self.place = Place("", self._read(np.array([vocab.eod_id]), None, "fp32"), np.zeros(0, dtype=np.int64))

    def read(self, text: str) -> None:
        """What the person says.

        Raises:
            DataError: a character that the vocabulary cannot spell.
        """
        ids = self._vocab.encode(text).astype(np.int64)
        self._earlier.append(self.place)
        self.place = self._after(ids, text)

    def write(self, sampling: Sampling) -> Iterator[str]:
        """What the model says, in pieces; another text each time, for the seed counts what was said before."""
        varied = replace(sampling, seed=sampling.seed + len(self._earlier))
        self._earlier.append(self.place)
        generator = Generator(self._model, self._vocab, self.place.primed, self.place.recent, "forward", varied)
        said = ""
        try:
            for piece in generator.one():
                said += piece
                yield piece
        finally:
            self.place = self._after(self._vocab.encode(said).astype(np.int64), said)

    def back(self) -> None:
        """
        Raises:
            UsageError: this is the beginning.
        """
        if not self._earlier:
            raise UsageError("there is nothing to go back to", "say something first")
        self.place = self._earlier.pop()

    def keep(self, name: str) -> None:
        """Remember this place."""
        self._branches[name] = self.place

    def go_to(self, name: str) -> None:
        """
        Raises:
            UsageError: no such branch.
        """
        if name not in self._branches:
            known = ", ".join(sorted(self._branches)) or "none yet"
            raise UsageError(f"there is no branch {name!r}", f"branches: {known}; /branch NAME makes one")
        self._earlier.append(self.place)
        self.place = self._branches[name]

    @property
    def branches(self) -> list[str]:
        return sorted(self._branches)

    def save(self, path: Path) -> None:
        """
        Raises:
            StorageError: it could not be written.
        """
        about = {
            "format": formats.CONVERSATION,
            "model": self._identity,
            "text": self.place.text,
            "recent": self.place.recent.tolist(),
        }
        state = {f"state.{number}": tensor.contiguous() for number, tensor in enumerate(self.place.primed.state)}
        tensors = {"logits": self.place.primed.logits_1V.contiguous(), **state}
        content = safetensors.torch.save(tensors, {"session": json.dumps(about)})
        storage.write_bytes(path, content)

    def load(self, path: Path) -> None:
        """
        Raises:
            UsageError: there is no such file.
            DataError: it is damaged, of another model, or written by a newer charlm.
        """
        try:
            with safetensors.safe_open(path, framework="pt", device=str(self._device)) as file:
                about = storage.from_json((file.metadata() or {})["session"])
                found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            if about["format"] > formats.CONVERSATION:
                what = f"{path} has format {about['format']}; this charlm reads up to {formats.CONVERSATION}"
                raise DataError(what, "upgrade charlm")
            if about["model"] != self._identity:
                raise DataError(f"{path} belongs to another model", "load it with the run that saved it")
            place = Place(self._text(about["text"]), self._checked(found), self._ids(about["recent"]))
        except FileNotFoundError as error:
            raise UsageError(f"there is no file {path}", "/save makes one") from error
        except (OSError, KeyError, TypeError, ValueError, OverflowError, safetensors.SafetensorError) as error:
            raise DataError(f"{path} is no saved conversation: {error}", "load one that /save has written") from error
        self._earlier.append(self.place)
        self.place = place

    def _checked(self, found: dict[str, Tensor]) -> Primed:
        """ValueError where the tensors are not those of a state of this model."""
        expected = self._model.initial_state(1)
        state: State = tuple(found[f"state.{number}"] for number in range(len(expected)))
        logits = found["logits"]
        alike = all(
            own.shape == other.shape and own.dtype == other.dtype
            for own, other in zip((*expected, self.place.primed.logits_1V), (*state, logits), strict=True)
        )
        if not alike or len(found) != len(expected) + 1:
            raise ValueError("the state has other shapes")
        if not all(bool(torch.isfinite(tensor).all()) for tensor in (*state, logits)):
            raise ValueError("the state holds values that are not finite")
        primed = Primed(logits, state)
        try:  # counts and bytes in a state may be any number: whether they lead anywhere, a step shows
            self._read(np.array([self._vocab.eod_id]), state, "fp32")
        except (IndexError, RuntimeError) as error:
            raise ValueError(f"the state leads nowhere: {error}") from error
        return primed

    @staticmethod
    def _text(content: object) -> str:
        if not isinstance(content, str):
            raise TypeError("the text is none")
        return content

    def _ids(self, content: object) -> IntArray:
        ids = np.array(content)
        if ids.ndim != 1 or (len(ids) and not np.issubdtype(ids.dtype, np.integer)):
            raise TypeError("the last ids are none")
        if len(ids) and not (ids.min() >= 0 and ids.max() < self._vocab.size):
            raise ValueError("an id that the vocabulary does not have")
        return ids.astype(np.int64)

    def _after(self, ids: IntArray, text: str) -> Place:
        if not len(ids):
            return replace(self.place, text=self.place.text + text)
        recent = np.concatenate([self.place.recent, ids])[-1024:]
        return Place(self.place.text + text, self._read(ids, self.place.primed.state, "fp32"), recent)

    def _read(self, ids: IntArray, state: State | None, precision: Precision) -> Primed:
        return prime(self._model, ids, self._device, state=state, precision=precision)
