"""What a path holds: a dump (every page counted, nothing cleaned), a prepared corpus, or a run's checkpoint."""

from pathlib import Path
from typing import Any

from charlm import storage, workspace
from charlm.data.corpus import CORPUS_FILE, Corpus, open_corpus
from charlm.errors import UsageError
from charlm.nn.settings import ModelSettings

_MANY_IDS = 65_536


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


def summarize(corpus: Corpus) -> list[str]:
    """What `charlm prepare` says in the end: what became of the pages, and how much text each split has."""
    how, num_documents = corpus.card["split"], corpus.card["documents"]["kept"]
    by = {"hash": "document", "position": "position in the text", "bytes": "position in bytes"}[how["method"]]
    documents = f"{num_documents:,} {'document' if num_documents == 1 else 'documents'}"
    lines = [f"{documents}, split {how['shares']} by {by}, vocabulary of {corpus.vocab.size:,} ids"]
    for name, counts in corpus.card["splits"].items():
        documents = f" {counts['documents']:>9,} documents" if how["method"] == "hash" else ""
        lines.append(f"  {name:<6}{documents} {counts['characters']:>14,} characters")
    for reason, count in corpus.card["documents"]["dropped"].items():
        lines.append(f"  dropped {count:>8,} pages: {reason}")
    if corpus.vocab.size > _MANY_IDS:
        defaults = ModelSettings()
        weights = corpus.vocab.size * (defaults.embedding.size + defaults.body.hidden_size)
        lines.append(
            f"  {weights / 1e6:,.0f} million weights of the default model for so many ids; see corpus.vocab.max_size"
        )
    return lines


def _card(directory: Path) -> dict[str, Any]:
    """corpus.json without its list of files, and what the vocabulary makes of the text."""
    from charlm.data.vocabulary_report import describe_vocabulary

    corpus = open_corpus(directory)
    card = {key: value for key, value in corpus.card.items() if key not in ("files", "format", "charlm", "settings")}
    return card | {"vocabulary": card["vocabulary"] | describe_vocabulary(corpus)}


def _checkpoint(path: Path) -> dict[str, Any]:
    from charlm.training.run import find_checkpoint

    directory = find_checkpoint(path)
    storage.verify_manifest(directory, "copy the whole checkpoint directory again")
    return storage.read_json(directory / "model.json")
