"""Measure encoding on one core: each vocabulary, and SentencePiece's own batch call.

Reads a Russian novel and an English test set of CHARLM_SHARED (or ../shared/data). MB of UTF-8 per second: `first` with
a new vocabulary, `again` when it encodes the same text a second time. The best of several passes.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from charlm.vocab.base import Vocab
from charlm.vocab.build import build_learner
from charlm.vocab.sentencepiece import SentencePieceVocab
from charlm.vocab.settings import SentencePieceSettings, VocabSettings

TEXTS = ("plain-text/ru-anna-karenina.txt", "wikitext-2-raw/wiki.test.raw")
DOCUMENT = 20_000  # characters
REPETITIONS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    shared = Path(os.environ.get("CHARLM_SHARED", Path(__file__).parents[2] / "shared" / "data"))
    if not shared.is_dir():
        raise SystemExit("scripts/bench: no real data: set CHARLM_SHARED")
    result = {name: measure(shared / name) for name in TEXTS}
    print(json.dumps(result) if options.json else table(result))


def measure(path: Path) -> dict[str, dict[str, float]]:
    text = path.read_bytes().decode("utf-8")
    documents = [text[start : start + DOCUMENT] for start in range(0, len(text), DOCUMENT)]
    size = len(text.encode("utf-8")) / 1e6
    return {name: speeds(learn(settings, documents), documents, size) for name, settings in all_settings().items()}


def learn(settings: VocabSettings, documents: list[str]) -> Vocab:
    learner = build_learner(settings)
    for document in documents if learner.needs_text else ():
        learner.add(document)
    return learner.finish()


def all_settings() -> dict[str, VocabSettings]:
    members: tuple[type[VocabSettings], ...] = get_args(get_args(VocabSettings)[0])
    made = {member.model_fields["type"].default: member() for member in members}
    return made | {"sentencepiece bpe": SentencePieceSettings(model_type="bpe")}


def speeds(vocab: Vocab, documents: list[str], size: float) -> dict[str, float]:
    first: list[float] = []
    again: list[float] = []
    batch: list[float] = []
    for _ in range(REPETITIONS):
        fresh = fresh_copy(vocab)
        fresh.encode("a b")
        first.append(seconds(lambda fresh=fresh: [fresh.encode(document) for document in documents]))
        again.append(seconds(lambda fresh=fresh: [fresh.encode(document) for document in documents]))
        if isinstance(fresh, SentencePieceVocab):
            processor: Any = fresh.processor
            batch.append(seconds(lambda processor=processor: processor.Encode(documents, out_type=int, num_threads=1)))
    found = {"first": size / min(first), "again": size / min(again)}
    return found | ({"own batch call": size / min(batch)} if batch else {})


def fresh_copy(vocab: Vocab) -> Vocab:
    """Return a copy of the vocabulary without cached words."""
    if isinstance(vocab, SentencePieceVocab):
        return SentencePieceVocab(vocab.model, vocab.model_type)
    return type(vocab).from_json(vocab.to_json())


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()  # CPU time of this process, since the machine may be busy
    work()
    return time.process_time() - start


def table(result: dict[str, dict[str, dict[str, float]]]) -> str:
    lines: list[str] = []
    for name, vocabs in result.items():
        lines.append(f"{Path(name).name} (MB of UTF-8 a second)")
        for kind, figures in vocabs.items():
            shown = ", ".join(f"{what} {speed:.1f}" for what, speed in figures.items())
            lines.append(f"  {kind:<18} {shown}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
