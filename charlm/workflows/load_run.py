"""From the name of a run to its model, and to the corpus it belongs to."""

from charlm import workspace
from charlm.checkpoint import LoadedModel, load_model
from charlm.data.corpus import Corpus, open_corpus
from charlm.device import choose_device
from charlm.errors import DataError
from charlm.training.run_directory import find_checkpoint


def load_run(run: str | None, checkpoint: str, device: str) -> tuple[LoadedModel, str]:
    """A run's model, and how to call it."""
    chosen = choose_device(device)
    path = workspace.find_run(run)
    name = workspace.BUNDLED if workspace.is_bundled(path) else str(path)
    return load_model(find_checkpoint(path, checkpoint), chosen), name


def open_corpus_for(loaded: LoadedModel, data: str | None) -> Corpus:
    """--data, or the corpus that the model was trained on: by its name in data/, else the current one if it is that."""
    trained_on = loaded.metadata["trained_on"]
    if data is not None:
        corpus = open_corpus(workspace.find_data(data))
    else:
        named = workspace.DATA / str(trained_on["corpus"])
        current = named if named.is_dir() else workspace.find_data(None)
        corpus = open_corpus(current)
        if corpus.fingerprint != trained_on["fingerprint"]:
            raise DataError(
                f"the corpus {trained_on['corpus']} that the model was trained on is not here; {corpus.directory} is"
                " another",
                "name a corpus with --data to score the model on it all the same",
            )
    if not corpus.vocab.is_same(loaded.vocab):
        raise DataError(
            f"{corpus.directory} has another vocabulary than the model",
            "score a model that was trained with that vocabulary",
        )
    return corpus
