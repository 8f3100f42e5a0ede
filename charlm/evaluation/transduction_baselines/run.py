"""Run the baselines of a corpus of targets, one after the other.

training pairs as symbols ──fit──> baseline ── sources of a split ──> texts ──> AnswerCounts
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from charlm.data.corpus import Corpus
from charlm.data.source_texts import SourceConditions
from charlm.evaluation.transduction.answers import collect_questions
from charlm.evaluation.transduction.score import AnswerCounts, split_symbols
from charlm.evaluation.transduction_baselines.base import Pair, Symbols, TransductionBaseline
from charlm.evaluation.transduction_baselines.joint_ngram import JointNgram
from charlm.evaluation.transduction_baselines.simple import CopySource, MostFrequentTarget

_MAX_SYMBOLS = 100  # of a source or a target; the time of an alignment grows with the product
_MAX_NODES = 20_000_000  # of all pairs together: pairs of a source position and a target position, 48 bytes each
_BLOCK = 64  # sources between two reports of progress


@dataclass(frozen=True)
class TransductionBaselineResult:
    """What a baseline wrote for the sources of a split.

    Attributes:
        num_pairs: the training pairs that it learned from.
        has_weights: whether the targets of the split count differently.
        seconds: for learning and writing, on this machine.
    """

    name: str
    description: str
    counts: AnswerCounts
    num_pairs: int
    has_weights: bool
    seconds: float


def run_transduction_baselines(
    corpus: Corpus, split: str, on_progress: Callable[[str, int, int], None]
) -> Iterator[TransductionBaselineResult]:
    """Yield the result of each baseline on `split`, the simplest first, as soon as it is known.

    Args:
        on_progress: gets the name of the baseline, the number of sources done, and the number of all. It may raise.

    Raises:
        UsageError: the corpus has no split of this name.
        DataError: its files are damaged.
    """
    conditions = corpus.conditions
    assert isinstance(conditions, SourceConditions), "the corpus has sources"
    blank_separates = corpus.vocab.type == "symbols"
    questions = {
        name: collect_questions(corpus.open(name), corpus.open_sources(name), corpus.open_weights(name), corpus.vocab)
        for name in (split,)
    }
    sources = {
        name: [tuple(conditions.vocab.decode(each.source.tolist())) for each in found]
        for name, found in questions.items()
    }
    all_pairs = list(_read_pairs(corpus, conditions, blank_separates=blank_separates))
    short_pairs = _select_pairs(all_pairs)
    baselines: list[tuple[TransductionBaseline, str, list[Pair]]] = [
        (CopySource(), "the source itself", []),
        (MostFrequentTarget(), "the most frequent target of the source, or of all sources", all_pairs),
    ]
    if short_pairs:
        left_out = len(all_pairs) - len(short_pairs)
        note = f"; without {left_out:,} pairs, of more than {_MAX_SYMBOLS} symbols or for memory" if left_out else ""
        description = f"n-grams of aligned pieces of source and target{note}"
        baselines.append((JointNgram(), description, short_pairs))
    has_weights = len(set(corpus.open_weights(split).tolist())) > 1
    for baseline, description, pairs in baselines:
        start = time.monotonic()
        total = len(sources[split])
        on_progress(baseline.name, 0, total)
        if pairs:
            baseline.fit(pairs)
        texts: list[str] = []
        for first in range(0, total, _BLOCK):
            block = sources[split][first : first + _BLOCK]
            texts += [_to_text(found, blank_separates=blank_separates) for found in baseline.predict(block)]
            on_progress(baseline.name, len(texts), total)
        counts = AnswerCounts.of_texts(texts, questions[split], blank_separates=blank_separates)
        yield TransductionBaselineResult(
            baseline.name, description, counts, len(pairs), has_weights, time.monotonic() - start
        )


def _read_pairs(corpus: Corpus, conditions: SourceConditions, *, blank_separates: bool) -> Iterator[Pair]:
    """Yield the training pairs whose weight is above 0."""
    targets, weights_D = corpus.open("train"), corpus.open_weights("train")
    ids = corpus.open_sources("train").split_ids()
    spans = zip(targets.documents["start"], targets.ends, strict=True)
    for source, (start, end), weight in zip(ids, spans, weights_D.tolist(), strict=True):
        if weight > 0:
            text = corpus.vocab.decode(targets.tokens[start:end].tolist())
            target = _to_symbols(text, blank_separates=blank_separates)
            yield Pair(tuple(conditions.vocab.decode(source.tolist())), target, weight)


def _select_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs that are short, in their order, as long as their alignments fit into memory."""
    selected: list[Pair] = []
    num_nodes = 0
    for pair in pairs:
        if max(len(pair.source), len(pair.target)) <= _MAX_SYMBOLS:
            num_nodes += (len(pair.source) + 1) * (len(pair.target) + 1)
            if num_nodes > _MAX_NODES:
                break
            selected.append(pair)
    return selected


def _to_symbols(text: str, *, blank_separates: bool) -> Symbols:
    return tuple(split_symbols(text, blank_separates=blank_separates))


def _to_text(symbols: Symbols, *, blank_separates: bool) -> str:
    return (" " if blank_separates else "").join(symbols)
