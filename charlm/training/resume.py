"""The learner of a run and where it stands: from nothing, from another model's weights, or from its last checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from charlm.checkpoint import load_model, load_training
from charlm.data.batches import Batches, fit_batches
from charlm.data.corpus import Corpus
from charlm.data.store import TokenStream, count_ids
from charlm.errors import CheckpointError, DataError
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.training.distributed import Ranks
from charlm.training.model_updater import Learner
from charlm.training.run_directory import RunDirectory
from charlm.training.settings import TrainingSettings
from charlm.training.trainer_state import Standing


@dataclass(frozen=True)
class Start:
    """What a run starts with, whether it begins or goes on."""

    model_settings: ModelSettings
    settings: TrainingSettings
    corpus: Corpus
    run: RunDirectory
    batches: Batches
    device: torch.device
    ranks: Ranks


def open_batches(
    train: TokenStream, settings: TrainingSettings, model_settings: ModelSettings, num_ranks: int
) -> Batches:
    """The batches of all ranks together.

    Raises:
        DataError: there is nothing to learn from.
    """
    is_cut_otherwise = settings.segment_len is not None or settings.seq_len_varies
    assert not (model_settings.counts_steps and is_cut_otherwise), "an Experiment refuses that"
    reset_tokens = settings.reset_tokens or (settings.seq_len if model_settings.counts_steps else None)
    return fit_batches(
        train,
        settings.batch_size * num_ranks,
        settings.seq_len,
        settings.seed,
        reset_tokens,
        varied=settings.seq_len_varies,
        multiple_of=num_ranks,
    )


def begin(start: Start, initial: LanguageModel | None) -> tuple[Learner, Standing]:
    """From freshly drawn weights, or from those of `initial`."""
    settings, vocab = start.settings, start.corpus.vocab
    start.ranks.first_only(lambda: start.run.cut_metrics(0))
    torch.manual_seed(settings.seed)
    if initial is None:
        model = start.model_settings.build(vocab.size, vocab.bags())
        train = start.batches.stream
        model.head.set_frequencies(torch.from_numpy(count_ids(train, vocab.size)))
    else:
        model = initial
    return Learner(model.to(start.device), settings, start.device, start.ranks), Standing()


def resume(start: Start, note: Callable[[str], None]) -> tuple[Learner, Standing]:
    """From the newest checkpoint.

    Raises:
        DataError: the corpus is another one.
        CheckpointError: the checkpoint does not fit.
    """
    run, batches, ranks = start.run, start.batches, start.ranks
    directory = run.checkpoint(run.steps()[-1])
    loaded = load_model(directory, start.device)
    training = load_training(directory)
    facts = training.facts
    if facts.get("corpus") != start.corpus.fingerprint:
        raise DataError(
            f"{start.corpus.directory} is not the corpus of {run.root}: its fingerprint differs",
            "restore that corpus, or train anew with another --out",
        )
    learner = Learner(loaded.model, start.settings, start.device, ranks)
    try:
        standing = Standing.from_json(facts)
        rows_before = int(facts["rows"])
        learner.load_tensors(training.tensors, batches.batch_size if rows_before == batches.batch_size else None)
        if rows_before != batches.batch_size:
            before = Batches(batches.stream, rows_before, batches.seq_len, batches.seed, None, batches.varied)
            standing.cursor = batches.dealt_anew(standing.cursor, before)
        batches.batch(standing.cursor, range(1))  # what a cursor says must be there
    except (KeyError, TypeError, ValueError, RuntimeError, IndexError, OverflowError) as error:
        raise CheckpointError(
            f"{directory} cannot be resumed: {error}", "delete that checkpoint to resume from the one before it"
        ) from error
    _tell_differences(facts, batches, ranks, note)
    marked = run.marked()
    if marked is not None and marked.validated == standing.step:  # a validation that came after its checkpoint
        standing.validations = marked
    ranks.first_only(lambda: run.cut_metrics(standing.step, validated=standing.is_validated))
    return learner, standing


def _tell_differences(facts: dict[str, Any], batches: Batches, ranks: Ranks, note: Callable[[str], None]) -> None:
    """What makes a resumed run another one than it would have been."""
    differences = [
        f"{name} {facts.get(key)} -> {now}"
        for name, key, now in (
            ("rows", "rows", batches.batch_size),
            ("processes", "ranks", ranks.size),
            ("threads", "threads", torch.get_num_threads()),
        )
        if facts.get(key) != now
    ]
    if not differences:
        return
    dealt = ""
    if facts.get("rows") != batches.batch_size:
        dealt = "; the unread rest of the epoch is dealt to the new rows, no token lost or read twice"
    note(f"going on with other {', '.join(differences)}: not bit-exact{dealt}")
