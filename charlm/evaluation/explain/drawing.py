"""What an explanation looks like, for `terminal` and `page`: coloured parts of a text, a legend, remarkable places.

explanation of surprisals (`draw_surprisals`) ─┐
effects on a label        (`draw_effects`)    ─┼──> Drawing
uncertain tags            (`draw_tags`)       ─┤
attention                 (`draw_alignment`)  ─┘
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from charlm.evaluation.explain.colours import LEVELS_PER_BIT, NUM_LEVELS, SURPRISAL, ColourScales

MAX_PLACES = 10
"""The remarkable places of a page; a terminal shows the first NUM_SHOWN."""
NUM_SHOWN = 5
END = "<eod>"
NUM_ALTERNATIVES = 3
"""The alternatives that a place names."""
_CONTEXT = 24  # characters on either side


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the text in one colour. It holds whole grapheme clusters; <eod> is a part too."""

    text: str
    level: int
    clusters: int = 1
    is_end: bool = False
    ends_line: bool = False
    """Whether the drawing begins a new line here, where the text has none."""


@dataclass(frozen=True, slots=True)
class Legend:
    """A line with a cell for each level, with a label of at most two characters."""

    before: str
    labels: tuple[str, ...]
    after: str
    description: str


@dataclass(frozen=True, slots=True)
class Place:
    """A remarkable part of the text, with what is around it. All fields are safe to show.

    Attributes:
        part: its index among the parts.
        probability: what `Places.probability` names.
        detail: what else is to be said about it.
    """

    part: int
    before: str
    text: str
    after: str
    bits: str
    probability: str
    detail: str


@dataclass(frozen=True, slots=True)
class Places:
    """Remarkable parts of one kind, and the names of the columns of their table; without `detail` it has none."""

    heading: str
    places: Sequence[Place]
    probability: str = "probability"
    detail: str = ""


class Drawing(ABC):
    """How one explanation is shown."""

    scales: ClassVar[ColourScales]
    card_script: ClassVar[str]
    """The script that fills the cards of the page."""
    hint: ClassVar[str]
    """What the cards of the page show."""

    @property
    @abstractmethod
    def legend(self) -> Legend: ...

    @abstractmethod
    def parts(self) -> Iterator[Part]:
        """Yield the parts of the text in order."""

    @abstractmethod
    def places(self) -> list[Places]:
        """Return up to MAX_PLACES remarkable parts of each kind, the most remarkable first."""

    @abstractmethod
    def summary_lines(self) -> Iterator[str]:
        """Yield what a terminal shows without colours, up to the places."""

    @abstractmethod
    def introduction(self) -> str:
        """Return the first paragraph of the page, as plain text."""

    @abstractmethod
    def figures(self) -> tuple[str, dict[str, str]]:
        """Return the heading and the rows of the last table of the page, as plain text."""

    @abstractmethod
    def cards(self) -> Iterator[str]:
        """Yield the data of the cards, as pieces of a JSON text."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return what `charlm explain --json` prints beside the name of the run."""


BITS_LEGEND = Legend(
    "bits",
    tuple(f"{level // LEVELS_PER_BIT}" if level % (2 * LEVELS_PER_BIT) == 0 else "" for level in range(NUM_LEVELS)),
    "and more",
    "Colours from 0 to 10 bits and more",
)


class BitsDrawing(Drawing):
    """An explanation whose colours are bits, -log2 of a probability, and whose cards list alternatives."""

    scales = SURPRISAL
    card_script = "card_tokens.js"

    @property
    def legend(self) -> Legend:
        return BITS_LEGEND


def context_of(text: str, start: int, end: int) -> tuple[str, str]:
    """Return some characters before a part of a text, and after it."""
    return text[max(0, start - _CONTEXT) : start], text[end : end + _CONTEXT]
