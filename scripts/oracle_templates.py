"""A small wiki of templates, and random pages that nest them with parser functions and defaults of arguments."""

import random

TEMPLATES = {
    "Nowrap": '<span class="nowrap">{{{1}}}</span>',
    "Small": "<small>{{{1}}}</small>",
    "Lang": '<span lang="{{{1}}}">{{{2}}}</span>',
    "Abbr": '<abbr title="{{{2|}}}">{{{1}}}</abbr>',
    "Quote": "<blockquote>{{{text|{{{1|}}}}}}</blockquote>",
    "Circa": "c. {{{1}}}",
    "Nihongo2": "{{{1}}}{{#if:{{{2|}}}|&#32;({{{2}}})}}",
    "Snd": "&#32;–&#32;",
    "Infobox ship": "",
    "Efn": "",
}
"""Definitions of templates that charlm renders by its own patterns, or drops."""


def random_page(source: random.Random, depth: int = 3) -> str:
    """Return one to three paragraphs of words, templates and parser functions, some of them quoted."""
    paragraphs = (
        " ".join(_span(source, depth) for _ in range(source.randint(1, 5))) for _ in range(source.randint(1, 3))
    )
    return "\n\n".join(f"{{{{quote|1={text}}}}}" if source.random() < 0.2 else text for text in paragraphs)


def _span(source: random.Random, depth: int) -> str:
    word = source.choice(("ship", "Harbour", "zwölf", "корабль", "12", "7", "港", "A b"))
    if depth == 0:
        return word

    def inner() -> str:
        return _span(source, depth - 1)

    match source.randrange(20):
        case 0:
            return f"{{{{nowrap|{inner()}}}}}"
        case 1:
            return f"{{{{small|1={inner()}}}}}"
        case 2:
            return f"{{{{Lang|de|{inner()}}}}}"
        case 3:
            return f"{{{{abbr|{inner()}|{word}}}}}"
        case 4:
            return f"{{{{nowrap|1={inner()}}}}}"
        case 5:
            return f"{{{{circa|{word}}}}}"
        case 6:
            return f"{{{{nihongo2|{inner()}|{source.choice(('', inner()))}}}}}"
        case 7:
            return f"{word}{{{{snd}}}}{inner()}"
        case 8:
            return f"{word}{{{{efn|{inner()}}}}}"
        case 9:
            return f"{{{{#if:{source.choice(('', ' ', word))}|{inner()}|{inner()}}}}}"
        case 10:
            return f"{{{{#ifeq:{word}|{source.choice((word, 'ship', '12.0'))}|{inner()}|{inner()}}}}}"
        case 11:
            return f"{{{{{source.choice(('lc', 'uc', 'lcfirst', 'ucfirst'))}:{word}}}}}"
        case 12:
            return f"{{{{#switch:{word}|ship|Harbour={inner()}|12={word}|#default={inner()}}}}}"
        case 13:
            operator = source.choice(("+", "-", "*", "/", "^", "mod", ">", "<=", "round"))
            return f"{{{{#expr:{source.randint(0, 20)}{operator}{source.randint(1, 9)}}}}}"
        case 14:
            return f"{{{{{{1|{inner()}}}}}}}"
        case 15:
            return f"{{{{plural:{source.choice((0, 1, 2))}|{word}|{word}s}}}}"
        case 16:
            return f"{{{{{source.choice(('padleft', 'padright'))}:{word}|5|0}}}}"
        case 17:
            return f"{{{{formatnum:{source.randint(0, 10**7)}}}}}"
        case 18:
            return f"[[{word}|{inner()}]]"
        case _:
            return f"''{inner()}''"
