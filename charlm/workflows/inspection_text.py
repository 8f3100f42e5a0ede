"""What `charlm inspect` prints for people: sections under headings, the most important ones first.

what `inspect` returns ──by kind──> sections: heading -> lines ──format_inspection──> lines

Tables have a line for each split. Levels are bars of block characters, or of `#` where the terminal has no blocks.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from charlm.formatting import UNKNOWN, format_bar, format_count
from charlm.terminal import flatten, format_value

_NUM_SYMBOLS = 8  # of the most frequent and the rarest symbols; --json has more
_NUM_NAMES = 5  # of a list of files
_BAR_WIDTH = 14
_FRACTIONS = ("coverage", "bytes_share")
Sections = dict[str, list[str]]


def format_inspection(found: Mapping[str, Any], *, has_blocks: bool) -> list[str]:
    """Return the lines that describe a dump, a corpus, a checkpoint or a config.

    Args:
        found: what `inspect` returns with `readable`.
        has_blocks: whether the terminal can show block characters.
    """
    facts = dict(found)
    title = f"{facts.pop('path')}: {facts.pop('kind')}"
    is_corpus = found["kind"] == "corpus"
    sections = _corpus_sections(facts, has_blocks=has_blocks) if is_corpus else _sections(facts)
    lines = [title]
    for heading, content in sections.items():
        lines += ["", heading] if heading else []
        lines += [f"  {line}".rstrip() for line in content]
    return lines


def _sections(facts: Mapping[str, Any]) -> Sections:
    """Return a first section of the plain values, without a heading, and one for each table, long settings last."""
    facts = dict(sorted(facts.items(), key=lambda item: item[0] == "settings"))
    plain = {name: value for name, value in facts.items() if not isinstance(value, dict)}
    tables = {
        _words(name).capitalize(): _rows(value) for name, value in facts.items() if value and isinstance(value, dict)
    }
    return {"": _rows(plain), **tables}


def _corpus_sections(facts: dict[str, Any], *, has_blocks: bool) -> Sections:
    vocabulary = dict(facts.pop("vocabulary"))
    usage = vocabulary.pop("splits")
    splits = {name: {**counts, **usage.get(name, {})} for name, counts in facts.pop("splits").items()}
    symbols = {name: vocabulary.pop(name) for name in ("frequent", "most_frequent", "rarest")}
    labels = ("frequent characters", "frequent tokens", "rarest tokens")
    vocabulary |= {label: _format_counts(counts) for label, counts in zip(labels, symbols.values(), strict=True)}
    ngrams = dict(vocabulary.pop("ngrams", {}))
    levels = ngrams.pop("activation_level", {})
    how = dict(facts.pop("split"))
    facts |= {f"split {_words(name)}": value for name, value in how.items() if name not in ("shares", "method")}
    examples: dict[str, list[str]] = facts.pop("example_sections", {})
    facts.pop("examples", None)
    sections = {
        f"Splits ({how['shares']} by {how['method']})": _table("split", splits),
        **examples,
        "Vocabulary": _rows(vocabulary),
    }
    if ngrams:
        sections["N-grams of words"] = _rows(ngrams)
    if levels.get("sum"):
        sections["Activation level by length of word (a vector for each word would give 1)"] = _bars(
            levels, has_blocks=has_blocks
        )
    rest = _sections(facts)
    plain = rest.pop("")
    return sections | rest | {"Identity": plain}


def _rows(facts: Mapping[str, Any]) -> list[str]:
    """Return a line for each value, with the names of nested tables before those of their values."""
    listed = {name: _names(value) if isinstance(value, list) else value for name, value in facts.items()}
    flat = {_words(name): value for name, value in flatten(listed).items()}
    width = max(map(len, flat), default=0)
    return [f"{name:<{width}}  {format_value(value)}" for name, value in flat.items()]


def _names(items: list[Any]) -> str:
    """Return the first items of a list; of tables, such as files, their names."""
    names = [str(item.get("name", item)) if isinstance(item, dict) else str(item) for item in items]
    more = [f"{len(names) - _NUM_NAMES:,} more"] if len(names) > _NUM_NAMES else []
    return "; ".join([*names[:_NUM_NAMES], *more])


def _table(name: str, rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a header, and a line for each row; a row without a value has a dash there."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    cells = [[name, *map(_words, columns)]]
    cells += [[label, *(_cell(column, row.get(column)) for column in columns)] for label, row in rows.items()]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells]


def _cell(column: str, value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{100 * value:.2f} %" if column in _FRACTIONS else format_value(value)


def _bars(columns: Mapping[str, Mapping[str, float]], *, has_blocks: bool) -> list[str]:
    """Return a line for each key, with a bar and a value for each column, all bars on one scale."""
    highest = max(value for column in columns.values() for value in column.values())
    keys = list(dict.fromkeys(key for column in columns.values() for key in column))
    width = _BAR_WIDTH + 5  # a blank and 1.00
    lines = ["letters  " + "  ".join(f"{name:<{width}}" for name in columns)]
    for key in keys:
        values = [column[key] for column in columns.values()]
        bars = [f"{format_bar(value / highest, _BAR_WIDTH, has_blocks=has_blocks)} {value:.2f}" for value in values]
        lines.append(f"{key:>7}  {'  '.join(bars)}")
    return lines


def _format_counts(counts: Mapping[str, int]) -> str:
    """Return the first symbols and their counts on one line."""
    shown: Sequence[tuple[str, int]] = list(counts.items())[:_NUM_SYMBOLS]
    return "  ".join(f"{symbol} {format_count(count)}" for symbol, count in shown)


def _words(name: str) -> str:
    return name.replace("_", " ")
