"""The right answers to each source: a source may have several targets.

targets of a split, their sources and weights ──equal sources together──> Question(source, answers)
"""

from dataclasses import dataclass

from charlm.data.source_texts import DocumentSources, Floats
from charlm.data.store import TokenStream
from charlm.vocab.base import IntArray, Vocab


@dataclass(frozen=True, slots=True)
class Question:
    """A source, and the texts that are right."""

    source: IntArray
    """Ids."""
    answers: tuple[str, ...]
    weight: float
    """The sum of the weights of its answers."""


def collect_questions(
    targets: TokenStream, sources: DocumentSources, weights_D: Floats | None, vocab: Vocab
) -> list[Question]:
    """Return the different sources in the order in which they occur first.

    Args:
        targets: in reading order, with the sources of its documents in the same order.
        weights_D: None for equal ones.
    """
    found: dict[bytes, Question] = {}
    ids_N = sources.split_ids()
    for index, (start, end) in enumerate(zip(targets.documents["start"], targets.ends, strict=True)):
        text = vocab.decode(targets.tokens[start:end].tolist())
        weight = 1.0 if weights_D is None else float(weights_D[index])
        source = ids_N[index]
        key = source.tobytes()
        known = found.get(key)
        if known is None:
            found[key] = Question(source, (text,), weight)
        else:
            answers = known.answers if text in known.answers else (*known.answers, text)
            found[key] = Question(source, answers, known.weight + weight)
    return list(found.values())
