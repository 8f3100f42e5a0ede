"""Settings of bodies, torch-free; `build.py` makes the networks.

recurrent    a stack of recurrent layers            window    a feed-forward network over the last tokens
tcn          dilated causal convolutions
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
    skip: Literal["none", "residual", "dense"] = "none"
    """residual: from the second layer on, a layer adds to what it reads. dense: each layer reads the embedding and all
    layers below, and the head reads all layers (Graves, 2013)."""
    dilations: tuple[TokenInterval, ...] = ()
    """Per layer: state goes from h_{t-d} to h_t (Chang et al., 2017). Empty: 1 for all."""
    strides: tuple[TokenInterval, ...] = ()
    """Per layer: it steps every s tokens and holds its output between. A path of stride 1 must reach the head, so
    strides need skips. Empty: 1 for all."""

    norm: Literal["none", "batch", "layer", "weight"] = "none"
    """Of every cell: recurrent batch normalisation (Cooijmans et al., 2016), layer normalisation (Ba et al., 2016),
    weight normalisation (Salimans & Kingma, 2016)."""
    norm_gain: float | None = Field(default=None, gt=0, le=100)
    """Initial gamma of batch (0.1 if left out) and layer normalisation (1)."""
    norm_steps: int = Field(default=128, ge=1, le=65_536)
    """Of batch normalisation: time steps since the state was reset that have statistics of their own; later ones use
    the last."""
    norm_per_step: bool = False
    """Of batch normalisation: whether each of those steps has its own gamma and beta too."""

    input_dropout: Probability = 0.0
    """On the embedding's vectors; one mask for all time steps (Gal & Ghahramani, 2016), as for the next two."""
    dropout: Probability = 0.0
    """Between layers."""
    output_dropout: Probability = 0.0
    """On the features, before the head."""
    weight_drop: Probability = 0.0
    """On the recurrent matrices; one mask for all time steps (Merity et al., 2018)."""
    recurrent_dropout: Probability = 0.0
    """On what is written to the memory, anew at each step (Semeniuta et al., 2016); in an RNN on what W reads."""
    zoneout: Probability = 0.0
    """Share of the memory (c of an LSTM, else h) that keeps its value in a step (Krueger et al., 2017)."""
    zoneout_hidden: Probability = 0.0
    """The same for an LSTM's h."""
    backend: Literal["auto", "torch", "fused", "plain"] = "auto"
    """What runs the time steps: torch's own kernels (cuDNN, oneDNN), our fused passes, the plain cell, or the fastest
    that fits."""

    @field_validator("dilations", "strides")
    @classmethod
    def _check_product(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        if math.prod(steps) > _MAX_SPAN:
            raise ValueError(f"together they exceed {_MAX_SPAN:,} tokens")
        return steps

    @model_validator(mode="after")
    def _check_layers(self) -> Self:
        for name in ("dilations", "strides"):
            entries = getattr(self, name)
            if entries and len(entries) != self.num_layers:
                raise ValueError(f"{name} has {len(entries)} entries for {self.num_layers} layers (num_layers)")
        if self.zoneout_hidden and self.cell.type != "lstm":
            raise ValueError("zoneout_hidden is of an LSTM's h; the memory of this cell is its h: set zoneout")
        if self.norm_gain is not None and self.norm not in ("batch", "layer"):
            raise ValueError('norm_gain is of norm = "batch" and "layer"')
        if self.norm_per_step and self.norm != "batch":
            raise ValueError('norm_per_step is of norm = "batch"')
        blocking_strides = {"none": self.strides, "residual": self.strides[:1], "dense": ()}[self.skip]
        if any(stride > 1 for stride in blocking_strides) or (self.strides and min(self.strides) > 1):
            raise ValueError(
                "a path of stride 1 must reach the head, which would not see every token otherwise: set skip = "
                '"dense" (with one layer of stride 1), or "residual" (with the first layer of stride 1)'
            )
        return self


class WindowSettings(Settings):
    """A feed-forward network over the last tokens (Bengio et al., 2003)."""

    type: Literal["window"] = "window"
    window: int = Field(default=16, ge=1, le=65_536)
    """Tokens it sees, the present one among them."""
    hidden_size: Size = 512
    num_layers: int = Field(default=1, ge=1, le=64)
    """Hidden layers; those after the first see the layer before alone, and add to it."""
    activation: Literal["tanh", "relu"] = "tanh"
    norm: Literal["none", "layer", "weight"] = "none"
    """Of every product with a matrix."""
    input_dropout: Probability = 0.0
    """On the embedding's vectors; one mask for all time steps (Gal & Ghahramani, 2016), as for the next two."""
    dropout: Probability = 0.0
    """Between layers."""
    output_dropout: Probability = 0.0
    """On the features, before the head."""


class TCNSettings(Settings):
    """A temporal convolutional network: causal, dilated, in residual blocks of two convolutions (Bai et al., 2018)."""

    type: Literal["tcn"] = "tcn"
    hidden_size: Size = 256
    num_blocks: int = Field(default=4, ge=1, le=16)
    kernel_size: int = Field(default=3, ge=2, le=64)
    dilation_base: int = Field(default=2, ge=1, le=8)
    """Block k has the dilation dilation_base**k, counted from 0."""
    norm: Literal["none", "layer", "weight"] = "weight"
    """Of every convolution; weight normalisation in the paper."""
    input_dropout: Probability = 0.0
    """On the embedding's vectors; one mask for all time steps (Gal & Ghahramani, 2016), as for the next two."""
    dropout: Probability = 0.0
    """After each convolution."""
    output_dropout: Probability = 0.0
    """On the features, before the head."""

    @model_validator(mode="after")
    def _check_look_back(self) -> Self:
        if (self.kernel_size - 1) * self.dilation_base ** (self.num_blocks - 1) > _MAX_SPAN:
            raise ValueError(f"its last block would look back more than {_MAX_SPAN:,} tokens: lower num_blocks")
        return self


BodySettings = Annotated[RecurrentSettings | WindowSettings | TCNSettings, Field(discriminator="type")]
