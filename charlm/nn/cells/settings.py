"""Settings of recurrent cells, torch-free; `build.py` makes the cells.

Parameters for H units on D inputs: G (D + H + 1) for the G rows of all gates, H for each; the file of a cell names its
gates. A minGRU has no recurrent matrix: 2 H (D + 1).
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
    """Use 1 - forget gate as the input gate (Greff et al., 2017), which saves a quarter of the parameters."""
    mogrifier_rounds: int = Field(default=0, ge=0, le=16)
    """Number of rounds in which input and hidden state gate each other before each step (Melis et al., 2020). The paper
    uses 5."""


class GRUSettings(Settings):
    """Gated recurrent unit (Cho et al., 2014)."""

    type: Literal["gru"] = "gru"
    reset: Literal["after", "before"] = "after"
    """after: the reset gate multiplies the recurrent product, as in cuDNN. before: it multiplies the state, as in the
    paper."""


class MinGRUSettings(Settings):
    """minGRU (Feng et al., 2024): its gates read the input alone, so no time step has a matrix product."""

    type: Literal["mingru"] = "mingru"
    activation: Literal["tanh", "identity"] = "tanh"
    """What is applied to the new value. The identity lets the state grow without bounds."""
    forget_bias: float = 0.0
    """Initial bias of the share of the old value."""


CellSettings = Annotated[RNNSettings | LSTMSettings | GRUSettings | MinGRUSettings, Field(discriminator="type")]
