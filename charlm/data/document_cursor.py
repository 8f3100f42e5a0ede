"""The position of a run in batches of whole documents."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class DocumentCursor:
    """The position of a run in its examples: batch number `batch` of window number `window` of `epoch`.

    `pieces` are those of the window that are distributed; None if that is the whole window.
    """

    epoch: int = 0
    window: int = 0
    batch: int = 0
    pieces: tuple[int, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        pieces = None if self.pieces is None else list(self.pieces)
        return {"epoch": self.epoch, "window": self.window, "batch": self.batch, "pieces": pieces}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "DocumentCursor":
        """Invert `to_json`; raise KeyError, TypeError or ValueError for invalid content."""
        pieces = content["pieces"]
        cursor = cls(
            int(content["epoch"]),
            int(content["window"]),
            int(content["batch"]),
            None if pieces is None else tuple(int(piece) for piece in pieces),
        )
        if min(cursor.epoch, cursor.window, cursor.batch, *(cursor.pieces or ())) < 0:
            raise ValueError("a cursor has a negative number")
        return cursor
