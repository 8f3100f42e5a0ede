"""Runs of every kind of network that has an integer model, trained for seconds on the texts of `tests.workspaces`."""

from pathlib import Path

from charlm.archives.model import CompressionModel
from charlm.workflows.compress import open_model
from tests.processes import Commands
from tests.workspaces import DATA, furnish

NETWORKS = {
    "rnn": ("model.body.cell.type=rnn",),
    "lstm": ("model.body.cell.type=lstm",),
    "gru": ("model.body.cell.type=gru",),
    "layer-norm": ("model.body.num_layers=2", "model.body.norm=layer"),
    "context-ngrams": ("model.embedding.context_ngrams=[2,3]",),
    "ngram-tables": ("model.ngram.order=5",),
}
IN_BYTES = ("rnn", "layer-norm", "ngram-tables")
"""Those with a vocabulary of bytes; the others have one of characters, which spells other characters in bytes."""


def train_networks(commands: Commands) -> None:
    """Prepare a corpus of each vocabulary, and train one run of each network."""
    furnish(commands)
    for vocab in ("char", "byte"):
        commands.succeed("prepare", "--config", "tiny", "--vocab", vocab, "--out", f"{DATA}-{vocab}")
    for name, settings in NETWORKS.items():
        data = f"{DATA}-{'byte' if name in IN_BYTES else 'char'}"
        changes = [part for setting in settings for part in ("--set", setting)]
        commands.succeed("train", "--config", "tiny", "--data", data, "--out", f"runs/{name}", *changes)


def open_network(folder: Path, name: str) -> CompressionModel:
    """Open the integer model of a trained network."""
    (checkpoint,) = (folder / "runs" / name / "checkpoints").glob("step-*20")
    return open_model(checkpoint, name)
