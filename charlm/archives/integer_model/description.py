"""What an integer model consists of, besides its arrays: sizes, shifts, and which product reads what.

Sources of products, by number: 0 is the input vector x; 1 + i the hidden state of layer i; 1 + L + i the sum of the
outputs up to layer i of L layers, with residual connections.

V vocabulary, D inputs, H hidden, G gates, K columns of a matrix, O orders of n-grams.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from charlm.nn.setting_types import check_rising
from charlm.settings import Settings

FORMAT = 2
MAX_VOCAB = 1 << 16
Bits = Annotated[int, Field(ge=1, le=61)]
Count = Annotated[int, Field(ge=1, le=1 << 20)]
Fraction = Annotated[int, Field(ge=0, le=1 << 15)]
CellName = Literal["rnn", "lstm", "gru"]


class ProductDescription(Settings):
    """A matrix times a source: (sum * multiplier) / 2**shift, rounded, for each row."""

    source: int = Field(ge=0, le=256)
    shift: Bits


class GroupDescription(Settings):
    """Products that are added up, and then normalised in parts."""

    products: tuple[ProductDescription, ...] = Field(min_length=1, max_length=65)
    norm_sizes: tuple[Count, ...] = Field(default=(), max_length=2)
    """The rows of each layer norm, side by side; () without layer norm."""
    epsilon: int = Field(default=0, ge=0, le=1 << 40)
    """What layer norm adds to the variance, in the units of the products' squares."""


class CountsDescription(Settings):
    """Counts of the text so far and of the training text, which are mixed with the network."""

    orders: tuple[Annotated[int, Field(ge=1, le=64)], ...] = Field(
        default=(1, 2, 3, 4, 5, 6, 8, 11, 16, 24), min_length=1, max_length=16
    )
    """Lengths of the contexts in symbols, rising."""
    slot_bits: int = Field(default=18, ge=1, le=24)
    """There are 2**slot_bits slots of 32 bytes for each length."""
    table_sizes: tuple[Annotated[int, Field(ge=0, le=1 << 24)], ...] = Field(default=(), max_length=64)
    """Number of n-grams of 2, 3, ... tokens in the tables of the training text; () without tables."""

    _check_orders = field_validator("orders")(check_rising)

    @property
    def table_orders(self) -> tuple[int, ...]:
        """The lengths of contexts that are looked up in the tables, too."""
        return tuple(order for order in self.orders if order <= len(self.table_sizes))


class Description(Settings):
    """The whole network: embedding, layers of one kind, head."""

    format: Literal[2] = FORMAT
    vocab_size: int = Field(ge=2, le=MAX_VOCAB)
    eod_id: int = Field(ge=0)
    embedding_size: Count
    context_orders: tuple[Annotated[int, Field(ge=2, le=16)], ...] = Field(default=(), max_length=15)
    context_buckets: int = Field(default=1, ge=1, le=1 << 24)
    cell: CellName
    hidden_size: Count
    coupled: bool = False
    zoneout: Fraction = 0
    """Share of the old memory that stays, in 2**-15."""
    zoneout_hidden: Fraction = 0
    memory_epsilon: int = Field(default=0, ge=0, le=1 << 40)
    """For the layer norm of an LSTM's memory; 0 without one."""
    inputs: tuple[GroupDescription, ...] = Field(min_length=1, max_length=64)
    """The input products of each layer."""
    recurrent: tuple[GroupDescription, ...]
    """The product of each layer with its own state."""
    head: GroupDescription
    counts: CountsDescription | None = None

    _check_context_orders = field_validator("context_orders")(check_rising)

    @property
    def num_layers(self) -> int:
        return len(self.inputs)

    @property
    def num_gates(self) -> int:
        """G, the rows of the matrices of a layer."""
        per_unit = {"rnn": 1, "gru": 3, "lstm": 3 if self.coupled else 4}[self.cell]
        return per_unit * self.hidden_size

    @property
    def num_sources(self) -> int:
        return 1 + 2 * self.num_layers

    @property
    def normalises(self) -> bool:
        """Whether the layers have layer norm."""
        return bool(self.inputs[0].norm_sizes)

    def source_size(self, source: int) -> int:
        return self.embedding_size if source == 0 else self.hidden_size

    def is_wide(self, source: int) -> bool:
        """Whether the activations of a source have two bytes."""
        return source == 0 or source > self.num_layers

    @property
    def sums(self) -> tuple[int, ...]:
        """The layers whose outputs are added to those below, because a product reads the sum."""
        groups = (*self.inputs, self.head)
        sources = {product.source for group in groups for product in group.products}
        first = 1 + self.num_layers
        last = max((source - first for source in sources if source >= first), default=0)
        return tuple(range(1, last + 1))

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if self.eod_id >= self.vocab_size:
            raise ValueError("eod_id is not an id of the vocabulary")
        if len(self.recurrent) != self.num_layers:
            raise ValueError("layers are missing")
        parts = (2 * self.hidden_size, self.hidden_size) if self.cell == "gru" else (self.num_gates,)
        norm_sizes = parts if self.normalises else ()
        if any(group.norm_sizes != norm_sizes for group in (*self.inputs, *self.recurrent)) or self.head.norm_sizes:
            raise ValueError("norms do not fit the layers")
        if any((group.epsilon > 0) != self.normalises for group in (*self.inputs, *self.recurrent)):
            raise ValueError("a norm has no epsilon, or an epsilon no norm")
        if (self.memory_epsilon > 0) != (self.normalises and self.cell == "lstm"):
            raise ValueError("the norm of the memory does not fit the layers")
        for layer, (inputs, recurrent) in enumerate(zip(self.inputs, self.recurrent, strict=True)):
            if [product.source for product in recurrent.products] != [1 + layer]:
                raise ValueError("a layer reads another state than its own")
            self._check_sources(inputs, layer)
        self._check_sources(self.head, self.num_layers)
        return self

    def _check_sources(self, group: GroupDescription, num_below: int) -> None:
        """Let a group read x, the layers below, and sums of those."""
        first_sum = 1 + self.num_layers
        for product in group.products:
            is_sum = first_sum < product.source < first_sum + num_below
            if product.source > num_below and not is_sum:
                raise ValueError(f"a product reads source {product.source}, which is not below it")
