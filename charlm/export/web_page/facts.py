"""What the page tells of its model: network, figures, and where its text comes from."""

from collections.abc import Iterator

from charlm.export.exported_model import ExportedModel
from charlm.export.figures import NAMES
from charlm.nn.bodies.settings import RecurrentSettings

Facts = tuple[tuple[str, str], ...]
"""Names and values."""

_CELLS = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}


def describe_model(model: ExportedModel) -> Facts:
    """Return the facts in the order in which they are shown."""
    return tuple(_facts(model))


def _facts(model: ExportedModel) -> Iterator[tuple[str, str]]:
    loaded, origin = model.loaded, model.text_origin or {}
    body = loaded.settings.body
    assert isinstance(body, RecurrentSettings), "another body is not supported"
    yield "network", f"{_CELLS[body.cell.type]}, {body.num_layers} x {body.hidden_size}"
    yield "parameters", f"{loaded.model.num_parameters:,}"
    yield "vocabulary", f"{loaded.vocab.size:,} ids"
    for name, value, interval in model.options.figures.shown() if model.options.figures else ():
        if name == "bits_per_character":
            between = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
            yield NAMES[name], f"{value:.3f}{between}"
    yield "text", " ".join(str(part) for part in (loaded.metadata["trained_on"]["corpus"], origin.get("date")) if part)
    if origin.get("source") == "wikipedia":
        yield "authors", "those of the pages, whom the history of each page lists"
    licence = origin.get("licence") or loaded.metadata.get("licence")
    if licence:
        yield "licence", str(licence)
