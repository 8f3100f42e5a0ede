"""Wikitext of one page -> the text that a reader of the page would see, as plain paragraphs.

    wikitext ─ aside ──── brackets ──── inline ─── entities ─ aside ──── layout ─── restore ─> text
               comments,  templates,    bold,      &eacute;   lines led  blocks,    nowiki,
               <ref>,     links, files, tags,                 by spaces  and mend:  pre, code
               pre        tables        URLs                             "( )"

What stays: paragraphs, headings (`== Heading ==`), list items (`- item`), verses and code (each line led by a space),
and what the inline templates of `languages/*.toml` show. What goes: tables, references, galleries, files, categories,
formulas (unless asked for), navigation, the sections of references at the end, and every template without an entry.
Superscript digits become ², no-break spaces spaces. Every pass is linear in the text's length, whatever the markup.
"""

from charlm.text.wikitext.cleaner import CleanedPage, Cleaner, clean
from charlm.text.wikitext.placeholders import MathMode

__all__ = ["CleanedPage", "Cleaner", "MathMode", "clean"]
