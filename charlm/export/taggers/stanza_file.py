"""A character language model of stanza (`CharacterLanguageModel.load`, `--charlm_forward_file`).

stanza learns the state with which a text begins, so its text begins where charlm's does: after <eod>. It then reads a
line feed, and a space after each word.

D embedding size, H hidden, L layers, V vocabulary.
"""

import io
from collections import OrderedDict
from typing import IO, Any

import torch
from torch import Tensor

from charlm.export.exported_model import ExportedModel
from charlm.export.taggers.plain_lstm import PlainLSTM, plain_lstm

_PREFIX = ["<PAD>", "<UNK>", "<EMPTY>", "<ROOT>"]
"""The units with which every vocabulary of stanza begins. Only the second occurs in text."""


def write_stanza(model: ExportedModel, file: IO[bytes]) -> list[str]:
    """Write the file; return what its user should know."""
    lstm = plain_lstm(model, "stanza")
    content = io.BytesIO()  # torch hides what a file says of a full disk
    torch.save(_to_state(lstm), content, _use_new_zipfile_serialization=False)
    file.write(content.getbuffer())
    direction = "forward" if lstm.is_forward else "backward"
    return [f"a {direction} character language model; taggers of stanza usually read one of each direction"]


def _to_state(lstm: PlainLSTM) -> dict[str, Any]:
    units = [*_PREFIX, *lstm.characters]

    def per_unit(tensor_V: Tensor) -> Tensor:
        unknown = lstm.unknown_row(tensor_V)
        return torch.cat([torch.stack([unknown] * len(_PREFIX)), tensor_V[lstm.rows]])

    hidden, memory = lstm.state_after_eod[::2], lstm.state_after_eod[1::2]
    return {
        "vocab": OrderedDict(
            lang="",
            idx=0,
            cutoff=0,
            lower=False,
            _unit2id={unit: index for index, unit in enumerate(units)},
            _id2unit=units,
        ),
        "args": {
            "char_emb_dim": lstm.embedding_VD.shape[1],
            "char_hidden_dim": lstm.hidden_size,
            "char_num_layers": lstm.num_layers,
            "char_dropout": 0.0,
            "char_rec_dropout": 0.0,
            "char_unit_dropout": 0.0,
        },
        "state_dict": OrderedDict(
            {
                "charlstm_h_init": torch.stack(hidden),
                "charlstm_c_init": torch.stack(memory),
                "char_emb.weight": per_unit(lstm.embedding_VD),
                **{f"charlstm.lstm.{name}": tensor for name, tensor in lstm.lstm.items()},
                "decoder.weight": per_unit(lstm.decoder_VH),
                "decoder.bias": per_unit(lstm.decoder_bias_V),
            }
        ),
        "pad": False,
        "is_forward_lm": lstm.is_forward,
    }
