"""Settings of bodies, torch-free; `build.py` makes the networks.

recurrent    a stack of recurrent layers            window    a feed-forward network over the last tokens
tcn          dilated causal convolutions            rglru     blocks of a gated linear recurrence
"""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from charlm.nn.cells.settings import CellSettings, LSTMSettings
from charlm.nn.setting_types import Probability, Size
from charlm.settings import Settings

_MAX_SPAN = 65_536

TokenInterval = Annotated[int, Field(ge=1, le=4096)]


class RecurrentSettings(Settings):
    """A stack of recurrent layers."""

    type: Literal["recurrent"] = "recurrent"
    cell: CellSettings = LSTMSettings()
    hidden_size: Size = 512
    num_layers: int = Field(default=1, ge=1, le=64)
    num_heads: int = Field(default=1, ge=1, le=64)
    """Number of heads into which the units of each layer are divided. A unit reads only the hidden states of its own
    head, and the next layer reads all heads. Recurrent matrices keep only the blocks on their diagonals."""
    skip: Literal["none", "residual", "dense"] = "none"
    """Connections around layers. residual: from the second layer on, a layer's output is added to its input. dense:
    each layer reads the embedding and all layers below it, and the head reads all layers (Graves, 2013)."""
    dilations: tuple[TokenInterval, ...] = ()
    """Dilation d of each layer, in tokens: h_t comes from h_{t-d} (Chang et al., 2017). Empty: 1 for all layers."""
    strides: tuple[TokenInterval, ...] = ()
    """Stride s of each layer, in tokens: the layer steps at every s-th token and holds its output in between. The head
    needs a path through layers of stride 1 only, so strides need `skip`. Empty: 1 for all layers."""

    norm: Literal["none", "batch", "layer", "weight"] = "none"
    """Normalisation of every cell: recurrent batch normalisation (Cooijmans et al., 2016), layer normalisation (Ba et
    al., 2016) or weight normalisation (Salimans & Kingma, 2016)."""
    norm_gain: float | None = Field(default=None, gt=0, le=100)
    """Initial gamma. Left out: 0.1 for batch normalisation, 1 for layer normalisation."""
    norm_steps: int = Field(default=128, ge=1, le=65_536)
    """For batch normalisation: number of time steps after a reset of the state that have separate statistics. Later
    steps use those of the last one."""
    norm_per_step: bool = False
    """For batch normalisation: whether each of those steps also has a separate gamma and beta."""

    input_dropout: Probability = 0.0
    """Dropout of the embedding's vectors. This and the next two use one mask for all time steps (Gal & Ghahramani,
    2016)."""
    dropout: Probability = 0.0
    """Dropout between layers."""
    output_dropout: Probability = 0.0
    """Dropout of the features, before the head."""
    weight_drop: Probability = 0.0
    """Dropout of the entries of recurrent matrices, with one mask for all time steps (Merity et al., 2018)."""
    recurrent_dropout: Probability = 0.0
    """Dropout of the update of the memory, with a new mask at each step (Semeniuta et al., 2016). In an RNN, dropout of
    the state that W multiplies."""
    zoneout: Probability = 0.0
    """Probability that an element of the memory (c of an LSTM, h of other cells) keeps its value in a step (Krueger et
    al., 2017)."""
    zoneout_hidden: Probability = 0.0
    """Probability that an element of an LSTM's h keeps its value in a step."""
    backend: Literal["auto", "torch", "fused", "plain"] = "auto"
    """What runs the time steps. torch: cuDNN or oneDNN. fused: charlm's own kernels. plain: the cell step by step.
    auto: the fastest that can run this cell."""

    @field_validator("dilations", "strides")
    @classmethod
    def _check_product(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        if math.prod(steps) > _MAX_SPAN:
            raise ValueError(f"their product exceeds {_MAX_SPAN:,} tokens")
        return steps

    @model_validator(mode="after")
    def _check_layers(self) -> Self:
        for name in ("dilations", "strides"):
            entries = getattr(self, name)
            if entries and len(entries) != self.num_layers:
                raise ValueError(f"{name} has {len(entries)} entries for {self.num_layers} layers (num_layers)")
        if self.zoneout_hidden and self.cell.type != "lstm":
            raise ValueError("zoneout_hidden is for LSTM cells; set zoneout, which is for h in this cell")
        if self.hidden_size % self.num_heads:
            raise ValueError(f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}")
        if self.num_heads > 1 and self.cell.type == "mingru":
            raise ValueError("num_heads is for recurrent matrices, and a mingru has none")
        if self.weight_drop and self.cell.type == "mingru":
            raise ValueError("weight_drop is for recurrent matrices, and a mingru has none; set dropout")
        if self.norm_gain is not None and self.norm not in ("batch", "layer"):
            raise ValueError('norm_gain needs norm = "batch" or "layer"')
        if self.norm_per_step and self.norm != "batch":
            raise ValueError('norm_per_step needs norm = "batch"')
        blocking_strides = {"none": self.strides, "residual": self.strides[:1], "dense": ()}[self.skip]
        if any(stride > 1 for stride in blocking_strides) or (self.strides and min(self.strides) > 1):
            raise ValueError(
                "without a path of stride 1, the head does not see every token; set skip = "
                '"dense" (with one layer of stride 1), or "residual" (with the first layer of stride 1)'
            )
        return self


class WindowSettings(Settings):
    """A feed-forward network over the last tokens (Bengio et al., 2003)."""

    type: Literal["window"] = "window"
    window: int = Field(default=16, ge=1, le=65_536)
    """Number of tokens that the network sees, including the current one."""
    hidden_size: Size = 512
    num_layers: int = Field(default=1, ge=1, le=64)
    """Number of hidden layers. The output of each layer after the first is added to its input."""
    activation: Literal["tanh", "relu"] = "tanh"
    norm: Literal["none", "layer", "weight"] = "none"
    """Normalisation of every matrix product."""
    input_dropout: Probability = 0.0
    """Dropout of the embedding's vectors. This and the next two use one mask for all time steps (Gal & Ghahramani,
    2016)."""
    dropout: Probability = 0.0
    """Dropout between layers."""
    output_dropout: Probability = 0.0
    """Dropout of the features, before the head."""


class TCNSettings(Settings):
    """A temporal convolutional network: causal, dilated, in residual blocks of two convolutions (Bai et al., 2018)."""

    type: Literal["tcn"] = "tcn"
    hidden_size: Size = 256
    num_blocks: int = Field(default=4, ge=1, le=16)
    kernel_size: int = Field(default=3, ge=2, le=64)
    dilation_base: int = Field(default=2, ge=1, le=8)
    """Block k has the dilation dilation_base**k; the first block is k = 0."""
    norm: Literal["none", "layer", "weight"] = "weight"
    """Normalisation of every convolution. The paper uses weight normalisation."""
    input_dropout: Probability = 0.0
    """Dropout of the embedding's vectors. This and the next two use one mask for all time steps (Gal & Ghahramani,
    2016)."""
    dropout: Probability = 0.0
    """Dropout after each convolution."""
    output_dropout: Probability = 0.0
    """Dropout of the features, before the head."""

    @model_validator(mode="after")
    def _check_look_back(self) -> Self:
        if (self.kernel_size - 1) * self.dilation_base ** (self.num_blocks - 1) > _MAX_SPAN:
            raise ValueError(f"the last block would look back more than {_MAX_SPAN:,} tokens; lower num_blocks")
        return self


class RGLRUSettings(Settings):
    """Residual blocks of a gated linear recurrence and a gated MLP, Griffin without attention (De et al., 2024)."""

    type: Literal["rglru"] = "rglru"
    hidden_size: Size = 256
    num_blocks: int = Field(default=4, ge=1, le=64)
    kernel_size: int = Field(default=4, ge=1, le=64)
    """Number of tokens, including the current one, that the convolution before the recurrence reads."""
    gate_width: Size = 64
    """Largest width of the blocks of the gates' matrices, of which the width is the largest divisor of hidden_size."""
    norm: Literal["rms", "layer"] = "rms"
    """Normalisation of what each branch of a block reads, and of the features. The paper uses rms. There is no "none":
    each branch multiplies two projections of its input, so that large values would grow from block to block."""
    input_dropout: Probability = 0.0
    """Dropout of the embedding's vectors. This and the next two use one mask for all time steps (Gal & Ghahramani,
    2016)."""
    dropout: Probability = 0.0
    """Dropout of what each branch of a block adds."""
    output_dropout: Probability = 0.0
    """Dropout of the features, before the head."""


BodySettings = Annotated[RecurrentSettings | WindowSettings | TCNSettings | RGLRUSettings, Field(discriminator="type")]
