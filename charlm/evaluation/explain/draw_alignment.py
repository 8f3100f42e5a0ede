"""How an alignment is shown: for each token that was written, the source in the colours of its attention.

bonjour → b       the b has the colour of much attention
bonjour → ɔ̃       o and n have
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from charlm.evaluation.explain.alignment import AlignmentExplanation
from charlm.evaluation.explain.cards import surprisals_as_json
from charlm.evaluation.explain.colours import NUM_LEVELS, SURPRISAL
from charlm.evaluation.explain.drawing import END, MAX_PLACES, NUM_ALTERNATIVES, Drawing, Legend, Part, Place, Places
from charlm.evaluation.explain.visible import display_name, escape_invisible, format_percent
from charlm.formatting import pluralize

_STRONG = 0.2  # cells with less weight are not named


class AlignmentDrawing(Drawing):
    """A line for each token of the target."""

    scales = SURPRISAL
    card_script = "card_tokens.js"
    hint = "a written token, how probable it is, and the alternatives"

    def __init__(self, explanation: AlignmentExplanation) -> None:
        self._explanation = explanation

    @property
    def legend(self) -> Legend:
        step = 100 // (NUM_LEVELS - 1)
        labels = tuple(
            f"{level * step}" if level % 4 == 0 and level * step < 100 else "" for level in range(NUM_LEVELS)
        )
        return Legend("%", labels, "100 % of the attention", "Colours from 0 to 100 % of the attention")

    def parts(self) -> Iterator[Part]:
        found = self._explanation
        for index, weights_C in enumerate(found.weights_PC.tolist()):
            for cell, weight in zip(found.cells, weights_C, strict=True):
                yield Part(display_name(cell), round(weight * (NUM_LEVELS - 1)))
            yield Part(f" → {self._token(index)}", 0, is_end=index == self._end, ends_line=True)

    def places(self) -> list[Places]:
        found = self._explanation
        order = np.argsort(-found.bits_P, kind="stable")[:MAX_PLACES].tolist()
        return [Places("least certain", [self._place(index) for index in order], detail="comes from")]

    def summary_lines(self) -> Iterator[str]:
        found = self._explanation
        yield f"{escape_invisible(found.source)} → {escape_invisible(found.target)}; {self._figures()}"
        for index in range(len(found.bits_P)):
            yield f"  {self._token(index):<6} from {self._origin(index)}"

    def introduction(self) -> str:
        found = self._explanation
        return (
            f"{escape_invisible(found.source)} → {escape_invisible(found.target)}: {self._figures()}. For each token"
            " that is written, a line with the source; the colour shows how much the model looks at each character."
        )

    def figures(self) -> tuple[str, dict[str, str]]:
        found = self._explanation
        rows = {f"{index + 1}. {self._token(index)}": self._origin(index) for index in range(len(found.bits_P))}
        return "Alignment", rows

    def cards(self) -> Iterator[str]:
        found = self._explanation
        row = np.array([*[0] * len(found.cells), 1], dtype=np.int64)
        return surprisals_as_json(
            "token",
            found.surprisals,
            np.tile(row, len(found.bits_P)),
            self._display,
        )

    def to_json(self) -> dict[str, Any]:
        return self._explanation.to_json()

    @property
    def _end(self) -> int:
        """The index of the predicted <eod>."""
        ids_P = self._explanation.surprisals.ids_P
        return int(np.flatnonzero(ids_P == self._explanation.vocab.eod_id)[-1])

    def _token(self, index: int) -> str:
        return END if index == self._end else self._display(int(self._explanation.surprisals.ids_P[index]))

    def _display(self, token: int) -> str:
        """Return the name of a token, without the blank that belongs to a symbol."""
        vocab = self._explanation.vocab
        name = vocab.symbol(token)
        return display_name(name.strip(" ") if vocab.type == "symbols" else name)

    def _origin(self, index: int) -> str:
        """Name the cells that a token looks at most."""
        found = self._explanation
        weights_C = found.weights_PC[index]
        strong = np.flatnonzero(weights_C >= _STRONG).tolist()
        if not strong:
            return "no single place"
        return ", ".join(f"{display_name(found.cells[c])} ({c + 1}) {format_percent(weights_C[c])}" for c in strong)

    def _figures(self) -> str:
        found = self._explanation
        probability = format_percent(float(np.exp(-found.surprisals.nats_P.sum())))
        return f"probability {probability}; {pluralize(len(found.bits_P) - 1, 'token')}"

    def _place(self, index: int) -> Place:
        found = self._explanation
        bits = float(found.bits_P[index])
        alternatives = " · ".join(
            f"{self._display(token)} {format_percent(p)}"
            for token, p in found.alternatives(index)[: NUM_ALTERNATIVES + 1]
            if token != found.surprisals.ids_P[index]
        )
        detail = self._origin(index) + (f"; else {alternatives}" if alternatives else "")
        part = (index + 1) * (len(found.cells) + 1) - 1
        separator = " " if found.vocab.type == "symbols" else ""
        before, after = (
            [self._token(other) for other in others if other != self._end]
            for others in (range(index), range(index + 1, len(found.bits_P)))
        )
        return Place(
            part,
            "".join(f"{token}{separator}" for token in before),
            self._token(index),
            "".join(f"{separator}{token}" for token in after),
            f"{bits:.2f}",
            format_percent(2**-bits),
            detail,
        )
