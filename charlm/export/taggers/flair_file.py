"""A character language model of flair (`FlairEmbeddings(PATH)`).

flair begins every text with a line feed, in a state of zeros, as charlm begins it with <eod>. So the line feed of the
file is charlm's <eod>, and the features are those of charlm. A line feed inside a text is the end of a document too.

D embedding size, H hidden, V vocabulary.
"""

import io
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType
from typing import IO, Any
from unittest.mock import patch

import torch
from torch import Tensor

from charlm.export.exported_model import ExportedModel
from charlm.export.taggers.plain_lstm import PlainLSTM, plain_lstm

_DOCUMENT_DELIMITER = "\n"
_UNKNOWN = "<unk>"


class Dictionary:
    """What flair's class of this name holds; the file names flair's class in its place."""

    def __init__(self, items: list[str]) -> None:
        self.idx2item = [item.encode("utf-8") for item in items]
        self.item2idx = {item: index for index, item in enumerate(self.idx2item)}
        self.add_unk = True
        self.multi_label = False
        self.span_labels = False


def write_flair(model: ExportedModel, file: IO[bytes]) -> list[str]:
    """Write the file; return what its user should know."""
    lstm = plain_lstm(model, "flair")
    content = io.BytesIO()  # torch hides what a file says of a full disk
    with _pickled_as_flairs(Dictionary):
        torch.save(_to_state(lstm), content, pickle_protocol=4)
    file.write(content.getbuffer())
    direction = "forward" if lstm.is_forward else "backward"
    return [f"a {direction} character language model; taggers of flair usually read one of each direction"]


@contextmanager
def _pickled_as_flairs(kind: type) -> Generator[None, None, None]:
    """Let pickle write the name of flair's class for ours, as flair is not installed with charlm."""
    package, module = ModuleType("flair"), ModuleType("flair.data")
    setattr(module, kind.__name__, kind)
    with (
        patch.dict(sys.modules, {"flair": package, "flair.data": module}),
        patch.object(kind, "__module__", module.__name__),
    ):
        yield


def _to_state(lstm: PlainLSTM) -> dict[str, Any]:
    known = [(character, row) for character, row in zip(lstm.characters, lstm.rows, strict=True)]
    known = [(_DOCUMENT_DELIMITER, lstm.eod_row), *(each for each in known if each[0] != _DOCUMENT_DELIMITER)]
    rows = [row for _, row in known]

    def per_item(tensor_V: Tensor) -> Tensor:
        return torch.cat([lstm.unknown_row(tensor_V)[None], tensor_V[rows]])

    return {
        "state_dict": {
            "encoder.weight": per_item(lstm.embedding_VD),
            **{f"rnn.{name}": tensor for name, tensor in lstm.lstm.items()},
            "decoder.weight": per_item(lstm.decoder_VH),
            "decoder.bias": per_item(lstm.decoder_bias_V),
        },
        "dictionary": Dictionary([_UNKNOWN, *(character for character, _ in known)]),
        "is_forward_lm": lstm.is_forward,
        "hidden_size": lstm.hidden_size,
        "nlayers": lstm.num_layers,
        "embedding_size": lstm.embedding_VD.shape[1],
        "nout": None,
        "document_delimiter": _DOCUMENT_DELIMITER,
        "dropout": 0.0,
        "recurrent_type": "LSTM",
        "has_decoder": True,
    }
