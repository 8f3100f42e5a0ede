"""What `charlm eval --json` prints of a run, as far as an export shows it."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from charlm.errors import DataError

_CURE = "give what `charlm eval --json` prints of this run"

Number = Annotated[float, Field(allow_inf_nan=False)]
Interval = tuple[Number, Number] | None

NAMES = {
    "bits_per_character": "bits per character",
    "bits_per_byte": "bits per byte",
    "perplexity": "perplexity per token",
    "word_perplexity": "perplexity per word",
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "bits_per_label": "bits per label",
    "exact_match": "exact match",
    "symbol_error_rate": "symbol error rate",
    "word_error_rate": "word error rate",
}
"""The figures that are shown, of models of all tasks -> how people call them."""


class Figures(BaseModel):
    """Figures and 95 % intervals of one run on one split; other entries are left out."""

    model_config = ConfigDict(frozen=True, extra="allow")

    run: str
    split: str | None
    interval: Interval = None
    """Of bits per character, where the task has no other interval."""
    intervals: dict[str, Interval] = {}

    def shown(self) -> Iterator[tuple[str, float, tuple[float, float] | None]]:
        """Yield name, value and interval of each figure in `NAMES` that is there."""
        for name in NAMES:
            value = (self.model_extra or {}).get(name)
            if isinstance(value, int | float):
                default = self.interval if name == "bits_per_character" else None
                yield name, float(value), self.intervals.get(name, default)


def parse_figures(content: Any) -> Figures:
    """Check parsed JSON.

    Raises:
        DataError: it is not what `charlm eval --json` prints of one run.
    """
    try:
        return Figures.model_validate(content)
    except ValidationError as error:
        raise DataError("--figures are not those of one run", _CURE) from error
