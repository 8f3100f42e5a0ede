"""Check a command line of `charlm train`: its settings, corpus, run directory and device.

layers ──validated once──> Experiment ──with the settings of the prepared corpus──> TrainingPlan
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from charlm import workspace
from charlm.checkpoint import describe_model, weights_hash
from charlm.data.corpus import Corpus
from charlm.data.settings import CorpusSettings
from charlm.device import choose_device
from charlm.errors import DataError, SettingsError, UsageError
from charlm.experiment import Experiment, check_corpus, load_experiment, read_layers
from charlm.nn.build import build_meta_model
from charlm.nn.embeddings.build import check_bags
from charlm.nn.embeddings.frozen import FrozenModel, FrozenModels
from charlm.settings import Layer, differences, lists_to_tuples, merge_layers, single_value_layer, validate
from charlm.training.run_directory import RunDirectory, find_checkpoint
from charlm.training.run_origin import WEIGHTS_FROM_SEED, InitialWeights, read_origin
from charlm.training.tasks.build import build_task
from charlm.training.tasks.language import check_language_model
from charlm.vocab.build import load_vocab
from charlm.workflows.auto.choose import ASSUMED_VOCAB_SIZE, AUTO, Wanted, complete_settings
from charlm.workflows.frozen_runs import find_frozen_models, named_models
from charlm.workflows.pretrained_parts import TransducerPart, can_start_parts, plan_parts
from charlm.workflows.training_places import find_run_directory, find_training_corpus


@dataclass(frozen=True)
class TrainingPlan:
    """A training that can begin. `corpus` is None only in a dry run without one."""

    experiment: Experiment
    corpus: Corpus | None
    run: RunDirectory
    device: torch.device
    initial: Path | None = None
    """The checkpoint whose weights a new run starts from."""
    initial_weights: InitialWeights = WEIGHTS_FROM_SEED
    """Their identity, by which a resumed run is compared."""
    initial_parts: tuple[TransducerPart, ...] = ()
    """The parts that start from these weights, if the checkpoint is of a language model and the run trains a
    transducer."""
    frozen: FrozenModels = field(default_factory=dict[str, FrozenModel])
    """The frozen language models that contextual embeddings read."""
    reason: str = ""
    """What was chosen for the user, and why; empty if a config says everything."""

    @property
    def vocab_size(self) -> int:
        if self.corpus:
            return self.corpus.vocab.size
        return next((model.description.vocab_size for model in self.frozen.values()), ASSUMED_VOCAB_SIZE)


def plan_training(
    config: str | None,
    given: Sequence[Layer],
    data: str | None,
    out: Path | None,
    device: str,
    *,
    need_corpus: bool,
    init_from: str | None = None,
    overwrite: bool = False,
) -> TrainingPlan:
    """Return the plan of a training.

    Args:
        config: the config that names the run; if None, the run is named after `init_from`, or settings are chosen.
        given: the settings beside the config, those that win last; they also win over settings that are chosen.
        out: the folder of the run; if None, in runs/.
        overwrite: whether a run in that folder will be removed.

    Raises:
        CharlmError: a setting, the corpus or the checkpoint is wrong, or they do not fit each other.
    """
    reason = ""
    if init_from is None and config in (None, AUTO):
        wanted = Wanted(config, given, data, out, choose_device(device))
        config, layer, reason = complete_settings(wanted, need_corpus=need_corpus, overwrite=overwrite)
    elif config == AUTO:
        raise UsageError(
            f"--config {AUTO} and --init-from {init_from} contradict each other: the network comes from that run",
            f"leave out --config {AUTO}",
        )
    else:
        layer = read_layers(config, given, ())
    begins = run_name(init_from or "") if config is None else config_name(config)

    def find_run(corpus: Corpus | None) -> RunDirectory:
        return find_run_directory(begins, out, corpus)

    def find_own_corpus() -> Corpus | None:
        return find_training_corpus(layer, data, need_corpus=need_corpus)

    initial, weights = None, WEIGHTS_FROM_SEED
    parts: tuple[TransducerPart, ...] = ()
    if init_from is None:
        experiment = load_experiment(layer)
    else:
        initial, recorded = _find_initial(init_from, lambda: find_run(find_own_corpus()))
        own_corpus = find_own_corpus()
        if own_corpus is not None and can_start_parts(initial, own_corpus):
            experiment, parts = plan_parts(initial, layer, own_corpus, find_run(own_corpus))
        else:
            experiment = _load_fine_tuning(initial, layer)
        weights = recorded or InitialWeights(weights_hash(initial), str(initial), init_from)
    corpus = find_own_corpus()
    if corpus is not None:
        check_corpus(layer, corpus.metadata["settings"], corpus.directory)
        experiment = experiment.model_copy(update={"corpus": _corpus_settings(layer, corpus)})
        check_bags(experiment.model.embedding, corpus.vocab.bags())
        build_task(corpus).check_settings(experiment.model, experiment.training)
        if initial is not None and not parts and not corpus.vocab.is_same(load_vocab(initial)):
            raise DataError(
                f"the vocabulary of {corpus.directory} differs from that of {initial}",
                f"re-encode it with the model's: charlm prepare --data {corpus.directory} --vocab-from {init_from}",
            )
    else:
        check_language_model(experiment.model, experiment.training)
    run = find_run(corpus)
    if initial is not None and not parts:
        frozen = describe_model(initial).frozen  # the network comes from there
    else:
        frozen = find_frozen_models(experiment.model, corpus, run)
    return TrainingPlan(experiment, corpus, run, choose_device(device), initial, weights, parts, frozen, reason)


def config_name(config: str) -> str:
    """Return how a run of this config begins its name: the config without folder and without `.toml`."""
    return Path(config).name.removesuffix(".toml")


def run_name(given: str) -> str:
    """Return the name of a run that is given by name, directory or checkpoint."""
    path = Path(os.path.abspath(given))  # noqa: PTH100 - a link keeps its name
    return path.parents[1].name if path.parent.name == "checkpoints" else path.name


def _find_initial(init_from: str, find_run: Callable[[], RunDirectory]) -> tuple[Path, InitialWeights | None]:
    """Return the checkpoint that --init-from names.

    If that run was removed, a run that began with it can be resumed by the same command: then this is its own newest
    checkpoint, with the weights that it began with.

    Args:
        find_run: returns the directory of the run that is to be trained.

    Raises:
        UsageError: there is no such run.
    """
    try:
        return find_checkpoint(workspace.find_run(init_from)), None
    except UsageError:
        run = find_run()
        origin = read_origin(run)
        steps = run.checkpoint_steps()
        if origin is None or origin.initial is None or origin.initial.init_from != init_from or not steps:
            raise
        return run.checkpoint(steps[-1]), origin.initial


def _corpus_settings(layer: Layer, corpus: Corpus) -> CorpusSettings:
    """Return the settings of the corpus. It does not record settings of downloads, which are as they were given."""
    recorded = Layer(lists_to_tuples(corpus.metadata["settings"]))
    return validate(CorpusSettings, recorded.merge_over(Layer(layer.tree.get("corpus", {}))))


def _load_fine_tuning(checkpoint: Path, layer: Layer) -> Experiment:
    """Merge the given settings over those of a checkpoint's model.

    Raises:
        SettingsError: they make another network of it.
    """
    described = describe_model(checkpoint)
    checkpoint_settings = lists_to_tuples(described.settings.model_dump(mode="json", exclude_none=True))
    merged = merge_layers([single_value_layer("model", checkpoint_settings, f"{checkpoint}"), layer])
    experiment = load_experiment(merged)
    requested = experiment.model
    if list(named_models(requested)) != list(named_models(described.settings)):
        raise SettingsError(
            f"--init-from {checkpoint} has its own frozen language models, and the settings name others",
            "leave these settings out: the network comes from the checkpoint",
        )
    sizes = described.vocab_size, described.bags
    shapes = [
        {
            name: tuple(tensor.shape)
            for name, tensor in build_meta_model(settings, *sizes, described.interface, described.frozen)
            .state_dict()
            .items()
        }
        for settings in (described.settings, requested)
    ]
    if shapes[0] != shapes[1] or requested.direction != described.settings.direction:
        requested_settings = lists_to_tuples(requested.model_dump(mode="json", exclude_none=True))
        changed = "; ".join(
            f"model.{difference}" for difference in differences(checkpoint_settings, requested_settings)
        )
        raise SettingsError(
            f"--init-from {checkpoint} is another network than the settings ({changed})",
            "leave out --config and these settings: the network comes from the checkpoint",
        )
    return experiment
