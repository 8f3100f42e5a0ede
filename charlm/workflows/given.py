"""What a conditional model is given on a command line: a label, or a text.

LoadedModel of a task with conditions ── give(label or source) ──> LoadedModel of a language model
"""

from dataclasses import dataclass, replace

import torch

from charlm.checkpoint import LoadedModel
from charlm.data.conditions import LabelConditions
from charlm.data.source_texts import SourceConditions, pad_sources
from charlm.errors import OptionError
from charlm.nn.model import Condition, ConditionalModel


@dataclass(frozen=True, slots=True)
class Given:
    """What a conditional model is given: a label or a source."""

    labels: tuple[str, ...] = ()
    """One, or one of each column of labels."""
    source: str | None = None


NOTHING = Given()


def give(loaded: LoadedModel, given: Given, name: str) -> LoadedModel:
    """Give a label or a source to a conditional model, and return the language model. Other models are returned
    unchanged.

    Args:
        name: of the run, for messages.

    Raises:
        UsageError: a conditional model needs something, and there is nothing; or it does not know the label; or the
            model is given nothing of this kind.
        DataError: the source has a character that the vocabulary cannot spell.
    """
    takes_source = isinstance(loaded.conditions, SourceConditions)
    takes_label = loaded.conditions is not None and not takes_source
    for key, is_given, is_taken in (
        ("label", bool(given.labels), takes_label),
        ("source", given.source is not None, takes_source),
    ):
        if is_given and not is_taken:
            raise OptionError(f"{{{key}}} has no effect: {{name}} is given no {key}", f"leave {{{key}}} out", name=name)
    match loaded.conditions:
        case None:
            return loaded
        case LabelConditions():
            condition = _label_condition(loaded.conditions, given.labels, name)
        case SourceConditions():
            condition = _source_condition(loaded.conditions, given.source, name)
    model = loaded.model
    assert isinstance(model, ConditionalModel), "build_model makes one for a task with conditions"
    device = next(model.parameters()).device
    with torch.no_grad():
        bound = model.given(tuple(tensor.to(device) for tensor in condition))
    return replace(loaded, model=bound, conditions=None)


def _label_condition(labels: LabelConditions, names: tuple[str, ...], name: str) -> Condition:
    if not names:
        frequent = " and ".join(labels.labels.names[label] for label in labels.most_frequent())
        raise OptionError(
            "{name} is given a label for each text, and there is none",
            "give one with {label}, such as {example}",
            name=name,
            example=frequent,
        )
    ids = labels.find_ids(names)
    return (torch.tensor([ids] if labels.columns else ids),)


def _source_condition(sources: SourceConditions, source: str | None, name: str) -> Condition:
    if source is None:
        raise OptionError(
            "{name} is given a text for which it writes another, and there is none",
            "give one with {source}",
            name=name,
        )
    return tuple(map(torch.from_numpy, pad_sources([sources.encode(source)])))
