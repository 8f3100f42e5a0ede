"""A small input of each kind of source of examples, written to a folder."""

import json
from collections.abc import Callable
from pathlib import Path

from charlm.data.settings import CorpusSettings
from charlm.data.task_settings import ClassifyTaskSettings, TagTaskSettings, TransduceTaskSettings
from charlm.text.examples.settings import (
    AlignedSettings,
    ClassesSettings,
    ConlluSettings,
    DerivedSettings,
    TableSettings,
)
from charlm.text.settings import HubSettings
from tests.corpora import build_corpus

CLASSIFY, TAG, TRANSDUCE = ClassifyTaskSettings(), TagTaskSettings(), TransduceTaskSettings()

Make = Callable[[Path, str], CorpusSettings]
"""(an empty folder, a word for the texts) -> settings of a corpus of examples in that folder."""


def put(path: Path, content: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return str(path)


def table(folder: Path, word: str) -> CorpusSettings:
    rows = "".join(f"{word} {number}\t{'odd' if number % 2 else 'even'}\n" for number in range(60))
    path = put(folder / "numbers.tsv", f"text\tlabel\n{rows}")
    return CorpusSettings(task=CLASSIFY, source=TableSettings(input=(path,)))


def classes(folder: Path, word: str) -> CorpusSettings:
    for label in ("odd", "even"):
        lines = [f"{word} {number}" for number in range(60) if (number % 2 == 1) == (label == "odd")]
        put(folder / "numbers" / f"{label}.txt", "\n".join(lines) + "\n")
    return CorpusSettings(task=CLASSIFY, source=ClassesSettings(input=(str(folder / "numbers"),)))


def sentence(*words: tuple[str, str], text: str = "") -> str:
    """Return a sentence in CoNLL-U, of forms and their UPOS."""
    lines = [f"{number}\t{form}\t_\t{upos}\t_\t_\t_\t_\t_\t_" for number, (form, upos) in enumerate(words, 1)]
    return "\n".join([f"# text = {text or ' '.join(form for form, _ in words)}", *lines]) + "\n\n"


def conllu(folder: Path, word: str) -> CorpusSettings:
    content = "".join(sentence((word, "NOUN"), (str(number), "NUM")) for number in range(60))
    return CorpusSettings(task=TAG, source=ConlluSettings(input=(put(folder / "bank.conllu", content),)))


def derived(folder: Path, word: str) -> CorpusSettings:
    texts = {f"{number}.txt": f"Né à la {word} {number}, où ça? " * 9 for number in range(9)}
    corpus = build_corpus(folder / "original", texts)
    return CorpusSettings(task=TAG, source=DerivedSettings(input=(str(corpus.directory),)))


def hub(folder: Path, word: str) -> CorpusSettings:
    rows = [json.dumps({"text": f"{word} {number}", "label": number % 2}) for number in range(60)]
    path = put(folder / "rows.jsonl", "\n".join(rows) + "\n")
    return CorpusSettings(task=CLASSIFY, source=HubSettings(input=(path,), label_column="label"))


CASES: dict[str, Make] = {
    "table": table, "classes": classes, "conllu": conllu, "derived": derived, "hub": hub,
}  # fmt: skip


def target_table(folder: Path, word: str) -> CorpusSettings:
    rows = "".join(f"{word} {number}\t{number % 9} {word[::-1]}\t{number}\n" for number in range(60))
    path = put(folder / "pairs.tsv", f"text\ttarget\tweight\n{rows}")
    return CorpusSettings(task=TRANSDUCE, source=TableSettings(input=(path,), weight_column="weight"))


def target_hub(folder: Path, word: str) -> CorpusSettings:
    rows = [json.dumps({"text": f"{word} {number}", "spelled": f"{number} {word}"}) for number in range(60)]
    path = put(folder / "rows.jsonl", "\n".join(rows) + "\n")
    return CorpusSettings(task=TRANSDUCE, source=HubSettings(input=(path,), target_column="spelled"))


def aligned(folder: Path, word: str) -> CorpusSettings:
    lines = {"read": [f"{word} {number}" for number in range(60)], "written": [f"{number}!" for number in range(60)]}
    paths = [put(folder / f"{name}.txt", "\n".join(own) + "\n") for name, own in lines.items()]
    return CorpusSettings(task=TRANSDUCE, source=AlignedSettings(input=tuple(paths)))


def derived_targets(folder: Path, word: str) -> CorpusSettings:
    settings = derived(folder, word)
    assert isinstance(settings.source, DerivedSettings)
    pieces = settings.source.model_copy(update={"piece_characters": 20})
    return settings.model_copy(update={"task": TRANSDUCE, "source": pieces})


TARGET_CASES: dict[str, Make] = {
    "table of targets": target_table,
    "hub of targets": target_hub,
    "aligned": aligned,
    "derived targets": derived_targets,
}
"""The same for sources of texts with other texts."""
ALL_CASES = CASES | TARGET_CASES
