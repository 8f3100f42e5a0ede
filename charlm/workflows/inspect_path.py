"""Describe a dump (pages are counted, not cleaned), a prepared corpus, a checkpoint or a config.

The result is JSON for programs; for people, networks are tables and counts are lines.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charlm import workspace
from charlm.data.corpus import CORPUS_FILE, Corpus, open_corpus
from charlm.data.store import read_stream
from charlm.errors import DataError, SettingsError, UsageError
from charlm.experiment import find_config
from charlm.hub.address import is_hub_address
from charlm.nn.settings import ModelSettings
from charlm.settings import parse_override
from charlm.workflows.inspect_examples import describe_examples, summarize_examples

_MANY_IDS = 65_536


def inspect(name: str, overrides: Sequence[str], data: str | None, *, readable: bool) -> dict[str, Any]:
    """What `charlm inspect` shows.

    Args:
        name: the path of a file or directory, or the name of a corpus, a run or a config.
        overrides: settings of a config, KEY=VALUE.
        data: the corpus of a config; if None, the one that it names, or the current one.
        readable: for people, instead of for programs.

    Raises:
        UsageError: charlm cannot describe it.
        SettingsError: the settings of the config are wrong, or do not fit the corpus.
        DataError: it is damaged.
    """
    path = find_path(name)
    if path is None:
        return _inspect_config(name, overrides, data, readable=readable)
    if overrides or data:
        raise UsageError(f"{path} is not a config, and --set and --data go with a config only", "leave them out")
    return inspect_path(path, readable=readable)


def find_path(name_or_path: str) -> Path | None:
    """Return the path of a file, a directory, a name below data/ or runs/, or a model of the hub; None if it may be a
    config."""
    if is_hub_address(name_or_path):
        return workspace.find_run(name_or_path)
    named = (workspace.DATA / name_or_path, workspace.RUNS / name_or_path)
    is_name = Path(name_or_path).name == name_or_path  # data/NAME comes first: ./NAME may be the texts it was made from
    paths = (*named, Path(name_or_path)) if is_name else (Path(name_or_path), *named)
    path = next((path for path in paths if workspace.path_exists(path)), None)
    return None if path is None or (path.suffix == ".toml" and path.is_file()) else path


def inspect_path(path: Path, *, readable: bool) -> dict[str, Any]:
    """Describe a dump, a corpus, a run or a checkpoint.

    Raises:
        UsageError: it is none of these.
        DataError: it is damaged.
    """
    if path.is_file():
        from charlm.text.dump.counts import count_pages

        return {"kind": "dump", "path": str(path), **count_pages(path).as_json()}
    if (path / CORPUS_FILE).is_file():
        return {"kind": "corpus", "path": str(path), **_describe_corpus(path, readable=readable)}
    if not workspace.is_run(path):
        raise UsageError(f"{path} is neither a corpus, a run nor a checkpoint", "name one of these, a dump or a config")
    return {"kind": "checkpoint", "path": str(path), **_describe_checkpoint(path, readable=readable)}


def summarize(corpus: Corpus) -> list[str]:
    """Return the lines that `charlm prepare` prints at the end: documents, the size of each split, dropped pages."""
    if corpus.task.needs_examples:
        return summarize_examples(corpus)
    split_metadata, num_documents = corpus.metadata["split"], corpus.metadata["documents"]["kept"]
    method_name = {"hash": "document", "position": "position in the text", "bytes": "position in bytes"}[
        split_metadata["method"]
    ]
    documents = f"{num_documents:,} {'document' if num_documents == 1 else 'documents'}"
    lines = [f"{documents}, split {split_metadata['shares']} by {method_name}, vocabulary of {corpus.vocab.size:,} ids"]
    for name, counts in corpus.metadata["splits"].items():
        documents = f" {counts['documents']:>9,} documents" if split_metadata["method"] == "hash" else ""
        lines.append(f"  {name:<6}{documents} {counts['characters']:>14,} characters")
    for reason, count in corpus.metadata["documents"]["dropped"].items():
        lines.append(f"  dropped {count:>8,} pages: {reason}")
    if corpus.vocab.size > _MANY_IDS:
        defaults = ModelSettings()
        weights = corpus.vocab.size * (defaults.embedding.size + defaults.body.hidden_size)
        lines.append(
            f"  so many ids make {weights / 1e6:,.0f} million weights in the default model; see corpus.vocab.max_size"
        )
    return lines


def _describe_corpus(directory: Path, *, readable: bool) -> dict[str, Any]:
    """Return corpus.json without its list of files, and statistics of the vocabulary on the text."""
    from charlm.data.vocabulary_report import describe_vocabulary

    corpus = open_corpus(directory)
    examples = describe_examples(corpus, readable=readable) if corpus.task.needs_examples else {}
    metadata = {
        key: value for key, value in corpus.metadata.items() if key not in ("files", "format", "charlm", "settings")
    }
    characters = metadata["vocabulary"]
    vocabulary = characters | describe_vocabulary(corpus)
    if readable:
        vocabulary["frequent"] = {repr(character): count for character, count in characters["frequent"].items()}
    return metadata | examples | {"vocabulary": vocabulary}


def _describe_checkpoint(path: Path, *, readable: bool) -> dict[str, Any]:
    """Return model.json and a summary of its network."""
    from charlm.checkpoint import describe_model
    from charlm.nn.summary import summarize_network
    from charlm.training.run_directory import find_checkpoint

    checkpoint = find_checkpoint(path)
    described = describe_model(checkpoint)
    summary = summarize_network(
        described.settings, described.vocab_size, described.bags, described.interface, described.frozen
    )
    tokens_per_character = _tokens_per_character(checkpoint, described.metadata["trained_on"])
    metadata = dict(described.metadata)
    if readable and (ngrams := described.ngrams) is not None:
        metadata["ngrams"] = (
            f"{ngrams.ngrams:,} of up to {ngrams.order} tokens; the checkpoint holds n-grams of the training text"
        )
    return {
        **metadata,
        "network": summary.to_table(tokens_per_character) if readable else summary.to_json(tokens_per_character),
    }


def _inspect_config(config: str, overrides: Sequence[str], data: str | None, *, readable: bool) -> dict[str, Any]:
    """Return a summary of the network of a config."""
    from charlm.nn.summary import summarize_network
    from charlm.training.tasks.build import build_task
    from charlm.workflows.plan_training import plan_training

    try:
        path = find_config(config)
    except SettingsError as error:
        raise UsageError(
            f"there is no {config}", f"give a dump, a corpus, a run, a checkpoint or a config ({error.cure})"
        ) from error
    plan = plan_training(config, [*map(parse_override, overrides)], data, None, "cpu", need_corpus=False)
    corpus = plan.corpus
    bags = corpus.vocab.bags() if corpus else None
    interface = build_task(corpus).interface if corpus else None
    summary = summarize_network(plan.experiment.model, plan.vocab_size, bags, interface, plan.frozen)
    tokens_per_character = read_stream(corpus.directory, "train", corpus.vocab).tokens_per_character if corpus else None
    return {
        "kind": "config",
        "path": str(path),
        "corpus": str(corpus.directory) if corpus else None,
        "vocab_size": plan.vocab_size,
        "vocabulary": f"{corpus.vocab.type}" if corpus else "assumed, as no corpus is prepared yet",
        "network": summary.to_table(tokens_per_character) if readable else summary.to_json(tokens_per_character),
    }


def _tokens_per_character(checkpoint: Path, trained_on: dict[str, Any]) -> float | None:
    """Return the tokens per character of the corpus that a model was trained on; None if that corpus is not found."""
    from charlm.workflows.load_run import open_training_corpus

    try:
        corpus = open_training_corpus(checkpoint, trained_on)
    except (UsageError, DataError):
        return None
    return read_stream(corpus.directory, "train", corpus.vocab).tokens_per_character
