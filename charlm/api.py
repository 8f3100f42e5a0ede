"""The Python face: a trained model that scores text, writes text, and gives its features, without the command line.

    model = charlm.load("runs/lstm-ltgwiki")
    model.score("Latgola ir Latvejis dala.").bits_per_character
    model.sample("Latgola ", temperature=0.7)
    model.hidden("Latgola")                                     characters, features

Errors are those of `charlm.errors`: each says what was found and what to do.

T time, H features, C characters.
"""

from collections.abc import Iterator
from typing import Literal, Unpack

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charlm import workspace
from charlm.checkpoint import LoadedModel
from charlm.data.store import TokenStream
from charlm.device import Precision, choose_device
from charlm.evaluation.evaluate import evaluate
from charlm.evaluation.lane import read_stream
from charlm.evaluation.score import Score
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.sampling.options import SampleKeywords, SamplingOptions
from charlm.vocab.base import Vocab
from charlm.workflows.evaluate import stream_from_text
from charlm.workflows.load_run import load_run
from charlm.workflows.sample import build_generator


class Model:
    """A trained model with its vocabulary, in evaluation mode. Made by `charlm.load`."""

    def __init__(self, loaded: LoadedModel, device: str) -> None:
        self._loaded = loaded
        self._device = device

    @property
    def network(self) -> LanguageModel:
        """The `torch.nn.Module`: (inputs_BT, state) -> (features_BTH, state), and a head."""
        return self._loaded.model

    @property
    def vocab(self) -> Vocab:
        """text <-> ids."""
        return self._loaded.vocab

    @property
    def settings(self) -> ModelSettings:
        return self._loaded.settings

    def score(self, text: str, *, streams: int | None = None, precision: Precision = "fp32") -> Score:
        """What the model pays for a text, `<eod> text <eod>`, as `charlm eval --text` does.

        Args:
            streams: parallel lanes; 1 is the definition, which any other number agrees with to 0.0005 bits a character.

        Returns:
            Sums (`nats`, `tokens`, `characters`, `words`, `bytes`) and their ratios (`perplexity`,
            `bits_per_character` and so on). Scores add.

        Raises:
            DataError: the text is empty, or cannot be spelled.
        """
        stream = self._encode(text)
        return evaluate(self.network, stream, num_lanes=streams, device=self._torch_device, precision=precision)

    def sample(self, prompt: str = "", **options: Unpack[SampleKeywords]) -> str:
        """Text that goes on from `prompt` (of a backward model: that leads to it), the prompt not included.

        The same arguments give the same text.

        Raises:
            UsageError: options out of range, or that contradict each other or the model.
            DataError: the prompt cannot be spelled.
        """
        return "".join(self.stream(prompt, **options))

    def stream(self, prompt: str = "", **options: Unpack[SampleKeywords]) -> Iterator[str]:
        """The same text in pieces, as it is drawn.

        Raises:
            UsageError, DataError: as `sample`.
        """
        chosen = SamplingOptions(prompt=prompt, **options)
        return build_generator(self._loaded, chosen, self._device).stream_generate()

    def hidden(self, text: str, *, per: Literal["character", "token"] = "character") -> Tensor:
        """What the head is given after each character: features for taggers and the like (Akbik et al., 2018).

        Args:
            per: "character": a row for each character of the text, which it has once all of the token (or of the
                bytes) that spell it was read. "token": a row for each id of `vocab.encode(text)`.

        Returns:
            C, H or T, H, fp32, on the CPU, without a gradient. A forward model has read everything up to the row's
            character, `<eod>` before the text included; a backward one everything from there to the end.

        Raises:
            DataError: the text cannot be spelled.
        """
        if not text:
            return torch.empty(0, self.network.body.features_size)
        stream = self._encode(text)
        chunks = [chunk.features_TH for chunk in read_stream(self.network, stream, self._torch_device)]
        features_TH = torch.cat(chunks)[1:].float().cpu()  # after <eod> nothing of the text is read yet
        if self._is_backward:
            features_TH = features_TH.flip(0)
        if per == "token":
            return features_TH
        return features_TH[self._last_token_indices(text)]

    @property
    def _is_backward(self) -> bool:
        return self.settings.direction == "backward"

    @property
    def _torch_device(self) -> torch.device:
        return choose_device(self._device)

    def _encode(self, text: str) -> TokenStream:
        """In the order in which the model reads it."""
        return stream_from_text(text, self.vocab).in_direction(self.settings.direction)

    def _last_token_indices(self, text: str) -> npt.NDArray[np.int64]:
        """(C,): the number of the token, in the text's order, that the model reads last of those of each character."""
        decoder = self.vocab.stream_decoder()
        ends_T = np.cumsum([len(decoder.push(int(token))) for token in self.vocab.encode(text)])
        last_C = np.searchsorted(ends_T, np.arange(len(text)), side="right")
        if not self._is_backward:
            return last_C
        before_C = np.concatenate([[0], last_C[:-1]])
        begins_C = np.where(last_C > before_C, before_C + 1, before_C)  # tokens may cover several characters
        begins_C[0] = 0
        return begins_C


def load(run: str | None = None, *, checkpoint: str = "best", device: str = "auto") -> Model:
    """A trained model.

    Args:
        run: the name or the directory of a run, the directory of a checkpoint, or "bundled" for the small model that
            comes with charlm; if left out, the run made last in this folder, and the bundled one where there is none.
        checkpoint: "best", "last", or a step.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        UsageError: there is no such run, checkpoint or device.
        CheckpointError: it is damaged, or was written by a newer charlm.
    """
    loaded, _ = load_run(workspace.run_or_bundled(run), checkpoint, device)
    loaded.model.eval()
    return Model(loaded, device)
