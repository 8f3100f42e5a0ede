"""Which models have an integer model: recurrent language models with the usual head."""

from charlm.archives.integer_model.description import MAX_VOCAB
from charlm.checkpoint import LoadedModel
from charlm.errors import UsageError
from charlm.nn.bodies.settings import RecurrentSettings
from charlm.nn.cells.settings import GRUSettings, LSTMSettings, RNNSettings
from charlm.nn.settings import ModelSettings


def check_supported(loaded: LoadedModel) -> None:
    """
    Raises:
        UsageError: a part of the model has no integer form.
    """
    if loaded.labels is not None:
        found = f"predicts {loaded.task.noun}", "name a language model"
    elif loaded.conditions is not None:
        found = "is given a label or a source for each text", "name a run of `charlm prepare` without --task"
    elif loaded.vocab.size > MAX_VOCAB:
        found = f"has {loaded.vocab.size:,} ids", f"name a run with a vocabulary of at most {MAX_VOCAB:,}"
    else:
        found = find_unsupported(loaded.settings)
    if found is not None:
        what, cure = found
        raise UsageError(f"{loaded.directory} {what}, which has no integer form for compression", cure)


def find_unsupported(settings: ModelSettings) -> tuple[str, str] | None:
    """Return the part of a language model that has no integer form, and what has; None if all parts have one."""
    body = settings.body
    if settings.text_direction == "backward":
        return "reads a text from its end", "name a run with model.direction=forward"
    if settings.embedding.type != "token":
        return f"has the embedding {settings.embedding.type}", "name a run with model.embedding.type=token"
    if settings.head.type != "softmax":
        return f"has the head {settings.head.type}", "name a run with model.head.type=softmax"
    if not isinstance(body, RecurrentSettings):
        return f"has the body {body.type}", "name a run with model.body.type=recurrent"
    if body.norm == "batch":
        return "has batch normalisation", "name a run with model.body.norm=layer, weight or none"
    if max((1, *body.strides, *body.dilations)) > 1:
        return "has strides or dilations", "name a run without model.body.strides and model.body.dilations"
    match body.cell:
        case LSTMSettings() if body.cell.mogrifier_rounds:
            return "has a Mogrifier LSTM", "name a run with model.body.cell.mogrifier_rounds=0"
        case GRUSettings() if body.cell.reset == "before":
            return "has a GRU with reset=before", "name a run with model.body.cell.reset=after"
        case RNNSettings() if body.cell.activation == "relu":
            return "has an RNN with relu, whose state has no bound", "name a run with model.body.cell.activation=tanh"
        case LSTMSettings() | GRUSettings() | RNNSettings():
            return None
        case _:
            return f"has the cell {body.cell.type}", "name a run with model.body.cell.type=lstm, gru or rnn"
