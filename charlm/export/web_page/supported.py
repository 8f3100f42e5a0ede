"""Which models a page can run: recurrent language models that have a fast step in Python too, and read characters."""

from charlm.checkpoint import LoadedModel
from charlm.errors import UsageError
from charlm.nn.bodies.settings import RecurrentSettings
from charlm.nn.cells.settings import GRUSettings, LSTMSettings, RNNSettings

_VOCABULARIES = ("char", "byte")


def check_supported(loaded: LoadedModel, name: str) -> None:
    """
    Args:
        name: of the run, for messages.

    Raises:
        UsageError: a page cannot run the model.
    """
    found = _find_unsupported(loaded)
    if found is not None:
        what, cure = found
        raise UsageError(f"{name} {what}, which an HTML page cannot run", cure)


def _find_unsupported(loaded: LoadedModel) -> tuple[str, str] | None:
    """Return the part that is not supported, and what would be."""
    settings, body = loaded.settings, loaded.settings.body
    if loaded.labels is not None:
        return f"predicts {loaded.task.noun}", "use `charlm predict`, or name a language model"
    if loaded.conditions is not None:
        return "is given a label or a source for each text", "name a run of `charlm prepare` without --task"
    if settings.text_direction == "backward":
        return "writes backward", "name a forward model"
    if loaded.vocab.type not in _VOCABULARIES:
        return f"has a vocabulary of the type {loaded.vocab.type}", "name a run whose corpus has --vocab char or byte"
    if settings.embedding.type != "token":
        return f"has the embedding {settings.embedding.type}", "name a run with model.embedding.type=token"
    if settings.head.type != "softmax":
        return f"has the head {settings.head.type}", "name a run with model.head.type=softmax"
    if not isinstance(body, RecurrentSettings):
        return f"has the body {body.type}", "name a run with model.body.type=recurrent"
    if body.norm == "batch":
        return "has batch normalisation", "name a run with model.body.norm=layer, weight or none"
    match body.cell:
        case LSTMSettings() if body.cell.mogrifier_rounds:
            return "has a Mogrifier LSTM", "name a run with model.body.cell.mogrifier_rounds=0"
        case GRUSettings() if body.cell.reset == "before":
            return "has a GRU with reset=before", "name a run with model.body.cell.reset=after"
        case LSTMSettings() | GRUSettings() | RNNSettings():
            return None
        case _:
            return f"has the cell {body.cell.type}", "name a run with model.body.cell.type=lstm, gru or rnn"
