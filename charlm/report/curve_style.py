"""The style of each run in a plot: a colour for a light and a dark background, and a line style.

Any two of the six colours differ by at least 20 units of CIELAB for people with normal sight and for the three kinds of
dichromats, and have a contrast of 3:1 to their background. With the four line styles, 24 runs look different.
"""

from dataclasses import dataclass

NUM_STYLES = 24
_ON_LIGHT = "#2345D6 #B78A00 #007C50 #BB25A3 #5E5A00 #2595FF".split()
_ON_DARK = "#5881FE #ED5D20 #0AF48A #C66FAF #FFE90E #D1FFFF".split()
_DASHES: tuple[tuple[float, ...], ...] = ((), (7, 3), (2, 2.5), (9, 3, 2, 3))


@dataclass(frozen=True, slots=True)
class CurveStyle:
    """Colours as #RRGGBB. `dashes`: lengths of dashes and gaps in pixels; empty for a solid line."""

    on_light: str
    on_dark: str
    dashes: tuple[float, ...]

    @property
    def dash_attribute(self) -> str:
        """The attribute of an SVG line, with a leading space; empty for a solid line."""
        return f' stroke-dasharray="{" ".join(map(str, self.dashes))}"' if self.dashes else ""


def curve_style(index: int) -> CurveStyle:
    """Return the style of the run with this index; styles repeat after NUM_STYLES runs."""
    colour, style = index % len(_ON_LIGHT), (index + index % NUM_STYLES // 12) % len(_DASHES)
    return CurveStyle(_ON_LIGHT[colour], _ON_DARK[colour], _DASHES[style])
