"""Files of texts -> queries, and predictions -> lines.

    .conllu                                  sentences, asked at the last characters of their words; or raw text
    .csv .tsv .json .jsonl .parquet .arrow   the texts of a column
    anything else, and standard input        a text in each line that is not blank

jsonl    an object for each text
tsv      the text, the label or target and its probability; or the tagged or restored text
conllu   a treebank without syntax     text     for people: the text with its label, or with its tags between brackets
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from charlm.data.task_settings import TaskSettings
from charlm.errors import UsageError
from charlm.storage import to_json
from charlm.text.examples.cells import read_text
from charlm.text.examples.conllu_file import read_sentences
from charlm.text.examples.example import ExampleCounts
from charlm.text.examples.example_files import ExampleFile, list_example_files
from charlm.text.examples.settings import ConlluSettings, TableSettings
from charlm.text.examples.table_rows import read_table
from charlm.text.reading.chunks import read_chunks
from charlm.text.reading.decoding import Decoder
from charlm.text.reading.inputs import check_input, list_files, strip_compression_suffix
from charlm.text.reading.lines import split_lines, strip_end
from charlm.workflows.prediction import Query, TextPrediction, TextTag

Format = Literal["jsonl", "tsv", "conllu", "text"]
FORMATS: tuple[Format, ...] = ("jsonl", "tsv", "conllu", "text")
_ENCODING_CURE = "convert it to UTF-8"
_TABLE_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".arrow")


def read_queries(path: Path, text_column: str, task: TaskSettings) -> Iterator[Query]:
    """Yield the texts of a file, in order.

    Raises:
        UsageError, SettingsError: there is no such file or column.
        DataError: the file is damaged.
    """
    suffix = Path(strip_compression_suffix(path.name.lower())).suffix
    counts = ExampleCounts()
    if suffix == ".conllu":
        yield from _read_sentences(path, task, counts)
    elif suffix in _TABLE_SUFFIXES:
        settings = TableSettings(input=(str(path),), text_column=text_column)
        for file in _list_utf8_files(settings):
            for row in read_table(file, settings, [text_column], counts):
                if text_column not in row.cells:
                    names = ", ".join(map(str, row.cells))
                    raise UsageError(
                        f"{row.place} has no column {text_column!r}", f"name one with --text-column: {names}"
                    )
                yield Query(read_text(row.cells[text_column], row.place, text_column, "strict", counts))
    else:
        check_input(str(path), "text")
        for _, file in list_files([str(path)]):
            yield from read_lines(split_lines(_decoder().decode(str(file), read_chunks(file))))


def read_lines(lines: Iterable[str]) -> Iterator[Query]:
    """Yield a query for each line that is not blank."""
    return (Query(text) for text in map(strip_end, lines) if text.strip())


def read_stream(chunks: Iterable[bytes]) -> Iterator[Query]:
    """Yield the lines of standard input.

    Raises:
        DataError: it is not UTF-8; names the byte.
    """
    return read_lines(split_lines(_decoder().decode("standard input", chunks)))


def _decoder() -> Decoder:
    return Decoder("utf-8", cure=_ENCODING_CURE)


def _list_utf8_files(settings: TableSettings | ConlluSettings) -> list[ExampleFile]:
    files = list_example_files(settings, settings.type)
    return [replace(file, invalid_bytes_cure=_ENCODING_CURE) for file in files]


def _read_sentences(path: Path, task: TaskSettings, counts: ExampleCounts) -> Iterator[Query]:
    settings = ConlluSettings(input=(str(path),))
    asks_words = task.asked_characters == "words"
    for file in _list_utf8_files(settings):
        for sentence in read_sentences(str(path), file.lines(settings.encoding, settings.errors, counts)):
            asked = tuple(token.end - 1 for token in sentence.tokens) if asks_words else None
            yield Query(sentence.text, asked)


def formatter(kind: Format, task: TaskSettings) -> Callable[[TextPrediction], str]:
    """Return what writes a prediction, with the end of the line.

    Raises:
        UsageError: the format does not fit the task.
    """
    if kind == "conllu" and task.asked_characters not in ("words", "solid"):
        raise UsageError("CoNLL-U holds words with tags, and this model predicts none", "choose another --format")
    to_conllu = partial(_to_conllu, has_tags=task.asked_characters == "words")
    return {"jsonl": _to_jsonl, "tsv": _to_tsv, "conllu": to_conllu, "text": _to_text}[kind]


def _to_jsonl(found: TextPrediction) -> str:
    return to_json(found.to_json(), indent=None) + "\n"


def _to_tsv(found: TextPrediction) -> str:
    text = _one_line(found.text)
    if found.targets:
        return f"{text}\t{_one_line(found.targets[0].text)}\t{found.targets[0].probability:.6f}\n"
    if found.labels:
        label = "" if found.is_rejected else found.labels[0].label
        return f"{text}\t{_one_line(label)}\t{found.labels[0].probability:.6f}\n"
    if found.restored is not None:
        return f"{text}\t{_one_line(found.restored)}\n"
    tags = " ".join(f"{each.start}:{each.end}:{_one_line(each.tag)}" for each in found.tags)
    return f"{text}\t{tags}\n"


def _to_text(found: TextPrediction) -> str:
    if found.targets:
        more = "".join(f"\t{_one_line(each.text)} {100 * each.probability:.1f} %" for each in found.targets[1:])
        return f"{_one_line(found.text)}\t{_one_line(found.targets[0].text)}{more}\n"
    if found.labels:
        shown = ", ".join(f"{each.label} {100 * each.probability:.1f} %" for each in found.labels)
        return f"{'? ' if found.is_rejected else ''}{shown}\t{_one_line(found.text)}\n"
    if found.restored is not None:
        return found.restored + "\n"
    pieces: list[str] = []
    end = 0
    for each in found.tags:
        pieces += [found.text[end : each.start], f"[{found.text[each.start : each.end]} {each.tag}]"]
        end = each.end
    return "".join(pieces) + found.text[end:] + "\n"


def _to_conllu(found: TextPrediction, *, has_tags: bool) -> str:
    """Write sentences of words.

    Args:
        has_tags: whether words have tags, which stand in the column UPOS. Of segments only their bounds are kept.
    """
    sentences = found.sentences or ((0, len(found.text)),)
    lines: list[str] = []
    for start, end in sentences:
        words = [each for each in found.tags if start <= each.start < end]
        if not words:
            continue
        lines.append(f"# text = {_one_line(found.text[start:end])}")
        for number, word in enumerate(words, 1):
            following = words[number].start if number < len(words) else None
            lines.append(_word_line(found, word, number, following, _one_line(word.tag) if has_tags else "_"))
        lines.append("")
    return "".join(f"{line}\n" for line in lines)


def _word_line(found: TextPrediction, word: TextTag, number: int, following: int | None, tag: str) -> str:
    form = _one_line(found.text[word.start : word.end])
    is_glued = following == word.end or (
        following is None and word.end < len(found.text) and not found.text[word.end].isspace()
    )
    misc = "SpaceAfter=No" if is_glued else "_"
    return "\t".join([str(number), form, "_", tag, *["_"] * 5, misc])


def _one_line(text: str) -> str:
    return " ".join(text.split("\n")).replace("\t", " ").replace("\r", " ")
