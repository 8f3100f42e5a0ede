"""The models that are served, each under an id that a client chooses it by.

RUN ... ──load_models──> ServedModels ──find("lstm-ltg")──> ServedModel             a client never gives a path
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from charlm import storage, workspace
from charlm.checkpoint import LoadedModel
from charlm.data.conditions import LabelConditions
from charlm.device import choose_device
from charlm.errors import UsageError
from charlm.nn.ngrams.files import NGRAMS_FILE
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.sampling.options import SamplingOptions
from charlm.serving.api_error import ApiError
from charlm.serving.text_starts import TextStarts
from charlm.suggestions.words import format_value, suggest
from charlm.training.run_directory import run_of_checkpoint
from charlm.version import __version__
from charlm.vocab.base import Vocab
from charlm.workflows.given import Given, give
from charlm.workflows.load_run import load_any_run
from charlm.workflows.predict import Predictor
from charlm.workflows.predict_options import PredictOptions
from charlm.workflows.prediction import Query
from charlm.workflows.sample import build_generator

WRITING_KINDS = ("language", "generate")
"""The tasks of models that go on from a prompt."""
_WARM_UP_CHARACTERS = 2


@dataclass(frozen=True)
class ServedModel:
    """A model, and what clients know it by."""

    id: str
    loaded: LoadedModel
    device: torch.device
    created: int
    """Unix time at which its weights were written."""
    fingerprint: str
    """Changes with the weights and with the version of charlm."""

    @property
    def kind(self) -> str:
        """Its task: language, classify, tag, generate or transduce."""
        return self.loaded.task.type

    @property
    def vocab(self) -> Vocab:
        """Of what it writes; of a model that only predicts, of what it reads."""
        return self.loaded.vocab

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels or tags that it predicts, or those that it writes for."""
        conditions = self.loaded.conditions
        known = conditions.labels if isinstance(conditions, LabelConditions) else self.loaded.labels
        return () if known is None else known.names

    @cached_property
    def starts(self) -> TextStarts:
        """What the texts begin with that it writes."""
        return TextStarts(self.loaded, self.id)

    @cached_property
    def symbols(self) -> list[str]:
        """The name of each id; answers with log-probabilities have hundreds of thousands of them."""
        return [self.vocab.symbol(token) for token in range(self.vocab.size)]


class ServedModels:
    """All models of a server, in the order in which they were named."""

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self.all = tuple(models)

    def find(self, name: str | None) -> ServedModel:
        """Return the model of this id; a server of one model needs none.

        Raises:
            ApiError: there is no such model, or no id and several models.
        """
        ids = [model.id for model in self.all]
        if name is None and len(ids) == 1:
            return self.all[0]
        if name is None:
            raise ApiError(
                400, "model is missing, and there are several", f"give one of {', '.join(ids)}", param="model"
            )
        found = next((model for model in self.all if model.id == name), None)
        if found is None:
            what = f"there is no model {format_value(name)}"
            raise ApiError(404, what, suggest(name, ids, "there are"), param="model", code="model_not_found")
        return found


def load_models(runs: Sequence[str | None], checkpoint: str | None, device: str) -> ServedModels:
    """Load the models of runs.

    Raises:
        UsageError: there is no such run or checkpoint; two have one id; or a model writes backward, or for too many
            combinations of labels.
        CheckpointError: a checkpoint is damaged, or was written by a newer charlm.
    """
    models: list[ServedModel] = []
    for run in runs:
        loaded, name = load_any_run(run, checkpoint, device)
        _check_direction(loaded, name)
        model = _describe(loaded, name, device)
        same = next((other for other in models if other.id == model.id), None)
        if same is not None:
            what = f"{loaded.directory} and {same.loaded.directory} would both have the id {model.id}"
            raise UsageError(what, "name each once, or rename the directory of a run")
        loaded.model.eval()
        _warm_up(model, name, device)
        _ = model.starts
        models.append(model)
    return ServedModels(models)


def _check_direction(loaded: LoadedModel, name: str) -> None:
    """
    Raises:
        UsageError: the model writes what comes before a prompt.
    """
    if loaded.task.type in WRITING_KINDS and loaded.settings.text_direction == "backward":
        what = f"{name} writes backward, and a completion comes after its prompt"
        raise UsageError(what, "use `charlm sample`, or name a forward model")


def _describe(loaded: LoadedModel, name: str, device: str) -> ServedModel:
    weights = loaded.directory / "model.safetensors"
    digest = storage.sha256(weights)[:12]
    if isinstance(loaded.model, NgramLanguageModel):
        digest += storage.sha256(loaded.directory / NGRAMS_FILE)[:12]
    with storage.storage_errors(weights, "read"):
        created = int(weights.stat().st_mtime)
    return ServedModel(_id(loaded, name), loaded, choose_device(device), created, f"charlm-{__version__}-{digest}")


def _id(loaded: LoadedModel, name: str) -> str:
    """The name of the run; of a checkpoint that was named itself, the name of its run and its own."""
    if name == workspace.BUNDLED:
        return name
    own = storage.directory_name(Path(name))
    run = run_of_checkpoint(loaded.directory)
    return own if run is None or loaded.directory != Path(name) else f"{run.name}:{own}"


def _warm_up(model: ServedModel, name: str, device: str) -> None:
    """Write or predict a little, so that the first client does not wait for kernels to be compiled."""
    loaded = model.loaded
    if model.kind not in WRITING_KINDS:
        list(Predictor(loaded, name, device, PredictOptions()).predict([Query("")]))
        return
    conditions = loaded.conditions
    if isinstance(conditions, LabelConditions):
        frequent = tuple(conditions.labels.names[label] for label in conditions.most_frequent())
        loaded = give(loaded, Given(frequent), name)
    options = SamplingOptions(length=_WARM_UP_CHARACTERS, temperature=0)
    build_generator(loaded, options, device).generate_batch(1)
