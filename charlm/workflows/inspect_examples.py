"""What `charlm prepare` and `charlm inspect` show of a corpus of examples.

corpus.json ──> labels with their counts, the ceiling that ambiguous texts set, ambiguous texts
documents   ──> the first examples
"""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from charlm.data.corpus import Corpus
from charlm.data.documents import read_parts
from charlm.data.source_texts import SourceConditions
from charlm.formatting import UNKNOWN, shorten
from charlm.text.split import Part

_NUM_LABELS = 40
_NUM_AMBIGUOUS = 5
_NUM_EXAMPLES = 5
_SHOWN_CHARACTERS = 60


def summarize_examples(corpus: Corpus) -> list[str]:
    """Return the lines that `charlm prepare` prints at the end."""
    metadata, noun = corpus.metadata, corpus.task.noun
    split, documents, examples = metadata["split"], metadata["documents"], metadata["examples"]
    has_sources = isinstance(corpus.conditions, SourceConditions)
    how = "by the hash of the text" if split["method"] == "text" else "by the source"
    shares = f"split {split['shares']} {how}" if split["method"] == "text" else f"split {how}"
    sizes = f"vocabulary of {corpus.vocab.size:,} ids"
    about = "" if corpus.conditions is not None else f"; ceiling {_percent(examples['ceiling'])}"
    if isinstance(corpus.conditions, SourceConditions):
        sizes = f"{sizes} for targets, of {corpus.conditions.size:,} for sources"
    else:
        sizes = f"{examples['num_labels']:,} {noun}, {sizes}"
    lines = [f"{documents['kept']:,} examples, {shares}, {sizes}{about}"]
    for name, counts in metadata["splits"].items():
        unit = "characters of targets" if has_sources else "characters"
        line = f"  {name:<6} {counts['documents']:>9,} examples {counts['characters']:>14,} {unit}"
        about = f" {counts['targets']:>12,} {noun}; {_ceiling(examples['splits'][name])}" if "targets" in counts else ""
        lines.append(line + about)
    lines += [f"  dropped {count:>8,} examples: {reason}" for reason, count in documents["dropped"].items()]
    if documents.get("repeats"):
        why = "as the source gives the splits" if split["method"] == "source" else "as frequencies"
        lines.append(f"  kept {documents['repeats']:,} examples that repeat others, {why}")
    lines += [f"  {note}" for note in documents.get("notes", [])]
    for name, found in examples["splits"].items():
        if found.get("unseen"):
            listed = shorten(", ".join(found["unseen_names"]), _SHOWN_CHARACTERS)
            lines.append(f"  {found['unseen']:,} {noun} of {name} are in no training example: {listed}")
        if found.get("texts_in_train"):
            lines.append(f"  {found['texts_in_train']:,} examples of {name} have a text of a training example")
    return lines


def describe_examples(corpus: Corpus, *, readable: bool) -> dict[str, Any]:
    """Return what `charlm inspect` adds for a corpus of labels or tags: for people, sections of lines."""
    if not readable:
        return {"first_examples": [_as_json(part) for part in _first_examples(corpus)]}
    examples, noun = corpus.metadata["examples"], corpus.task.noun
    if isinstance(corpus.conditions, SourceConditions):
        return {"example_sections": _pair_sections(corpus)}
    sections = {
        f"{noun.capitalize()} ({examples['num_labels']:,} in training; ceiling: the best share of right {noun} that a"
        " function of the text can reach)": _label_table(examples, corpus.splits),
        "Ceilings": [
            f"{name:<6} {_ceiling(found)}; longest text {found['longest']:,} characters"
            + (f"; {found['unseen']:,} unseen {noun}" if found["unseen"] else "")
            + (f"; {found['texts_in_train']:,} texts of training" if found.get("texts_in_train") else "")
            for name, found in examples["splits"].items()
        ],
        "Ambiguous texts": [
            f"{shorten(each['text'], _SHOWN_CHARACTERS)!r}: {', '.join(each['names'])}"
            for each in examples["ambiguous"][:_NUM_AMBIGUOUS]
        ],
        "First examples": [_as_line(part) for part in _first_examples(corpus)],
    }
    return {"example_sections": {heading: lines for heading, lines in sections.items() if lines}}


def _pair_sections(corpus: Corpus) -> dict[str, list[str]]:
    splits: Mapping[str, Mapping[str, int]] = corpus.metadata["examples"]["splits"]
    return {
        "Sources and targets": [
            f"{name:<6} longest source {found['longest']:,} characters, longest target"
            f" {found['longest_target']:,}; {found['repeated_texts']:,} examples share their source"
            + (f"; {found['texts_in_train']:,} sources of training" if found.get("texts_in_train") else "")
            for name, found in splits.items()
        ],
        "First examples": [_as_line(part) for part in _first_examples(corpus)],
    }


def _ceiling(found: Mapping[str, Any]) -> str:
    return f"ceiling {_percent(found['ceiling'])}, {found['ambiguous_texts']:,} ambiguous texts"


def _percent(fraction: float | None) -> str:
    return UNKNOWN if fraction is None else f"{100 * fraction:.1f} %"


def _label_table(examples: Mapping[str, Any], splits: list[str]) -> list[str]:
    """Return a line for each label: its counts, and its ceiling in the training split."""
    counts: dict[str, dict[str, int]] = examples["labels"]
    ceilings: dict[str, float] = examples["splits"]["train"]["ceilings"]
    ordered = sorted(counts, key=lambda name: (-counts[name].get("train", 0), name))
    shown = ordered[:_NUM_LABELS]
    width = max(len(name) for name in [*shown, "label"])
    lines = [f"{'':<{width}}" + "".join(f"{split:>12}" for split in splits) + f"{'ceiling':>12}"]
    for name in shown:
        cells = "".join(f"{counts[name].get(split, 0):>12,}" for split in splits)
        ceiling = f"{100 * ceilings[name]:>10.1f} %" if name in ceilings else f"{'-':>12}"
        lines.append(f"{name:<{width}}{cells}{ceiling}")
    if len(ordered) > len(shown):
        lines.append(f"and {len(ordered) - len(shown):,} more")
    return lines


def _first_examples(corpus: Corpus) -> list[Part]:
    return [*islice(read_parts(corpus.directory / "documents", "train"), _NUM_EXAMPLES)]


def _as_json(part: Part) -> dict[str, Any]:
    if part.target is not None:
        return {"id": part.document.id, "text": part.document.text, "target": part.target, "weight": part.weight}
    if part.labels is not None:
        return {"id": part.document.id, "text": part.document.text, "labels": list(part.labels)}
    if part.tags is None:
        return {"id": part.document.id, "text": part.document.text, "label": part.label}
    return {"id": part.document.id, "text": part.document.text, "tags": [*part.tags]}


def _as_line(part: Part) -> str:
    """Return an example on one line; the tags stand behind their characters, in braces.

    Tags that continue a segment, or say that nothing is to be restored, are left out.
    """
    if part.target is not None:
        return f"{shorten(part.document.text, _SHOWN_CHARACTERS)!r} -> {shorten(part.target, _SHOWN_CHARACTERS)!r}"
    if part.labels is not None:
        return f"{', '.join(part.labels)}: {shorten(part.document.text, _SHOWN_CHARACTERS)!r}"
    if part.tags is None:
        return f"{part.label}: {shorten(part.document.text, _SHOWN_CHARACTERS)!r}"
    pairs = zip(part.document.text[:_SHOWN_CHARACTERS], part.tags, strict=False)
    shown = "".join(character + ("" if _is_quiet(tag) else f"{{{tag}}}") for character, tag in pairs)
    return shown.replace("\n", "\\n") + (" ..." if len(part.document.text) > _SHOWN_CHARACTERS else "")


def _is_quiet(tag: str | None) -> bool:
    return tag is None or tag in ("none", "lower", "O") or tag.startswith("I-")
