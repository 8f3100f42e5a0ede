"""A language model as what stanza and flair know: an embedding of characters, torch's LSTM, a linear layer.

D embedding size, H hidden, V vocabulary.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from charlm.errors import UsageError
from charlm.export.exported_model import ExportedModel
from charlm.nn.bodies.recurrent import RecurrentLayer, RecurrentNetwork
from charlm.nn.cells.lstm import LSTMCell
from charlm.nn.embeddings.token_embedding import TokenEmbedding
from charlm.nn.heads.softmax import Softmax, TiedSoftmax
from charlm.nn.model import LanguageModel
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.state import State
from charlm.vocab.char import CharVocab


@dataclass(frozen=True)
class PlainLSTM:
    """The weights of a plain LSTM, in fp32 on the CPU."""

    is_forward: bool
    characters: str
    rows: list[int]
    """The ids of the characters, in their order."""
    eod_row: int
    byte_rows: list[int]
    """The ids of bytes, which spell unknown characters; empty without byte fallback."""
    embedding_VD: Tensor
    lstm: dict[str, Tensor]
    """The parameters of torch's LSTM, by their names."""
    decoder_VH: Tensor
    decoder_bias_V: Tensor
    state_after_eod: State
    """h and c of each layer (1, H) after <eod>, with which every text begins: h, c of the first layer, and so on."""

    @property
    def num_layers(self) -> int:
        return len(self.lstm) // 4

    @property
    def hidden_size(self) -> int:
        return self.decoder_VH.shape[1]

    def unknown_row(self, tensor_V: Tensor) -> Tensor:
        """Return the row of a character that is not in the vocabulary: the mean over the bytes, or over all ids."""
        return (tensor_V[self.byte_rows] if self.byte_rows else tensor_V).mean(0)


@torch.no_grad()
def plain_lstm(model: ExportedModel, format_name: str) -> PlainLSTM:
    """
    Args:
        format_name: of the export, for the error.

    Raises:
        UsageError: the model is something else than a plain LSTM of characters.
    """
    network, vocab = model.loaded.model, model.loaded.vocab
    difference = next(_differences(model), None)
    if difference is not None:
        raise UsageError(
            f"--format {format_name} is for plain LSTMs of characters, and {model.name} {difference}",
            "use --format onnx or hub, or train with the cell lstm, without norm, and a vocabulary of characters",
        )
    assert isinstance(vocab, CharVocab)
    assert isinstance(network.embedding, TokenEmbedding)
    head = network.head
    if isinstance(head, TiedSoftmax):
        decoder_VH = head.token_embedding.weight_VD
        decoder_VH = decoder_VH if head.projection_DH is None else decoder_VH @ head.projection_DH
    else:
        assert isinstance(head, Softmax)
        decoder_VH = head.weight_VH
    _, state = network(torch.tensor([[vocab.eod_id]]), network.initial_state(1))
    first_byte = vocab.first_byte_id
    return PlainLSTM(
        is_forward=model.loaded.settings.text_direction == "forward",
        characters=vocab.characters,
        rows=list(range(vocab.size - len(vocab.characters), vocab.size)),
        eod_row=vocab.eod_id,
        byte_rows=[] if first_byte is None else list(range(first_byte, first_byte + 256)),
        embedding_VD=network.embedding.weight_VD.detach(),
        lstm=_lstm_parameters(network),
        decoder_VH=decoder_VH.detach(),
        decoder_bias_V=head.bias_V.detach(),
        state_after_eod=state,
    )


def _differences(model: ExportedModel) -> Iterator[str]:
    """Yield what makes the model something else than a plain LSTM of characters."""
    network = model.loaded.model
    if not isinstance(model.loaded.vocab, CharVocab):
        yield f"has a vocabulary of the type {model.loaded.vocab.type}"
    if not isinstance(network.embedding, TokenEmbedding):
        yield f"has a {type(network.embedding).__name__}"
    if not isinstance(network.body, RecurrentNetwork):
        yield f"is a {type(network.body).__name__}"
        return
    if network.body.is_dense or network.body.is_residual:
        yield "has connections around layers"
    for layer in _layers(network):
        cell, options = layer.cell, layer.cell.options
        if not isinstance(cell, LSTMCell):
            yield f"has a {type(cell).__name__}"
        elif cell.coupled or cell.mogrifier is not None:
            yield f"has an LSTM that is {cell.extra_repr()}"
        if options.norms.kind not in ("none", "weight"):  # the norm of weights is part of the exported ones
            yield f"has {options.norms.kind} normalisation"
        if options.zoneout or options.zoneout_hidden:
            yield "has zoneout, whose mean is a part of each step"
        if layer.dilation > 1 or layer.stride > 1:
            yield "has dilations or strides"
    if isinstance(network, NgramLanguageModel):
        yield "has n-grams inside"
    elif not isinstance(network.head, Softmax | TiedSoftmax):
        yield f"has an {type(network.head).__name__}"


def _layers(network: LanguageModel) -> list[RecurrentLayer]:
    assert isinstance(network.body, RecurrentNetwork)
    return [layer for layer in network.body.layers if isinstance(layer, RecurrentLayer)]


def _lstm_parameters(network: LanguageModel) -> dict[str, Tensor]:
    """Torch has a second bias, which is zero here."""
    found: dict[str, Tensor] = {}
    for index, layer in enumerate(_layers(network)):
        weights = layer.cell.prepare(None)
        found[f"weight_ih_l{index}"] = weights.input_GD.detach().clone()
        found[f"weight_hh_l{index}"] = weights.recurrent_GH.detach().clone()
        found[f"bias_ih_l{index}"] = weights.bias_G.detach().clone()
        found[f"bias_hh_l{index}"] = torch.zeros_like(weights.bias_G)
    return found
