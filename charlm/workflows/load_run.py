"""From the name of a run to its model, and to the corpus that it was trained on.

RUN ──workspace──> directory ──checkpoint──> LoadedModel ──its run's origin.json, name, fingerprint──> Corpus
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from charlm import workspace
from charlm.checkpoint import LoadedModel, load_model
from charlm.data.corpus import CORPUS_FILE, Corpus, open_corpus
from charlm.data.labels import LABELS_FILE
from charlm.data.source_texts import SOURCE_FOLDER, SourceConditions
from charlm.device import choose_device
from charlm.errors import CharlmError, DataError, OptionError, UsageError
from charlm.training.run_directory import RunDirectory, find_checkpoint, run_of_checkpoint
from charlm.training.run_kinds import check_same_kind
from charlm.training.run_origin import corpus_path, read_origin
from charlm.workflows.given import NOTHING, Given, give

_CURE = "name the corpus with --data"


def load_run(
    run: str | None, checkpoint: str | None, device: str, *, given: Given = NOTHING
) -> tuple[LoadedModel, str]:
    """Load a run's language model; return it with the run's name.

    Args:
        given: what a conditional model is given.

    Raises:
        UsageError: as `load_any_run` and `give`; or the run predicts labels or tags.
        DataError: as `give`.
    """
    loaded, name = load_language_model(run, checkpoint, device)
    return give(loaded, given, name), name


def load_language_model(run: str | None, checkpoint: str | None, device: str) -> tuple[LoadedModel, str]:
    """Load a run's language model, which may be a conditional one; return it with the run's name.

    Raises:
        UsageError: as `load_any_run`; or the run predicts labels or tags.
    """
    loaded, name = load_any_run(run, checkpoint, device)
    if loaded.labels is not None:
        raise UsageError(
            f"{name} predicts {loaded.task.noun}, and is no language model",
            "use `charlm predict` or `charlm eval`, or name a language model",
        )
    return loaded, name


def refuse_conditions(loaded: LoadedModel, name: str, what: str) -> None:
    """
    Args:
        name: of the run, for messages.
        what: cannot be done with a conditional model.

    Raises:
        UsageError: it is a conditional model.
    """
    if loaded.conditions is not None:
        raise UsageError(
            f"{what} reads a text as one stream, and {name} reads each document with its"
            f" {'source' if isinstance(loaded.conditions, SourceConditions) else 'label'}",
            "leave it out, or name a run of `charlm prepare` without --task",
        )


def load_any_run(run: str | None, checkpoint: str | None, device: str) -> tuple[LoadedModel, str]:
    """Load a run's model, whatever it predicts; return it with the run's name.

    Raises:
        UsageError: there is no such run or checkpoint; or the run is a checkpoint itself, and `checkpoint` names one.
    """
    chosen = choose_device(device)
    directory, name = find_checkpoint_of(run, checkpoint)
    return load_model(directory, chosen), name


def find_checkpoint_of(run: str | None, checkpoint: str | None) -> tuple[Path, str]:
    """Return the directory of a run's checkpoint, and the run's name.

    Raises:
        UsageError: there is no such run or checkpoint; or the run is a checkpoint itself, and `checkpoint` names one.
    """
    path = workspace.find_run(run)
    if workspace.is_bundled(path) and checkpoint is not None:
        raise OptionError(
            "{checkpoint} chooses a checkpoint of a run, and the bundled model is a single one",
            "leave {checkpoint} out, or name a run of your own",
        )
    return find_checkpoint(path, checkpoint), workspace.run_name(run, path)


def transduces(run: str | None, checkpoint: str | None) -> bool:
    """Whether a run writes a text for a given one, without loading it; False if there is no such run."""
    return _checkpoint_has(run, checkpoint, SOURCE_FOLDER)


def all_transduce(runs: Sequence[str | None], checkpoint: str | None) -> bool:
    """Whether runs write a text for a given one.

    Raises:
        UsageError: some of them do, and others do not, or are no runs.
    """
    found = {str(run): transduces(run, checkpoint) for run in runs}
    if any(found.values()) and not all(found.values()):
        other = next(run for run, is_transducer in found.items() if not is_transducer)
        find_checkpoint(workspace.find_run(other), checkpoint)
        raise UsageError(
            f"{other} is given no texts, and another one is: they have no common figure", "name runs of one kind"
        )
    return all(found.values())


def predicts_labels(run: str | None, checkpoint: str | None) -> bool:
    """Whether a run predicts labels or tags, without loading it; False if there is no such run."""
    return _checkpoint_has(run, checkpoint, LABELS_FILE)


def _checkpoint_has(run: str | None, checkpoint: str | None, name: str) -> bool:
    """Whether the checkpoint of a run has this file or folder; False if there is no such run."""
    try:
        return (find_checkpoint(workspace.find_run(run), checkpoint) / name).exists()
    except CharlmError:
        return False  # the command that loads the run says what is wrong


def all_predict_labels(runs: Sequence[str | None], checkpoint: str | None) -> bool:
    """Whether runs predict labels or tags, and are no language models.

    Raises:
        UsageError: some of them predict labels or tags, and others are language models, or no runs.
    """
    found = {str(run): predicts_labels(run, checkpoint) for run in runs}
    if any(found.values()):
        for run in runs:
            find_checkpoint(workspace.find_run(run), checkpoint)
        check_same_kind(found)
    return all(found.values())


def open_corpus_for(loaded: LoadedModel, data: str | None) -> Corpus:
    """Open the corpus of --data, or the one that the model was trained on.

    Raises:
        UsageError, DataError: there is none; or it has another vocabulary than the model.
    """
    trained_on = loaded.metadata["trained_on"]
    corpus = (
        open_training_corpus(loaded.directory, trained_on) if data is None else open_corpus(workspace.find_data(data))
    )
    if not corpus.vocab.is_same(loaded.vocab):
        raise DataError(
            f"{corpus.directory} has another vocabulary than the model",
            "name a corpus with the vocabulary of the model, or a model with that of the corpus",
        )
    return corpus


def open_training_corpus(checkpoint: Path, trained_on: Mapping[str, Any]) -> Corpus:
    """Open the corpus that a model was trained on: where the run says it lay, in data/ by its name, or the current one.

    Args:
        checkpoint: the directory of the model.
        trained_on: the entry of its model.json.

    Raises:
        UsageError: there is no corpus in these places.
        DataError: there are only others, or a damaged one.
    """
    found: dict[Path, bool] = {}  # directory -> whether it holds another corpus
    for directory in _places(checkpoint, str(trained_on["corpus"])):
        if directory in found:
            continue
        found[directory] = workspace.path_exists(directory / CORPUS_FILE)
        if found[directory] and (corpus := open_corpus(directory)).fingerprint == trained_on["fingerprint"]:
            return corpus
    places = [
        f"{directory} is another one" if is_other else f"there is none in {directory}"
        for directory, is_other in found.items()
    ]
    what = f"the model was trained on the corpus {trained_on['corpus']}, which is not here: {', '.join(places)}"
    if any(found.values()):
        raise DataError(what, f"{_CURE}, also to score the model on another one")
    raise UsageError(what, f"{_CURE}, or make one with `charlm prepare`")


def _places(checkpoint: Path, name: str) -> Iterator[Path]:
    """Yield the directories in which the corpus of a checkpoint is looked for, as paths from the working directory."""
    if (root := run_of_checkpoint(checkpoint)) is not None and (origin := read_origin(RunDirectory(root))) is not None:
        yield workspace.relative_to_cwd(corpus_path(origin, root))
    yield workspace.DATA / name
    if (current := workspace.current_data()) is not None:
        yield current
