"""What a checkpoint cost: the training text that it has seen, and the seconds of its training.

model.json: predictions so far ──the training corpus, or the log of the run──> characters
training.json ──> seconds
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charlm import storage
from charlm.data.corpus import Corpus
from charlm.errors import DataError, UsageError
from charlm.training.logs import metrics_file
from charlm.training.run_directory import RunDirectory, run_of_checkpoint
from charlm.workflows.load_run import open_training_corpus


def training_seconds(checkpoint: Path) -> float | None:
    """Return the seconds of training; None for a checkpoint that was copied without its training state."""
    try:
        return float(storage.read_json(checkpoint / "training.json")["seconds"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def characters_seen(checkpoint: Path, trained_on: Mapping[str, Any], corpus: Corpus | None) -> int | None:
    """Count the trained predictions in characters of the corpus they come from; None if neither it nor a log is here.

    Args:
        trained_on: the entry of the checkpoint's model.json.
        corpus: the scored one, which may be another.
    """
    tokens, step = trained_on.get("tokens"), trained_on.get("step")
    if not isinstance(tokens, int):
        return None
    try:
        if corpus is None or corpus.fingerprint != trained_on["fingerprint"]:
            corpus = open_training_corpus(checkpoint, trained_on)
    except (UsageError, DataError):  # not here, but the log of the run has counted them too
        root = run_of_checkpoint(checkpoint)
        entries = [] if root is None else metrics_file.read_log(RunDirectory(root).metrics_path)
        counted = [entry.characters for entry in entries if entry.step == step and entry.characters is not None]
        return round(counted[-1]) if counted else None
    return round(tokens / _predictions_per_character(corpus))


def _predictions_per_character(corpus: Corpus) -> float:
    if corpus.labels is None:
        return corpus.open("train").tokens_per_character
    examples = corpus.open_examples("train")
    return examples.num_targets / max(1, examples.count("characters"))
