"""Small corpora for tests, made by charlm's own `prepare` from files on disk."""

from collections.abc import Mapping
from pathlib import Path

from charlm.data.corpus import Corpus
from charlm.data.settings import CorpusSettings
from charlm.text.build import build_source
from charlm.text.settings import TextSettings
from charlm.vocab.settings import CharSettings, VocabSettings
from charlm.workflows.prepare import prepare

UNSEEN = "☃"
"""A character that stands in the test split of TINY alone."""

TINY = {
    "a.txt": "The quick brown fox jumps over the lazy dog, and the dog does not mind. " * 12,
    "b.txt": "Съешь ещё этих мягких французских булок, да выпей же чаю.\r\n" * 10 + "Конец\n",
    "c.txt": "emoji 🙂🙃 and 👩‍👩‍👧, e\u0301 combining, עברית, \x00 and \ufeff inside\n" * 8,
    "d.txt": "How vexingly quick daft zebras jump! " * 20,
    "e.txt": "Pack my box with five dozen liquor jugs; the fox is quick. " * 3 + f"A {UNSEEN} stands here.",
}
"""Document name -> text; the last tenth (the test split of 80/10/10) lies in e.txt and the end of d.txt."""


def write_files(folder: Path, texts: Mapping[str, str]) -> Path:
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8"))
    return folder


def text_settings(folder: Path, *, split: str = "80/10/10", vocab: VocabSettings | None = None) -> CorpusSettings:
    return CorpusSettings(source=TextSettings(input=(str(folder),)), split=split, vocab=vocab or CharSettings())


def build_corpus(
    folder: Path, texts: Mapping[str, str], *, split: str = "80/10/10", vocab: VocabSettings | None = None
) -> Corpus:
    """Write `texts` as files below `folder`, and prepare them into `folder/corpus`."""
    settings = text_settings(write_files(folder / "files", texts), split=split, vocab=vocab)
    return prepare(settings, build_source(settings.source), folder / "corpus")
