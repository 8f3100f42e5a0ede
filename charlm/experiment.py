"""The root settings of a run, merged from defaults, a config and the command line.

defaults <── config file <── options <── --set        later ones win
corpus.*     source, split, vocabulary                what `prepare` needs
model.*      embedding, body, head                    } what `train` needs too
training.*   batches, optimizer, schedule, budgets    }
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self, cast

from pydantic import model_validator

from charlm.data.settings import CorpusSettings, complete_record, make_portable
from charlm.errors import SettingsError
from charlm.nn.settings import ModelSettings
from charlm.settings import (
    Difference,
    Layer,
    Settings,
    differences,
    lists_to_tuples,
    merge_layers,
    parse_override,
    read_toml,
    renamed,
    validate,
)
from charlm.suggestions.words import format_value, suggest
from charlm.training.run_directory import EXPERIMENT_FILE
from charlm.training.settings import TrainingSettings
from charlm.workspace import config_directories, config_names, path_exists

DEFAULT_CONFIG = "lstm"
BUDGETS = ("max_steps", "max_tokens", "max_epochs", "max_minutes")
CHANGEABLE = (*BUDGETS, "patience", "batch_size", "micro_batches")
"""Settings of training that may change when a run is resumed."""


class Experiment(Settings):
    """The settings of one run: corpus, model and training."""

    corpus: CorpusSettings = CorpusSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings(max_epochs=10.0)

    @model_validator(mode="after")
    def _check_batch_norm(self) -> Self:
        """Batch normalisation keeps statistics of each time step since a reset, so the steps must stay the same."""
        if self.model.depends_on_step_count and self.training.recompute_len is not None:
            raise ValueError(
                "training.recompute_len would compute the statistics of batch normalisation twice;"
                " leave it out, or choose another model.body.norm"
            )
        if self.model.depends_on_step_count and self.training.seq_len_varies:
            raise ValueError(
                "training.seq_len_varies does not fit batch normalisation, whose state is reset every seq_len steps;"
                " leave it out, or choose another model.body.norm"
            )
        return self


def read_layers(config: str | None, flags: Iterable[Layer], overrides: Iterable[str]) -> Layer:
    """Return the raw settings of a command line, merged in their order of precedence."""
    base: list[Layer] = []
    if config:
        path = find_config(config)
        layer = read_toml(path)
        base.append(renamed.translate_layer(layer) if path.name == EXPERIMENT_FILE else layer)
    return merge_layers([*base, *flags, *map(parse_override, overrides)])


def load_experiment(layer: Layer) -> Experiment:
    return validate(Experiment, layer)


def find_config(name: str) -> Path:
    """Return the path of a config, given by path or name.

    Raises:
        SettingsError: it does not exist; names the nearest one.
    """
    if path_exists(Path(name)) and Path(name).is_file():
        return Path(name)
    for directory in config_directories():
        path = directory / f"{name}.toml"
        if path_exists(path) and path.is_file():
            return path
    if path_exists(Path(f"{name}.toml")):
        raise SettingsError(f"there is no config {name!r}", f"did you mean {name}.toml?")
    is_folder = path_exists(Path(name)) and Path(name).is_dir()
    what = f"{name} is a folder, not a config" if is_folder else f"there is no config {format_value(name)}"
    raise SettingsError(what, suggest(name, config_names(), "the configs there are"))


def is_config(name: str) -> bool:
    """Whether a config has this name, or is the TOML file at this path."""
    try:
        return find_config(name).suffix == ".toml"
    except SettingsError:
        return False


def check_corpus(layer: Layer, prepared: Mapping[str, Any], directory: Path) -> None:
    """Check that the `corpus.*` settings of a config or option agree with a prepared corpus.

    Raises:
        SettingsError: a setting contradicts the corpus.
    """
    requested = layer.tree.get("corpus", {})
    if not isinstance(requested, dict):
        validate(Experiment, layer)
    before = lists_to_tuples(complete_record(prepared))
    now = lists_to_tuples(make_portable(cast("dict[str, Any]", requested)))
    contradictions = [f"corpus.{difference}" for difference in differences(before, now) if difference.new is not None]
    if contradictions:
        raise SettingsError(
            f"{directory} contradicts the settings ({'; '.join(contradictions)})",
            "give another --data, or prepare a corpus with these settings",
        )


def changed_settings(before: Mapping[str, Any], now: Experiment) -> list[Difference]:
    """Return the differences between a run's experiment.toml and the settings of a new command.

    A run can continue with another budget, and with another batch: the rest of the epoch is redistributed over the new
    rows. These are not counted as differences, and neither are settings of downloads. A setting that the version which
    began the run did not have has its default.
    """
    tree = cast("dict[str, Any]", lists_to_tuples(before))
    recorded = _load_recorded(tree)
    if recorded is None:
        return differences(
            tree, cast("dict[str, Any]", lists_to_tuples(now.model_dump(mode="json", exclude_none=True)))
        )
    return differences(_deciding_settings(recorded), _deciding_settings(now))


def _load_recorded(tree: dict[str, Any]) -> Experiment | None:
    """Return the settings of an experiment.toml; None if it is torn, or has settings that are unknown here."""
    if not all(root in tree for root in Experiment.model_fields):
        return None
    try:
        return load_experiment(Layer(tree))
    except SettingsError:
        return None


def _deciding_settings(experiment: Experiment) -> dict[str, Any]:
    """Return the settings that may not change when a run is resumed."""
    tree = experiment.model_dump(mode="json", exclude_none=True)
    training = {key: value for key, value in tree["training"].items() if key not in CHANGEABLE}
    return {**tree, "corpus": experiment.corpus.to_record(), "training": training}
