"""Draw the five kinds of sequence problems for charlm/docs/lecture.md: `python scripts/kinds_picture.py`.

Each panel: inputs below, the network in the middle, outputs above; an arrow is a dependency.
"""

from dataclasses import dataclass
from pathlib import Path

PICTURE = Path(__file__).parents[1] / "charlm" / "docs" / "images" / "kinds.svg"
CELL, GAP, STEP = 34, 26, 60
LEFT, TOP, HEIGHT = 30, 46, 232
INPUT, STATE, OUTPUT = "#f6c7b6", "#cfe3c4", "#c3d6ee"


@dataclass(frozen=True)
class Panel:
    """A kind: the text of each input and output by time step, None where there is none."""

    title: str
    example: str
    inputs: tuple[str | None, ...]
    outputs: tuple[str | None, ...]
    reads_backward: bool = False

    @property
    def width(self) -> int:
        return max(len(self.inputs) * STEP, 118)


PANELS = (
    Panel("one to one", "language of a name", ("Iva",), ("ru",)),
    Panel("many to one", "language of a name", ("I", "v", "a"), (None, None, "ru")),
    Panel("one to many", "a name in Russian", ("ru", "I", "v"), ("I", "v", "a")),
    Panel("synchronised", "parts of speech", ("we", "go", "on"), ("PRON", "VERB", "ADV"), reads_backward=True),
    Panel("many to many", "pronunciation", ("o", "n", None, None), (None, None, "ɔ̃", "■")),
)


def main() -> None:
    pieces: list[str] = []
    left = LEFT
    for panel in PANELS:
        pieces += _draw(panel, left)
        left += panel.width + GAP
    size = f'width="{left}" height="{HEIGHT}" viewBox="0 0 {left} {HEIGHT}"'
    PICTURE.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11"'
        ' text-anchor="middle">\n'
        "<title>Five kinds of sequence problems: inputs below, the network in the middle, outputs above</title>\n"
        '<defs><marker id="tip" viewBox="0 0 6 6" refX="6" refY="3" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0L6 3L0 6z" fill="#555"/></marker></defs>\n'
        f'<rect width="{left}" height="{HEIGHT}" fill="#fff"/>\n' + "\n".join(pieces) + "\n</svg>\n",
        encoding="utf-8",
    )


def _draw(panel: Panel, left: int) -> list[str]:
    middle = left + panel.width / 2 - GAP / 2
    pieces = [
        f'<text x="{middle}" y="20" font-size="13" font-weight="bold">{panel.title}</text>',
        f'<text x="{middle}" y="36" fill="#555">{panel.example}</text>',
    ]
    first = middle - (len(panel.inputs) - 1) * STEP / 2
    output_y, state_y, input_y = TOP + 10, TOP + 74, TOP + 138
    for step, (read, written) in enumerate(zip(panel.inputs, panel.outputs, strict=True)):
        x = first + step * STEP
        pieces.append(_box(x, state_y, STATE, ""))
        if read is not None:
            pieces += [_box(x, input_y, INPUT, read), _arrow(x, input_y, x, state_y + CELL)]
        if written is not None:
            pieces += [_box(x, output_y, OUTPUT, written), _arrow(x, state_y, x, output_y + CELL)]
        if step:
            before, after = x - STEP + CELL / 2, x - CELL / 2
            shift = 6 if panel.reads_backward else 0
            y = state_y + CELL / 2
            pieces.append(_arrow(before, y - shift, after, y - shift))
            if panel.reads_backward:
                pieces.append(_arrow(after, y + shift, before, y + shift))
    return pieces


def _box(x: float, y: float, colour: str, text: str) -> str:
    shape = f'<rect x="{x - CELL / 2}" y="{y}" width="{CELL}" height="{CELL}" rx="5" fill="{colour}" stroke="#888"/>'
    return shape + (f'<text x="{x}" y="{y + CELL / 2 + 4}">{text}</text>' if text else "")


def _arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#555" marker-end="url(#tip)"/>'


if __name__ == "__main__":
    main()
