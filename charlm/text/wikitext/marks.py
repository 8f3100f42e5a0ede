"""The reserved characters that the passes write for one another; XML cannot contain them.

A placeholder of `placeholders` stands between two "\\0".
"""

LINE_BREAK = "\x01"
"""A line break that is kept: <br>."""
BLOCK_MARKER = "\x03"
"""Precedes the placeholder of a literal with several lines, which is a block."""
SEPARATOR = "\x02"
"""Stands for markup that shows nothing: an empty <nowiki />, a tag, quotes. What follows it does not begin a block."""
GAP = "\x04"
"""Stands for something that was dropped: a template, a reference. Punctuation around it may close."""
TERM_END = "\x05"
"""Stands for the colon between a term and its definition in one line: `; term : definition`."""
EDGE = "\x06"
"""Stands for the edge of a block: a rule, a table, <div>. The line that holds it is a block of its own."""
CONTENTS = SEPARATOR + EDGE + SEPARATOR
"""Stands for a table of contents, __TOC__, which divides a paragraph."""

MARKS = SEPARATOR + GAP + EDGE
"""The marks that show nothing."""

RESERVED = ("\0", LINE_BREAK, SEPARATOR, BLOCK_MARKER, GAP, TERM_END, EDGE)
"""All reserved characters: they are removed from the wikitext first."""
