"""A conversation with a model that keeps its state, with undo, branches, and snapshots in files.

    read(text), write(plan) ──> Snapshot (text, model state)        undo() ──> the snapshot before
    save_branch(name) remembers a snapshot        save(path), load(path) ──> `snapshot`

The model goes on from the tokens that it has drawn, so greedy turns join to the text of one longer turn. A turn of a
given length may cut a token, or the blank line of an <eod>: the next turn begins with the rest.

B streams (1), V vocabulary.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from charlm.device import Precision
from charlm.errors import UsageError
from charlm.nn.model import LanguageModel
from charlm.nn.state import State
from charlm.sampling.detokenizer import DOCUMENT_BREAK, Detokenizer
from charlm.sampling.plan import SamplingPlan
from charlm.sampling.prime import PrimedState, prime
from charlm.sampling.sampling_loop import SamplingLoop
from charlm.sampling.snapshot import Cut, Snapshot, load_snapshot, save_snapshot
from charlm.vocab.base import IntArray, Vocab

_NO_IDS: IntArray = np.zeros(0, dtype=np.int64)
_MAX_RECENT_IDS = 1_000_000  # the longest window of penalties


class Session:
    """A conversation with undo and branches."""

    def __init__(
        self, model: LanguageModel, vocab: Vocab, device: torch.device, model_id: str, precision: Precision = "fp32"
    ) -> None:
        """
        Args:
            model_id: identifies the weights; only they can load a saved conversation.
            precision: in which the model reads.
        """
        self._model = model
        self._vocab = vocab
        self._device = device
        self._model_id = model_id
        self._precision: Precision = precision
        self._history: list[Snapshot] = []
        self._branches: dict[str, Snapshot] = {}
        self.snapshot = Snapshot("", self._prime(np.array([vocab.eod_id]), None), _NO_IDS)

    def read(self, text: str) -> None:
        """Let the model read what the person says.

        Raises:
            DataError: the text has a character that the vocabulary cannot spell.
        """
        after = self._read_after(self.snapshot, text) if text else self.snapshot
        self._history.append(self.snapshot)
        self.snapshot = after

    def write(self, sampling: SamplingPlan) -> Iterator[str]:
        """Let the model write; yield the text in pieces.

        The seed is increased by the number of earlier turns, so that every turn gives another text.

        Raises:
            UsageError: the text is a single document that has ended.
        """
        if sampling.single_document and self._has_ended(self.snapshot.cut):
            raise UsageError("the text has ended, and the model writes no other one", "type how it goes on, or /back")
        varied = replace(sampling, seed=sampling.seed + len(self._history))
        constraint = sampling.constraint
        start = self.snapshot if constraint is None else self._read_after(self.snapshot, "")
        cut = start.cut or Cut(start, _NO_IDS)
        detokenizer = _TurnDetokenizer(
            self._vocab,
            sampling.length,
            sampling.stop_strings,
            ends_at_eod=sampling.ends_at_eod,
        )
        loop = SamplingLoop(self._model, start.primed, varied, range(1), [detokenizer], start.recent_ids)
        self._history.append(self.snapshot)
        text = start.text
        try:
            rest = detokenizer.resume(cut.ids.tolist(), len(start.text) - len(cut.start.text))
            for piece in chain([rest], (piece for (piece,) in loop.run())):
                if piece:
                    text += piece
                    yield piece
        finally:
            drawn = np.array(detokenizer.ids, dtype=np.int64)
            written = Cut(cut.start, np.concatenate([cut.ids, drawn]))
            is_end = sampling.single_document and self._has_ended(written)
            if (
                constraint is not None or detokenizer.stopped
            ) and not is_end:  # what was drawn behind the text does not count
                self.snapshot = self._read_shown(written, text, "")
            else:
                recent_ids = np.concatenate([start.recent_ids, drawn])[-_MAX_RECENT_IDS:]
                is_whole = self._is_whole(written.ids, text[len(cut.start.text) :])
                self.snapshot = Snapshot(text, loop.primed_state(), recent_ids, None if is_whole else written)

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
        save_snapshot(path, self.snapshot, self._model_id)

    def load(self, path: Path) -> None:
        """Go to the snapshot in a file.

        Raises:
            UsageError: there is no such file.
            DataError: the file is damaged, belongs to another model, or was written by a newer charlm.
        """
        snapshot = load_snapshot(path, self._model, self._vocab, self._device, self._model_id)
        self._history.append(self.snapshot)
        self.snapshot = snapshot

    def _read_after(self, snapshot: Snapshot, text: str) -> Snapshot:
        return self._read_shown(snapshot.cut or Cut(snapshot, _NO_IDS), snapshot.text, text)

    def _read_shown(self, cut: Cut, shown_text: str, text: str) -> Snapshot:
        """The snapshot after the model has read what was shown of a cut text, and then `text`.

        Documents that were shown are read as they were drawn, the rest as the vocabulary encodes it.
        """
        shown = shown_text[len(cut.start.text) :]
        num_ids, num_characters, _ = self._find_shown_documents(cut.ids, shown)
        ids = np.concatenate([cut.ids[:num_ids], self._vocab.encode(shown[num_characters:] + text).astype(np.int64)])
        if not len(ids):
            return replace(cut.start, text=shown_text + text)
        recent_ids = np.concatenate([cut.start.recent_ids, ids])[-_MAX_RECENT_IDS:]
        return Snapshot(shown_text + text, self._prime(ids, cut.start.primed.state), recent_ids)

    def _is_whole(self, ids: IntArray, shown: str) -> bool:
        """Whether ids were shown to their end, and the vocabulary would encode what was shown to the same ids."""
        num_ids, num_characters, length = self._find_shown_documents(ids, shown)
        return length == len(shown) and np.array_equal(self._vocab.encode(shown[num_characters:]), ids[num_ids:])

    def _find_shown_documents(self, ids: IntArray, shown: str) -> tuple[int, int, int]:
        """Return the number of ids up to the last <eod> of which something was shown, the characters shown of them, and
        the length of the text of all ids."""
        decoder = self._vocab.stream_decoder()
        num_ids = num_characters = length = 0
        for number, token in enumerate(ids.tolist(), start=1):
            if token != self._vocab.eod_id:
                length += len(decoder.push(token))
                continue
            begin = length + len(decoder.finish())
            length = begin + len(DOCUMENT_BREAK)
            if begin < len(shown):
                num_ids, num_characters = number, min(length, len(shown))
        return num_ids, num_characters, length

    def _has_ended(self, cut: Cut | None) -> bool:
        """Whether <eod> was drawn last."""
        return cut is not None and len(cut.ids) > 0 and cut.ids[-1] == self._vocab.eod_id

    def _prime(self, ids: IntArray, state: State | None) -> PrimedState:
        return prime(self._model, ids, self._device, state=state, precision=self._precision)


class _TurnDetokenizer(Detokenizer):
    """A detokenizer that keeps the ids that were drawn."""

    def __init__(self, vocab: Vocab, length: int, stop_strings: tuple[str, ...], *, ends_at_eod: bool) -> None:
        super().__init__(vocab, length, stop_strings, ends_at_eod=ends_at_eod)
        self.ids: list[int] = []

    def push(self, token: int) -> str:
        self.ids.append(token)
        return super().push(token)
