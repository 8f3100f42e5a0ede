"""The colours of a scale as CSS: the class `c7` has the background of level 7, `--ink` is the colour of text on it."""

from charlm.evaluation.explain.colours import ColourScale, ColourScales


def scales_style(scales: ColourScales) -> str:
    """Return the rules for a light and for a dark page."""
    light, dark = map(_scale_style, (scales.on_light, scales.on_dark))
    return f"{light}\n@media (prefers-color-scheme: dark){{{dark}}}\n"


def _scale_style(scale: ColourScale) -> str:
    levels = (
        f".c{level}{{background:{colour.hex}}}" for level, colour in enumerate(scale.levels) if level != scale.neutral
    )
    outline = f".legend b.c{scale.neutral}{{box-shadow:inset 0 0 0 1px var(--line)}}"
    return f":root{{--ink:{scale.text_colour.hex}}}{''.join(levels)}{outline}"
