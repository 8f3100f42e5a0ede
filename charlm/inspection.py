"""What a path holds: a dump (every page counted, nothing cleaned), a prepared corpus, or a run's checkpoint."""

from pathlib import Path
from typing import Any

from charlm import storage, workspace
from charlm.data.corpus import CORPUS_FILE, open_corpus
from charlm.errors import UsageError


def inspect_path(given: str) -> dict[str, Any]:
    """The facts of a file, a directory, or a name below data/ or runs/.

    Raises:
        UsageError: nothing of that name, or nothing that charlm knows.
        DataError: it is damaged.
    """
    path = next((path for path in (Path(given), workspace.DATA / given, workspace.RUNS / given) if path.exists()), None)
    if path is None:
        raise UsageError(f"there is no {given}", "give a dump, a corpus, a run or a checkpoint")
    if path.is_file():
        from charlm.text.dump_counts import count_pages

        return {"kind": "dump", "path": str(path), **count_pages(path).as_json()}
    if (path / CORPUS_FILE).is_file():
        return {"kind": "corpus", "path": str(path), **_card(path)}
    return {"kind": "checkpoint", "path": str(path), **_checkpoint(path)}


def _card(directory: Path) -> dict[str, Any]:
    """corpus.json without its list of files."""
    card = open_corpus(directory).card
    return {key: value for key, value in card.items() if key not in ("files", "format", "charlm", "settings")}


def _checkpoint(path: Path) -> dict[str, Any]:
    from charlm.training.run import find_checkpoint

    directory = find_checkpoint(path)
    storage.verify_manifest(directory, "copy the whole checkpoint directory again")
    return storage.read_json(directory / "model.json")
