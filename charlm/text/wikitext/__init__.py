"""Wikitext of a page -> the text that a reader of the page sees, as plain paragraphs.

    wikitext ─ placeholders ─ brackets ──── inline ─ entities ─ placeholders ─ layout ──────── restore ─> text
               comments,      templates,    bold,    &eacute;   lines that     blocks, then    nowiki,
               <ref>, pre     links, files, tags,               begin with     `punctuation`:  pre, code
                              tables        URLs                a space        gaps "( )"

Kept: paragraphs, headings (`== Heading ==`), list items (`- item`), verses and code (each line begins with a space),
and the text of the inline templates in `languages/*.toml`. Dropped: tables, references, galleries, files, categories,
formulas (with `math="drop"`), navigation, the reference sections at the end (`back_matter`), and all templates without
an entry. Superscript digits become ², no-break spaces become spaces. Every pass takes linear time for any markup.

MediaWiki's own parser is the judge (`scripts/oracle`): the passes go in its order. Only what begins a line of the
wikitext begins a block, so markup that shows nothing leaves one of the `marks`. They tell `layout` where a line began
with markup, and `punctuation` where something was dropped.

`cleaner` calls the passes. `templates` renders templates with the patterns of `languages`, `unit_conversion` renders
{{convert}}, `parser_functions` computes {{#if: ...}} and the like. Facts about wikis are in `namespaces` (prefixes of
links and templates), `extension_tags`, and `magic_words` (__NOTOC__, names of parser functions).
"""

from charlm.text.wikitext.cleaner import CleanedPage, Cleaner, clean
from charlm.text.wikitext.placeholders import MathMode

__all__ = ["CleanedPage", "Cleaner", "MathMode", "clean"]
