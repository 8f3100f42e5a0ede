"""Settings of recurrent cells, torch-free; `build.py` makes the cells.

Parameters, G gates of H units on D inputs:          RNN 1, GRU 3, LSTM 4 times H (D + H + 1)
"""

from typing import Annotated, Literal

from pydantic import Field

from charlm.settings import Settings


class RNNSettings(Settings):
    """The simple recurrent cell (Elman, 1990): s_t = f(b + W s_{t-1} + U x_t)."""

    type: Literal["rnn"] = "rnn"
    activation: Literal["tanh", "relu"] = "tanh"


class LSTMSettings(Settings):
    """Long short-term memory (Hochreiter & Schmidhuber, 1997; forget gate: Gers et al., 2000)."""

    type: Literal["lstm"] = "lstm"
    forget_bias: float = 1.0
    """Initial bias of the forget gate."""
    coupled: bool = False
    """One gate for both, the input gate being 1 - forget gate (Greff et al., 2017): a quarter fewer parameters."""
    mogrifier_rounds: int = Field(default=0, ge=0, le=16)
    """Rounds in which inputs and hidden state gate each other before each step (Melis et al., 2020); 5 in the paper."""


class GRUSettings(Settings):
    """Gated recurrent unit (Cho et al., 2014)."""

    type: Literal["gru"] = "gru"
    reset: Literal["after", "before"] = "after"
    """Whether the reset gate multiplies the recurrent product, as in cuDNN, or the state before it, as in the paper."""


CellSettings = Annotated[RNNSettings | LSTMSettings | GRUSettings, Field(discriminator="type")]
