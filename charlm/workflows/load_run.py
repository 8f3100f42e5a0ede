"""From the name of a run to its model, and to the corpus that it was trained on.

RUN ──workspace──> directory ──checkpoint──> LoadedModel ──name and fingerprint of the corpus──> Corpus
"""

from charlm import workspace
from charlm.checkpoint import LoadedModel, load_model
from charlm.data.corpus import Corpus, open_corpus
from charlm.device import choose_device
from charlm.errors import DataError
from charlm.training.run_directory import find_checkpoint


def load_run(run: str | None, checkpoint: str, device: str) -> tuple[LoadedModel, str]:
    """Load a run's model; return it with the run's name."""
    chosen = choose_device(device)
    path = workspace.find_run(run)
    name = workspace.BUNDLED if workspace.is_bundled(path) else str(path)
    return load_model(find_checkpoint(path, checkpoint), chosen), name


def open_corpus_for(loaded: LoadedModel, data: str | None) -> Corpus:
    """Open the corpus of --data, or the one that the model was trained on: by its name in data/, or the current corpus.

    Raises:
        DataError: the corpus is another one than the model's, or has another vocabulary.
    """
    trained_on = loaded.metadata["trained_on"]
    if data is not None:
        corpus = open_corpus(workspace.find_data(data))
    else:
        named = workspace.DATA / str(trained_on["corpus"])
        current = named if named.is_dir() else workspace.find_data(None)
        corpus = open_corpus(current)
        if corpus.fingerprint != trained_on["fingerprint"]:
            raise DataError(
                f"the model was trained on the corpus {trained_on['corpus']}, which is not here; {corpus.directory} is"
                " another one",
                "name a corpus with --data to score the model on it anyway",
            )
    if not corpus.vocab.is_same(loaded.vocab):
        raise DataError(
            f"{corpus.directory} has another vocabulary than the model",
            "name a corpus with the vocabulary of the model, or a model with that of the corpus",
        )
    return corpus
