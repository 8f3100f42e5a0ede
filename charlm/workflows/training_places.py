"""The corpus that a training reads, and the folder of its run."""

from pathlib import Path

from charlm import workspace
from charlm.data.corpus import Corpus, open_corpus
from charlm.errors import UsageError
from charlm.experiment import load_experiment
from charlm.settings import Layer
from charlm.training.run_directory import RunDirectory


def find_training_corpus(layer: Layer, data: str | None, *, need_corpus: bool) -> Corpus | None:
    """Open the corpus of --data, or else the one that the config names, or else the current one.

    Raises:
        UsageError: there is none, and one is needed.
    """
    if data is None and "corpus" in layer.tree:
        settings = load_experiment(Layer({"corpus": layer.tree["corpus"]}, layer.origins)).corpus
        directory = workspace.DATA / settings.name
        if not directory.is_dir() and need_corpus:
            raise UsageError(
                f"the corpus of this config, {directory}, is not prepared", "run `charlm prepare` with this config"
            )
    elif data is None and not need_corpus and not (workspace.DATA / "current.json").is_file():
        return None
    else:
        directory = workspace.find_data(data)
    return open_corpus(directory) if need_corpus or directory.is_dir() else None


def find_run_directory(begins: str, out: Path | None, corpus: Corpus | None) -> RunDirectory:
    """Return the folder of a run.

    Args:
        begins: how its name begins, if `out` is None.

    Raises:
        UsageError: a folder cannot have this name.
    """
    run = RunDirectory(out or workspace.RUNS / f"{begins}-{corpus.name if corpus else 'CORPUS'}")
    workspace.check_output_name(run.root, "--out")
    return run
