"""Record the golden archives anew: `python -m tests.archives.record_golden`. Run it only after the format has changed.

tests/archives/golden/embedded.charlm     with its model: two small layers with layer norm, and n-gram tables
tests/archives/golden/bundled.charlm      by the bundled model
"""

import tempfile
from pathlib import Path

from charlm import workspace
from charlm.workflows.compress import ArchiveRequest, CompressOptions, compress_file
from tests.processes import Commands, serving
from tests.workspaces import furnish, texts

FOLDER = Path(__file__).with_name("golden")
EMBEDDED, BUNDLED = (FOLDER / f"{name}.charlm" for name in ("embedded", "bundled"))
NUM_LANES = 2
CONTENT = texts()["00.txt"].encode()[:3700] + bytes(range(200, 256)) + "\nThe end. Ende. Конец.\n".encode()
_CHANGES = ("model.body.num_layers=2", "model.body.norm=layer", "model.ngram.order=2")


def record() -> None:
    """Train a small run, and compress `CONTENT` with it and with the bundled model."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, serving() as address:
        commands = Commands(address, Path(name))
        furnish(commands)
        (commands.folder / "content").write_bytes(CONTENT)
        commands.succeed("prepare", "--config", "tiny")
        changes = [part for change in _CHANGES for part in ("--set", change)]
        commands.succeed("train", "--config", "tiny", *changes)
        common = ("content", "--lanes", str(NUM_LANES), "--overwrite", "--out")
        commands.succeed("compress", "tiny-texts", *common, str(EMBEDDED), "--embed")
        request = ArchiveRequest(str(commands.folder / "content"), str(BUNDLED), overwrite=True)
        compress_file(workspace.BUNDLED, None, request, CompressOptions(num_lanes=NUM_LANES), lambda _: None)


if __name__ == "__main__":
    record()
