"""Settings of networks, torch-free. `build()` imports the implementation.

ModelSettings = embedding (ids -> vectors) + body (vectors -> features) + head (features -> loss or logits)
"""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from charlm.settings import Settings

if TYPE_CHECKING:
    from charlm.nn.cells.base import Cell
    from charlm.nn.dropout import Masks
    from charlm.nn.embedding import TokenEmbedding
    from charlm.nn.head import Softmax
    from charlm.nn.model import LanguageModel
    from charlm.nn.recurrent import Recurrent

MAX_SIZE = 1_000_000
"""Of one dimension: the product of two still counts bytes in 64 bits."""

Probability = Annotated[float, Field(ge=0, lt=1)]


class TokenEmbeddingSettings(Settings):
    """One learned vector per id."""

    type: Literal["token"] = "token"
    size: int = Field(default=128, ge=1, le=MAX_SIZE)
    """Dimension of the vectors."""

    def build(self, vocab_size: int) -> "TokenEmbedding":
        from charlm.nn.embedding import TokenEmbedding

        return TokenEmbedding(vocab_size, self.size)


class LSTMSettings(Settings):
    """Long short-term memory (Hochreiter & Schmidhuber, 1997; forget gate: Gers et al., 2000)."""

    type: Literal["lstm"] = "lstm"
    forget_bias: float = 1.0
    """Initial bias of the forget gate."""

    def build(self, input_size: int, hidden_size: int) -> "Cell":
        from charlm.nn.cells.lstm import LSTMCell

        return LSTMCell(input_size, hidden_size, forget_bias=self.forget_bias)


class GRUSettings(Settings):
    """Gated recurrent unit (Cho et al., 2014), the reset gate after the product, as in cuDNN."""

    type: Literal["gru"] = "gru"

    def build(self, input_size: int, hidden_size: int) -> "Cell":
        from charlm.nn.cells.gru import GRUCell

        return GRUCell(input_size, hidden_size)


CellSettings = Annotated[LSTMSettings | GRUSettings, Field(discriminator="type")]


class RecurrentSettings(Settings):
    """A stack of recurrent layers."""

    type: Literal["recurrent"] = "recurrent"
    cell: CellSettings = LSTMSettings()
    hidden_size: int = Field(default=512, ge=1, le=MAX_SIZE)
    num_layers: int = Field(default=1, ge=1, le=64)
    dropout: Probability = 0.0
    """Between layers; one mask for all time steps (Gal & Ghahramani, 2016)."""
    output_dropout: Probability = 0.0
    """On the features, before the head; one mask for all time steps."""
    backend: Literal["auto", "torch", "plain"] = "auto"
    """What runs the time steps: torch's own kernels (cuDNN, oneDNN), the plain cell, or the faster one that fits."""

    def build(self, input_size: int, masks: "Masks") -> "Recurrent":
        from charlm.nn.recurrent import Recurrent

        return Recurrent(self, input_size, masks)


class SoftmaxSettings(Settings):
    """One linear layer and a softmax over the vocabulary."""

    type: Literal["softmax"] = "softmax"

    def build(self, features_size: int, vocab_size: int) -> "Softmax":
        from charlm.nn.head import Softmax

        return Softmax(features_size, vocab_size)


class ModelSettings(Settings):
    """A language model."""

    embedding: TokenEmbeddingSettings = TokenEmbeddingSettings()
    body: RecurrentSettings = RecurrentSettings()
    head: SoftmaxSettings = SoftmaxSettings()

    def build(self, vocab_size: int) -> "LanguageModel":
        from charlm.nn.model import build_model

        return build_model(self, vocab_size)
